# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A backend that fails while the node flies: no frame is lost or gets another's scores, and the operator sees it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from flying_node import HEIGHT_PX, WIDTH_PX, Flight, TakeOff
from tiny_model import TILE_PX

from crack_perception.ros.detector import node as crack_node

Outputs = list[np.ndarray]
Fault = Callable[[Outputs], Outputs]

FRAMES = 80
TAGS = [(column, row) for row in (0, 1) for column in range(WIDTH_PX // TILE_PX)]
"""Tiles (column, row) whose dark spot tells one frame from the next."""
MEMORY_S = 1.0


def raises(outputs: Outputs) -> Outputs:
    raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")


def changed(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    return lambda outputs: [change(np.array(output)) for output in outputs]


FAULTS: dict[str, Fault] = {
    "raises": raises,
    "nan": changed(lambda output: np.full_like(output, np.nan)),
    "one nan": changed(lambda output: np.where(np.arange(len(output)) == 0, np.nan, output).astype(np.float32)),
    "infinite": changed(lambda output: np.full_like(output, np.inf)),
    "not a probability": changed(lambda output: output * 0 + 57.0),
    "one too many": changed(lambda output: np.append(output, output[-1:])),
    "one too few": changed(lambda output: output[:-1]),
    "a column for each": changed(lambda output: np.stack([output, output], axis=1)),
    "empty": changed(lambda output: output[:0]),
    "an output missing": lambda outputs: outputs[:-1],
    "no numbers": changed(lambda output: np.full(output.shape, "x")),
    "nothing": lambda outputs: [],
}


class FaultySession:
    """The node's session of ONNX Runtime, with a fault in what it returns.

    Attributes:
        fault: Chosen for every call; None for a right answer.
        may_go_on: Cleared, every call hangs.
    """

    def __init__(self, flight: Flight) -> None:
        backend = flight.node._detector.backend
        self._session = backend._session
        self.fault: Callable[[], Fault | None] = lambda: None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        backend._session = self

    def run(self, names: Any, feeds: Any) -> Outputs:
        assert self.may_go_on.wait(60.0)
        outputs = self._session.run(names, feeds)
        fault = self.fault()
        return outputs if fault is None else fault(outputs)


def tagged(number: int) -> np.ndarray:
    """A wall with a dark spot in the middle of the tile of its number."""
    column, row = TAGS[number % len(TAGS)]
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), 170, np.uint8)
    x, y = column * TILE_PX + TILE_PX // 2, (HEIGHT_PX - 20 if row else 20)
    frame[y - 3 : y + 3, x - 3 : x + 3] = 15
    return frame


def send(flight: Flight, number: int, stamps: dict[tuple[int, int], int]) -> None:
    """Send everything of a moment, and an image that carries its number."""
    before, stamp = flight.stamp(), flight.stamp()
    for moment in (before, stamp):
        flight.send_pose(moment)
    flight.send_range(stamp, 2.0)
    flight.send_camera_info(stamp)
    stamps[stamp.sec, stamp.nanosec] = number
    flight.send_image(stamp, tagged(number))


def check_scores_are_their_own(flight: Flight, stamps: dict[tuple[int, int], int]) -> None:
    """Every array that was published holds exactly the region of the frame whose stamp it has."""
    for message in flight.received["detections"]:
        stamp: Time = message.header.stamp
        column, row = TAGS[stamps[stamp.sec, stamp.nanosec] % len(TAGS)]
        assert len(message.detections) == 1
        centre = message.detections[0].bbox.center.position
        assert int(centre.x // TILE_PX) == column
        assert (centre.y > HEIGHT_PX / 2) == bool(row)


def settle(flight: Flight, received: int) -> Any:
    """The counters when every frame has ended."""
    snapshot = lambda: flight.node._statistics.snapshot(0.0)  # noqa: E731
    flight.wait(lambda: snapshot().received == received and snapshot().in_progress == 0, 60.0)
    flight.wait(lambda: len(flight.received["detections"]) == snapshot().processed)
    return snapshot()


def wait_for(flight: Flight, level: bytes, text: str = "", patience_s: float = 30.0) -> None:
    flight.wait(
        lambda: any(
            array.status[0].level == level and text in array.status[0].message
            for array in flight.received["diagnostics"][-1:]
        ),
        patience_s,
    )


def quick_flight(take_off: TakeOff, monkeypatch: pytest.MonkeyPatch, is_pipelined: bool = False) -> Flight:
    monkeypatch.setattr(crack_node, "can_pipeline", lambda: is_pipelined)
    monkeypatch.setattr(crack_node, "_PROBLEM_MEMORY_S", MEMORY_S)
    return take_off(pose_source="pose", pose_timeout_s=0.0, no_image_warning_s=3600.0, inference_threads=2).start()


@pytest.mark.parametrize("is_pipelined", [False, True], ids=["one thread", "pipeline"])
def test_backend_random_faults_every_frame_counted_once_and_scores_its_own(
    take_off: TakeOff, monkeypatch: pytest.MonkeyPatch, is_pipelined: bool
) -> None:
    flight = quick_flight(take_off, monkeypatch, is_pipelined)
    session = FaultySession(flight)
    numbers, lock = random.Random(12), threading.Lock()

    def fault() -> Fault | None:
        with lock:
            return FAULTS[numbers.choice(sorted(FAULTS))] if numbers.random() < 0.08 else None

    session.fault = fault
    stamps: dict[tuple[int, int], int] = {}
    for number in range(FRAMES):
        send(flight, number, stamps)
        flight.wait(lambda number=number: flight.node._statistics.snapshot(0.0).received == number + 1)
    result = settle(flight, FRAMES)
    assert result.received == result.processed + result.failed + result.dropped == FRAMES
    assert result.failed > 0 and result.processed > 0
    check_scores_are_their_own(flight, stamps)
    counts = flight.node._health.counts()
    assert counts["inference"] == result.failed and "internal" not in counts


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_backend_fault_is_refused_by_name_and_diagnostics_recover(
    take_off: TakeOff, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    flight = quick_flight(take_off, monkeypatch)
    session = FaultySession(flight)
    stamps: dict[tuple[int, int], int] = {}

    def fly(number: int) -> None:
        send(flight, number, stamps)
        settle(flight, number + 1)

    session.fault = lambda: FAULTS[name]
    fly(0)
    wait_for(flight, DiagnosticStatus.WARN, "Inference failed on a frame")
    fly(1)
    fly(2)
    wait_for(flight, DiagnosticStatus.ERROR, "the last 3 failed")
    session.fault = lambda: None
    fly(3)
    wait_for(flight, DiagnosticStatus.OK)
    assert settle(flight, 4).failed == 3
    check_scores_are_their_own(flight, stamps)


def test_backend_hangs_then_answers_result_keeps_its_stamp(take_off: TakeOff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crack_node, "_BLOCKED_S", 0.3)
    flight = quick_flight(take_off, monkeypatch)
    session = FaultySession(flight)
    session.may_go_on.clear()
    stamps: dict[tuple[int, int], int] = {}
    for number in range(8):
        send(flight, number, stamps)
        flight.wait(lambda number=number: flight.node._statistics.snapshot(0.0).received == number + 1)
    wait_for(flight, DiagnosticStatus.ERROR, "does not answer")
    session.may_go_on.set()
    result = settle(flight, 8)
    assert (result.failed, result.processed + result.dropped) == (0, 8)
    check_scores_are_their_own(flight, stamps)
    wait_for(flight, DiagnosticStatus.OK)
