# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Geometry of a camera in front of a plane: surface points of pixels and pixels of surface points."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.flight.truth import TruthSurface

FloatArray = NDArray[np.float64]

_VISIBILITY_STEPS = 500


@dataclass(frozen=True, eq=False)
class SurfaceView:
    """Camera model at a pose ``T_map_camera`` in front of a surface."""

    camera: CameraModel
    surface: TruthSurface
    map_from_camera: Pose

    @property
    def homography(self) -> FloatArray:
        """(3, 3) from undistorted image coordinates (x, y, 1) at depth 1 to surface metres (u, v, 1)."""
        axes = np.stack([self.surface.u_axis, self.surface.v_axis, self.surface.normal])
        u_row, v_row, n_row = axes @ self.map_from_camera.rotation
        u_m, v_m, distance_m = axes @ (self.map_from_camera.position_m - self.surface.origin_m)
        return np.stack([u_m * n_row - distance_m * u_row, v_m * n_row - distance_m * v_row, n_row])

    def seen_at(self, pixels: FloatArray) -> FloatArray:
        """Return surface coordinates (N, 2) [m] that pixels (N, 2) show."""
        plane = self.camera.normalised(pixels)
        mapped = np.column_stack([plane, np.ones(len(plane))]) @ self.homography.T
        return np.asarray(mapped[:, :2] / mapped[:, 2:])

    def pixels_of(self, uv_m: FloatArray) -> FloatArray:
        """Return pixels (N, 2) of surface coordinates (N, 2) in metres; NaN behind the camera."""
        return self.camera.project(self.map_from_camera.inverse().transform(self.surface.to_map(uv_m)))

    @property
    def centre_px(self) -> FloatArray:
        """Centre of the image (2,)."""
        return np.array([(self.camera.width_px - 1) / 2, (self.camera.height_px - 1) / 2])

    @property
    def outline_px(self) -> FloatArray:
        """Points (N, 2) around the outer edge of the image."""
        width, height = self.camera.width_px, self.camera.height_px
        side = np.linspace(0, 1, 9)[:-1, None]
        corners = np.array([[0.0, 0.0], [width, 0], [width, height], [0, height], [0, 0]]) - 0.5
        return np.vstack([a + side * (b - a) for a, b in pairwise(corners)])

    @property
    def range_m(self) -> float:
        """Distance to the surface along the optical axis."""
        axis = self.map_from_camera.rotation[:, 2]
        to_surface = (self.surface.origin_m - self.map_from_camera.position_m) @ self.surface.normal
        return float(to_surface / (axis @ self.surface.normal))

    @property
    def gsd_mm_per_px(self) -> float:
        """Ground sampling distance at the image centre: square root of the area of a pixel."""
        steps = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
        seen = self.seen_at(self.centre_px + steps)
        across, down = seen[0] - seen[1], seen[2] - seen[3]
        return float(1000 * np.sqrt(abs(across[0] * down[1] - across[1] * down[0])))

    def visible_fraction(self, line_m: FloatArray) -> float:
        """Return the share of the length of a polyline (N, 2) in surface metres that lies inside the image."""
        steps_m = np.linalg.norm(np.diff(line_m, axis=0), axis=1)
        distance_m = np.concatenate([[0.0], np.cumsum(steps_m)])
        samples_m = (np.arange(_VISIBILITY_STEPS) + 0.5) / _VISIBILITY_STEPS * distance_m[-1]
        points = np.column_stack([np.interp(samples_m, distance_m, line_m[:, axis]) for axis in (0, 1)])
        pixels = self.pixels_of(points)
        beyond = np.array([self.camera.width_px, self.camera.height_px]) - 0.5
        inside = np.all((pixels >= -0.5) & (pixels < beyond), axis=1)
        return float(np.mean(inside))
