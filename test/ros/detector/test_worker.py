# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames through the node in one thread or two: order, drops, failures and deactivation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from flying_node import Flight, TakeOff, wall
from patience import PATIENCE_S, allowed_s

from crack_perception.ros.detector import node as crack_node
from crack_perception.ros.detector import timing
from crack_perception.ros.detector import worker as frame_worker
from crack_perception.ros.detector.processor import ProcessedFrame, ScoredFrame

STOP_LIMIT_S = 2.0


class Held:
    """One of the two steps of the processor, blocked until ``go_on`` is set."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self._step = step
        self.begun: list[tuple[Any, ...]] = []
        self.go_on = threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        self.begun.append(arguments)
        assert self.go_on.wait(PATIENCE_S)
        return self._step(*arguments)


def held_steps(flight: Flight) -> tuple[Held, Held]:
    """Return both steps of a node's processor, the first of them released."""
    processor = flight.node._processor
    score, classify = Held(processor.score), Held(processor.classify)
    processor.score, processor.classify = score, classify
    score.go_on.set()
    return score, classify


def send(flight: Flight) -> Time:
    stamp = flight.stamp()
    flight.send_image(stamp, wall())
    return stamp


def settled(condition: Callable[[], bool]) -> bool:
    """Return whether a condition holds after a moment."""
    time.sleep(0.2)
    return condition()


def test_worker_pipelined_scores_the_next_frame_while_one_is_classified(
    take_off: TakeOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crack_node, "can_pipeline", lambda: True)
    monkeypatch.setattr(timing, "_BEHIND_S", 60.0)  # a busy machine may take its time to wake a thread
    flight = take_off(pose_source="none").start()
    score, classify = held_steps(flight)
    first = send(flight)
    flight.wait(lambda: len(classify.begun) == 1)
    has_backlog = classify.begun[0][0].timing.skips_regions
    assert not has_backlog()
    second = send(flight)
    flight.wait(lambda: len(score.begun) == 2)
    flight.wait(has_backlog)
    # The second waits for the first; only frames that were not begun are replaced by newer ones.
    send(flight)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).received == 3)
    last = send(flight)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).dropped == 1)
    assert settled(lambda: len(score.begun) == 2 and len(classify.begun) == 1)
    classify.go_on.set()
    flight.wait(lambda: len(flight.received["detections"]) == 3)
    assert [message.header.stamp for message in flight.received["detections"]] == [first, second, last]
    figures = flight.figures()
    assert (figures["frames_received"], figures["frames_processed"], figures["frames_dropped"]) == ("4", "3", "1")
    # The waiting time of the second counts in its processing time and age.
    assert float(figures["processing_ms_p95"]) > 200.0
    assert float(figures["frame_age_ms_p95"]) > 200.0


def test_worker_not_pipelined_finishes_a_frame_before_the_next(
    take_off: TakeOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crack_node, "can_pipeline", lambda: False)
    monkeypatch.setattr(timing, "_BEHIND_S", 60.0)
    flight = take_off(pose_source="none").start()
    score, classify = held_steps(flight)
    first = send(flight)
    flight.wait(lambda: len(classify.begun) == 1)
    has_backlog = classify.begun[0][0].timing.skips_regions
    assert not has_backlog()
    send(flight)
    flight.wait(has_backlog)
    last = send(flight)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).dropped == 1)
    assert settled(lambda: len(score.begun) == 1)
    classify.go_on.set()
    flight.wait(lambda: len(flight.received["detections"]) == 2)
    assert [message.header.stamp for message in flight.received["detections"]] == [first, last]


def test_can_pipeline_needs_three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, False), (2, False), (3, True), (8, True)):
        monkeypatch.setattr(frame_worker, "usable_cores", lambda cores=cores: cores)
        assert frame_worker.can_pipeline() is expected


@pytest.mark.parametrize("is_pipelined", [False, True])
@pytest.mark.parametrize("failing", ["score", "classify"])
def test_worker_failure_in_either_step_loses_only_that_frame(
    take_off: TakeOff, monkeypatch: pytest.MonkeyPatch, failing: str, is_pipelined: bool
) -> None:
    monkeypatch.setattr(crack_node, "can_pipeline", lambda: is_pipelined)
    flight = take_off(pose_source="none").start()
    step = getattr(flight.node._processor, failing)
    failures = [ValueError("first"), None, ValueError("third"), None]

    def fail_at_times(*arguments: Any) -> ScoredFrame | ProcessedFrame:
        failure = failures.pop(0)
        if failure is not None:
            raise failure
        return step(*arguments)

    setattr(flight.node._processor, failing, fail_at_times)
    stamps = []
    for count in range(1, 5):
        stamps.append(send(flight))
        flight.wait(lambda count=count: len(flight.received["detections"]) + _failed(flight) == count)
    assert [message.header.stamp for message in flight.received["detections"]] == stamps[1::2]
    figures = flight.figures()
    assert figures["problems_internal"] == figures["frames_failed"] == "2"


def _failed(flight: Flight) -> int:
    return flight.node._statistics.snapshot(0.0).failed


def test_deactivate_under_load_is_quick_and_finishes_begun_frames(
    take_off: TakeOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_BEHIND_S", 60.0)
    monkeypatch.setattr(crack_node, "can_pipeline", lambda: True)
    flight = take_off(pose_source="none").start()
    score, classify = held_steps(flight)
    in_hand = [send(flight)]
    flight.wait(lambda: len(classify.begun) == 1)
    score.go_on.clear()
    in_hand.append(send(flight))
    flight.wait(lambda: len(score.begun) == 2)
    has_backlog = classify.begun[0][0].timing.skips_regions
    assert not has_backlog()
    send(flight)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).received == 3)
    flight.wait(has_backlog)
    for step in (score, classify):
        threading.Timer(0.3, step.go_on.set).start()
    began_s = time.monotonic()
    assert flight.in_node(flight.node.trigger_deactivate).name == "SUCCESS"
    assert time.monotonic() - began_s < allowed_s(STOP_LIMIT_S)
    flight.wait(lambda: len(flight.received["detections"]) == 2)
    assert [message.header.stamp for message in flight.received["detections"]] == in_hand
    assert flight.figures()["frames_dropped"] == "1"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crack_")]
