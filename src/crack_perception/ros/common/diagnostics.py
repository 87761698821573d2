# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Diagnostics of both nodes: level, message and figures as diagnostic_msgs, and when to publish them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from crack_perception.errors import printable
from crack_perception.ros.common.frame_statistics import StatisticsSnapshot

# Faults must be reported within a second.
# Characters of a message or value.
_MOST_TEXT = 4000
_CHECK_INTERVAL_S = 0.25


def diagnostic_array(
    stamp: Time,
    node_name: str,
    hardware_id: str,
    failure: str,
    problems: list[str],
    figures: Mapping[str, str],
    part: str = "perception",
) -> DiagnosticArray:
    """Return the status of a part of the node: ERROR with a failure, else WARN with present problems, else OK.

    Args:
        stamp: Time of the status.
        node_name: Full name of the node.
        hardware_id: Model or device that the figures depend on.
        failure: Reason why the part does not work at all; empty if it works.
        problems: Present problems; in an ERROR they follow the failure.
        figures: Values by key; the value of ``state`` is the message of level OK.
        part: Part of the node.
    """
    if failure:
        level, message = DiagnosticStatus.ERROR, "; ".join(dict.fromkeys([failure, *problems]))
    elif problems:
        level, message = DiagnosticStatus.WARN, "; ".join(problems)
    else:
        level, message = DiagnosticStatus.OK, figures["state"]
    # Names of frames, topics and files may contain control characters.
    message = printable(message, _MOST_TEXT)
    status = DiagnosticStatus(level=level, name=f"{node_name}: {part}", message=message, hardware_id=hardware_id)
    status.values = [KeyValue(key=key, value=printable(value, _MOST_TEXT)) for key, value in figures.items()]
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


class DiagnosticsPacer:
    """Schedule of the diagnostics: once a period, and at once when the faults change.

    A fault is reported within one check interval, whatever the period.
    """

    def __init__(self) -> None:
        self._due_s = -math.inf
        self._last_faults: object = None

    def is_due(self, now_s: float, faults: object) -> bool:
        """Return whether to publish now.

        Args:
            now_s: Present time on a monotonic clock.
            faults: Present faults, comparable with the previous ones.
        """
        return faults != self._last_faults or now_s >= self._due_s

    def note_published(self, now_s: float, faults: object, period_s: float) -> None:
        """Record a publication; the next is due after a period, less half a check interval."""
        self._last_faults = faults
        self._due_s = now_s + period_s - check_interval_s(period_s) / 2


def check_interval_s(period_s: float) -> float:
    """Return the time between two checks for changes [s], for a period of the diagnostics."""
    return min(_CHECK_INTERVAL_S, period_s)


def frame_figures(snapshot: StatisticsSnapshot) -> dict[str, str]:
    """Return counters and ages of frames by key; received is the sum of the five counters that follow it."""
    return {
        "frames_received": str(snapshot.received),
        "frames_processed": str(snapshot.processed),
        "frames_dropped": str(snapshot.dropped),
        "frames_failed": str(snapshot.failed),
        "frames_skipped_hovering": str(snapshot.skipped),
        "frames_in_progress": str(snapshot.in_progress),
        "rate_hz": f"{snapshot.rate_hz:.2f}",
        "frame_age_ms_median": f"{snapshot.age_median_ms:.1f}",
        "frame_age_ms_p95": f"{snapshot.age_p95_ms:.1f}",
        "processing_ms_median": f"{snapshot.processing_median_ms:.1f}",
        "processing_ms_p95": f"{snapshot.processing_p95_ms:.1f}",
    }
