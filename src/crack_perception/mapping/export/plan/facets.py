# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flat parts of a structure, found from cracks and inspected areas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.mapped_crack import MappedCrack

Array = npt.NDArray[np.float64]

# Normals that belong to one plane; farther apart the surface bends.
_SAME_DIRECTION = math.cos(math.radians(25))
# Planes of one direction are two where nothing lies between them over this distance, plus a share of their extent, by
# which a small error of the direction moves far points.
_GAP_M = 0.5
_GAP_SHARE = 0.03
# A fitted plane is used where its points extend this far in two directions and it agrees with the normals.
_MIN_SPREAD_M = 0.5
_FIT_AGREES = math.cos(math.radians(15))
# No map is larger; what is not a number is not smaller either.
_FARTHEST_M = 1e6
# Nearly upright and nearly level planes are drawn as if they were.
_UPRIGHT = math.sin(math.radians(10))
_LEVEL = math.cos(math.radians(10))
# Above this the plane is a floor or a ceiling rather than a wall.
_STEEP = math.cos(math.radians(45))
# A floor or ceiling so much longer than wide lies along the sheet.
_LONG = 1.3


@dataclass(frozen=True, eq=False)
class Patch:
    """Something that lies on a facet: a crack's line or a part of the surface that was seen.

    Attributes:
        points_m: (N, 3) map frame.
        normal: (3,) unit, towards the camera.
        weight: How much it says about the facet's direction.
        crack: None for a seen part.
    """

    points_m: Array
    normal: Array
    weight: float
    crack: MappedCrack | None = None

    @property
    def centre_m(self) -> Array:
        """(3,) mean of its points."""
        return self.points_m.mean(axis=0)


@dataclass(frozen=True, eq=False)
class Facet:
    """A plane with its own two-dimensional frame, as the camera faces it.

    Attributes:
        normal: (3,) unit, towards the camera.
        u_axis, v_axis: (3,) unit, right and up on the sheet.
        shift_m: (2,) added to the projections on the axes.
        patches: What lies on it.
        name: Its letter on plans and in tables; "" until it has its place among the others.
    """

    normal: Array
    u_axis: Array
    v_axis: Array
    shift_m: Array
    patches: tuple[Patch, ...]
    name: str = ""

    @property
    def cracks(self) -> tuple[MappedCrack, ...]:
        """The cracks on it."""
        return tuple(patch.crack for patch in self.patches if patch.crack is not None)

    @property
    def seen_m(self) -> tuple[Array, ...]:
        """Inspected areas (M, 2) on it, in its frame."""
        return tuple(self.flat(patch.points_m) for patch in self.patches if patch.crack is None)

    @property
    def is_wall(self) -> bool:
        """Whether it is more upright than level."""
        return abs(float(self.normal[2])) < _STEEP

    def flat(self, points_m: Array) -> Array:
        """(N, 2) coordinates on the facet of map points (N, 3)."""
        return points_m @ np.column_stack([self.u_axis, self.v_axis]) + self.shift_m

    def distance_m(self, points_m: Array) -> Array:
        """(N,) distances of map points from its plane."""
        middle_m = np.mean([patch.centre_m for patch in self.patches], axis=0)
        return np.abs((points_m - middle_m) @ self.normal)

    def bounds_m(self) -> tuple[Array, Array]:
        """(2,) lower left and upper right corner of everything on it."""
        points = np.concatenate([self.flat(patch.points_m) for patch in self.patches])
        return points.min(axis=0), points.max(axis=0)


def facet_name(index: int) -> str:
    """A, B, C to Z, AA, AB and so on."""
    name = ""
    while index >= 0:
        index, letter = divmod(index, 26)
        name = chr(ord("A") + letter) + name
        index -= 1
    return name


def find_facets(cracks: Sequence[MappedCrack], seen_areas_m: Sequence[Array]) -> list[Facet]:
    """The facets of a map, walls first, as one would walk past them; then floors and ceilings.

    Names follow this order. For names that reviewers' decisions do not change see ``Surfaces``.

    Args:
        cracks: On the facets; their normals point towards the camera. One without a normal lies on no facet.
        seen_areas_m: Polygons (M, 3) of the surface, as the camera sees them clockwise (the order of an image's
            corners) or all the other way round.
    """
    on_cracks = [
        Patch(crack.line_m, crack.normal / np.linalg.norm(crack.normal), crack.length_m + 1e-3, crack)
        for crack in cracks
        if _is_usable(crack.line_m) and np.linalg.norm(crack.normal) > 0
    ]
    seen = [patch for area_m in seen_areas_m if (patch := _seen(area_m)) is not None]
    patches = on_cracks + _turned_to_camera(seen, on_cracks)
    facets = [_facet(members) for same in _by_direction(patches) for members in _by_offset(same)]
    return [replace(facet, name=facet_name(index)) for index, facet in enumerate(_in_walking_order(facets))]


def _seen(area_m: Array) -> Patch | None:
    """The patch of a polygon; None where it has no area. Newell's normal points away from who sees it clockwise."""
    points_m = np.asarray(area_m, dtype=np.float64).reshape(-1, 3)
    if len(points_m) < 3 or not _is_usable(points_m):
        return None
    around = points_m - points_m.mean(axis=0)
    twice_area = np.cross(around, np.roll(around, -1, axis=0)).sum(axis=0)
    size = float(np.linalg.norm(twice_area))
    return Patch(points_m, -twice_area / size, math.sqrt(size / 2)) if size > 1e-9 else None


