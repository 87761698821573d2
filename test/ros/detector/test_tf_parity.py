# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The transform tree against tf2's own buffer, wherever tf2 is installed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("tf2_ros", reason="tf2_ros is not installed: nothing to compare with")

import tf2_ros
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from rotation_angle import angle_between

from crack_perception.geometry.poses.motion import MotionLimits, PoseUnavailable
from crack_perception.ros.detector.camera_poses import TfPoses

START_NS = 1_700_000_000 * 10**9
UNLIMITED = MotionLimits(max_gap_s=5.0, max_turn_rate_rad_s=1e6, max_speed_m_s=1e6)


def transform(
    parent: str, child: str, stamp_ns: int, translation: np.ndarray, quaternion: np.ndarray
) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = TimeMessage(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = map(float, translation)
    q.x, q.y, q.z, q.w = map(float, quaternion / np.linalg.norm(quaternion))
    return message


class Both:
    """The same transforms in both buffers."""

    def __init__(self) -> None:
        self.ours: dict[str, TfPoses] = {}
        self.theirs = tf2_ros.Buffer()
        self._sent: list[tuple[TransformStamped, bool]] = []

    def send(self, message: TransformStamped, is_static: bool = False) -> None:
        self._sent.append((message, is_static))
        set_in_theirs = self.theirs.set_transform_static if is_static else self.theirs.set_transform
        set_in_theirs(message, "test")

    def of_map(self, map_frame: str) -> TfPoses:
        if map_frame not in self.ours:
            self.ours[map_frame] = TfPoses(map_frame, UNLIMITED)
            for message, is_static in self._sent:
                self.ours[map_frame].push(message, is_static)
        return self.ours[map_frame]

    def check(self, target: str, source: str, stamp_ns: int) -> bool:
        """Whether both know the pose; where they do it must be the same."""
        try:
            found = self.theirs.lookup_transform(target, source, Time(nanoseconds=stamp_ns)).transform
        except tf2_ros.TransformException:
            with pytest.raises(PoseUnavailable):
                self.of_map(target).at(stamp_ns, source, 0.0)
            return False
        ours = self.of_map(target).at(stamp_ns, source, 0.0).pose
        t, q = found.translation, found.rotation
        assert ours.position_m == pytest.approx([t.x, t.y, t.z], abs=1e-6)
        assert angle_between(ours.quaternion, np.array([q.x, q.y, q.z, q.w])) < 1e-6
        return True


@pytest.mark.parametrize("seed", range(10))
def test_transform_tree_random_tree_agrees_with_tf2(seed: int) -> None:
    rng = np.random.default_rng(seed)
    both = Both()
    frames = ["map"]
    for number in range(8):
        parent, child = str(rng.choice(frames)), f"frame{number}"
        frames.append(child)
        if rng.random() < 0.3:
            both.send(transform(parent, child, 0, rng.normal(size=3), rng.normal(size=4)), is_static=True)
            continue
        stamps = START_NS + np.sort(rng.choice(900, size=12, replace=False)) * 1_000_000
        for stamp_ns in rng.permutation(stamps).tolist():
            both.send(transform(parent, child, stamp_ns, rng.normal(size=3), rng.normal(size=4)))
    known = 0
    for _ in range(300):
        target, source = rng.choice(frames, size=2, replace=False).tolist()
        known += both.check(target, source, START_NS + int(rng.integers(-50, 950)) * 1_000_000)
    assert known > 50


def test_transform_tree_gimbal_flight_agrees_with_tf2() -> None:
    both = Both()
    both.send(transform("gimbal", "camera", 0, np.array([0.1, 0, 0.05]), np.array([-0.5, 0.5, -0.5, 0.5])), True)
    for step in range(100):
        seconds = step * 0.02
        yaw, pitch = 0.5 * seconds, 0.3 * np.sin(3 * seconds)
        stamp_ns = START_NS + step * 20_000_000
        both.send(
            transform("map", "base", stamp_ns, np.array([seconds, 1, 3]), np.array([0, 0, np.sin(yaw), np.cos(yaw)]))
        )
        if step % 2 == 0:
            both.send(
                transform("base", "gimbal", stamp_ns, np.zeros(3), np.array([0, np.sin(pitch), 0, np.cos(pitch)]))
            )
    assert all(both.check("map", "camera", START_NS + ms * 1_000_000) for ms in range(0, 1960, 7))
