# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Motion of a surface in the image between two camera poses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import SurfacePlane

Array = npt.NDArray[np.float64]

# Rays that miss the surface (sky above a deck) end at this many ranges: only rotation moves them in the image.
_FAR = 1000.0
# Sample points from the centre to the corners: the image circle of a fisheye may end before the corners.
_CENTRE_TO_CORNER = np.arange(1, 9)[:, None, None] / 8
_TO_CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


@dataclass(frozen=True)
class SurfaceView:
    """View of a surface from one camera pose.

    Attributes:
        camera: Camera model.
        plane: Surface in the optical frame.
        map_from_camera: Pose of the optical frame in the map.
    """

    camera: CameraModel
    plane: SurfacePlane
    map_from_camera: Pose

    def shift_share(self, map_from_camera: Pose) -> float:
        """Return how far the surface has moved in the image at another camera pose.

        Returns:
            Largest displacement of the image centre, a corner or a point between them, as a share of the image width,
            from the rotation and translation of the camera. Infinite where a point is behind the camera or undefined.
        """
        pixels, points_m = self._samples
        now = self.camera.project(map_from_camera.inverse().transform(points_m))
        farthest_px = float(np.max(np.linalg.norm(now - pixels, axis=1), initial=0.0))
        return farthest_px / self.camera.width_px if len(pixels) and np.isfinite(farthest_px) else np.inf

    @cached_property
    def _samples(self) -> tuple[Array, Array]:
        """Pixels (N, 2) from the centre to the corners that have a ray, and the map points (N, 3) that they show."""
        middle = np.array([self.camera.width_px - 1.0, self.camera.height_px - 1.0]) / 2
        pixels = np.concatenate([middle[None], (middle + _CENTRE_TO_CORNER * _TO_CORNERS * middle).reshape(-1, 2)])
        rays = self.camera.rays(pixels)
        points = self.plane.meet(rays)
        points = np.where(np.isfinite(points), points, _FAR * self.plane.range.range_m * rays)
        is_seen = np.all(np.isfinite(points), axis=1)
        return pixels[is_seen], self.map_from_camera.transform(points[is_seen])
