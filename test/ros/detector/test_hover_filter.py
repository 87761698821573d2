# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Hover filter: frames of a view that stands still are skipped, never one that shows something new."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from flying_node import Flight, TakeOff, wall
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.camera.view_motion import SurfaceView
from crack_perception.geometry.poses.motion import MotionLimits
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.geometry.surface.plane import assumed_plane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.ros.detector import hover_filter
from crack_perception.ros.detector.camera_poses import FirstAvailable, TopicPoses
from crack_perception.ros.detector.hover_filter import SETTLING_S, STILL_SHARE, HoverFilter

CAMERA_HZ, HOVER_HZ, POSE_HZ = 30, 2.0, 50
WIDTH_PX, FOCAL_PX, RANGE_M = 1920, 1500.0, 2.5
STILL_M = STILL_SHARE * RANGE_M * WIDTH_PX / FOCAL_PX
K = [FOCAL_PX, 0, 960, 0, FOCAL_PX, 540, 0, 0, 1]
CAMERA = CameraModel.of(WIDTH_PX, 1080, K, [], "")
PLANE = assumed_plane(RangeReading(RANGE_M, 0.05, "range"), "facing", None, 0.1)
EXTRINSIC = Pose.of([0.1, 0, 0], FORWARD_LOOKING_OPTICAL)
SETTLED = round(SETTLING_S * CAMERA_HZ) + 1


class Drone:
    """Flight sideways along a wall; poses arrive late, results at once."""

    def __init__(self, pose_delay_s: float = 0.03) -> None:
        self.poses = TopicPoses("pose", MotionLimits(), EXTRINSIC)
        self.filter = HoverFilter(FirstAvailable([self.poses]))
        self.view: SurfaceView | None = None
        self._pose_delay_s = pose_delay_s
        self._now_s = 100.0
        self._posed_s = 0.0
        self._y_m = 0.0

    def fly(
        self, seconds: float, speed_m_s: float = 0.0, has_pose: bool = True, rate_hz: float = HOVER_HZ
    ) -> list[bool]:
        """Fly and return for each frame whether it was processed."""
        processed = []
        began_s, from_m = self._now_s, self._y_m
        for _ in range(round(seconds * CAMERA_HZ)):
            self._now_s += 1 / CAMERA_HZ
            self._y_m = from_m + speed_m_s * (self._now_s - began_s)
            self._posed_s = max(self._posed_s, began_s)
            while has_pose and self._posed_s + 1 / POSE_HZ <= self._now_s - self._pose_delay_s:
                self._posed_s += 1 / POSE_HZ
                y_m = from_m + speed_m_s * (self._posed_s - began_s)
                self.poses.push(round(self._posed_s * 1e9), Pose.of([0, y_m, 1], [0, 0, 0, 1]))
            stamp_ns = round(self._now_s * 1e9)
            header = Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id="camera")
            is_skipped = self.filter.skips(header, self.view, rate_hz, self._now_s)
            processed.append(not is_skipped)
            if not is_skipped:
                here = Pose.of([0, self._y_m, 1], [0, 0, 0, 1]).compose(EXTRINSIC)
                self.view = SurfaceView(CAMERA, PLANE, here) if has_pose else None
        return processed


@pytest.mark.parametrize("rate_hz", [0.5, 2.0, 7.0, 20.0])
def test_skips_hovering_camera_leaves_the_rate_after_settling(rate_hz: float) -> None:
    drone = Drone()
    processed = drone.fly(1 + 20, rate_hz=rate_hz)
    assert all(processed[: SETTLED - 1])
    assert sum(processed[SETTLED:]) == pytest.approx(20 * rate_hz, abs=2)


def test_skips_rate_zero_processes_every_frame() -> None:
    assert all(Drone().fly(3, rate_hz=0.0))


def test_skips_after_hovering_processes_every_frame_of_the_motion() -> None:
    drone = Drone()
    drone.fly(4)
    processed = drone.fly(4, speed_m_s=1.0)
    # The motion is extrapolated from the newest two poses; one more may be needed before it shows in them.
    first = next(i for i in range(len(processed)) if all(processed[i:]))
    assert first <= STILL_M * CAMERA_HZ / 1.0 + 2


def test_skips_moving_camera_processes_every_frame() -> None:
    for speed_m_s in (1.1 * STILL_M / SETTLING_S, 1.0, 5.0):
        assert all(Drone().fly(5, speed_m_s)), speed_m_s


def test_skips_drifting_camera_processes_every_part_of_the_surface_at_full_rate() -> None:
    drone = Drone()
    processed = drone.fly(25, speed_m_s=0.04)
    # Once the view has moved by its share, all frames are processed again for the settling time.
    rounds = 25 * 0.04 / STILL_M
    assert sum(processed) >= (rounds - 1) * SETTLING_S * CAMERA_HZ
    assert sum(processed) < 0.5 * len(processed)


def test_skips_missing_or_stale_pose_processes_every_frame() -> None:
    assert all(Drone().fly(5, has_pose=False))
    drone = Drone()
    drone.fly(3)
    # The last pose is used for as long as a gap may be that is interpolated.
    bridged = round((MotionLimits().max_gap_s - 0.03) * CAMERA_HZ) + 1
    assert all(drone.fly(5, has_pose=False)[bridged:])
    assert all(Drone(pose_delay_s=0.3).fly(5))


def test_skips_missing_range_processes_every_frame() -> None:
    drone = Drone()
    for _ in range(90):
        processed = drone.fly(1 / CAMERA_HZ)
        drone.view = None
        assert all(processed)


def test_skips_after_a_pause_of_the_camera_keeps_the_rate() -> None:
    drone = Drone()
    drone.fly(3)
    drone._now_s += 10.0
    processed = drone.fly(3)
    assert sum(processed[-60:]) == pytest.approx(2 * HOVER_HZ, abs=1)


def show(flight: Flight, x: float) -> Time:
    """Send a frame of a camera at x and return its stamp."""
    before = flight.stamp()
    flight.send_pose(before, x)
    stamp = flight.stamp()
    flight.send_pose(stamp, x)
    flight.send_range(stamp, 2.0)
    flight.send_camera_info(stamp)
    flight.wait_for_inputs(stamp)
    flight.send_image(stamp, wall())
    return stamp


def test_node_hovering_publishes_fewer_frames(take_off: TakeOff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hover_filter, "SETTLING_S", 1e-6)  # frames may follow each other within milliseconds
    flight = take_off(pose_source="pose", hover_rate_hz=0.01).start()
    # The first frame defines the view, the second shows that it stands still.
    answered = []
    for _ in range(2):
        answered.append(show(flight, 0.0))
        flight.wait(lambda: len(flight.received["detections"]) == len(answered))
    show(flight, 0.01)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).skipped == 1)
    answered.append(show(flight, 0.5))
    flight.wait(lambda: len(flight.received["detections"]) == 3)
    assert [message.header.stamp for message in flight.received["detections"]] == answered
    figures = flight.figures()
    counts = [figures[f"frames_{what}"] for what in ("received", "processed", "skipped_hovering", "dropped")]
    assert counts == ["4", "3", "1", "0"]
    # Switched off in flight, every frame is processed; frames that were skipped before stay counted.
    assert flight.in_node(lambda: flight.node.set_parameters([Parameter("hover_rate_hz", value=0.0)]))[0].successful
    for count in range(4, 6):
        show(flight, 0.5)
        flight.wait(lambda count=count: len(flight.received["detections"]) == count)
    assert flight.in_node(flight.node.trigger_deactivate).name == "SUCCESS"
    assert flight.figures()["frames_skipped_hovering"] == "1"
