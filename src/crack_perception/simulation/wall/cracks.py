# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plan the cracks of a wall along the flight's path, and draw them into its texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.flight.truth import TruthCrack, TruthSurface
from crack_perception.simulation.wall.crack_rendering import (
    crack_coverage,
    darken,
    random_crack_polyline,
    random_width_profile,
)

FloatArray = NDArray[np.float64]

# Widths in pixels of the flight's images, from invisible to plain, but never wider than so many mm.
_WIDTH_RANGE_PX = (0.42, 8.3)
_WIDEST_MM = 10.0
# Lengths and distances as shares of the image size on the wall.
_LENGTH_RANGE_WIDTHS = (0.3, 1.8)
_FROM_PATH_HEIGHTS = 0.2
_EDGE_MARGIN_WIDTHS = 0.01
_VERTEX_STEP_PX = 5.5
_PALEST_CONTRAST, _PALEST_WIDE_CONTRAST, _DARKEST_CONTRAST = 0.4, 0.65, 0.9
_WIDE_PX = 4.0
# Width and possible start of the intact strip, as shares of the wall's width.
_INTACT_SHARE = 0.35
_INTACT_FROM_SHARE = (0.2, 0.45)
_BRANCHING_SHARE = 0.35
_TIP_SHARE = 0.25
# Each crack is the one of this many random proposals that is farthest from the others, so that few cross.
_PROPOSALS = 8


_CHUNK_VERTICES = 32


@dataclass(frozen=True, eq=False)
class WallCrack:
    """Crack on the wall: centreline (N, 2) in surface metres, width (N,) in mm, contrast 0..1."""

    id: int
    line_m: FloatArray
    width_mm: FloatArray
    contrast: float

    def truth_on(self, surface: TruthSurface, index: int = 0) -> TruthCrack:
        """Return the crack in the map on the surface of that index; its mean width is weighted by length."""
        steps_m = np.linalg.norm(np.diff(self.line_m, axis=0), axis=1)
        mean_mm = float(np.average((self.width_mm[:-1] + self.width_mm[1:]) / 2, weights=steps_m))
        return TruthCrack(self.id, surface.to_map(self.line_m), self.width_mm, mean_mm, index)


@dataclass(frozen=True)
class ImageScale:
    """Scale of the images on the wall: pixel size and image size."""

    gsd_mm_per_px: float
    width_m: float
    height_m: float


@dataclass(frozen=True, eq=False)
class _Site:
    """Ends (2, 2) of a crack, and corners (2, 2) of the part of the wall in which it stays."""

    ends_m: FloatArray
    room_m: FloatArray


def plan_cracks(
    rng: np.random.Generator, count: int, path_m: FloatArray, scale: ImageScale, size_m: FloatArray
) -> tuple[WallCrack, ...]:
    """Plan cracks of stratified widths near a path; some have a branch, which is a separate crack.

    A vertical strip of the wall stays intact over its whole height.

    Args:
        rng: Random generator.
        count: Number of cracks without branches.
        path_m: (M, 2) surface points in the image centres.
        scale: Scale of the images.
        size_m: (2,) size of the wall; the cracks end inside it.
    """
    return _Planner(rng, path_m, scale, size_m).plan(count)


