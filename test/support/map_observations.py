# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Observations of straight cracks on a surface in the plane z = 0."""

from __future__ import annotations

import numpy as np

from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.mapping.tracks.index import MapChange

SIGMA_M = 0.03
WIDE_VIEW = np.array([[-5.0, -5, 0], [5, -5, 0], [5, 5, 0], [-5, 5, 0]])


def segment(start: tuple[float, ...], end: tuple[float, ...], **changes: object) -> CrackObservation:
    """Return a straight crack between two points (x, y) or (x, y, z), with vertices about every centimetre."""
    ends = np.array([[*point, 0.0][:3] for point in (start, end)], dtype=float)
    count = max(2, int(np.linalg.norm(ends[1] - ends[0]) / 0.01))
    values: dict[str, object] = {
        "line_m": np.linspace(ends[0], ends[1], count),
        "width_mm": np.full(count, 0.4),
        "width_sigma_mm": np.full(count, 0.05),
        "normal": np.array([0.0, 0.0, 1.0]),
        "covariance_m2": SIGMA_M**2 * np.eye(3),
        "gsd_mm_per_px": 1.0,
        "score": 0.9,
    }
    return CrackObservation(**{**values, **changes})  # type: ignore[arg-type]


def frame(
    time_s: float, *observations: CrackObservation, footprint_m: np.ndarray = WIDE_VIEW, source: str = "drone"
) -> FrameObservation:
    """Return a frame with exactly these observations."""
    return FrameObservation(round(time_s * 1e9), source, footprint_m, observations)


def show(crack_map: GrowingMap, times_s: list[float], *observations: CrackObservation) -> list[MapChange]:
    """Update the map with frames at these times that contain the same observations."""
    return [crack_map.add(frame(time_s, *observations)) for time_s in times_s]


def states(crack_map: GrowingMap) -> dict[int, CrackState]:
    """Return the states of all cracks by id."""
    return {crack.id: crack.state for crack in crack_map.cracks()}


def only(crack_map: GrowingMap) -> MappedCrack:
    """Return the only crack of a map."""
    (crack,) = crack_map.cracks()
    return crack
