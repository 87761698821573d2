# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rate, age and jitter of a stream of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crack_perception.geometry.poses.history import LEAST_STEP_BACK_NS


@dataclass(frozen=True)
class SentImage:
    """Published image.

    Attributes:
        stamp_ns: Its stamp [ns]; None: unreadable.
        sent_s: Monotonic time just before publishing [s].
        lap_offset_ns: Added to its stamp it gives the key of its results, which differs from those of earlier laps.
    """

    stamp_ns: int | None
    sent_s: float
    lap_offset_ns: int = 0

    @property
    def key_ns(self) -> int | None:
        """Key of its results: its stamp, and in later laps of a recording over a loop a later time."""
        return None if self.stamp_ns is None else self.stamp_ns + self.lap_offset_ns


class Laps:
    """Laps of a recording in which time jumps back, each continued where the one before ended.

    Attributes:
        jumps: (number of images before it, seconds) of every jump back.
        offset_ns: Added to the stamps of the present lap.
    """

    def __init__(self) -> None:
        self.jumps: list[tuple[int, float]] = []
        self.offset_ns = 0
        self._images = 0
        self._newest_ns: int | None = None
        self._period_ns = 1

    def note(self, stamp_ns: int) -> None:
        """Note the stamp of the next image."""
        newest_ns = self._newest_ns
        if newest_ns is None:
            self._newest_ns = stamp_ns
        elif stamp_ns > newest_ns:
            self._period_ns, self._newest_ns = stamp_ns - newest_ns, stamp_ns
        elif newest_ns - stamp_ns >= LEAST_STEP_BACK_NS:
            self.jumps.append((self._images, (newest_ns - stamp_ns) / 1e9))
            self.offset_ns += newest_ns - stamp_ns + self._period_ns
            self._newest_ns = stamp_ns
        self._images += 1


def ages_ms(sent: Sequence[SentImage], arrived_s: Mapping[int, float]) -> list[tuple[int, float]]:
    """Return (key [ns], age [ms]) of every image with a result, in order of publication.

    The age is the time from just before the image was published to the arrival of its result.
    """
    return [
        (image.key_ns, 1000.0 * (arrived_s[image.key_ns] - image.sent_s))
        for image in sent
        if image.key_ns is not None and image.key_ns in arrived_s
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
