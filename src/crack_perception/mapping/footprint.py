# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Patch of surface that a frame covers, and which points lie well inside it."""

from __future__ import annotations

import math
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
        sides = _convex_sides(corners.tolist())
        if sides is not None:
            # Inside a convex outline the nearest side is that with the least distance from its line.
            outward, offset = np.array(sides[0]), np.array(sides[1])
            distance = offset - local[:, :2] @ outward.T
            return np.asarray(near & (np.minimum.reduce(distance, axis=1) >= margin_m))
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


def _convex_sides(corners: list[list[float]]) -> tuple[list[tuple[float, float]], list[float]] | None:
    """Outward unit normals of the sides of a convex outline around the origin, and their distances from it.

    Args:
        corners: (M, 2) anticlockwise.

    Returns:
        None where the outline is not strictly convex.
    """
    normals: list[tuple[float, float]] = []
    offsets, turned = [], 0.0
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = math.hypot(bx - ax, by - ay)
        if length == 0.0:
            return None
        normals.append(((by - ay) / length, (ax - bx) / length))
        offsets.append(ax * normals[-1][0] + ay * normals[-1][1])
    for (ax, ay), (bx, by) in zip(normals, normals[1:] + normals[:1], strict=True):
        turn = math.atan2(ax * by - ay * bx, ax * bx + ay * by)
        if turn <= 0.0:
            return None
        turned += turn
    # A star turns left at every corner too, but more than once.
    return (normals, offsets) if turned < 3 * math.pi else None


def _next(corners: Array) -> Array:
    """The corners (M, ...), each in the place of the one before it."""
    return np.concatenate([corners[1:], corners[:1]])
