"""Pose sources in order of preference, and tf2 at the image's stamp where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.geometry.pose import Pose
from crack_perception.geometry.pose_buffer import MotionLimits, PoseUnavailable
from crack_perception.ros.camera_poses import FirstAvailable, TopicPoses, tf_available

MS = 1_000_000


def moving(name: str, speed_m_s: float) -> TopicPoses:
    poses = TopicPoses(name, MotionLimits(), Pose.of([0.1, 0.0, 0.0], [0, 0, 0, 1]))
    for step in range(5):
        poses.push(step * 50 * MS, Pose.of([speed_m_s * step * 0.05, 0, 0], [0, 0, 0, 1]))
    return poses


def test_the_first_source_that_knows_answers_and_is_named() -> None:
    sources = FirstAvailable([TopicPoses("pose", MotionLimits(), Pose.identity()), moving("odom", 2.0)])
    motion = sources.at(125 * MS, "camera", 0.0)
    assert sources.name == "odom"
    assert motion.pose.position_m.tolist() == pytest.approx([0.35, 0, 0])
    assert motion.velocity_m_s.tolist() == pytest.approx([2, 0, 0])


def test_when_nobody_knows_every_reason_is_given() -> None:
    sources = FirstAvailable([TopicPoses("pose", MotionLimits(), Pose.identity()), moving("odom", 2.0)])
    with pytest.raises(PoseUnavailable, match=r"pose: no pose.*odom: the newest pose is 800 ms older"):
        sources.at(1000 * MS, "camera", 0.0)
    assert sources.name == "none"


def test_the_expected_pose_is_that_of_the_camera_by_the_first_source_that_knows() -> None:
    sources = FirstAvailable([TopicPoses("pose", MotionLimits(), Pose.identity()), moving("odom", 2.0)])
    for moment_ms in (125, 300):
        expected = sources.expected_at(moment_ms * MS, "camera")
        assert expected.position_m.tolist() == pytest.approx([0.1 + 2.0 * moment_ms / 1000, 0, 0])
    with pytest.raises(PoseUnavailable):
        sources.expected_at(1000 * MS, "camera")
    # Who asks for it in passing does not change which source the diagnostics name.
    assert sources.name == "none"


@pytest.mark.skipif(not tf_available(), reason="tf2_ros is not installed")
def test_tf_gives_the_pose_at_the_stamp() -> None:
    from flying_node import init_ros
    from geometry_msgs.msg import TransformStamped
    from rclpy.node import Node

    from crack_perception.ros.camera_poses import TfPoses

    init_ros()
    node = Node("tf_test")
    poses = TfPoses(node, "map", MotionLimits())
    for step in range(5):
        transform = TransformStamped()
        transform.header.frame_id, transform.child_frame_id = "map", "camera"
        transform.header.stamp.nanosec = step * 50 * MS
        transform.transform.translation.x = step * 0.1
        transform.transform.rotation.w = 1.0
        poses._buffer.set_transform(transform, "test")
    motion = poses.at(125 * MS, "camera", 0.0)
    assert motion.pose.position_m.tolist() == pytest.approx([0.25, 0, 0])
    assert np.allclose(motion.velocity_m_s, [2, 0, 0])
    for moment_ms in (125, 300):
        assert poses.expected_at(moment_ms * MS, "camera").position_m.tolist() == pytest.approx([moment_ms / 500, 0, 0])
    with pytest.raises(PoseUnavailable, match="newest transform"):
        poses.expected_at(600 * MS, "camera")
    with pytest.raises(PoseUnavailable, match="does not connect"):
        poses.at(125 * MS, "gimbal", 0.0)
    poses.close()
    node.destroy_node()
