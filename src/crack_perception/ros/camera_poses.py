"""Where the camera was at an image's stamp: from tf2, or from pose and odometry topics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Pose as PoseMessage
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from crack_perception.errors import UserError
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.pose_buffer import MotionLimits, MovingPose, PoseBuffer, PoseUnavailable, interpolate
from crack_perception.ros.camera_infos import stamp_ns as stamp_of

try:
    import tf2_ros
except ImportError:
    tf2_ros = None

# How far before the image the second transform is looked up that gives the velocity.
_VELOCITY_SPAN_NS = 50_000_000


class CameraPoses(Protocol):
    """One source of camera poses."""

    name: str

    def at(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> MovingPose:
        """The optical frame in the map at a stamp.

        Raises:
            PoseUnavailable: It is not known; never a stale pose instead.
        """
        ...

    def expected_at(self, stamp_ns: int, camera_frame: str) -> Pose:
        """The same without waiting: where the newest poses lead to, if those after the stamp have not come yet.

        Raises:
            PoseUnavailable: The newest is older than the widest gap that is interpolated, or as in ``at``.
        """
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


def tf_available() -> bool:
    """Whether this ROS has tf2_ros for Python."""
    return tf2_ros is not None


def check_pose_source(pose_source: str) -> None:
    """Whether the source that was asked for can work here.

    Raises:
        UserError: It is tf, but tf2_ros is not installed.
    """
    if pose_source == TfPoses.name and not tf_available():
        raise UserError(
            "pose_source is 'tf' but tf2_ros cannot be imported",
            "Install it (ros-$ROS_DISTRO-tf2-ros-py) or set pose_source to 'pose' or 'odom'",
        )


def pose_of(message: PoseMessage) -> Pose:
    """A checked pose.

    Raises:
        ValueError: NaN, infinity or a quaternion of no length.
    """
    p, q = message.position, message.orientation
    return Pose.of([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])


class TopicPoses:
    """Poses of the body frame from a topic, with a fixed camera extrinsic."""

    def __init__(self, name: str, limits: MotionLimits, body_from_camera: Pose) -> None:
        self.name = name
        self._buffer = PoseBuffer(limits)
        self._body_from_camera = body_from_camera

    def push(self, stamp_ns: int, pose: Pose, covariance: npt.NDArray[np.float64] | None = None) -> None:
        """Add a pose of the body in the map, with its covariance (6, 6) as in MovingPose where it is known."""
        self._buffer.push(stamp_ns, pose, covariance)

    def at(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> MovingPose:
        """See CameraPoses; the camera frame's name plays no role."""
        return self._buffer.at(stamp_ns, timeout_s).compose(self._body_from_camera)

    def expected_at(self, stamp_ns: int, camera_frame: str) -> Pose:
        """See CameraPoses."""
        return self._buffer.expected_at(stamp_ns).compose(self._body_from_camera)

    def close(self) -> None:
        """Forget the poses."""
        self._buffer.clear()


class TfPoses:
    """Poses from the transform tree, at the image's stamp."""

    name = "tf"

    def __init__(self, node: Node, map_frame: str, limits: MotionLimits) -> None:
        self._map_frame = map_frame
        self._limits = limits
        self._buffer: Any = tf2_ros.Buffer()
        self._listener: Any = tf2_ros.TransformListener(self._buffer, node)

    def at(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> MovingPose:
        """See CameraPoses."""
        with _unavailable_if_refused():
            self._check_connected(camera_frame)
            return self._moving(stamp_ns, camera_frame, timeout_s)

    def expected_at(self, stamp_ns: int, camera_frame: str) -> Pose:
        """See CameraPoses."""
        with _unavailable_if_refused():
            self._check_connected(camera_frame)
            if self._buffer.can_transform(self._map_frame, camera_frame, Time(nanoseconds=stamp_ns)):
                return self._moving(stamp_ns, camera_frame).pose
            newest = self._buffer.lookup_transform(self._map_frame, camera_frame, Time())
            newest_ns = stamp_of(newest.header.stamp)
            ahead_s = (stamp_ns - newest_ns) / 1e9
            if not 0 <= ahead_s <= self._limits.max_gap_s:
                raise PoseUnavailable(f"the newest transform is {ahead_s:.2f} s older than the image")
            return self._moving(newest_ns, camera_frame, ahead_s=ahead_s).pose

    def _check_connected(self, camera_frame: str) -> None:
        if not camera_frame:
            raise PoseUnavailable("the image has no frame_id, tf cannot place it")
        # Waiting only makes sense where the tree connects the frames at all.
        if not self._buffer.can_transform(self._map_frame, camera_frame, Time()):
            raise PoseUnavailable(f"tf does not connect '{self._map_frame}' and '{camera_frame}'")

    def _moving(self, stamp_ns: int, camera_frame: str, timeout_s: float = 0.0, ahead_s: float = 0.0) -> MovingPose:
        """The camera at a stamp, or so much later if it moves on as it did."""
        now = self._lookup(stamp_ns, camera_frame, timeout_s)
        before = self._lookup(stamp_ns - _VELOCITY_SPAN_NS, camera_frame, 0.0)
        span_s = _VELOCITY_SPAN_NS / 1e9
        self._limits.check(before, now, span_s)
        return interpolate(before, now, span_s, 1.0 + ahead_s / span_s)

    def _lookup(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> Pose:
        stamped = self._buffer.lookup_transform(
            self._map_frame, camera_frame, Time(nanoseconds=stamp_ns), Duration(seconds=timeout_s)
        )
        t, q = stamped.transform.translation, stamped.transform.rotation
        return Pose.of([t.x, t.y, t.z], [q.x, q.y, q.z, q.w])

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()


@contextmanager
def _unavailable_if_refused() -> Iterator[None]:
    """What tf2 says, as PoseUnavailable."""
    try:
        yield
    except tf2_ros.TransformException as error:
        raise PoseUnavailable(f"tf has no transform at the image's stamp: {error}") from error
    except ValueError as error:
        raise PoseUnavailable(f"tf holds an unusable transform: {error}") from error


class FirstAvailable:
    """Asks several sources in order of preference."""

    def __init__(self, sources: list[TopicPoses | TfPoses]) -> None:
        self._sources = sources
        self.name = "none"

    def at(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> MovingPose:
        """See CameraPoses; ``name`` becomes that of the source that answered."""
        reasons = []
        for source in self._sources:
            try:
                motion = source.at(stamp_ns, camera_frame, timeout_s)
            except PoseUnavailable as error:
                reasons.append(f"{source.name}: {error}")
            else:
                self.name = source.name
                return motion
        self.name = "none"
        raise PoseUnavailable("; ".join(reasons) or "no pose source is configured")

    def expected_at(self, stamp_ns: int, camera_frame: str) -> Pose:
        """See CameraPoses."""
        for source in self._sources:
            try:
                return source.expected_at(stamp_ns, camera_frame)
            except PoseUnavailable:
                continue
        raise PoseUnavailable("no source expects one")

    def close(self) -> None:
        """Close all sources."""
        for source in self._sources:
            source.close()
