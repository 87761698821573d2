# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses as flight stacks send them: in PX4's axes, with covariances good and bad, with flips, and again from a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from flying_node import Flight, TakeOff, wall
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from crack_perception.geometry import rotations

LEVEL = (0.0, 0.0, 0.0, 1.0)


def pose(
    flight: Flight,
    stamp: Time,
    position: Sequence[float] = (0.0, 0.0, 1.0),
    quaternion: Sequence[float] = LEVEL,
    frame_id: str = "map",
) -> None:
    message = PoseStamped(header=Header(stamp=stamp, frame_id=frame_id))
    p, q = message.pose.position, message.pose.orientation
    p.x, p.y, p.z = position
    q.x, q.y, q.z, q.w = (float(number) for number in quaternion)
    flight.poses.publish(message)


def image(flight: Flight, stamp: Time, range_m: float | None = 2.0) -> Detection3DArray | None:
    """Send everything but the pose and return what was placed in the map."""
    if range_m is not None:
        flight.send_range(stamp, range_m)
    flight.send_camera_info(stamp)
    before = len(flight.received["detections"])
    flight.wait_for_inputs(stamp, with_range=range_m is not None)
    flight.send_image(stamp, wall())
    flight.wait(lambda: len(flight.received["detections"]) > before)
    return flight.located(stamp)


def place(located: Detection3DArray | None) -> np.ndarray:
    assert located is not None and located.detections
    centre = located.detections[0].bbox.center.position
    return np.array([centre.x, centre.y, centre.z])


def variances(located: Detection3DArray | None) -> np.ndarray:
    assert located is not None and located.detections
    return np.diag(np.array(located.detections[0].results[0].pose.covariance).reshape(6, 6))


def diagnostics_messages(flight: Flight) -> str:
    """The messages of all diagnostics up to the next: a slow machine may have reported something else since."""
    flight.figures()
    return "\n".join(array.status[0].message for array in flight.received["diagnostics"])


@pytest.mark.parametrize("frame_id", ["map", "map_ned"])
def test_node_px4_pose_locates_the_crack_in_enu(take_off: TakeOff, frame_id: str) -> None:
    flight = take_off(pose_convention="px4").start()
    for _ in range(2):
        stamp = flight.stamp()
        # 10 m north, 4 m east, 3 m up.
        pose(flight, stamp, (10.0, 4.0, -3.0), frame_id=frame_id)
    assert place(image(flight, stamp)) == pytest.approx([4.0, 12.0, 3.0], abs=0.02)


def test_node_ned_pose_without_px4_convention_is_refused(take_off: TakeOff) -> None:
    flight = take_off(pose_timeout_s=0.05).start()
    pose(flight, flight.stamp(), frame_id="map_ned")
    flight.wait(lambda: "problems_pose_rejected" in flight.figures())
    assert (
        "in PX4's axes, NED and FRD (frame 'map_ned'), but pose_convention is 'ros'. Set pose_convention"
        in diagnostics_messages(flight)
    )


def test_node_image_during_a_gimbal_flip_stays_2d(take_off: TakeOff) -> None:
    flight = take_off().start()
    pose(flight, flight.stamp(), quaternion=rotations.from_euler(0, 0, np.pi))
    amid, after, later = flight.stamp(), flight.stamp(), flight.stamp()
    pose(flight, after)
    assert image(flight, amid) is None
    assert "turn by 180 deg in 100 ms (a gimbal flip?)" in diagnostics_messages(flight)
    pose(flight, later)
    assert place(image(flight, later))[0] == pytest.approx(2.0, abs=1e-6)


def test_node_time_set_back_resets_poses_and_ranges(take_off: TakeOff) -> None:
    flight = take_off().start()
    flight.fly_one_frame()
    flight._next_stamp_ns -= 60 * 10**9
    for _ in range(2):
        stamp = flight.stamp()
        pose(flight, stamp, (5.0, 0.0, 1.0))
    assert place(image(flight, stamp, range_m=3.0))[0] == pytest.approx(8.0, abs=1e-6)


def test_node_map_plane_locates_cracks_without_range(take_off: TakeOff) -> None:
    flight = take_off(map_planes__equations=[-1.0, 0.0, 0.0, -6.5]).start()
    for _ in range(2):
        stamp = flight.stamp()
        pose(flight, stamp, (4.0, 0.0, 1.0))
    located = image(flight, stamp, range_m=None)
    assert place(located)[0] == pytest.approx(6.5, abs=1e-6)
    # The plane's own spread; the pose's does not move a wall.
    assert np.sqrt(variances(located)[0]) == pytest.approx(0.05, rel=0.05)
    assert flight.figures()["range_source"] == "map_plane"


class OdometryFlight:
    """A flight whose poses come as odometry with a covariance."""

    def __init__(self, take_off: TakeOff, **parameters: Any) -> None:
        self.flight = take_off(pose_source="odom", noise__position_m=0.02, **parameters).start()
        make = self.flight.peer.create_publisher
        self._odometry = self.flight.in_peer(lambda: make(Odometry, "/odom", 10))
        self.flight.wait(lambda: self._odometry.get_subscription_count() > 0)

    def place_with(self, covariance: np.ndarray) -> Detection3DArray | None:
        for _ in range(2):
            stamp = self.flight.stamp()
            message = Odometry(header=Header(stamp=stamp, frame_id="map"))
            message.pose.pose.position.z = message.pose.pose.orientation.w = 1.0
            message.pose.covariance = np.asarray(covariance, dtype=float).ravel()
            self._odometry.publish(message)
        return image(self.flight, stamp)


def spread(position_m: float, attitude_rad: float) -> np.ndarray:
    return np.diag([position_m**2] * 3 + [attitude_rad**2] * 3)


def test_node_pose_covariance_is_propagated_to_the_crack(take_off: TakeOff) -> None:
    odometry = OdometryFlight(take_off)
    unsure, sure = odometry.place_with(spread(0.5, 0.02)), odometry.place_with(spread(0.02, 0.02))
    assert variances(unsure)[:3] - variances(sure)[:3] == pytest.approx(0.5**2 - 0.02**2, rel=1e-3)
    assert "problems_pose_covariance" not in odometry.flight.figures()


def test_node_pose_covariance_disabled_is_not_used(take_off: TakeOff) -> None:
    odometry = OdometryFlight(take_off, use_pose_covariance=False, learn_surface=False)
    usual = variances(odometry.place_with(np.zeros((6, 6))))
    assert variances(odometry.place_with(spread(0.5, 0.02))) == pytest.approx(usual)
    assert variances(odometry.place_with(np.eye(6) * 1e6)) == pytest.approx(usual)


def test_node_invalid_covariance_is_replaced_and_reported_once(take_off: TakeOff) -> None:
    odometry = OdometryFlight(take_off, learn_surface=False)
    usual = variances(odometry.place_with(np.zeros((6, 6))))
    assert "problems_pose_covariance" not in odometry.flight.figures()
    for bad in (np.full((6, 6), np.nan), np.ones((6, 6)), np.eye(6) * 1e-12):
        assert variances(odometry.place_with(bad)) == pytest.approx(usual)
    assert odometry.flight.figures()["problems_pose_covariance"] == "1"


def test_node_pose_of_a_lost_estimator_is_refused(take_off: TakeOff) -> None:
    odometry = OdometryFlight(take_off, pose_timeout_s=0.05)
    assert odometry.place_with(np.eye(6) * 1e6) is None
    assert "its estimator reports that it is lost" in diagnostics_messages(odometry.flight)
