# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pose sources in order of preference, their common time budget, and transforms at the image's stamp."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import Range
from simulated_time import SimulatedTime
from tf2_msgs.msg import TFMessage

from crack_perception.geometry import rotations
from crack_perception.geometry.poses import buffer, track, transform_tree
from crack_perception.geometry.poses.motion import MotionLimits, PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions
from crack_perception.ros.common.health import Health
from crack_perception.ros.detector import camera_poses
from crack_perception.ros.detector.camera_poses import FirstAvailable, TfPoses, TopicPoses, pose_of
from crack_perception.ros.detector.parameters import SPECS, settings_from
from crack_perception.ros.detector.pose_messages import PoseMessages

MS = 1_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    return SimulatedTime(monkeypatch, buffer, track, transform_tree, camera_poses)


def moving(name: str, speed_m_s: float, limits: MotionLimits | None = None) -> TopicPoses:
    poses = TopicPoses(name, limits or MotionLimits(), Pose.of([0.1, 0.0, 0.0], [0, 0, 0, 1]))
    for step in range(5):
        poses.push(step * 50 * MS, Pose.of([speed_m_s * step * 0.05, 0, 0], [0, 0, 0, 1]))
    return poses


def test_first_available_returns_the_first_known_pose() -> None:
    sources = FirstAvailable([TopicPoses("pose", MotionLimits(), Pose.identity()), moving("odom", 2.0)])
    motion = sources.at(125 * MS, "camera", 0.0)
    assert sources.name == "odom"
    assert motion.pose.position_m.tolist() == pytest.approx([0.35, 0, 0])
    assert motion.velocity_m_s.tolist() == pytest.approx([2, 0, 0])


def test_first_available_unknown_pose_lists_every_reason() -> None:
    sources = FirstAvailable([TopicPoses("pose", MotionLimits(), Pose.identity()), moving("odom", 2.0)])
    with pytest.raises(PoseUnavailable, match=r"pose: no pose.*odom: the newest pose is 800 ms older"):
        sources.at(1000 * MS, "camera", 0.0)
    assert sources.name == "none"


def test_expected_at_returns_the_first_known_camera_pose() -> None:
    sources = FirstAvailable([TopicPoses("pose", MotionLimits(), Pose.identity()), moving("odom", 2.0)])
    for moment_ms in (125, 300):
        expected = sources.expected_at(moment_ms * MS, "camera")
        assert expected.position_m.tolist() == pytest.approx([0.1 + 2.0 * moment_ms / 1000, 0, 0])
    with pytest.raises(PoseUnavailable):
        sources.expected_at(1000 * MS, "camera")
    # Who asks for it in passing does not change which source the diagnostics name.
    assert sources.name == "none"


