"""How far a camera's view of a surface has moved in the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import SurfacePlane

Array = npt.NDArray[np.float64]

# Where a ray misses the surface (the sky above a deck) it is followed this many ranges far: only turns move it.
_FAR = 1000.0
# Marks on the way from the middle to the corners: the image of a fisheye is a disc that may end long before them.
_OUTWARDS = np.arange(1, 9)[:, None, None] / 8
_TO_CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


@dataclass(frozen=True)
class SurfaceView:
    """What a camera saw of a surface.

    Attributes:
        camera: The camera.
        plane: The surface in its optical frame.
        map_from_camera: Where that frame was in the map.
    """

    camera: CameraModel
    plane: SurfacePlane
    map_from_camera: Pose

    def shift_share(self, map_from_camera: Pose) -> float:
        """How far the surface has moved in the image, now that the camera has another pose.

        Returns:
            The largest way that its middle, a corner or a place between them has gone, as a share of the image's width:
            by the camera's turn, and by its way and the range. Infinite where one of them is behind the camera or
            cannot be told.
        """
        pixels, points_m = self._marks
        now = self.camera.project(map_from_camera.inverse().transform(points_m))
        farthest_px = float(np.max(np.linalg.norm(now - pixels, axis=1), initial=0.0))
        return farthest_px / self.camera.width_px if len(pixels) and np.isfinite(farthest_px) else np.inf

    @cached_property
    def _marks(self) -> tuple[Array, Array]:
        """Places from the middle of the image to its corners (N, 2) that the lens reaches, and what they show in the
        map (N, 3)."""
        middle = np.array([self.camera.width_px - 1.0, self.camera.height_px - 1.0]) / 2
        pixels = np.concatenate([middle[None], (middle + _OUTWARDS * _TO_CORNERS * middle).reshape(-1, 2)])
        rays = self.camera.rays(pixels)
        points = self.plane.meet(rays)
        points = np.where(np.isfinite(points), points, _FAR * self.plane.range.range_m * rays)
        is_seen = np.all(np.isfinite(points), axis=1)
        return pixels[is_seen], self.map_from_camera.transform(points[is_seen])
