# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Diagnostics over real DDS: a fault is reported within a second whatever their period, and so is its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import flying_node
from diagnostic_msgs.msg import DiagnosticStatus
from flying_node import Flight, TakeOff, wall
from sensor_msgs.msg import Image, Range
from std_msgs.msg import Header

from crack_perception.ros.detector import node as crack_node

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
SELDOM_S = 60.0
"""Period of the diagnostics: what comes before it was published because something changed."""
PARTS = ("processed", "dropped", "failed", "skipped_hovering", "in_progress")


def newest(flight: Flight) -> DiagnosticStatus | None:
    received = flight.received["diagnostics"]
    return received[-1].status[0] if received else None


def wait_for(flight: Flight, level: bytes, text: str = "", patience_s: float = 15.0) -> DiagnosticStatus:
    def has_come() -> bool:
        status = newest(flight)
        return status is not None and status.level == level and text in status.message

    flight.wait(has_come, patience_s)
    status = newest(flight)
    assert status is not None
    return status


def bad_image(flight: Flight) -> None:
    stamp = flight.stamp()
    flight.images.publish(Image(header=Header(stamp=stamp), height=2, width=2, encoding="32FC3", step=24))


def bad_range(flight: Flight) -> None:
    flight.ranges.publish(Range(header=Header(stamp=flight.stamp()), range=2000.0))


@pytest.mark.parametrize("break_it", [bad_image, bad_range])
def test_diagnostics_fault_is_reported_at_once_and_ends(
    take_off: TakeOff, break_it: Callable[[Flight], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crack_node, "_PROBLEM_MEMORY_S", 1.0)
    flight = take_off(diagnostics_period_s=SELDOM_S, no_image_warning_s=3600.0).start()
    flight.fly_one_frame()
    wait_for(flight, OK, "active")
    break_it(flight)
    wait_for(flight, WARN, "refused", SELDOM_S / 2)
    wait_for(flight, OK, "active", SELDOM_S / 2)


def test_diagnostics_all_frames_failing_is_an_error_until_one_is_good(take_off: TakeOff) -> None:
    flight = take_off(pose_source="none").start()
    for count in range(1, 4):
        bad_image(flight)
        flight.wait(lambda count=count: flight.node._statistics.snapshot(0.0).failed == count)
    status = wait_for(flight, ERROR, "the last 3 failed")
    assert "32FC3" in status.message
    flight.send_image(flight.stamp(), wall())
    wait_for(flight, WARN)


def test_diagnostics_silent_camera_is_an_error_and_ends_with_its_next_image(take_off: TakeOff) -> None:
    flight = take_off(diagnostics_period_s=SELDOM_S, no_image_warning_s=0.5).start()
    wait_for(flight, ERROR, "No image on '/image'", SELDOM_S / 2)
    flight.node._settings = replace(flight.node._settings, no_image_warning_s=60.0)
    flight.fly_one_frame()
    wait_for(flight, OK, "active", SELDOM_S / 2)


def test_diagnostics_blocked_backend_is_an_error(take_off: TakeOff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crack_node, "_BLOCKED_S", 0.3)
    flight = take_off(pose_source="none", pose_timeout_s=0.0).start()
    run, held = flight.node._detector.backend.run, [True]

    def blocked(tiles: np.ndarray) -> object:
        while held:
            time.sleep(0.01)
        return run(tiles)

    flight.node._detector.backend.run = blocked
    flight.send_image(flight.stamp(), wall())
    wait_for(flight, ERROR, "does not answer")
    held.clear()
    flight.wait(lambda: newest(flight).level != ERROR)


def test_diagnostics_counters_add_up_in_every_message_across_deactivation(take_off: TakeOff) -> None:
    flight = take_off(diagnostics_period_s=0.1, pose_source="none").start()
    for _ in range(2):
        for index in range(30):
            if index % 7 == 3:
                bad_image(flight)
            else:
                flight.send_image(flight.stamp(), wall())
            time.sleep(0.005)
        assert flight.in_node(flight.node.trigger_deactivate).name == "SUCCESS"
        assert flight.in_node(flight.node.trigger_activate).name == "SUCCESS"
        flight.wait(lambda: flight.images.get_subscription_count() == 1)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).in_progress == 0)
    assert int(flight.figures()["frames_received"]) > 10
    for message in flight.received["diagnostics"]:
        figures = {value.key: value.value for value in message.status[0].values}
        assert sum(int(figures[f"frames_{part}"]) for part in PARTS) == int(figures["frames_received"])


@pytest.mark.parametrize("is_pipelined", [False, True])
def test_results_belong_to_their_own_frame(
    take_off: TakeOff, monkeypatch: pytest.MonkeyPatch, is_pipelined: bool
) -> None:
    monkeypatch.setattr(crack_node, "can_pipeline", lambda: is_pipelined)
    flight = take_off(pose_source="none").start()
    is_cracked: dict[tuple[int, int], bool] = {}
    for index in range(24):
        stamp = flight.stamp()
        is_cracked[stamp.sec, stamp.nanosec] = index % 3 == 0
        flight.send_image(stamp, wall(crack=index % 3 == 0))
        time.sleep(0.01)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).received > 5)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).in_progress == 0)
    processed = flight.node._statistics.snapshot(0.0).processed
    flight.wait(lambda: len(flight.received["detections"]) >= processed)
    for message in flight.received["detections"]:
        found = bool(message.detections)
        assert found is is_cracked[message.header.stamp.sec, message.header.stamp.nanosec]


def test_results_of_a_rectified_image_use_p(take_off: TakeOff) -> None:
    flight = take_off(image_is_rectified=True).start()
    focal_px = flying_node.FOCAL_PX * 2
    cx, cy = (flying_node.WIDTH_PX - 1) / 2, (flying_node.HEIGHT_PX - 1) / 2
    p = [focal_px, 0.0, cx, 0.0, 0.0, focal_px, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    stamp = flight.stamp()
    flight.send_camera_info(stamp, k=[0.0] * 9, p=p, d=[-0.3, 0.1, 0.0, 0.0, 0.0])
    flight.send_range(stamp, 2.0)
    flight.wait(lambda: flight.node._surfaces._ranges.has_any)
    flight.send_image(stamp, wall())
    flight.wait(lambda: len(flight.received["detections"]) == 1)
    assert float(flight.figures()["gsd_mm_per_px"]) == pytest.approx(2000 / focal_px, rel=0.01)