def transform(ms: int, x_m: float, quaternion: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)) -> TransformStamped:
    message = TransformStamped(child_frame_id="/camera")
    message.header.frame_id = "/map"
    message.header.stamp = Time(sec=ms // 1000, nanosec=ms % 1000 * MS)
    message.transform.translation.x = x_m
    q = message.transform.rotation
    q.x, q.y, q.z, q.w = quaternion
    return message


def broadcast(*moments_ms: int) -> TfPoses:
    poses = TfPoses("map", MotionLimits())
    for moment_ms in moments_ms:
        poses.push(transform(moment_ms, moment_ms / 500), False)
    return poses


def test_tf_poses_at_a_stamp_are_interpolated() -> None:
    poses = broadcast(0, 50, 100, 150, 200)
    motion = poses.at(125 * MS, "camera", 0.0)
    assert motion.pose.position_m.tolist() == pytest.approx([0.25, 0, 0])
    assert np.allclose(motion.velocity_m_s, [2, 0, 0])
    for moment_ms in (125, 300):
        assert poses.expected_at(moment_ms * MS, "camera").position_m.tolist() == pytest.approx([moment_ms / 500, 0, 0])
    with pytest.raises(PoseUnavailable, match="newest pose is 400 ms older"):
        poses.expected_at(600 * MS, "camera")
    with pytest.raises(PoseUnavailable, match="no frame 'gimbal'"):
        poses.at(125 * MS, "gimbal", 0.0)
    poses.close()


def test_tf_poses_camera_frame_replaces_that_of_the_image() -> None:
    poses = TfPoses("map", MotionLimits(), camera_frame="camera")
    for moment_ms in (0, 100):
        poses.push(transform(moment_ms, 1.0), False)
    assert poses.at(50 * MS, "some_driver_frame", 0.0).pose.position_m[0] == 1.0


@pytest.mark.parametrize(
    ("x_m", "quaternion"),
    [
        (float("nan"), (0, 0, 0, 1)),
        (float("inf"), (0, 0, 0, 1)),
        (0.0, (0, 0, 0, 0)),
        (0.0, (0, 0, 0, float("nan"))),
        (0.0, (0, 0, 0, 1.1)),
        (0.0, (0, 0, 0, 1e200)),
    ],
)
def test_tf_poses_unusable_transform_is_refused(x_m: float, quaternion: tuple[float, ...]) -> None:
    poses = broadcast(0, 100)
    with pytest.raises(ValueError, match=r"finite|length (one|zero)|no rotation"):
        poses.push(transform(50, x_m, tuple(map(float, quaternion))), False)
    assert poses.at(50 * MS, "camera", 0.0).pose.position_m[0] == pytest.approx(0.1)


def test_first_available_sources_share_one_time_budget(clock: SimulatedTime) -> None:
    patient = MotionLimits(max_gap_s=5.0)
    sources = FirstAvailable([moving(name, 1.0, patient) for name in ("pose", "odom", "more", "most")])
    with pytest.raises(PoseUnavailable):
        sources.at(220 * MS, "camera", 0.5)
    assert sum(clock.waits_s) == pytest.approx(0.5, abs=1e-4)


def test_first_available_stopped_source_is_reported_and_costs_no_wait(clock: SimulatedTime) -> None:
    reports: list[tuple[str, str]] = []
    tf, fallback = TfPoses("map", MotionLimits(max_gap_s=0.05)), moving("pose", 2.0)
    sources = FirstAvailable([tf, fallback], lambda kind, text: reports.append((kind, text)))
    for moment_ms in range(0, 100, 10):
        tf.push(transform(moment_ms, 0.0), False)
        clock.now_s += 0.01
    sources.at(85 * MS, "camera", 0.0)
    assert sources.name == "tf" and not reports
    clock.now_s += 1.0
    assert tf.has_stopped
    assert sources.at(125 * MS, "camera", 30.0).pose.position_m[0] == pytest.approx(0.35)
    assert clock.waits_s == []
    assert sources.name == "pose"
    assert reports[0][0] == "pose_stopped" and "No pose from tf for" in reports[0][1]


@pytest.mark.parametrize(("northing_m", "lost_mm"), [(20_000.0, 0.977), (5_400_000.0, 250)])
def test_first_available_far_from_the_origin_is_refused_with_the_error(northing_m: float, lost_mm: float) -> None:
    poses = TopicPoses("pose", MotionLimits(), Pose.identity())
    for moment_ms in (0, 100):
        poses.push(moment_ms * MS, Pose.of([500.0, northing_m, 10], [0, 0, 0, 1]))
    with pytest.raises(PoseUnavailable, match=rf"float32\) have rounding errors of up to {lost_mm} mm"):
        FirstAvailable([poses]).at(50 * MS, "camera", 0.0)
    # What the message says is what float32 really does.
    coordinates_m = northing_m + np.linspace(0, 2, 100_001)
    worst_mm = 1000 * np.max(np.abs(coordinates_m.astype(np.float32).astype(float) - coordinates_m))
    assert worst_mm == pytest.approx(lost_mm, rel=0.05)


def test_first_available_near_the_limit_loses_half_a_millimetre_at_most() -> None:
    poses = TopicPoses("pose", MotionLimits(), Pose.identity())
    for moment_ms in (0, 100):
        poses.push(moment_ms * MS, Pose.of([0, 9_990.0, 10], [0, 0, 0, 1]))
    assert FirstAvailable([poses]).at(50 * MS, "camera", 0.0).pose.position_m[1] == pytest.approx(9_990)
    coordinates_m = 9_990 + np.linspace(0, 10, 100_001)
    assert np.max(np.abs(coordinates_m.astype(np.float32).astype(float) - coordinates_m)) < 0.0005


def stamped(ms: int, parent: str, child: str, pose: Pose) -> TransformStamped:
    message = transform(ms, 0.0, tuple(float(number) for number in pose.quaternion))
    message.header.frame_id, message.child_frame_id = parent, child
    t = message.transform.translation
    t.x, t.y, t.z = (float(number) for number in pose.position_m)
    return message


PoseAnswer = Pose | str | None


def climbed(is_swapped: bool) -> tuple[Health, PoseAnswer]:
    """Climb by 8 m over the ground with a downward camera, all poses on tf; returns the last answer."""
    down = rotations.multiply(rotations.from_euler(0, np.pi / 2, 0), rotations.FORWARD_LOOKING_OPTICAL)
    health = Health(lambda line: None)
    messages = PoseMessages(settings_from({spec.name: spec.default for spec in SPECS} | {"pose_source": "tf"}), health)
    mount = stamped(0, "base_link", "camera", Pose.of((0, 0, 0), down))
    messages.handlers["/tf_static"](TFMessage(transforms=[mount]))
    answer: PoseAnswer = None
    for step in range(80):
        ms, height_m = 100 * step, 2.0 + 0.1 * step
        body = Pose.of((0, 0, height_m), rotations.from_euler(0, 0, 0.3))
        body = swap_conventions(body) if is_swapped else body
        messages.handlers["/tf"](TFMessage(transforms=[stamped(ms, "map", "base_link", body)]))
        reading = Range(min_range=0.1, max_range=40.0, range=height_m)
        reading.header.stamp = stamped(ms, "", "", body).header.stamp
        messages.check_axes(reading)
        if step:
            try:
                answer = messages.poses.at(ms * MS, "camera", 0.0).pose
            except PoseUnavailable as error:
                answer = str(error)
    return health, answer


def test_pose_messages_tf_in_the_wrong_axes_is_refused() -> None:
    health, answer = climbed(is_swapped=True)
    assert isinstance(answer, str) and "fit its mirror image" in answer and "REP 103" in answer
    assert health.counts()["pose_axes"] > 0


def test_pose_messages_tf_in_the_right_axes_is_used() -> None:
    health, answer = climbed(is_swapped=False)
    assert isinstance(answer, Pose) and answer.position_m[2] == pytest.approx(9.9)
    assert "pose_axes" not in health.counts()


@pytest.mark.parametrize("w", [0.05, 0.5, 2.0])
def test_pose_of_quaternion_of_another_length_is_refused_as_in_tf(w: float) -> None:
    message = PoseMessage()
    message.orientation.w = w
    with pytest.raises(ValueError, match="does not have length one"):
        pose_of(message)
