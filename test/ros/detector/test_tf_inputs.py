# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Transforms through the real node over DDS: gimbals, loops, sources that stop, names with slashes and prefixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from flying_node import FRAME_ID, Flight, TakeOff, wall
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions
from crack_perception.ros.common import qos
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.camera_poses import TopicPoses
from crack_perception.ros.detector.image_messages import image_message

MOUNT = Pose.of((0.1, 0.0, 0.0), rotations.FORWARD_LOOKING_OPTICAL)


def transform(stamp: Time, parent: str, child: str, pose: Pose) -> TransformStamped:
    message = TransformStamped(header=Header(stamp=stamp, frame_id=parent), child_frame_id=child)
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = pose.position_m.tolist()
    q.x, q.y, q.z, q.w = pose.quaternion.tolist()
    return message


def at(x_m: float, yaw_rad: float = 0.0) -> Pose:
    return Pose.of((x_m, 0.0, 1.0), rotations.from_euler(0, 0, yaw_rad))


class TfFlight:
    """A flight whose poses come over /tf and /tf_static only."""

    def __init__(self, take_off: TakeOff, camera: str = FRAME_ID, **parameters: Any) -> None:
        self.flight: Flight = take_off(**parameters)
        self.camera = camera
        make = self.flight.peer.create_publisher
        self._sent_ns = 0
        self._tf = self.flight.in_peer(lambda: make(TFMessage, "/tf", qos.TF))
        self._static = self.flight.in_peer(lambda: make(TFMessage, "/tf_static", qos.TF_STATIC))
        # Before the node listens: a latched transform reaches it all the same.
        self._static.publish(TFMessage(transforms=[transform(Time(), "/gimbal", camera, MOUNT)]))
        self.flight.start()
        self.flight.wait(lambda: self._tf.get_subscription_count() > 0)
        self.flight.wait(lambda: camera.lstrip("/") in self.tree._fixed)

    @property
    def tree(self) -> Any:
        return self.flight.node._poses._sources[0]._tree

    def broadcast(self, stamp: Time, base: Pose, gimbal: Pose | None = None) -> None:
        self._sent_ns = stamp_ns(stamp)
        moving = [transform(stamp, "map", "base_link", base)]
        moving.append(transform(stamp, "base_link", "gimbal", gimbal or Pose.identity()))
        self._tf.publish(TFMessage(transforms=moving))

    def _stamps_of(self, frame: str) -> list[int]:
        track = self.tree._tracks.get(frame)
        return list(track._history.stamps_ns) if track else []

    def image(self, stamp: Time, is_placed: bool = True, range_m: float | None = 2.0) -> Detection3DArray | None:
        """Send everything but the pose and return what was placed in the map."""
        if is_placed:
            self.flight.wait(lambda: self._sent_ns in self._stamps_of("base_link"))
            self.flight.wait(lambda: self._sent_ns in self._stamps_of("gimbal"))
        return image(self.flight, stamp, self.camera, is_placed, range_m)


def image(
    flight: Flight, stamp: Time, camera: str = FRAME_ID, is_placed: bool = True, range_m: float | None = 2.0
) -> Detection3DArray | None:
    """Send range, camera_info and image, each after the one before has arrived; return what was placed in the map."""
    node = flight.node
    if range_m is not None:
        flight.send_range(stamp, range_m)
        flight.wait(lambda: stamp_ns(stamp) in node._surfaces._ranges._history.stamps_ns)
    flight.send_camera_info(stamp)
    flight.wait(lambda: node._processor._cameras._latest is not None)
    flight.wait(lambda: node._processor._cameras._latest.header.stamp == stamp)
    # In a loop an image of the lap before has the same stamp.
    flight.received["detections_3d"].clear()
    before = len(flight.received["detections"])
    flight.images.publish(image_message(wall(), Header(stamp=stamp, frame_id=camera)))
    flight.wait(lambda: len(flight.received["detections"]) > before)
    if is_placed:
        flight.wait(lambda: any(m.header.stamp == stamp for m in flight.received["detections_3d"]))
    return flight.located(stamp)


def poses_arrived(flight: Flight, stamp: Time) -> None:
    """Wait until the node has a pose of this stamp from a topic."""
    sources = [source for source in flight.node._poses._sources if isinstance(source, TopicPoses)]
    flight.wait(lambda: any(stamp_ns(stamp) in source._buffer._track._history.stamps_ns for source in sources))