def _is_usable(points_m: Array) -> bool:
    return bool(np.all(np.abs(points_m) < _FARTHEST_M))


def _turned_to_camera(seen: Sequence[Patch], on_cracks: Sequence[Patch]) -> list[Patch]:
    """The seen parts with normals that agree with the cracks' for the most part."""
    if not seen or not on_cracks:
        return list(seen)
    agreement = np.array([patch.normal for patch in seen]) @ np.array([patch.normal for patch in on_cracks]).T
    strongest = np.take_along_axis(agreement, np.abs(agreement).argmax(axis=1)[:, None], axis=1)[:, 0]
    votes = np.where(np.abs(strongest) > _SAME_DIRECTION, np.sign(strongest), 0.0)
    return [replace(patch, normal=-patch.normal) for patch in seen] if votes.sum() < 0 else list(seen)


def _by_direction(patches: Sequence[Patch]) -> list[list[Patch]]:
    """Groups of like normals: the weightiest patches found the groups, then every patch joins the nearest."""
    sums: list[Array] = []
    ordered = sorted(patches, key=lambda patch: -patch.weight)
    for patch in ordered:
        nearest = _nearest(sums, patch.normal)
        if nearest is None:
            sums.append(patch.weight * patch.normal)
        else:
            sums[nearest] = sums[nearest] + patch.weight * patch.normal
    groups: list[list[Patch]] = [[] for _ in sums]
    for patch in patches:
        agreement = [float(total @ patch.normal) / float(np.linalg.norm(total)) for total in sums]
        groups[int(np.argmax(agreement))].append(patch)
    return [group for group in groups if group]


def _nearest(sums: Sequence[Array], normal: Array) -> int | None:
    if not sums:
        return None
    totals = np.array(sums)
    agreement = totals @ normal / np.linalg.norm(totals, axis=1)
    best = int(agreement.argmax())
    return best if agreement[best] > _SAME_DIRECTION else None


def _by_offset(patches: list[Patch]) -> list[list[Patch]]:
    """Groups of like offset along their common normal."""
    normal = _mean_normal(patches)
    centres = np.array([patch.centre_m for patch in patches])
    offsets = centres @ normal
    flat = centres - np.outer(offsets, normal)
    gap_m = _GAP_M + _GAP_SHARE * float(np.linalg.norm(np.ptp(flat, axis=0)))
    order = np.argsort(offsets)
    breaks = np.flatnonzero(np.diff(offsets[order]) > gap_m) + 1
    return [[patches[index] for index in run] for run in np.split(order, breaks)]


def _mean_normal(patches: Sequence[Patch]) -> Array:
    total = np.sum([patch.weight * patch.normal for patch in patches], axis=0)
    return np.asarray(total / np.linalg.norm(total))


def _facet(patches: list[Patch]) -> Facet:
    normal = squared(_fitted_normal(patches))
    u_axis, v_axis = _axes(normal, patches)
    middle_m = np.mean([patch.centre_m for patch in patches], axis=0)
    # Heights on a leaning wall count from the true height of its middle, distances from the foot of the map's origin.
    shift_v = float(middle_m[2] - middle_m @ v_axis) if abs(normal[2]) < _STEEP else 0.0
    return Facet(normal, u_axis, v_axis, np.array([0.0, shift_v]), tuple(patches))


def _fitted_normal(patches: list[Patch]) -> Array:
    """Plane through all points where they define one, else from the mean of the normals."""
    mean = _mean_normal(patches)
    points = np.concatenate([patch.points_m for patch in patches])
    _, spreads, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    spreads = spreads / math.sqrt(len(points))
    if len(points) < 3 or spreads[1] < _MIN_SPREAD_M:
        return mean
    fitted = directions[2] * math.copysign(1.0, float(directions[2] @ mean))
    return np.asarray(fitted) if fitted @ mean > _FIT_AGREES else mean


def squared(normal: Array) -> Array:
    """Nearly upright becomes upright, nearly level level."""
    if abs(normal[2]) < _UPRIGHT:
        normal = normal * [1, 1, 0]
    elif abs(normal[2]) > _LEVEL:
        normal = normal * [0, 0, 1]
    return np.asarray(normal / np.linalg.norm(normal))


def _axes(normal: Array, patches: list[Patch]) -> tuple[Array, Array]:
    """Right and up as the camera sees the facet: nothing is mirrored."""
    up = np.array([0.0, 0.0, 1.0])
    if abs(normal[2]) >= _STEEP:
        extent = np.ptp(np.concatenate([patch.points_m for patch in patches]), axis=0)
        up = np.array([1.0, 0.0, 0.0]) if extent[1] > _LONG * extent[0] else np.array([0.0, 1.0, 0.0])
    u_axis = np.cross(up, normal)
    u_axis = u_axis / np.linalg.norm(u_axis)
    return u_axis, np.cross(normal, u_axis)


def _in_walking_order(facets: list[Facet]) -> list[Facet]:
    """Walls from left to right as seen from outside, beginning after the widest gap; then the others from below."""
    walls = [facet for facet in facets if facet.is_wall]
    others = sorted((facet for facet in facets if not facet.is_wall), key=lambda facet: float(facet.bounds_m()[0][1]))
    if not walls:
        return others
    azimuths = np.array([math.atan2(facet.normal[1], facet.normal[0]) for facet in walls])
    order = np.argsort(azimuths, kind="stable")
    gaps = np.diff(np.append(azimuths[order], azimuths[order[0]] + 2 * math.pi))
    start = (int(gaps.argmax()) + 1) % len(order)
    return [walls[index] for index in np.roll(order, -start)] + others
