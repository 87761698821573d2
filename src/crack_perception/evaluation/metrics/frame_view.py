# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Exact view of a frame onto the true surface, and what a series of frames could resolve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.detections import FloatArray
from crack_perception.evaluation.metrics.line_pieces import CrackSamples
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.flight.truth import Truth, TruthFrame

_BORDER_POINTS_PER_SIDE = 16


def camera_model(truth: Truth) -> CameraModel:
    """Return the camera model of a truth."""
    camera = truth.camera
    return CameraModel.of(camera.width, camera.height, camera.k, camera.d, camera.distortion_model)


class FrameView:
    """Exact camera view of one frame of a flight with known truth.

    Args:
        truth: Truth of the flight.
        camera: The camera model of ``truth.camera``.
        frame: The frame.

    Attributes:
        surface: Index of the only surface that the frame shows.
    """

    def __init__(self, truth: Truth, camera: CameraModel, frame: TruthFrame) -> None:
        self.surface = frame.surface
        self._surface = truth.surfaces[frame.surface]
        self._camera = camera
        self._pose = Pose.of(frame.position_m, frame.quaternion_xyzw)
        self._border_px = _border(camera)
        # Beyond the widest ray of the image, distortion polynomials fold distant points back into it.
        self._min_cosine = float(camera.rays(self._border_px)[:, 2].min())

    def project(self, points_m: FloatArray) -> FloatArray:
        """Project map points (N, 3) to pixels (N, 2); NaN for points outside the camera's field of view."""
        in_camera = self._pose.inverse().transform(points_m)
        pixels = self._camera.project(in_camera)
        with np.errstate(invalid="ignore", divide="ignore"):
            cosines = in_camera[:, 2] / np.linalg.norm(in_camera, axis=1)
        pixels[~(cosines >= self._min_cosine)] = np.nan
        return pixels

    def is_inside(self, pixels: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which pixels (N, 2) lie inside the image, as (N,) bool."""
        x, y = pixels.T
        with np.errstate(invalid="ignore"):
            inside = (x >= -0.5) & (x < self._camera.width_px - 0.5) & (y >= -0.5) & (y < self._camera.height_px - 0.5)
        return np.asarray(inside)

    def widths_px(self, samples: CrackSamples) -> FloatArray:
        """Return the widths (N,) of a crack's pieces in this image: distances between the projected edges [px]."""
        across = np.cross(self._surface.normal, samples.directions)
        half_m = 0.5e-3 * samples.widths_mm[:, None] * across
        left, right = self.project(samples.points_m - half_m), self.project(samples.points_m + half_m)
        return np.asarray(np.linalg.norm(right - left, axis=1))

    def surface_points(self, pixels: FloatArray) -> FloatArray:
        """Return the map points (N, 3) of the surface's plane at pixels (N, 2); NaN where a ray misses the plane."""
        return self.surface_points_along(self._camera.rays(pixels))

    def surface_points_along(self, directions: FloatArray) -> FloatArray:
        """Return the map points (N, 3) of the surface's plane along rays (N, 3) of the optical frame; NaN as above."""
        rays = directions @ self._pose.rotation.T
        approach = rays @ self._surface.normal
        height = (self._surface.origin_m - self._pose.position_m) @ self._surface.normal
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(height / approach > 0, height / approach, np.nan)
        return np.asarray(self._pose.position_m + distance[:, None] * rays)

    def on_surface(self, pixels: FloatArray) -> FloatArray:
        """Return the surface coordinates (N, 2) at pixels (N, 2); NaN where a ray misses the plane."""
        return self._surface.to_surface(self.surface_points(pixels))

    def outline(self) -> FloatArray:
        """Return surface coordinates (N, 2) along the image border; NaN where a ray misses the plane."""
        return self.on_surface(self._border_px)

    def visible_area_m2(self) -> float:
        """Return the area of the surface inside the image [m²]; NaN where a ray of the border misses the plane."""
        outline = self.outline()
        if not np.all(np.isfinite(outline)):
            return float("nan")
        width, height = self._surface.size_m
        surface = np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
        # Only the convex hull is intersected: barrel distortion bulges the outline, pincushion dents it by under 1 %.
        hull = np.asarray(cv2.convexHull(outline.astype(np.float32)), dtype=np.float64).reshape(-1, 2)
        return overlap_area(hull, surface)


def _border(camera: CameraModel) -> FloatArray:
    """Return points (4 * n, 2) along the image border."""
    steps = np.linspace(0, 1, _BORDER_POINTS_PER_SIDE, endpoint=False)
    zero, one = np.zeros_like(steps), np.ones_like(steps)
    unit = np.concatenate(
        [
            np.column_stack([steps, zero]),
            np.column_stack([one, steps]),
            np.column_stack([1 - steps, one]),
            np.column_stack([zero, 1 - steps]),
        ]
    )
    return np.asarray(unit * (camera.width_px, camera.height_px) - 0.5)


_CELL_M = 0.02


def widest_px(
    truth: Truth, camera: CameraModel, cracks: Sequence[CrackSamples], frames: Iterable[TruthFrame]
) -> list[FloatArray]:
    """Return, for every crack, the largest width (N,) of its pieces in any frame [px]; 0 for pieces never in view."""
    widest = [np.zeros(len(samples.lengths_m)) for samples in cracks]
    for frame in frames:
        view = FrameView(truth, camera, frame)
        for samples, best in zip(cracks, widest, strict=True):
            if samples.surface == view.surface:
                inside = view.is_inside(view.project(samples.points_m))
                if inside.any():
                    np.maximum(best, np.where(inside, np.nan_to_num(view.widths_px(samples)), 0.0), out=best)
    return widest


def visible_area_m2(truth: Truth, camera: CameraModel, frames: Iterable[TruthFrame]) -> float:
    """Return the surface area that at least one frame shows [m²], counted in cells of 2 cm."""
    seen = [np.zeros(np.ceil(surface.size_m[::-1] / _CELL_M).astype(int), np.uint8) for surface in truth.surfaces]
    for frame in frames:
        outline = FrameView(truth, camera, frame).outline()
        if np.all(np.isfinite(outline)):
            cv2.fillPoly(seen[frame.surface], [np.round(outline / _CELL_M - 0.5).astype(np.int32)], 1)
    return float(sum(int(cells.sum()) for cells in seen) * _CELL_M**2)


def overlap_area(a: FloatArray, b: FloatArray) -> float:
    """Return the area shared by two convex polygons (N, 2)."""
    area, _ = cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))
    return float(area)
