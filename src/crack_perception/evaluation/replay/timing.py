"""Rate, age and jitter of a stream of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class SentImage:
    """Stamp of a published image (None: unreadable) and the monotonic time just before it was published."""

    stamp_ns: int | None
    sent_s: float


def ages_ms(sent: Sequence[SentImage], arrived_s: Mapping[int, float]) -> list[tuple[int, float]]:
    """(stamp, age in milliseconds) of every image with a result, in order of publication.

    The age is the time from just before the image was published to the arrival of its result.
    """
    return [
        (image.stamp_ns, 1000.0 * (arrived_s[image.stamp_ns] - image.sent_s))
        for image in sent
        if image.stamp_ns is not None and image.stamp_ns in arrived_s
    ]


def age_figures(ages: Sequence[float]) -> dict[str, float] | None:
    """Median, 95th percentile and maximum; None without any age."""
    if not ages:
        return None
    return {
        "median": float(np.median(ages)),
        "p95": float(np.percentile(ages, 95)),
        "max": float(np.max(ages)),
    }


def jitter_figures(ages: Sequence[float]) -> dict[str, float] | None:
    """How far intervals between results deviate from the intervals between their images (absolute, milliseconds).

    The deviation of an interval is the change of age from one result to the next. None with fewer than two results.
    """
    if len(ages) < 2:
        return None
    deviations = np.abs(np.diff(np.asarray(ages)))
    return {"mean": float(deviations.mean()), "max": float(deviations.max()), "sigma": float(deviations.std())}


def rate_hz(arrivals_s: Sequence[float]) -> float | None:
    """Results a second, from the first to the last; None with fewer than two."""
    if len(arrivals_s) < 2:
        return None
    return (len(arrivals_s) - 1) / (max(arrivals_s) - min(arrivals_s))


def rounded(figures: Any, digits: int = 6) -> Any:
    """The same structure with every float rounded to that many significant digits."""
    if isinstance(figures, dict):
        return {key: rounded(value, digits) for key, value in figures.items()}
    if isinstance(figures, (list, tuple)):
        return [rounded(value, digits) for value in figures]
    if isinstance(figures, float):
        return float(f"{figures:.{digits}g}")
    return figures
