# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pose of the camera at an image's stamp, from tf or from pose and odometry topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.buffer import PoseBuffer
from crack_perception.geometry.poses.checks import AxesCheck, check_near_origin
from crack_perception.geometry.poses.motion import MotionLimits, MovingPose, PoseUnavailable, WrongAxes
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.transform_tree import TransformTree
from crack_perception.ros.common.stamps import stamp_ns as stamp_of

if TYPE_CHECKING:
    from geometry_msgs.msg import Pose as PoseMessage
    from geometry_msgs.msg import TransformStamped


class CameraPoses(Protocol):
    """Source of camera poses."""

    name: str

    @property
    def time_jumps(self) -> int:
        """Number of times that the stamps were set back."""
        ...

    @property
    def silence_s(self) -> float | None:
        """Seconds since the last pose arrived; None before the first."""
        ...

    @property
    def has_stopped(self) -> bool:
        """Whether poses arrived earlier and no longer do."""
        ...

    def at(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> MovingPose:
        """Return the optical frame in the map at a stamp, waiting for it until the timeout.

        Raises:
            PoseUnavailable: The pose is unknown; a stale pose is never returned.
        """
        ...

    def expected_at(self, stamp_ns: int, camera_frame: str) -> Pose:
        """Return the optical frame without waiting, extrapolated from the newest poses if necessary.

        Raises:
            PoseUnavailable: The newest pose is older than the widest gap that is interpolated, or as in ``at``.
        """
        ...

    def set_back(self, now_ns: int) -> None:
        """Drop the poses from before the clock was set back to ``now_ns``."""
        ...

    def close(self) -> None:
        """Drop all poses and end all waiting."""
        ...


def pose_of(message: PoseMessage) -> Pose:
    """Return the pose in a message.

    Raises:
        ValueError: It holds NaN, infinity or a quaternion that does not have length one.
    """
    p, q = message.position, message.orientation
    return Pose.received([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])


class TopicPoses:
    """Camera poses from a topic, with a fixed transform to the camera.

    Args:
        name: Of the source.
        limits: Plausible motion between two neighbouring poses.
        body_from_camera: Optical frame in the frame of the poses.
        fetch: As in PoseBuffer.
    """

    def __init__(
        self,
        name: str,
        limits: MotionLimits,
        body_from_camera: Pose,
        fetch: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        self._buffer = PoseBuffer(limits, fetch=fetch)
        self._body_from_camera = body_from_camera

    @property
    def time_jumps(self) -> int:
        """See CameraPoses."""
        return self._buffer.time_jumps

    @property
    def silence_s(self) -> float | None:
        """See CameraPoses."""
        return self._buffer.silence_s

    @property
    def has_stopped(self) -> bool:
        """See CameraPoses."""
        return self._buffer.has_stopped

    def push(self, stamp_ns: int, pose: Pose, covariance: npt.NDArray[np.float64] | None = None) -> None:
        """Add a pose in the map, with its covariance (6, 6) as in MovingPose where it is known."""
        self._buffer.push(stamp_ns, pose, covariance)

    def at(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> MovingPose:
        """See CameraPoses; the name of the camera frame is not used."""
        return self._buffer.at(stamp_ns, timeout_s).compose(self._body_from_camera)

    def expected_at(self, stamp_ns: int, camera_frame: str) -> Pose:
        """See CameraPoses."""
        return self._buffer.expected_at(stamp_ns).compose(self._body_from_camera)

    def set_back(self, now_ns: int) -> None:
        """See CameraPoses."""
        self._buffer.set_back(now_ns)

    def close(self) -> None:
        """See CameraPoses."""
        self._buffer.clear()


class TfPoses:
    """Camera poses from the transform tree.

    Args:
        map_frame: Frame of the results.
        limits: Plausible motion between two neighbouring transforms of an edge.
        camera_frame: Frame of the optical axes; empty for the image's own ``frame_id``.
        fetch: As in PoseBuffer.
        axes: Check of the axes by the ranges; filled by the caller.
    """

    name = "tf"

    def __init__(
        self,
        map_frame: str,
        limits: MotionLimits,
        camera_frame: str = "",
        fetch: Callable[[], object] | None = None,
        axes: AxesCheck | None = None,
    ) -> None:
        self._axes = AxesCheck() if axes is None else axes
        self._map_frame = map_frame
        self._camera_frame = camera_frame
        self._tree = TransformTree(limits, fetch=fetch)

    @property
    def time_jumps(self) -> int:
        """See CameraPoses."""
        return self._tree.time_jumps

    @property
    def silence_s(self) -> float | None:
        """See CameraPoses."""
        return self._tree.silence_s

    @property
    def has_stopped(self) -> bool:
        """See CameraPoses."""
        return self._tree.has_stopped

    def push(self, transform: TransformStamped, is_static: bool) -> None:
        """Add a transform.

        Raises:
            ValueError: It is not a rigid transform, lacks the name of a frame, or there are too many frames.
        """
        t, q = transform.transform.translation, transform.transform.rotation
        pose = Pose.received([t.x, t.y, t.z], [q.x, q.y, q.z, q.w])
        parent, child = transform.header.frame_id, transform.child_frame_id
        if is_static:
            self._tree.push_static(parent, child, pose)
        else:
            self._tree.push(parent, child, stamp_of(transform.header.stamp), pose)

    def at(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> MovingPose:
        """See CameraPoses."""
        frame = self._camera_frame or camera_frame
        found = self._tree.mounted_at(self._map_frame, frame, stamp_ns, timeout_s)
        if self._axes.contradicts(stamp_ns, found.carrier, found.mount):
            raise WrongAxes(
                f"the ranges contradict the motion of '{frame}' in '{self._map_frame}' on tf and fit its mirror image. "
                "Publish tf in ENU and FLU axes (REP 103), not in NED and FRD"
            )
        return found.motion

    def expected_at(self, stamp_ns: int, camera_frame: str) -> Pose:
        """See CameraPoses."""
        return self._tree.expected_at(self._map_frame, self._camera_frame or camera_frame, stamp_ns)

    def set_back(self, now_ns: int) -> None:
        """See CameraPoses."""
        self._tree.set_back(now_ns)

    def close(self) -> None:
        """See CameraPoses."""
        self._tree.clear()


class FirstAvailable:
    """Camera poses from the first of several sources that has one.

    Args:
        sources: In order of preference.
        report: Called with (kind of fault, text) when a source has stopped or has wrong axes.

    Attributes:
        name: Name of the source of the last pose, ``none`` without one.
    """

    def __init__(
        self, sources: Sequence[CameraPoses], report: Callable[[str, str], object] = lambda kind, text: None
    ) -> None:
        self._sources = sources
        self._report = report
        self.name = "none"

    @property
    def time_jumps(self) -> int:
        """Largest number of backward time jumps of any source."""
        return max((source.time_jumps for source in self._sources), default=0)

    @property
    def silence_s(self) -> float | None:
        """Seconds since the last arrival from the source of the last pose; None without one."""
        return next((source.silence_s for source in self._sources if source.name == self.name), None)

    def at(self, stamp_ns: int, camera_frame: str, timeout_s: float) -> MovingPose:
        """See CameraPoses; all sources together wait no longer than ``timeout_s``."""
        end_s = time.monotonic() + timeout_s
        reasons = []
        for source in self._sources:
            try:
                motion = source.at(stamp_ns, camera_frame, max(0.0, end_s - time.monotonic()))
                check_near_origin(motion.pose.position_m)
            except PoseUnavailable as error:
                reasons.append(f"{source.name}: {error}")
                if isinstance(error, WrongAxes):
                    self._report("pose_axes", f"Poses are refused: {error}")
                if source.has_stopped:
                    self._report(
                        "pose_stopped",
                        f"No pose from {source.name} for {source.silence_s or 0.0:.1f} s. Check its publisher",
                    )
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
        raise PoseUnavailable("no source can extrapolate its poses")

    def set_back(self, now_ns: int) -> None:
        """Drop the poses from before the clock was set back to ``now_ns``."""
        for source in self._sources:
            source.set_back(now_ns)

    def close(self) -> None:
        """Close all sources."""
        for source in self._sources:
            source.close()
