# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Observation of one frame for the crack map: the inspected part of the surface and the crack lines on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CrackObservation:
    """One crack line in one frame, in the map frame.

    Attributes:
        line_m: (N, 3) vertices in order along the crack, N >= 2.
        width_mm: (N,) crack width at the vertices, ``nan`` where it could not be measured.
        width_sigma_mm: (N,) its standard deviation.
        normal: (3,) unit surface normal towards the camera.
        covariance_m2: (3, 3) of the position that all vertices have in common, map axes.
        gsd_mm_per_px: Ground sampling distance of the image there, ``nan`` where unknown.
        score: Probability that it is a crack.
    """

    line_m: Array
    width_mm: Array
    width_sigma_mm: Array
    normal: Array
    covariance_m2: Array
    gsd_mm_per_px: float
    score: float


@dataclass(frozen=True, eq=False)
class FrameObservation:
    """One processed frame as input of the map.

    Attributes:
        stamp_ns: Time of the image.
        source: The camera; position errors of one source are correlated in time, those of two are independent.
        footprint_m: (M, 3) corners, in order, of the surface patch inside the image; (0, 3) where unknown.
        observations: The crack lines that were found on it; none on a clean frame.
        is_complete: Whether every crack that was found has its line here; if not, missing lines are no evidence.
    """

    stamp_ns: int
    source: str
    footprint_m: Array
    observations: tuple[CrackObservation, ...]
    is_complete: bool = True
