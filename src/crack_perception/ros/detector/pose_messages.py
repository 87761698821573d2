# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera poses from the messages of tf, poses and odometry, received or recorded.

Only the attributes of messages are read, so that recorded ones are used where no ROS is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.checks import AxesCheck
from crack_perception.geometry.poses.covariance import EstimatorLost, checked_covariance
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import (
    names_frd,
    names_ned,
    swap_conventions,
    swap_covariance,
    vehicle_odometry,
)
from crack_perception.geometry.poses.transform_tree import stripped
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.camera_poses import CameraPoses, FirstAvailable, TfPoses, TopicPoses, pose_of
from crack_perception.ros.detector.parameter_specs import (
    CONVENTION_PX4,
    CONVENTION_ROS,
    TYPE_POSE_WITH_COVARIANCE,
    TYPE_VEHICLE_ODOMETRY,
)
from crack_perception.ros.detector.parameters import Settings

if TYPE_CHECKING:
    from geometry_msgs.msg import Pose as PoseMessage
    from sensor_msgs.msg import Range
    from std_msgs.msg import Header
    from tf2_msgs.msg import TFMessage

    from crack_perception.geometry.surface.scan import BeamAhead

TF, TF_STATIC = "/tf", "/tf_static"


class PoseMessages:
    """Pose sources that the settings select, filled with messages.

    Args:
        px4_stamp: Converts the stamps [ns] of PX4's own messages to the clock of the images.
        fetch: Calls the handlers with the messages that have arrived, as in PoseBuffer; None if another thread does.

    Attributes:
        poses: Poses of the camera.
        handlers: Topic (``/tf``, ``/tf_static``, ``pose`` or ``odom``) -> function that takes its messages; only the
            topics that the settings select.
    """

    def __init__(
        self,
        settings: Settings,
        health: Health,
        px4_stamp: Callable[[int], int] = lambda stamp_ns: stamp_ns,
        fetch: Callable[[], object] | None = None,
    ) -> None:
        self._px4_stamp = px4_stamp
        self._fetch = fetch
        self._settings = settings
        self._health = health
        self._map_frame = stripped(settings.map_frame)
        self._is_px4 = settings.pose_convention == CONVENTION_PX4
        self._reported_covariance = False
        self._reported_missing_frame = False
        self._axes = {name: AxesCheck() for name in ("tf", "pose", "odom")}
        self.handlers: dict[str, Callable[[Any], None]] = {}
        self.poses = FirstAvailable(self._sources(settings.pose_source), health.report)

    def check_axes(self, message: Range | BeamAhead) -> None:
        """Check the axes of poses with a range."""
        if message.min_range <= message.range < message.max_range:
            for axes in self._axes.values():
                axes.push_range(stamp_ns(message.header.stamp), message.range)

    def _sources(self, wanted: str) -> list[CameraPoses]:
        settings = self._settings
        sources: list[CameraPoses] = []
        if wanted in ("tf", "auto"):
            tf = TfPoses(self._map_frame, settings.motion_limits, settings.camera_frame, self._fetch, self._axes["tf"])
            sources.append(tf)
            self.handlers[TF] = lambda m: self._take_transforms(tf, m, False)
            self.handlers[TF_STATIC] = lambda m: self._take_transforms(tf, m, True)
        if wanted in ("pose", "auto"):
            poses = TopicPoses("pose", settings.motion_limits, settings.body_from_camera, self._fetch)
            sources.append(poses)
            if settings.pose_type == TYPE_POSE_WITH_COVARIANCE:
                self.handlers["pose"] = lambda m: self._take(poses, m.header, m.pose.pose, m.pose.covariance)
            else:
                self.handlers["pose"] = lambda m: self._take(poses, m.header, m.pose)
        if wanted in ("odom", "auto"):
            odometry = TopicPoses("odom", settings.motion_limits, settings.body_from_camera, self._fetch)
            sources.append(odometry)
            if settings.odom_type == TYPE_VEHICLE_ODOMETRY:
                self.handlers["odom"] = lambda m: self._take_px4(odometry, m)
            else:
                self.handlers["odom"] = lambda m: self._take(
                    odometry, m.header, m.pose.pose, m.pose.covariance, m.child_frame_id
                )
        return sources

    def _take_transforms(self, source: TfPoses, message: TFMessage, is_static: bool) -> None:
        for transform in message.transforms:
            try:
                source.push(transform, is_static)
            except ValueError as error:
                self._health.report(
                    "tf_rejected", f"A transform of '{transform.child_frame_id}' on tf was refused: {error}"
                )

    def _take(
        self,
        source: TopicPoses,
        header: Header,
        message: PoseMessage,
        covariance: npt.NDArray[np.float64] | None = None,
        child_frame: str = "",
    ) -> None:
        """Add a pose to its source, in the axes of ROS; an unusable one is reported."""
        problem = self._problem_with_frames(source.name, stripped(header.frame_id), child_frame)
        if problem:
            self._health.report("pose_rejected", problem)
            return
        try:
            pose = pose_of(message)
            pose_covariance = None if covariance is None else self._covariance_of(source.name, covariance)
        except ValueError as error:
            self._reject(source, str(error))
            return
        self._push(source, stamp_ns(header.stamp), pose, pose_covariance, self._is_px4)

    def _take_px4(self, source: TopicPoses, message: Any) -> None:
        """Add PX4 odometry to its source."""
        try:
            stamp, pose, covariance = vehicle_odometry(message)
            pose_covariance = None if covariance is None else self._covariance_of(source.name, covariance)
        except ValueError as error:
            self._reject(source, str(error))
            return
        self._push(source, self._px4_stamp(stamp), pose, pose_covariance, True)

    def _push(
        self, source: TopicPoses, stamp: int, pose: Pose, covariance: npt.NDArray[np.float64] | None, is_px4: bool
    ) -> None:
        if is_px4:
            pose = swap_conventions(pose)
            covariance = None if covariance is None else swap_covariance(covariance)
        if self._axes[source.name].contradicts(stamp, pose, self._settings.body_from_camera):
            right = CONVENTION_ROS if is_px4 else CONVENTION_PX4
            self._health.report(
                "pose_axes",
                f"The ranges contradict the motion on '{source.name}' and fit its mirror image: poses are refused. "
                f"Set pose_convention to '{right}' if its axes are {'ENU' if is_px4 else 'NED'}",
            )
            return
        source.push(stamp, pose, covariance)

    def _reject(self, source: TopicPoses, problem: str) -> None:
        self._health.report("pose_rejected", f"A pose on '{source.name}' was refused: {problem}")

    def _problem_with_frames(self, topic: str, frame: str, child_frame: str) -> str:
        """Return why poses in this frame cannot be used; empty if they can."""
        if not self._is_px4 and (names_ned(frame) or names_frd(child_frame)):
            named = f"'{frame}'" + (f", child frame '{child_frame}'" if child_frame else "")
            return (
                f"Poses on '{topic}' are in PX4's axes, NED and FRD (frame {named}), but pose_convention is 'ros'. "
                "Set pose_convention to 'px4'"
            )
        if not frame:
            if not self._reported_missing_frame:
                self._reported_missing_frame = True
                self._health.report(
                    "pose_frame",
                    f"Poses on '{topic}' have no frame_id and are assumed to be in '{self._map_frame}'. Have the "
                    "publisher set it",
                )
            return ""
        # MAVROS names the same map with NED axes by the suffix _ned.
        if frame == self._map_frame or (self._is_px4 and frame == f"{self._map_frame}_ned"):
            return ""
        wanted = frame.removesuffix("_ned") if self._is_px4 else frame
        return (
            f"Poses on '{topic}' are in frame '{frame}' but map_frame is '{self._map_frame}': "
            f"set map_frame to '{wanted}', or remap '{topic}' to poses in '{self._map_frame}'"
        )

    def _covariance_of(self, name: str, covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
        """Return the covariance (6, 6) of a pose; None where the noise parameters are used instead.

        Raises:
            EstimatorLost: The estimator reports that its pose is unknown.
        """
        if not self._settings.use_pose_covariance:
            return None
        try:
            return checked_covariance(covariance)
        except EstimatorLost as error:
            raise EstimatorLost(f"its estimator reports that it is lost ({error})") from error
        except ValueError as error:
            if not self._reported_covariance:
                self._reported_covariance = True
                self._health.report(
                    "pose_covariance",
                    f"The covariance on '{name}' is not used, noise.attitude_deg and noise.position_m are: {error}",
                )
            return None
