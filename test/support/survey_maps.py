# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Made-up maps of two surveys of one wall, with the errors that surveys have."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from map_cracks import straight_crack

from crack_perception.geometry import rotations
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.polylines import arc_lengths

WALL_M = np.array([[-1.0, 0, 4], [9, 0, 4], [9, 0, -1], [-1, 0, -1]], np.float64)
STEP_M = 0.02


@dataclass(frozen=True)
class Errors:
    """Of one survey: position of a whole crack, its width, where a tip is found, and what is common to all."""

    position_m: float = 0.008
    width_mm: float = 0.03
    tip_m: float = 0.006
    width_offset_mm: float = 0.0
    tip_offset_m: float = 0.0


def wandering(rng: np.random.Generator, start: tuple[float, float], heading_rad: float, length_m: float) -> np.ndarray:
    """A line (N, 3) on the wall y = 0."""
    count = round(length_m / STEP_M)
    headings = heading_rad + np.cumsum(rng.normal(0, 0.12, count)) * 0.5
    steps = STEP_M * np.column_stack([np.cos(headings), np.zeros(count), np.sin(headings)])
    return np.vstack([[start[0], 0.0, start[1]], [start[0], 0.0, start[1]] + np.cumsum(steps, axis=0)])


def wall_lines(rng: np.random.Generator, columns: int = 8, rows: int = 3) -> list[np.ndarray]:
    """Lines in a grid, so that none is near another one."""
    return [
        wandering(rng, (column * 1.1, row * 1.3), rng.uniform(0, 1.6), rng.uniform(0.4, 0.7))
        for column in range(columns)
        for row in range(rows)
    ]


def surveyed(
    rng: np.random.Generator, crack_id: int, line_m: np.ndarray, width_mm: float, errors: Errors, **changes: object
) -> MappedCrack:
    """A crack as a survey maps it."""
    along = arc_lengths(line_m)
    first = rng.normal(-errors.tip_offset_m, errors.tip_m)
    last = along[-1] + rng.normal(errors.tip_offset_m, errors.tip_m)
    places = np.linspace(first, last, max(2, round((last - first) / STEP_M)))
    direction = (line_m[0] - line_m[1]) / STEP_M, (line_m[-1] - line_m[-2]) / STEP_M
    points = np.column_stack([np.interp(places, along, line_m[:, axis]) for axis in range(3)])
    points[0] += max(0.0, -first) * direction[0]
    points[-1] += max(0.0, last - along[-1]) * direction[1]
    shift = rng.normal(0, errors.position_m, 3)
    count = len(points)
    width = width_mm + errors.width_offset_mm + rng.normal(0, errors.width_mm)
    return straight_crack(
        crack_id,
        **{
            "line_m": points + shift + rng.normal(0, 0.001, (count, 3)),
            "width_mm": np.full(count, width) + rng.normal(0, 0.02, count),
            "width_sigma_mm": np.full(count, max(errors.width_mm, 0.03)),
            "covariance_m2": np.eye(3) * max(errors.position_m, 0.001) ** 2,
            "gsd_mm_per_px": 0.4,
            "score": 0.97,
            **changes,
        },
    )


def split(crack: MappedCrack, at: int, gap: int, second_id: int) -> tuple[MappedCrack, MappedCrack]:
    """A crack in two pieces."""
    return (
        replace(
            crack,
            line_m=crack.line_m[:at],
            width_mm=crack.width_mm[:at],
            width_sigma_mm=crack.width_sigma_mm[:at],
        ),
        replace(
            crack,
            id=second_id,
            line_m=crack.line_m[at + gap :],
            width_mm=crack.width_mm[at + gap :],
            width_sigma_mm=crack.width_sigma_mm[at + gap :],
        ),
    )


@dataclass(frozen=True, eq=False)
class Motion:
    """From the old map's frame to the new one's."""

    shift_m: tuple[float, float, float] = (0.3, -0.2, 0.1)
    heading_deg: float = 2.0

    @property
    def rotation(self) -> np.ndarray:
        return rotations.to_matrix(rotations.from_rotation_vector(np.array([0.0, 0.0, np.deg2rad(self.heading_deg)])))

    def points(self, points_m: np.ndarray) -> np.ndarray:
        return points_m @ self.rotation.T + self.shift_m

    def crack(self, crack: MappedCrack) -> MappedCrack:
        return replace(
            crack,
            line_m=self.points(crack.line_m),
            normal=self.rotation @ crack.normal,
            covariance_m2=self.rotation @ crack.covariance_m2 @ self.rotation.T,
        )
