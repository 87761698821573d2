# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Targets for the benchmark's figures on two cores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

STANDARD = "standard"
"""Model whose sustained rate has a target."""

_PERIOD_30_HZ_MS = 1000.0 / 30.0


class Target(NamedTuple):
    """Target value of one figure.

    Attributes:
        description: Description of the figure.
        measured: Measured value; None when not measured.
        limit: Limit of the value.
        is_floor: Whether the limit is a minimum instead of a maximum.
    """

    description: str
    measured: float | None
    limit: float
    is_floor: bool = False

    @property
    def met(self) -> bool | None:
        """True when the value is within the limit; None when not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.is_floor else self.measured <= self.limit


def targets_of(document: Mapping[str, Any]) -> list[Target]:
    """Return all targets with the measured values of a benchmark document."""

    def at(*keys: str) -> Any:
        value: Any = document
        for key in keys:
            value = value.get(key) if value is not None else None
        return value

    run = ("fixed_rates", "1080p", "30")
    throughput = ("throughput", "models")
    model = at("throughput", "model")
    age_ms = at(*run, "age_ms", "p95")
    return [
        Target("1080p at 30 Hz: share of missed images", at(*run, "missed_share"), 0.0),
        Target(
            "1080p at 30 Hz: 95th percentile of the frame age, in frame periods",
            None if age_ms is None else age_ms / _PERIOD_30_HZ_MS,
            1.5,
        ),
        Target("2160p: sustained rate in Hz with less than 5 % missed", at("sustained", "2160p", "hz"), 8.0, True),
        *(
            Target(
                f"1080p: sustained rate of the node versus inference alone on two threads, {kind} walls",
                at(*throughput, model, "ratio", kind),
                0.8,
                True,
            )
            for kind in ("clean", "cracked")
        ),
        Target(
            f"1080p: sustained rate of `{STANDARD}` in Hz with less than 5 % missed, cracked walls",
            at(*throughput, STANDARD, "sustained", "cracked", "hz"),
            10.0,
            True,
        ),
        Target("node versus bare inference, clean frames", at("ratios", "node_over_inference"), 1.15),
        Target(
            "three times the sustained rate: 95th percentile of the age, in processing times",
            at("overload", "age_p95_over_processing"),
            2.0,
        ),
        Target("three times the sustained rate: growth of the age", at("overload", "age_growth"), 0.1),
        Target("`nano` versus resnet50 + SVM: times faster", at("ratios", "nano_vs_resnet50_svm"), 60.0, True),
        Target(
            "`nano` versus mobilenet_v3_small + SVM: times faster", at("ratios", "nano_vs_mobilenetv3_svm"), 5.0, True
        ),
        Target(
            "`nano` versus mobilenet_v3_large + SVM (the paper's 0.21 G MACs): times faster",
            at("ratios", "nano_vs_mobilenetv3_large_svm"),
            5.0,
            True,
        ),
        Target("start of the node to its first result in s", at("start", "first_result_s", "median"), 2.0),
        Target("inactive node: percent of a core", at("idle", "inactive_cpu_percent"), 1.0),
        Target("active node without images: percent of a core", at("idle", "active_cpu_percent"), 2.0),
        Target("soak test at 30 Hz: growth of memory", at("soak", "rss_growth"), 0.01),
    ]
