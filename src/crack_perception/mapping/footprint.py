"""What a frame should have shown: the vertices well inside the patch of surface that it covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.polylines import cross

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Footprint:
    """A flat patch of surface.

    Attributes:
        corners_m: (M, 3) in order, M >= 3.
        normal: (3,) unit vector; its sign has no meaning.
        area_m2: Of the patch.
    """

    corners_m: Array
    normal: Array
    area_m2: float

    @classmethod
    def of(cls, corners_m: Array) -> Footprint | None:
        """The patch with these corners (M, 3); None where they span none."""
        corners = np.asarray(corners_m, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 3 or len(corners) < 3 or not np.all(np.isfinite(corners)):
            return None
        relative = corners - corners.mean(axis=0)
        # Newell's normal is twice the area long and does not mind corners that are a little out of plane.
        normal = 0.5 * cross(relative, np.roll(relative, -1, axis=0)).sum(axis=0)
        area = float(np.linalg.norm(normal))
        if not 1e-6 < area < np.inf:
            return None
        return cls(corners, normal / area, area)

    def shows(self, points_m: Array, margin_m: float, depth_m: float) -> Mask:
        """Points (N, 3) at least ``margin_m`` inside the outline and no more than ``depth_m`` off its plane."""
        origin = self.corners_m.mean(axis=0)
        spread = self.corners_m - origin
        first = spread[np.einsum("ij,ij->i", spread, spread).argmax()]
        first = first - (first @ self.normal) * self.normal
        first /= np.sqrt(first @ first)
        axes = np.stack([first, cross(self.normal[None], first)[0]], axis=1)
        relative = points_m - origin
        near = np.abs(relative @ self.normal) <= depth_m
        at = near.nonzero()[0]
        if len(at) == 0:
            return near
        x, y = (relative[at] @ axes).T[:, :, None]
        corners = spread @ axes
        ax, ay = corners.T
        bx, by = np.roll(corners, -1, axis=0).T
        dx, dy = bx - ax, by - ay
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = ((ay > y) != (by > y)) & (x < ax + (y - ay) * dx / dy)
        inside = crossing.sum(axis=1) % 2 == 1
        share = ((x - ax) * dx + (y - ay) * dy) / np.maximum(dx * dx + dy * dy, 1e-12)
        share = np.minimum(np.maximum(share, 0), 1)
        gap = np.min((x - ax - share * dx) ** 2 + (y - ay - share * dy) ** 2, axis=1, initial=np.inf)
        near[at] = inside & (gap >= margin_m**2)
        return near
