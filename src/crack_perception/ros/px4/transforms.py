# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""px4_transforms: lifecycle node that publishes the poses of PX4's vehicle and of a camera on its gimbal on tf."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from crack_perception.errors import UserError
from crack_perception.geometry.poses.buffer import PoseBuffer
from crack_perception.geometry.poses.gimbal import camera_on_gimbal, gimbal_attitude
from crack_perception.geometry.poses.motion import MotionLimits, PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions, vehicle_odometry
from crack_perception.ros.common import qos
from crack_perception.ros.common.diagnostics import diagnostic_array
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.lifecycle import ManagedNode, report_failure, run
from crack_perception.ros.common.subscriptions import subscribe_to_stream
from crack_perception.ros.px4.messages import GimbalDeviceAttitudeStatus, Px4Clock, VehicleOdometry, check_installed
from crack_perception.ros.px4.parameters import TABLE, TransformSettings

_PERIOD_S = 1.0
_PROBLEM_MEMORY_S = 3.0
# PX4 sends odometry at up to 100 Hz and the gimbal's attitude at up to 20 Hz: attitudes that wait for the odometry of a
# second wait in vain.
_MOST_WAITING = 20


@dataclass(frozen=True)
class _Attitude:
    """An attitude of the gimbal that waits for the odometry after it."""

    stamp_ns: int
    wxyz: tuple[float, ...]
    flags: int


class Px4Transforms(ManagedNode):
    """Publish map -> body from PX4's odometry, and map -> camera from the attitude of its gimbal.

    The camera is a child of the map, not of the body: a gimbal holds its attitude in the world, so it is exact between
    two messages there, while on the shaking body it is not. Without px4_msgs the node stays unconfigured, and the log
    and the diagnostics report the reason.

    Args:
        parameter_overrides: Parameter values that take precedence over the defaults.
    """

    def __init__(self, parameter_overrides: list[Parameter] | None = None) -> None:
        super().__init__("px4_transforms", parameter_overrides=parameter_overrides)
        self._bad_overrides = TABLE.declare(self)
        self._ineffective_settings = TABLE.report_ineffective(self, parameter_overrides)
        self._settings: TransformSettings | None = None
        self._subscriptions_of_px4: list[Subscription[Any]] = []
        self._health = Health(self.log_warning)
        self._published = {"body": 0, "camera": 0}
        self._transforms = self.create_publisher(TFMessage, "/tf", qos.TF)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_PERIOD_S, self._publish_diagnostics, clock=steady)

    @report_failure
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters and that PX4's messages are installed."""
        if self._bad_overrides:
            raise UserError("; ".join(self._bad_overrides.values()), "Set them to valid values and configure again")
        self.bond.check()
        check_installed("px4_transforms receives PX4's own messages")
        self._settings = TABLE.settings_from(TABLE.values_of(self))
        self._health = Health(self.log_warning)
        return super().on_configure(state)

    @report_failure
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to PX4's odometry, and to its gimbal where the camera is on one."""
        assert self._settings  # set by on_configure
        self._px4_clock = Px4Clock(self, self._health)
        self._body = PoseBuffer(MotionLimits())
        self._waiting: deque[_Attitude] = deque(maxlen=_MOST_WAITING)
        inputs = [(VehicleOdometry, "vehicle_odometry", self._take_odometry)]
        if self._settings.camera_frame:
            inputs.append((GimbalDeviceAttitudeStatus, "gimbal_device_attitude_status", self._take_gimbal))
        self._subscriptions_of_px4 = [
            subscribe_to_stream(self, kind, topic, take, qos.SENSOR_HISTORY) for kind, topic, take in inputs
        ]
        self.log_info(f"Publishing the transforms of PX4's '{self.resolve_topic_name('vehicle_odometry')}'")
        return super().on_activate(state)

    @report_failure
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe."""
        self._unsubscribe()
        return super().on_deactivate(state)

    def free(self) -> None:
        """Unsubscribe."""
        self._unsubscribe()
        self._settings = None

    def stop(self) -> None:
        """Unsubscribe."""
        self.free()

    def _unsubscribe(self) -> None:
        for subscription in self._subscriptions_of_px4:
            self.destroy_subscription(subscription)
        self._subscriptions_of_px4 = []

    def _take_odometry(self, message: Any) -> None:
        assert self._settings
        try:
            stamp_ns, pose, _ = vehicle_odometry(message)
        except ValueError as error:
            self._health.report("pose_rejected", f"A pose of PX4 was refused: {error}")
            return
        stamp_ns = self._px4_clock.converted(stamp_ns)
        pose = swap_conventions(pose)
        self._body.push(stamp_ns, pose)
        self._publish("body", stamp_ns, self._settings.base_frame, pose)
        while self._waiting and self._waiting[0].stamp_ns <= stamp_ns:
            self._publish_camera(self._waiting.popleft())

    def _take_gimbal(self, message: Any) -> None:
        assert self._settings
        device = self._settings.gimbal_device_id
        if device and getattr(message, "gimbal_device_id", device) != device:
            return
        stamp_ns = self._px4_clock.converted(int(message.timestamp) * 1000)
        attitude = _Attitude(stamp_ns, tuple(float(number) for number in message.q), int(message.device_flags))
        if len(self._waiting) == self._waiting.maxlen:
            self._health.report(
                "no_odometry",
                f"The gimbal's attitudes have no pose: no odometry arrives on "
                f"'{self.resolve_topic_name('vehicle_odometry')}'. Is PX4's estimator ready?",
            )
        self._waiting.append(attitude)

    def _publish_camera(self, attitude: _Attitude) -> None:
        assert self._settings
        try:
            body = self._body.at(attitude.stamp_ns).pose
            in_map = gimbal_attitude(attitude.wxyz, attitude.flags, body)
        except (PoseUnavailable, ValueError) as error:
            self._health.report("gimbal_rejected", f"An attitude of the gimbal was not used: {error}")
            return
        camera = camera_on_gimbal(body, in_map, self._settings.gimbal_position_m, self._settings.camera_position_m)
        self._publish("camera", attitude.stamp_ns, self._settings.camera_frame, camera)

    def _publish(self, what: str, stamp_ns: int, child_frame: str, pose: Pose) -> None:
        assert self._settings
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        x, y, z = pose.position_m.tolist()
        qx, qy, qz, qw = pose.quaternion.tolist()
        header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=self._settings.map_frame)
        transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
        stamped = TransformStamped(header=header, child_frame_id=child_frame, transform=transform)
        self._transforms.publish(TFMessage(transforms=[stamped]))
        self._published[what] += 1

    def _publish_diagnostics(self) -> None:
        figures = {"state": "active" if self._subscriptions_of_px4 else "inactive"}
        figures |= {f"transforms_of_{what}": str(count) for what, count in self._published.items()}
        figures |= {f"problems_{kind}": str(count) for kind, count in self._health.counts().items()}
        self._diagnostics.publish(
            diagnostic_array(
                self.get_clock().now().to_msg(),
                self.get_fully_qualified_name(),
                "PX4",
                self.failure,
                [*self._ineffective_settings, *self._health.present(_PROBLEM_MEMORY_S)],
                figures,
                "transforms",
            )
        )


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted or shut down."""
    return run(Px4Transforms, args)