def place(located: Detection3DArray | None) -> np.ndarray:
    assert located is not None and located.detections
    centre = located.detections[0].bbox.center.position
    return np.array([centre.x, centre.y, centre.z])


@pytest.mark.parametrize("pose_source", ["tf", "auto"])
def test_tf_moving_gimbal_places_the_crack(take_off: TakeOff, pose_source: str) -> None:
    tf = TfFlight(take_off, pose_source=pose_source)
    # The drone looks along y, the gimbal back along x.
    gimbal = Pose.of((0.0, 0.0, 0.5), rotations.from_euler(0, 0, -np.pi / 2))
    for _ in range(2):
        stamp = tf.flight.stamp()
        tf.broadcast(stamp, at(4.0, np.pi / 2), gimbal)
    assert place(tf.image(stamp)) == pytest.approx([6.1, 0.0, 1.5], abs=0.02)
    figures = tf.flight.figures()
    assert figures["pose_source"] == "tf" and figures["pose_time_jumps"] == "0"
    assert 0 <= float(figures["pose_age_ms"]) < 60_000


def test_tf_leading_slash_and_prefix_are_accepted(take_off: TakeOff) -> None:
    tf = TfFlight(take_off, camera="/drone1/camera_optical_frame", map_frame="/map")
    for _ in range(2):
        stamp = tf.flight.stamp()
        tf.broadcast(stamp, at(1.0))
    assert place(tf.image(stamp))[0] == pytest.approx(3.1, abs=0.02)


def test_tf_loop_gives_right_poses_in_every_lap(take_off: TakeOff) -> None:
    tf = TfFlight(take_off)
    begin_ns = tf.flight._next_stamp_ns
    for lap in range(3):
        tf.flight._next_stamp_ns = begin_ns
        for frame in range(4):
            # Each lap is flown at another place, so that a pose of the lap before would show.
            for step in range(8):
                stamp = tf.flight.stamp()
                tf.broadcast(stamp, at(10.0 * lap + 0.1 * (8 * frame + step)))
            x_m = place(tf.image(stamp))[0]
            assert x_m == pytest.approx(10.0 * lap + 0.1 * (8 * frame + 7) + 2.1, abs=0.02), (lap, frame)
    assert tf.flight.figures()["pose_time_jumps"] == "2"


def test_tf_jump_of_half_a_second_without_simulated_time_gives_right_poses(take_off: TakeOff) -> None:
    tf = TfFlight(take_off)
    begin_ns = tf.flight._next_stamp_ns
    for lap in range(3):
        tf.flight._next_stamp_ns = begin_ns
        for step in range(10):
            stamp = tf.flight.stamp()
            tf.broadcast(stamp, at(10.0 * lap + 0.1 * step))
        # Within the stamps of the lap before, but not after its newest.
        assert place(tf.image(stamp))[0] == pytest.approx(10.0 * lap + 0.9 + 2.1, abs=0.02), lap
    assert tf.flight.figures()["pose_time_jumps"] == "2"


def test_tf_jump_without_simulated_time_drops_the_ranges_of_the_lap_before(take_off: TakeOff) -> None:
    tf = TfFlight(take_off)
    flight = tf.flight
    for step in range(12):
        stamp = flight.stamp()
        tf.broadcast(stamp, at(0.1 * step))
        flight.send_range(stamp, 2.0)
    assert place(tf.image(stamp))[0] == pytest.approx(1.1 + 2.1, abs=0.02)
    flight._next_stamp_ns -= 450_000_000
    for step in range(5):
        stamp = flight.stamp()
        tf.broadcast(stamp, at(50.0 + 0.1 * step))
    flight.wait(lambda: flight.figures()["pose_time_jumps"] == "1")
    located = tf.image(stamp, is_placed=False, range_m=None)
    assert located is None or not located.detections
    assert "No scale and no position" in flight.figures()["last_problem_no_range"]
    after = flight.stamp()
    tf.broadcast(after, at(50.5))
    assert place(tf.image(after))[0] == pytest.approx(50.5 + 2.1, abs=0.02)


def test_tf_image_after_a_jump_is_not_placed_by_the_lap_before(take_off: TakeOff) -> None:
    tf = TfFlight(take_off, pose_timeout_s=0.05)
    begin_ns = tf.flight._next_stamp_ns
    for step in range(60):
        stamp = tf.flight.stamp()
        tf.broadcast(stamp, at(0.1 * step))
    assert tf.image(stamp) is not None
    tf.flight._next_stamp_ns = begin_ns + 200_000_000
    assert tf.image(tf.flight.stamp(), is_placed=False) is None