class _Planner:
    def __init__(self, rng: np.random.Generator, path_m: FloatArray, scale: ImageScale, size_m: FloatArray) -> None:
        self._rng = rng
        self._scale = scale
        self._size_m = size_m
        self._margin_m = _EDGE_MARGIN_WIDTHS * scale.width_m
        self._intact_m = (rng.uniform(*_INTACT_FROM_SHARE) + np.array([0.0, _INTACT_SHARE])) * size_m[0]
        outside = (path_m[:, 0] < self._intact_m[0]) | (path_m[:, 0] > self._intact_m[1])
        # A flight that covers only the strip has its cracks there.
        self._centres_m = path_m[outside] if outside.any() else path_m

    def plan(self, count: int) -> tuple[WallCrack, ...]:
        strata = (np.arange(count) + self._rng.random(count)) / max(count, 1)
        finest_px, widest_px = _WIDTH_RANGE_PX
        widths_px = self._rng.permutation(finest_px * (widest_px / finest_px) ** strata)
        cracks: list[WallCrack] = []
        for width_px in widths_px:
            proposals = [self._propose() for _ in range(_PROPOSALS)]
            points_m = np.concatenate([np.zeros((0, 2)), *(crack.line_m[::8] for crack in cracks)])
            distances_m = [_distance_m(proposed.ends_m, points_m) for proposed in proposals]
            site = proposals[distances_m.index(max(distances_m))]
            # Wide cracks are deep and dark; fine ones may be filled with dust.
            palest = _PALEST_CONTRAST + (_PALEST_WIDE_CONTRAST - _PALEST_CONTRAST) * min(width_px / _WIDE_PX, 1.0)
            mean_mm = min(float(width_px) * self._scale.gsd_mm_per_px, _WIDEST_MM)
            trunk = self._crack(len(cracks), site, mean_mm, self._rng.uniform(palest, _DARKEST_CONTRAST))
            cracks.append(trunk)
            if self._rng.random() < _BRANCHING_SHARE:
                cracks.append(self._branch(len(cracks), trunk, site.room_m))
        return tuple(cracks)

    def _propose(self) -> _Site:
        centre_m = self._centres_m[self._rng.integers(len(self._centres_m))]
        room_m = np.array([[0.0, 0.0], self._size_m])
        if centre_m[0] < self._intact_m[0]:
            room_m[1, 0] = self._intact_m[0]
        elif centre_m[0] > self._intact_m[1]:
            room_m[0, 0] = self._intact_m[1]
        from_path_m = _FROM_PATH_HEIGHTS * self._scale.height_m
        centre_m = centre_m + self._rng.uniform(-from_path_m, from_path_m, 2)
        shortest, longest = _LENGTH_RANGE_WIDTHS
        length_m = self._scale.width_m * shortest * (longest / shortest) ** self._rng.random()
        return _Site(self._ends_inside(centre_m, length_m, _random_direction(self._rng), room_m), room_m)

    def _ends_inside(
        self, centre_m: FloatArray, length_m: float, direction: FloatArray, room_m: FloatArray
    ) -> FloatArray:
        """Return the ends (2, 2) of a straight line through a centre that stays inside the given part of the wall."""
        low_m, high_m = room_m[0] + self._margin_m, room_m[1] - self._margin_m
        centre_m = np.clip(centre_m, low_m + self._margin_m, high_m - self._margin_m)
        ends_m = []
        for step in (-direction, direction):
            to_edges_m = np.where(step > 0, high_m - centre_m, centre_m - low_m) / np.maximum(np.abs(step), 1e-9)
            reach_m = min(length_m / 2, float(to_edges_m.min()) * self._rng.uniform(0.6, 1.0))
            ends_m.append(centre_m + step * reach_m)
        return np.array(ends_m)

    def _crack(self, crack_id: int, site: _Site, mean_mm: float, contrast: float) -> WallCrack:
        step_m = _VERTEX_STEP_PX * self._scale.gsd_mm_per_px / 1000
        start_m, end_m = site.ends_m
        line_m = random_crack_polyline(self._rng, start_m, end_m, self._rng.uniform(0.05, 0.11), step_m)
        line_m = np.clip(line_m, site.room_m[0] + self._margin_m / 2, site.room_m[1] - self._margin_m / 2)
        profile_mm = random_width_profile(self._rng, len(line_m), mean_mm, self._rng.uniform(0.1, 0.35))
        from_tip = np.minimum(np.arange(len(line_m)), np.arange(len(line_m))[::-1]) / (0.1 * len(line_m))
        profile_mm *= _TIP_SHARE + (1 - _TIP_SHARE) * np.clip(from_tip, 0, 1)
        return WallCrack(crack_id, line_m, profile_mm * (mean_mm / profile_mm.mean()), contrast)

    def _branch(self, crack_id: int, trunk: WallCrack, room_m: FloatArray) -> WallCrack:
        """Plan a thinner, shorter crack that leaves the middle part of its trunk at an acute angle."""
        start_m = trunk.line_m[int(self._rng.uniform(0.3, 0.7) * len(trunk.line_m))]
        turn_rad = self._rng.choice([-1.0, 1.0]) * np.deg2rad(self._rng.uniform(25, 60))
        turn = np.array([[np.cos(turn_rad), -np.sin(turn_rad)], [np.sin(turn_rad), np.cos(turn_rad)]])
        end_m = start_m + self._rng.uniform(0.2, 0.5) * turn @ (trunk.line_m[-1] - trunk.line_m[0])
        end_m = np.clip(end_m, room_m[0] + self._margin_m, room_m[1] - self._margin_m)
        mean_mm = self._rng.uniform(0.4, 0.7) * float(trunk.width_mm.mean())
        return self._crack(crack_id, _Site(np.array([start_m, end_m]), room_m), mean_mm, trunk.contrast)


