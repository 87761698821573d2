# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures of one run of the node with images at a fixed rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crack_perception.evaluation.replay.timing import SentImage, age_figures, ages_ms, jitter_figures, rate_hz


@dataclass(frozen=True)
class NodeRun:
    """Record of one run.

    Attributes:
        asked_hz: Requested image rate [Hz].
        sent: Published images.
        arrived_s: Stamp -> monotonic time of the arrival of the results [s].
        located: Number of frames whose results have a map position.
        processing_ms: Processing times reported by the node, one for each frame.
        cpu_percent, rss_mb: CPU load [% of a core] and resident memory [10^6 bytes] of the node's process.
        sender_cpu_percent: CPU load of this process, which publishes and subscribes.
        worst_lateness_s: Largest delay of a published message [s].
    """

    asked_hz: float
    sent: Sequence[SentImage]
    arrived_s: Mapping[int, float]
    located: int
    processing_ms: Sequence[float]
    cpu_percent: float
    rss_mb: float
    sender_cpu_percent: float
    worst_lateness_s: float

    @property
    def ages_ms(self) -> list[float]:
        """Times from just before an image was published to the arrival of its results, for images with results."""
        return [age for _, age in ages_ms(self.sent, self.arrived_s)]

    @property
    def missed_share(self) -> float:
        """Share of the images without results."""
        return 1.0 - len(self.ages_ms) / len(self.sent) if self.sent else 0.0

    @property
    def sent_hz(self) -> float:
        """Actual image rate [Hz]."""
        return rate_hz([image.sent_s for image in self.sent]) or self.asked_hz

    def age_slope_ms_per_s(self) -> float:
        """Return the growth of the frame age per second of the run, by least squares; 0 for fewer than two frames."""
        known = [image for image in self.sent if image.stamp_ns in self.arrived_s]
        if len(known) < 2:
            return 0.0
        return float(np.polyfit([image.sent_s - known[0].sent_s for image in known], self.ages_ms, 1)[0])

    def age_growth(self) -> float | None:
        """Return the median age of the last third of the frames over that of the first third, minus one.

        None for fewer than three frames. A growing queue shows here, while single slow frames do not.
        """
        ages = self.ages_ms
        third = len(ages) // 3
        return float(np.median(ages[-third:]) / np.median(ages[:third]) - 1.0) if third else None

    def figures(self) -> dict[str, Any]:
        """Return the figures for the report, similar to ros2_benchmark: rates, missed frames, latencies, jitter."""
        ages = self.ages_ms
        return {
            "asked_hz": self.asked_hz,
            "sent_hz": self.sent_hz,
            "rate_hz": rate_hz(list(self.arrived_s.values())),
            "sent": len(self.sent),
            "missed": len(self.sent) - len(ages),
            "missed_share": self.missed_share,
            "located": self.located,
            "first_latency_ms": ages[0] if ages else None,
            "last_latency_ms": ages[-1] if ages else None,
            "age_ms": age_figures(ages),
            "jitter_ms": jitter_figures(ages),
            "age_growth": self.age_growth(),
            "age_slope_ms_per_s": self.age_slope_ms_per_s(),
            "processing_ms": age_figures(self.processing_ms),
            "cpu_percent": self.cpu_percent,
            "rss_mb": self.rss_mb,
            "sender_cpu_percent": self.sender_cpu_percent,
            "worst_lateness_ms": 1000.0 * self.worst_lateness_s,
        }
