# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Summary of one crack of the map, with the names and units that all exports share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.polylines import arc_lengths
from crack_perception.recognition.severity import Severity, SeverityScale, WidthEstimate

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class CrackReport:
    """Summary of one crack; None where a value is unknown.

    Attributes:
        id, state, score, views, misses: As in ``MappedCrack``.
        length_m: Along the centre line.
        mean_width_mm, mean_width_sigma_mm, max_width_mm: Along the centre line.
        severity: Verdict on the mean width and the probabilities of the classes.
        first_seen, last_seen: ISO 8601, UTC, to the nanosecond.
        position_sigma_m: Standard deviation of the position in its most uncertain direction.
        gsd_mm_per_px: Best ground sampling distance it was seen with.
    """

    id: int
    state: CrackState
    score: float | None
    length_m: float
    mean_width_mm: float | None
    mean_width_sigma_mm: float | None
    max_width_mm: float | None
    severity: Severity
    views: int
    misses: int
    first_seen: str
    last_seen: str
    position_sigma_m: float | None
    gsd_mm_per_px: float | None


def crack_report(crack: MappedCrack, scale: SeverityScale) -> CrackReport:
    """Summarise a crack and classify its severity."""
    return crack_reports([crack], scale)[0]


def crack_reports(cracks: Sequence[MappedCrack], scale: SeverityScale) -> list[CrackReport]:
    """Summarise many cracks in less time than one by one."""
    return [
        CrackReport(
            id=crack.id,
            state=crack.state,
            score=_known(crack.score),
            length_m=crack.length_m,
            mean_width_mm=_known(crack.mean_width_mm),
            mean_width_sigma_mm=_known(crack.mean_width_sigma_mm),
            max_width_mm=_known(crack.max_width_mm),
            severity=scale.classify(width_of(crack)),
            views=crack.views,
            misses=crack.misses,
            first_seen=iso_time(crack.first_seen_ns),
            last_seen=iso_time(crack.last_seen_ns),
            position_sigma_m=sigma_m,
            gsd_mm_per_px=_known(crack.gsd_mm_per_px),
        )
        for crack, sigma_m in zip(cracks, _position_sigmas_m(cracks), strict=True)
    ]


def width_of(crack: MappedCrack) -> WidthEstimate | None:
    """Estimate of the mean width [mm] that the severity is classified by; None where unknown."""
    width_mm, sigma_mm = crack.mean_width_mm, crack.mean_width_sigma_mm
    if not (width_mm > 0 and math.isfinite(width_mm) and math.isfinite(sigma_mm)):
        return None
    return WidthEstimate(math.log(width_mm), sigma_mm / width_mm)


def position_sigma_m(crack: MappedCrack) -> float | None:
    """Standard deviation of the position in its most uncertain direction; None where unknown."""
    return _position_sigmas_m([crack])[0]


def _position_sigmas_m(cracks: Sequence[MappedCrack]) -> list[float | None]:
    if not cracks:
        return []
    covariances_m2 = np.stack([crack.covariance_m2 for crack in cracks])
    known = np.asarray(np.isfinite(covariances_m2.reshape(-1, 9)).all(axis=1))
    largest_m2 = iter(np.linalg.eigvalsh(covariances_m2[known])[:, -1].tolist())
    return [math.sqrt(max(0.0, next(largest_m2))) if is_known else None for is_known in known.tolist()]


def middle_m(crack: MappedCrack) -> npt.NDArray[np.float64]:
    """(3,) point half way along the line, map frame."""
    line_m, along_m = crack.line_m, arc_lengths(crack.line_m)
    half_way = float(np.interp(along_m[-1] / 2, along_m, np.arange(len(along_m))))
    low = min(int(half_way), len(line_m) - 2)
    return np.asarray((1 - (half_way - low)) * line_m[low] + (half_way - low) * line_m[low + 1])


def iso_time(stamp_ns: int) -> str:
    """ISO 8601 in UTC with all nine digits of the second, for example 2026-05-09T07:35:25.000000001Z."""
    seconds, rest_ns = divmod(stamp_ns, _NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, timezone.utc).isoformat()[:19]}.{rest_ns:09d}Z"


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def newest_day(cracks: Sequence[MappedCrack]) -> str:
    """The day (UTC, ISO 8601) on which the newest of the cracks was last seen; today where there are none."""
    newest_ns = max((crack.last_seen_ns for crack in cracks), default=None)
    return f"{datetime.now(timezone.utc):%Y-%m-%d}" if newest_ns is None else iso_time(newest_ns)[:10]
