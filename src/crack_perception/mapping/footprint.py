"""Patch of surface that a frame covers, and which points lie well inside it."""

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
        # Newell's normal has twice the area as its length and tolerates corners a little out of plane.
        normal = 0.5 * cross(relative, _next(relative)).sum(axis=0)
        area = float(np.linalg.norm(normal))
        if not 1e-6 < area < np.inf:
            return None
        return cls(corners, normal / area, area)

    def shows(self, points_m: Array, margin_m: float, depth_m: float) -> Mask:
        """Points (N, 3) at least ``margin_m`` inside the outline and no more than ``depth_m`` off its plane."""
        origin = self.corners_m.mean(axis=0)
        arms = self.corners_m - origin
        first = arms[np.einsum("ij,ij->i", arms, arms).argmax()]
        first = first - (first @ self.normal) * self.normal
        first /= np.sqrt(first @ first)
        axes = np.stack([first, cross(self.normal[None], first)[0], self.normal], axis=1)
        local = (points_m - origin) @ axes
        near = np.abs(local[:, 2]) <= depth_m
        corners = arms @ axes[:, :2]
        sides = _next(corners) - corners
        turns = _cross_2d(sides, _next(sides))
        if (turns > 0).all() and _winds_once(corners):
            # Inside a convex outline the nearest side is that with the least distance from its line.
            outward = np.stack([sides[:, 1], -sides[:, 0]]) / np.sqrt(np.einsum("ij,ij->i", sides, sides))
            distance = np.einsum("ij,ji->i", corners, outward) - local[:, :2] @ outward
            return np.asarray(near & (distance.min(axis=1) >= margin_m))
        at = near.nonzero()[0]
        if len(at):
            near[at] = _well_inside(local[at, :2], corners, margin_m)
        return near


def _well_inside(points: Array, corners: Array, margin_m: float) -> Mask:
    """Points (N, 2) at least ``margin_m`` inside an outline (M, 2) of any shape."""
    x, y = points.T[:, :, None]
    ax, ay = corners.T
    bx, by = _next(corners).T
    dx, dy = bx - ax, by - ay
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = ((ay > y) != (by > y)) & (x < ax + (y - ay) * dx / dy)
    inside = crossing.sum(axis=1) % 2 == 1
    share = ((x - ax) * dx + (y - ay) * dy) / np.maximum(dx * dx + dy * dy, 1e-12)
    share = np.minimum(np.maximum(share, 0), 1)
    gap = np.min((x - ax - share * dx) ** 2 + (y - ay - share * dy) ** 2, axis=1, initial=np.inf)
    return np.asarray(inside & (gap >= margin_m**2))


def _winds_once(corners: Array) -> bool:
    """Return whether an outline (M, 2) that always turns left goes around the origin once."""
    angles = np.arctan2(corners[:, 1], corners[:, 0])
    turned = (_next(angles) - angles + np.pi) % (2 * np.pi) - np.pi
    return bool(abs(turned.sum() - 2 * np.pi) < 1e-6)


def _cross_2d(a: Array, b: Array) -> Array:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _next(corners: Array) -> Array:
    """The corners (M, ...), each in the place of the one before it."""
    return np.concatenate([corners[1:], corners[:1]])
