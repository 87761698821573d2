# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Counters, rate and ages of frames; thread-safe."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

_WINDOW = 300


@dataclass(frozen=True)
class StatisticsSnapshot:
    """Frame statistics at one moment; ages and times in milliseconds, NaN before the first frame.

    ``received`` is the sum of ``processed``, ``dropped``, ``failed``, ``skipped`` and ``in_progress``.
    """

    received: int
    processed: int
    dropped: int
    failed: int
    skipped: int
    rate_hz: float
    age_median_ms: float
    age_p95_ms: float
    processing_median_ms: float
    processing_p95_ms: float

    @property
    def in_progress(self) -> int:
        """Number of frames that have arrived and are not finished."""
        return self.received - self.processed - self.dropped - self.failed - self.skipped


class FrameStatistics:
    """Count frames: each is received once and ends in exactly one of the other counters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._processed = 0
        self._dropped = 0
        self._failed = 0
        self._skipped = 0
        self._failed_in_a_row = 0
        self._ages_ms: deque[float] = deque(maxlen=_WINDOW)
        self._processing_ms: deque[float] = deque(maxlen=_WINDOW)
        self._done_at_s: deque[float] = deque(maxlen=_WINDOW)

    def count_received(self) -> None:
        """Count an arrived frame."""
        with self._lock:
            self._received += 1

    def count_dropped(self, frames: int = 1) -> None:
        """Count frames that were replaced by newer ones, or discarded at the end, before their processing began."""
        with self._lock:
            self._dropped += frames

    def count_skipped(self) -> None:
        """Count a frame that was skipped while the camera hovers."""
        with self._lock:
            self._skipped += 1

    def count_failed(self) -> None:
        """Count a frame that could not be processed."""
        with self._lock:
            self._failed += 1
            self._failed_in_a_row += 1

    def count_processed(self, age_ms: float, processing_ms: float, now_s: float) -> None:
        """Count a published frame.

        Args:
            age_ms: Time from the stamp of the image to publication.
            processing_ms: Time from the start of processing to publication.
            now_s: Time of publication on a monotonic clock.
        """
        with self._lock:
            self._processed += 1
            self._failed_in_a_row = 0
            self._ages_ms.append(age_ms)
            self._processing_ms.append(processing_ms)
            self._done_at_s.append(now_s)

    @property
    def failed_in_a_row(self) -> int:
        """Number of failed frames since the last published one."""
        return self._failed_in_a_row

    def snapshot(self, now_s: float) -> StatisticsSnapshot:
        """Return the present statistics; the rate is that of the last five seconds."""
        with self._lock:
            recent = [t for t in self._done_at_s if now_s - t <= 5.0]
            span_s = now_s - recent[0] if recent else 0.0
            rate_hz = len(recent) / max(span_s, 1e-3) if len(recent) > 1 else 0.0
            return StatisticsSnapshot(
                self._received,
                self._processed,
                self._dropped,
                self._failed,
                self._skipped,
                rate_hz,
                *_median_and_p95(self._ages_ms),
                *_median_and_p95(self._processing_ms),
            )


def _median_and_p95(values: deque[float]) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    median, p95 = np.percentile(np.array(values), [50, 95])
    return float(median), float(p95)
