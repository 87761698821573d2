# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rate, age and jitter of a stream of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class SentImage:
    """Stamp of a published image [ns] (None: unreadable) and monotonic time just before publishing [s]."""

    stamp_ns: int | None
    sent_s: float


def ages_ms(sent: Sequence[SentImage], arrived_s: Mapping[int, float]) -> list[tuple[int, float]]:
    """Return (stamp [ns], age [ms]) of every image with a result, in order of publication.

    The age is the time from just before the image was published to the arrival of its result.
    """
    return [
        (image.stamp_ns, 1000.0 * (arrived_s[image.stamp_ns] - image.sent_s))
        for image in sent
        if image.stamp_ns is not None and image.stamp_ns in arrived_s
    ]


def age_figures(ages: Sequence[float]) -> dict[str, float] | None:
    """Return the median, 95th percentile and maximum of ages; None without ages."""
    if not ages:
        return None
    return {
        "median": float(np.median(ages)),
        "p95": float(np.percentile(ages, 95)),
        "max": float(np.max(ages)),
    }


def jitter_figures(ages: Sequence[float]) -> dict[str, float] | None:
    """Return the absolute deviations [ms] of the intervals between results from those between their images.

    The deviation of an interval is the change of age between two results. None for fewer than two results.
    """
    if len(ages) < 2:
        return None
    deviations = np.abs(np.diff(np.asarray(ages)))
    return {"mean": float(deviations.mean()), "max": float(deviations.max()), "sigma": float(deviations.std())}


def rate_hz(arrivals_s: Sequence[float]) -> float | None:
    """Return the rate of results [Hz] from the first to the last; None for fewer than two."""
    if len(arrivals_s) < 2:
        return None
    return (len(arrivals_s) - 1) / (max(arrivals_s) - min(arrivals_s))


def rounded(figures: Any, digits: int = 6) -> Any:
    """Round every float of a nested structure to a number of significant digits."""
    if isinstance(figures, dict):
        return {key: rounded(value, digits) for key, value in figures.items()}
    if isinstance(figures, (list, tuple)):
        return [rounded(value, digits) for value in figures]
    if isinstance(figures, float):
        return float(f"{figures:.{digits}g}")
    return figures
