"""Which cracks a wall has and where: widths from below the resolution to plain, along the path that is flown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.crack_rendering import (
    crack_coverage,
    darken,
    random_crack_polyline,
    random_width_profile,
)
from crack_perception.simulation.truth import TruthCrack, TruthSurface

FloatArray = NDArray[np.float64]

_WIDTH_RANGE_MM = (0.3, 6.0)
_LENGTH_RANGE_M = (0.4, 2.5)
_PALEST_CONTRAST, _PALEST_WIDE_CONTRAST, _DARKEST_CONTRAST = 0.4, 0.65, 0.9
_WIDE_MM = 3.0
_VERTEX_STEP_M = 0.004
_EDGE_MARGIN_M = 0.015
# Width of the sound strip and where it may begin, as shares of the wall's width.
_SOUND_SHARE = 0.35
_SOUND_FROM_SHARE = (0.2, 0.45)
_BRANCHING_SHARE = 0.35
_TIP_SHARE = 0.25
_CHUNK_VERTICES = 32
# Every crack is the one of so many random ones that is farthest from those before it, so that few cross.
_PROPOSALS = 8


@dataclass(frozen=True, eq=False)
class WallCrack:
    """A crack on the wall: centre line (N, 2) in surface metres, width (N,) in mm, contrast 0..1."""

    id: int
    line_m: FloatArray
    width_mm: FloatArray
    contrast: float

    def truth_on(self, surface: TruthSurface) -> TruthCrack:
        """The crack in the map; its mean width is weighted by length."""
        steps_m = np.linalg.norm(np.diff(self.line_m, axis=0), axis=1)
        mean_mm = float(np.average((self.width_mm[:-1] + self.width_mm[1:]) / 2, weights=steps_m))
        return TruthCrack(self.id, surface.to_map(self.line_m), self.width_mm, mean_mm)


def plan_cracks(
    rng: np.random.Generator, count: int, path_m: FloatArray, spread_m: float, size_m: FloatArray
) -> tuple[WallCrack, ...]:
    """Cracks of stratified widths centred along a path; some branch, and every branch is a crack of its own.

    An upright strip of the wall stays sound over its whole height.

    Args:
        rng: Source of randomness.
        count: Cracks without their branches.
        path_m: (M, 2) surface points that the camera looks at, equally spaced in time.
        spread_m: Greatest distance of a crack's centre from the path, on either side.
        size_m: (2,) of the wall; the cracks end inside it.
    """
    strata = (np.arange(count) + rng.random(count)) / max(count, 1)
    widths_mm = rng.permutation(_WIDTH_RANGE_MM[0] * (_WIDTH_RANGE_MM[1] / _WIDTH_RANGE_MM[0]) ** strata)
    sound_from_m = rng.uniform(_SOUND_FROM_SHARE[0], _SOUND_FROM_SHARE[1]) * size_m[0]
    sound_to_m = sound_from_m + _SOUND_SHARE * size_m[0]
    cracked_m = path_m[(path_m[:, 0] < sound_from_m) | (path_m[:, 0] > sound_to_m)]
    cracks: list[WallCrack] = []
    for mean_mm in widths_mm:
        proposals = [
            # A flight that looks at nothing but the strip has its cracks there.
            _proposal(rng, cracked_m if len(cracked_m) else path_m, spread_m, size_m, (sound_from_m, sound_to_m))
            for _ in range(_PROPOSALS)
        ]
        ends_m, room_m = max(proposals, key=lambda proposal: _distance_m(proposal[0], cracks))
        # Wide cracks are deep and dark; fine ones may be filled with dust.
        palest = _PALEST_CONTRAST + (_PALEST_WIDE_CONTRAST - _PALEST_CONTRAST) * min(mean_mm / _WIDE_MM, 1.0)
        trunk = _crack(rng, len(cracks), ends_m, float(mean_mm), rng.uniform(palest, _DARKEST_CONTRAST), room_m)
        cracks.append(trunk)
        if rng.random() < _BRANCHING_SHARE:
            cracks.append(_branch(rng, len(cracks), trunk, room_m))
    return tuple(cracks)


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
    """The coverage of a long crack, stroke by stroke, so that no supersampled plane of its whole extent is needed."""
    coverage = np.zeros(shape, np.float32)
    for first in range(0, len(line_px) - 1, _CHUNK_VERTICES):
        # Strokes share a few segments: pixels at their ends are then covered fully by one of the two.
        chunk = slice(max(first - 4, 0), first + _CHUNK_VERTICES + 5)
        points, widths = line_px[chunk], width_px[chunk]
        reach = float(widths.max()) / 2 + 2
        left, top = np.maximum(np.floor(points.min(axis=0) - reach).astype(int), 0)
        right, bottom = np.minimum(np.ceil(points.max(axis=0) + reach).astype(int) + 1, shape[::-1])
        window = coverage[top:bottom, left:right]
        stroke = crack_coverage((window.shape[0], window.shape[1]), points - [left, top], widths)
        np.maximum(window, stroke, out=window)
    return coverage


def _proposal(
    rng: np.random.Generator,
    path_m: FloatArray,
    spread_m: float,
    size_m: FloatArray,
    sound_m: tuple[float, float],
) -> tuple[FloatArray, FloatArray]:
    """The ends (2, 2) of a possible crack and the corners (2, 2) of the part of the wall that it stays in."""
    centre_m = path_m[rng.integers(len(path_m))]
    room_m = np.array([[0.0, 0.0], size_m])
    if not sound_m[0] <= centre_m[0] <= sound_m[1]:
        room_m[:, 0] = (0.0, sound_m[0]) if centre_m[0] < sound_m[0] else (sound_m[1], size_m[0])
    centre_m = centre_m + rng.uniform(-spread_m, spread_m, 2)
    length_m = _LENGTH_RANGE_M[0] * (_LENGTH_RANGE_M[1] / _LENGTH_RANGE_M[0]) ** rng.random()
    return _ends_inside(centre_m, length_m, _random_direction(rng), room_m), room_m


def _distance_m(ends_m: FloatArray, cracks: list[WallCrack]) -> float:
    """How far a straight line stays from all cracks."""
    points_m = ends_m[0] + np.linspace(0, 1, 16)[:, None] * (ends_m[1] - ends_m[0])
    distances_m = [
        np.linalg.norm(points_m[:, None] - crack.line_m[None, ::8], axis=2).min(initial=np.inf) for crack in cracks
    ]
    return float(min(distances_m, default=np.inf))


def _random_direction(rng: np.random.Generator) -> FloatArray:
    """Mostly upright (shrinkage, settlement), often level (cold joints, bending), sometimes any."""
    kind = rng.random()
    if kind < 0.45:
        angle_rad = rng.normal(np.pi / 2, 0.3)
    elif kind < 0.7:
        angle_rad = rng.normal(0.0, 0.3)
    else:
        angle_rad = rng.uniform(0, np.pi)
    return np.array([np.cos(angle_rad), np.sin(angle_rad)])


def _ends_inside(centre_m: FloatArray, length_m: float, direction: FloatArray, room_m: FloatArray) -> FloatArray:
    """The two ends (2, 2) of a straight line through a centre, cut where it would leave the room's corners (2, 2)."""
    low_m, high_m = room_m[0] + _EDGE_MARGIN_M, room_m[1] - _EDGE_MARGIN_M
    centre_m = np.clip(centre_m, low_m + _EDGE_MARGIN_M, high_m - _EDGE_MARGIN_M)
    ends = []
    for sign in (-1.0, 1.0):
        step = sign * direction
        left_m = np.where(step > 0, high_m - centre_m, centre_m - low_m)
        ends.append(centre_m + step * min(length_m / 2, float((left_m / np.maximum(np.abs(step), 1e-9)).min())))
    return np.array(ends)