def test_tf_clock_set_back_by_half_a_second_drops_the_poses(take_off: TakeOff) -> None:
    tf = TfFlight(take_off, use_sim_time=True, pose_timeout_s=0.05)
    flight = tf.flight
    make = flight.peer.create_publisher
    clock = flight.in_peer(lambda: make(Clock, "/clock", 10))
    flight.wait(lambda: clock.get_subscription_count() > 0)

    def set_clock(stamp: Time) -> None:
        now_ns = stamp.sec * 10**9 + stamp.nanosec
        flight.wait(lambda: clock.publish(Clock(clock=stamp)) or flight.node.get_clock().now().nanoseconds == now_ns)

    begin = flight.stamp()
    set_clock(begin)
    begin_ns = flight._next_stamp_ns
    for step in range(14):
        stamp = flight.stamp()
        tf.broadcast(stamp, at(0.1 * step))
    set_clock(stamp)
    assert place(tf.image(stamp))[0] == pytest.approx(3.4, abs=0.02)
    flight._next_stamp_ns = begin_ns + 200_000_000
    set_clock(flight.stamp())
    assert tf.image(flight.stamp(), is_placed=False) is None
    assert flight.figures()["pose_time_jumps"] == "1"
    for _ in range(2):
        stamp = flight.stamp()
        tf.broadcast(stamp, at(50.0))
    assert place(tf.image(stamp))[0] == pytest.approx(52.1, abs=0.02)


def test_tf_that_stopped_costs_no_wait_and_is_a_warning(take_off: TakeOff) -> None:
    tf = TfFlight(take_off, pose_timeout_s=5.0)
    flight = tf.flight
    for _ in range(6):
        stamp = flight.stamp()
        tf.broadcast(stamp, at(0.0))
    assert tf.image(stamp) is not None
    assert flight.figures()["pose_source"] == "tf"
    flight.wait(lambda: flight.node._poses._sources[0].has_stopped)
    for _ in range(3):
        before, stamp = flight.stamp(), flight.stamp()
        flight.send_pose(before, x=7.0)
        flight.send_pose(stamp, x=7.0)
        poses_arrived(flight, stamp)
        assert place(tf.image(stamp))[0] == pytest.approx(9.0, abs=0.02)
    figures = flight.figures()
    assert figures["pose_source"] == "pose"
    assert int(figures["problems_pose_stopped"]) >= 3
    # Not one of the three frames waited for tf: each would have taken five seconds.
    assert float(figures["processing_ms_p95"]) < 4000
    status = flight.received["diagnostics"][-1].status[0]
    assert status.level == b"\x01" and "No pose from tf" in status.message


def test_tf_unusable_transforms_are_reported_and_harm_nothing(take_off: TakeOff) -> None:
    tf = TfFlight(take_off)
    stamp = tf.flight.stamp()
    bad = [
        transform(stamp, "map", "map", at(0.0)),
        transform(stamp, "", "base_link", at(0.0)),
        transform(stamp, "map", "base_link", at(0.0)),
    ]
    bad[-1].transform.translation.x = float("nan")
    tf._tf.publish(TFMessage(transforms=bad))
    tf.flight.wait(lambda: tf.flight.figures().get("problems_tf_rejected") == "3")
    for _ in range(2):
        stamp = tf.flight.stamp()
        tf.broadcast(stamp, at(1.0))
    assert place(tf.image(stamp))[0] == pytest.approx(3.1, abs=0.02)


@pytest.mark.parametrize(
    ("pose_of", "quaternion", "expected"),
    [
        ("body", rotations.from_euler(0, 0, 0), [2.5, 0.0, 1.0]),
        ("camera", rotations.from_euler(0, 0, 0), [2.0, 0.0, 1.0]),
        ("optical", np.array(rotations.FORWARD_LOOKING_OPTICAL), [2.0, 0.0, 1.0]),
    ],
)
def test_pose_of_says_what_the_topic_locates(
    take_off: TakeOff, pose_of: str, quaternion: np.ndarray, expected: list[float]
) -> None:
    flight = take_off(pose_of=pose_of, camera_extrinsic__translation=[0.5, 0.0, 0.0]).start()
    for _ in range(2):
        stamp = flight.stamp()
        message = PoseStamped(header=Header(stamp=stamp, frame_id="/map"))
        message.pose.position.z = 1.0
        q = message.pose.orientation
        q.x, q.y, q.z, q.w = quaternion.tolist()
        flight.poses.publish(message)
    poses_arrived(flight, stamp)
    assert place(image(flight, stamp)) == pytest.approx(expected, abs=0.02)


