# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frame counters: every received frame ends in exactly one of them, whatever fails and whenever the worker ends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from std_msgs.msg import Header

from crack_perception.recognition.backends.protocol import InferenceFailed
from crack_perception.ros.common.frame_statistics import FrameStatistics, StatisticsSnapshot
from crack_perception.ros.common.health import Health
from crack_perception.ros.detector.timing import FrameTiming
from crack_perception.ros.detector.worker import FrameWorker
from crack_perception.vision.images.encodings import BadImage

ENDS = {
    "good": "processed",
    "hovering": "skipped",
    "arrival": "failed",
    "conversion": "failed",
    "model": "failed",
    "measuring": "failed",
    "publishing": "failed",
    "times": "processed",
    "pictures": "processed",
}
"""Step in which a frame fails, and the counter in which it ends if it is not dropped."""
MOST_IN_PROGRESS = 4
"""One waits, one is scored, one is passed on or classified, one is arriving."""
PATIENCE_S = 20.0


class Steps:
    """The parts that the worker calls; they fail in the step that the frame's kind names, and each takes a moment."""

    view = None

    def skips(self, header: Header, last: object, rate_hz: float, now_s: float) -> bool:
        if header.frame_id == "arrival":
            raise ValueError("no number")
        return header.frame_id == "hovering"

    def score(self, message: Any, settings: Any, timing: FrameTiming) -> Any:
        time.sleep(0.0005)
        if message.header.frame_id == "conversion":
            raise BadImage("cut off")
        if message.header.frame_id == "model":
            raise InferenceFailed("out of memory")
        return SimpleNamespace(header=message.header, timing=timing)

    def classify(self, scored: Any) -> Any:
        time.sleep(0.0005)
        if scored.header.frame_id == "measuring":
            raise ZeroDivisionError
        return SimpleNamespace(header=scored.header, detections=[], processed_tiles=SimpleNamespace(all=lambda: True))

    def is_open(self) -> bool:
        return True

    def publish_detections(self, result: Any) -> None:
        if result.header.frame_id == "publishing":
            raise RuntimeError("cannot publish")
        self.current = result.header.frame_id

    def publish_times(self, age_ms: float, processing_ms: float) -> None:
        if self.current == "times":
            raise RuntimeError("cannot publish")

    def wants_pictures(self) -> bool:
        return True

    def publish_pictures(self, result: Any, caption: str) -> None:
        if result.header.frame_id == "pictures":
            raise RuntimeError("cannot draw")


def worker_with(statistics: FrameStatistics, is_pipelined: bool) -> FrameWorker:
    steps: Any = Steps()
    health = Health(lambda text: None)
    parameters: Any = SimpleNamespace(hover_rate_hz=1.0)
    photographer: Any = SimpleNamespace(start=lambda: None, stop=lambda: None, consider=lambda result: None)
    return FrameWorker(
        *(steps, steps, steps, statistics, health, lambda: parameters, time.time_ns, is_pipelined),
        lambda has_backlog: photographer,
    )


def ended(snapshot: StatisticsSnapshot) -> bool:
    return snapshot.in_progress == 0


def check(snapshot: StatisticsSnapshot) -> None:
    parts = (snapshot.processed, snapshot.dropped, snapshot.failed, snapshot.skipped, snapshot.in_progress)
    assert sum(parts) == snapshot.received and min(parts) >= 0
    assert snapshot.in_progress <= MOST_IN_PROGRESS


@pytest.mark.parametrize("is_pipelined", [False, True])
@settings(deadline=None, max_examples=25)
@given(
    flights=st.lists(
        st.lists(st.tuples(st.sampled_from(sorted(ENDS)), st.sampled_from([0.0, 0.0, 0.001, 0.004])), max_size=25),
        min_size=1,
        max_size=3,
    )
)
def test_counters_random_schedules_count_every_frame_once(
    is_pipelined: bool, flights: list[list[tuple[str, float]]]
) -> None:
    statistics = FrameStatistics()
    seen: list[StatisticsSnapshot] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.0007):
            seen.append(statistics.snapshot(time.monotonic()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    sent: Counter[str] = Counter()
    for frames in flights:  # each from an activation to a deactivation
        worker = worker_with(statistics, is_pipelined)
        worker.start()
        for kind, pause_s in frames:
            worker.offer(SimpleNamespace(header=Header(frame_id=kind)))  # type: ignore[arg-type]
            sent[ENDS[kind]] += 1
            time.sleep(pause_s)
        worker.stop()
        # A frame after the end is counted as dropped.
        worker.offer(SimpleNamespace(header=Header(frame_id="good")))  # type: ignore[arg-type]
        sent["processed"] += 1
        seen.append(statistics.snapshot(time.monotonic()))
        assert ended(seen[-1])
    is_over.set()
    watcher.join(PATIENCE_S)
    for snapshot in seen:
        check(snapshot)
    last = seen[-1] if ended(seen[-1]) else statistics.snapshot(time.monotonic())
    assert last.received == sum(sent.values())
    assert last.skipped == sent["skipped"]
    # Only dropping takes frames from the other two.
    assert last.processed <= sent["processed"] and last.failed <= sent["failed"]
    assert last.dropped == sent["processed"] - last.processed + sent["failed"] - last.failed


@pytest.mark.parametrize("is_pipelined", [False, True])
@pytest.mark.parametrize("kind", sorted(ENDS))
def test_counters_failure_in_any_step_counts_once(kind: str, is_pipelined: bool) -> None:
    statistics = FrameStatistics()
    worker = worker_with(statistics, is_pipelined)
    worker.start()
    for count in range(1, 4):
        worker.offer(SimpleNamespace(header=Header(frame_id=kind)))  # type: ignore[arg-type]
        deadline_s = time.monotonic() + PATIENCE_S
        while not ended(statistics.snapshot(0.0)) and time.monotonic() < deadline_s:
            time.sleep(0.001)
        snapshot = statistics.snapshot(0.0)
        assert (snapshot.received, getattr(snapshot, ENDS[kind])) == (count, count)
        assert statistics.failed_in_a_row == (count if ENDS[kind] == "failed" else 0)
    worker.stop()
    assert worker.blocked_s() == 0.0
