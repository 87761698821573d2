# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Monitor of both nodes: diagnostics over time, results, and invariants."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from vision_msgs.msg import Detection2DArray, Detection3DArray

from crack_perception.evaluation.recordings.messages import read_header
from crack_perception.evaluation.replay.messages import frame_detections, stamp_ns
from crack_perception.evaluation.soak.feed import Sent

OK, WARN, ERROR = "OK", "WARN", "ERROR"
_LEVELS = {DiagnosticStatus.OK: OK, DiagnosticStatus.WARN: WARN, DiagnosticStatus.ERROR: ERROR}
_ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
_STATUSES_KEPT = 2000
_RESULTS_KEPT = 2000
_VIOLATIONS_KEPT = 20
# Every received frame is counted in exactly one of these.
DETECTOR_PARTS = (
    "frames_processed",
    "frames_dropped",
    "frames_failed",
    "frames_skipped_hovering",
    "frames_in_progress",
)
MAPPER_PARTS = ("frames_mapped", "frames_refused")
_SCORE_DIGITS = 4


@dataclass(frozen=True)
class Status:
    """Diagnostics of a node: time of arrival (monotonic), level, message and values."""

    arrived_s: float
    level: str
    message: str
    figures: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """2D detections of a frame: time of arrival (monotonic), and age since the image was published [s]."""

    arrived_s: float
    age_s: float


class Watch:
    """Stores and checks everything that the nodes publish.

    Args:
        node: Node of the subscriptions; another thread spins it.
        detector, mapper: Full names of the nodes.
        sent: Stamp -> published image.

    Attributes:
        violations: Violated invariants: counters that do not add up, results of damaged or unknown images, results
            that belong to another image.
        answered: Number of frames with results.
        compared: Number of results that were compared with an earlier one of the same image.
    """

    def __init__(self, node: Node, detector: str, mapper: str, sent: Mapping[int, Sent]) -> None:
        self._parts = {detector: DETECTOR_PARTS, mapper: MAPPER_PARTS}
        self._sent = sent
        self._lock = threading.Lock()
        self._statuses: dict[str, deque[Status]] = {name: deque(maxlen=_STATUSES_KEPT) for name in self._parts}
        self._answers: deque[Answer] = deque(maxlen=_RESULTS_KEPT)
        self._located_s = float("-inf")
        self._scores: dict[tuple[str, int], tuple[float, ...]] = {}
        self.violations: list[str] = []
        self.answered = 0
        self.compared = 0
        self.arrays = 0
        subscribe: Callable[..., Any] = node.create_subscription
        self._subscriptions = [
            subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, _ALL),
            subscribe(Detection2DArray, f"{detector}/detections", self._on_flat, _ALL),
            subscribe(Detection3DArray, f"{detector}/detections_3d", self._on_located, _ALL, raw=True),
        ]

    def latest(self, name: str) -> Status | None:
        """Return the newest diagnostics of a node; None before the first."""
        with self._lock:
            statuses = self._statuses[name]
            return statuses[-1] if statuses else None

    def first(self, name: str, since_s: float, levels: tuple[str, ...], text: str = "") -> Status | None:
        """Return the first diagnostics since a moment (monotonic) with one of the levels and the text."""
        with self._lock:
            return next(
                (
                    status
                    for status in self._statuses[name]
                    if status.arrived_s >= since_s and status.level in levels and text in status.message
                ),
                None,
            )

    def levels(self, name: str, since_s: float) -> list[Status]:
        """Return all diagnostics of a node since a moment."""
        with self._lock:
            return [status for status in self._statuses[name] if status.arrived_s >= since_s]

    def ages_s(self, since_s: float) -> list[float]:
        """Return the ages of the results that arrived since a moment (monotonic)."""
        with self._lock:
            return [answer.age_s for answer in self._answers if answer.arrived_s >= since_s]

    def has_located(self, since_s: float) -> bool:
        """Return whether results with a location in the map have arrived since a moment."""
        return self._located_s >= since_s

    def forget(self, name: str) -> None:
        """Discard the diagnostics of a node that restarts."""
        with self._lock:
            self._statuses[name].clear()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        now_s = time.monotonic()
        for status in message.status:
            name = status.name.partition(":")[0]
            if name in self._parts:
                figures = {item.key: item.value for item in status.values}
                level = _LEVELS.get(status.level, "STALE")
                with self._lock:
                    self._statuses[name].append(Status(now_s, level, status.message, figures))
                    self.arrays += 1
                self._check_sum(name, figures)

    def _check_sum(self, name: str, figures: Mapping[str, str]) -> None:
        if "frames_received" not in figures:
            return
        received = int(figures["frames_received"])
        ends = [int(figures[part]) for part in self._parts[name]]
        if sum(ends) != received or min(ends) < 0:
            self._violated(f"{name}: {received} frames received, {ends} in {self._parts[name]}")

    def _on_flat(self, message: Detection2DArray) -> None:
        now_s = time.monotonic()
        stamp = stamp_ns(message.header)
        sent = self._sent.get(stamp)
        self.answered += 1
        if sent is None:
            self._violated(f"results with the stamp {stamp}, at which no image was published")
            return
        with self._lock:
            self._answers.append(Answer(now_s, now_s - sent.sent_s))
        if sent.picture is None:
            self._violated(f"results of the damaged image {stamp}")
            return
        scores = tuple(sorted(round(region.score, _SCORE_DIGITS) for region in frame_detections(message, None).regions))
        first = self._scores.setdefault(sent.picture, scores)
        self.compared += 1
        if scores != first:
            self._violated(f"scores {scores} for picture {sent.picture}, which had {first}")

    def _on_located(self, data: bytes) -> None:
        stamp = read_header(data).stamp_ns
        sent = self._sent.get(stamp)
        # Results of images from before the end of a fault may arrive late: the time of publication of the image counts.
        if sent is not None:
            self._located_s = max(self._located_s, sent.sent_s)

    def _violated(self, text: str) -> None:
        with self._lock:
            if len(self.violations) < _VIOLATIONS_KEPT:
                self.violations.append(text)