def test_pose_with_covariance_is_a_pose_input(take_off: TakeOff) -> None:
    flight = take_off(pose_type="PoseWithCovarianceStamped", noise__position_m=0.02, learn_surface=False)
    flight.in_peer(lambda: flight.peer.destroy_publisher(flight.poses))
    make = flight.peer.create_publisher
    poses = flight.in_peer(lambda: make(PoseWithCovarianceStamped, "/pose", 10))
    flight.start()
    flight.wait(lambda: poses.get_subscription_count() > 0)
    spreads = []
    for sigma_m in (0.5, 0.02):
        for _ in range(2):
            stamp = flight.stamp()
            message = PoseWithCovarianceStamped(header=Header(stamp=stamp, frame_id="map"))
            message.pose.pose.position.z = message.pose.pose.orientation.w = 1.0
            message.pose.covariance = np.diag([sigma_m**2] * 3 + [0.02**2] * 3).ravel()
            poses.publish(message)
        poses_arrived(flight, stamp)
        located = image(flight, stamp)
        assert located is not None
        spreads.append(np.array(located.detections[0].results[0].pose.covariance).reshape(6, 6)[0, 0])
    assert spreads[0] - spreads[1] == pytest.approx(0.5**2 - 0.02**2, rel=1e-3)


class Odometries:
    """Odometry messages for a flight."""

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        make = flight.peer.create_publisher
        self._odometry = flight.in_peer(lambda: make(Odometry, "/odom", 10))
        flight.wait(lambda: self._odometry.get_subscription_count() > 0)

    def send(self, stamp: Time, pose: Pose, frame: str = "map", child: str = "base_link") -> None:
        message = Odometry(header=Header(stamp=stamp, frame_id=frame), child_frame_id=child)
        p, q = message.pose.pose.position, message.pose.pose.orientation
        p.x, p.y, p.z = pose.position_m.tolist()
        q.x, q.y, q.z, q.w = pose.quaternion.tolist()
        self._odometry.publish(message)


@pytest.mark.parametrize(
    ("frame", "child"), [("odom_ned", "base_link"), ("map", "base_link_frd"), ("uav1/map_NED", "")]
)
def test_odometry_named_ned_is_refused_with_the_right_remedy(take_off: TakeOff, frame: str, child: str) -> None:
    flight = take_off(pose_source="odom").start()
    Odometries(flight).send(flight.stamp(), at(0.0), frame, child)
    flight.wait(lambda: "problems_pose_rejected" in flight.figures())
    message = flight.received["diagnostics"][-1].status[0].message
    assert "Set pose_convention to 'px4'" in message and "map_frame" not in message


@pytest.mark.parametrize("convention", ["ros", "px4"])
@pytest.mark.parametrize("axes", ["ros", "px4"])
def test_odometry_of_a_climb_in_the_wrong_axes_is_refused(take_off: TakeOff, convention: str, axes: str) -> None:
    # A camera that looks straight down; the drone climbs 4 m from 2 m above the ground.
    down = rotations.multiply(rotations.from_euler(0, np.pi / 2, 0), rotations.FORWARD_LOOKING_OPTICAL)
    flight = take_off(
        pose_source="odom", pose_convention=convention, camera_extrinsic__rotation=[float(n) for n in down]
    ).start()
    odometries = Odometries(flight)
    for step in range(40):
        stamp = flight.stamp()
        height_m = 2.0 + 0.1 * step
        pose = Pose.of((0.0, 0.0, height_m), (0, 0, 0, 1))
        flight.send_range(stamp, height_m)
        flight.wait(lambda stamp=stamp: stamp_ns(stamp) in flight.node._surfaces._ranges._history.stamps_ns)
        odometries.send(stamp, swap_conventions(pose) if axes == "px4" else pose)
    if convention == axes:
        poses_arrived(flight, stamp)
    if convention == axes:
        assert "problems_pose_axes" not in flight.figures()
    else:
        flight.wait(lambda: "problems_pose_axes" in flight.figures())
        assert f"Set pose_convention to '{axes}'" in flight.received["diagnostics"][-1].status[0].message