def _crack(
    rng: np.random.Generator, crack_id: int, ends_m: FloatArray, mean_mm: float, contrast: float, room_m: FloatArray
) -> WallCrack:
    line_m = random_crack_polyline(rng, ends_m[0], ends_m[1], rng.uniform(0.05, 0.11), _VERTEX_STEP_M)
    line_m = np.clip(line_m, room_m[0] + 0.002, room_m[1] - 0.002)
    profile_mm = random_width_profile(rng, len(line_m), mean_mm, rng.uniform(0.1, 0.35))
    from_tip = np.minimum(np.arange(len(line_m)), np.arange(len(line_m))[::-1]) / (0.1 * len(line_m))
    profile_mm *= _TIP_SHARE + (1 - _TIP_SHARE) * np.clip(from_tip, 0, 1)
    return WallCrack(crack_id, line_m, profile_mm * (mean_mm / profile_mm.mean()), contrast)


def _branch(rng: np.random.Generator, crack_id: int, trunk: WallCrack, room_m: FloatArray) -> WallCrack:
    """A thinner, shorter crack that leaves the middle part of its trunk at an acute angle."""
    at = int(rng.uniform(0.3, 0.7) * len(trunk.line_m))
    along = trunk.line_m[-1] - trunk.line_m[0]
    turn_rad = rng.choice([-1.0, 1.0]) * np.deg2rad(rng.uniform(25, 60))
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    reach_m = rng.uniform(0.2, 0.5) * np.array([[cos, -sin], [sin, cos]]) @ along
    start_m = trunk.line_m[at]
    end_m = np.clip(start_m + reach_m, room_m[0] + _EDGE_MARGIN_M, room_m[1] - _EDGE_MARGIN_M)
    mean_mm = rng.uniform(0.4, 0.7) * float(trunk.width_mm.mean())
    return _crack(rng, crack_id, np.array([start_m, end_m]), mean_mm, trunk.contrast, room_m)