def _distance_m(ends_m: FloatArray, points_m: FloatArray) -> float:
    """Return the distance of a straight line from all points (N, 2); infinite without points."""
    on_line_m = ends_m[0] + np.linspace(0, 1, 16)[:, None] * (ends_m[1] - ends_m[0])
    return float(np.linalg.norm(on_line_m[:, None] - points_m[None], axis=2).min(initial=np.inf))


def _random_direction(rng: np.random.Generator) -> FloatArray:
    """Return a direction: mostly vertical (shrinkage, settlement), often horizontal (cold joints, bending)."""
    kind = rng.random()
    if kind < 0.45:
        angle_rad = rng.normal(np.pi / 2, 0.3)
    elif kind < 0.7:
        angle_rad = rng.normal(0.0, 0.3)
    else:
        angle_rad = rng.uniform(0, np.pi)
    return np.array([np.cos(angle_rad), np.sin(angle_rad)])


def draw_cracks(
    rng: np.random.Generator, texture: NDArray[np.uint8], mm_per_px: float, cracks: tuple[WallCrack, ...]
) -> None:
    """Draw cracks into a wall's texture (H, W, 3), in place."""
    for crack in cracks:
        # The centre of the first pixel lies half a pixel inside the wall's corner.
        line_px = crack.line_m * 1000 / mm_per_px - 0.5
        width_px = crack.width_mm / mm_per_px
        reach = float(width_px.max()) / 2 + 4
        low = np.maximum(np.floor(line_px.min(axis=0) - reach).astype(int), 0)
        high = np.minimum(np.ceil(line_px.max(axis=0) + reach).astype(int) + 1, texture.shape[1::-1])
        window = texture[low[1] : high[1], low[0] : high[0]]
        coverage = _long_coverage((window.shape[0], window.shape[1]), line_px - low, width_px)
        window[:] = darken(window, coverage, crack.contrast, rng)


def _long_coverage(shape: tuple[int, int], line_px: FloatArray, width_px: FloatArray) -> NDArray[np.float32]:
    """Compute the coverage of a long crack in chunks, without a supersampled plane of its whole extent."""
    coverage = np.zeros(shape, np.float32)
    for first in range(0, len(line_px) - 1, _CHUNK_VERTICES):
        # Chunks overlap by a few segments: pixels at their ends are then fully covered by one of the two.
        chunk = slice(max(first - 4, 0), first + _CHUNK_VERTICES + 5)
        points, widths = line_px[chunk], width_px[chunk]
        reach = float(widths.max()) / 2 + 2
        left, top = np.maximum(np.floor(points.min(axis=0) - reach).astype(int), 0)
        right, bottom = np.minimum(np.ceil(points.max(axis=0) + reach).astype(int) + 1, shape[::-1])
        window = coverage[top:bottom, left:right]
        chunk_coverage = crack_coverage((window.shape[0], window.shape[1]), points - [left, top], widths)
        np.maximum(window, chunk_coverage, out=window)
    return coverage
