# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Write a rosbag2 (MCAP) with the topics of a drone: camera, pose, transforms, range."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose

IMAGE_TOPIC = "/camera/image_raw"
COMPRESSED_TOPIC = "/camera/image_raw/compressed"
CAMERA_INFO_TOPIC = "/camera/camera_info"
POSE_TOPIC = "/drone/pose"
RANGE_TOPIC = "/drone/range"

MAP_FRAME = "map"
BASE_FRAME = "base_link"
GIMBAL_FRAME = "gimbal_link"
CAMERA_FRAME = "camera_optical_frame"
RANGE_FRAME = "range_sensor"

_RANGE_FIELD_OF_VIEW_RAD = 0.02
_RANGE_LIMITS_M = (0.05, 60.0)
_FOREVER = QosTime(9223372036, 854775807)
# QoS of /tf_static in tf2: late subscribers receive it.
_LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    _FOREVER,
    _FOREVER,
    QosLiveliness.AUTOMATIC,
    _FOREVER,
    False,
)


class FlightBag:
    """Context manager that writes messages in call order; stamps are integer nanoseconds.

    Args:
        path: Folder of the bag; must not exist.
    """

    def __init__(self, path: Path) -> None:
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        self._store = get_typestore(Stores.ROS2_KILTED)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> FlightBag:
        self._writer.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def image(self, stamp_ns: int, image: NDArray[np.uint8]) -> None:
        """Write a raw bgr8 image (H, W, 3)."""
        height, width = image.shape[:2]
        message = self._message(
            "sensor_msgs/msg/Image",
            header=self._header(stamp_ns, CAMERA_FRAME),
            height=height,
            width=width,
            encoding="bgr8",
            is_bigendian=0,
            step=3 * width,
            data=np.ascontiguousarray(image).reshape(-1),
        )
        self._write(IMAGE_TOPIC, stamp_ns, message)

    def compressed_image(self, stamp_ns: int, jpeg: NDArray[np.uint8]) -> None:
        """Write JPEG bytes (N,) as CompressedImage."""
        message = self._message(
            "sensor_msgs/msg/CompressedImage", header=self._header(stamp_ns, CAMERA_FRAME), format="jpeg", data=jpeg
        )
        self._write(COMPRESSED_TOPIC, stamp_ns, message)

    def camera_info(self, stamp_ns: int, camera: CameraModel) -> None:
        """Write CameraInfo of the raw image; P is that of an undistorted image of the same focal length."""
        message = self._message(
            "sensor_msgs/msg/CameraInfo",
            header=self._header(stamp_ns, CAMERA_FRAME),
            height=camera.height_px,
            width=camera.width_px,
            distortion_model=camera.distortion_model,
            d=camera.d,
            k=camera.k.ravel(),
            r=np.eye(3).ravel(),
            p=np.column_stack([camera.k, np.zeros(3)]).ravel(),
            binning_x=0,
            binning_y=0,
            roi=self._message(
                "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        )
        self._write(CAMERA_INFO_TOPIC, stamp_ns, message)

    def pose(self, stamp_ns: int, map_from_base: Pose, base_from_gimbal: Pose | None) -> None:
        """Write an estimated pose as PoseStamped and on /tf.

        With a moving gimbal the PoseStamped is that of the gimbal, which carries the camera, else that of the drone.
        """
        transforms = [(MAP_FRAME, BASE_FRAME, map_from_base)]
        carrier = map_from_base
        if base_from_gimbal is not None:
            transforms.append((BASE_FRAME, GIMBAL_FRAME, base_from_gimbal))
            carrier = map_from_base.compose(base_from_gimbal)
        message = self._message(
            "geometry_msgs/msg/PoseStamped",
            header=self._header(stamp_ns, MAP_FRAME),
            pose=self._message(
                "geometry_msgs/msg/Pose",
                position=self._xyz("geometry_msgs/msg/Point", carrier.position_m),
                orientation=self._quaternion(carrier.quaternion),
            ),
        )
        self._write(POSE_TOPIC, stamp_ns, message)
        self._transforms("/tf", stamp_ns, transforms)

    def mounts(self, stamp_ns: int, carrier: str, carrier_from_camera: Pose, carrier_from_range: Pose) -> None:
        """Write the mounting of camera and rangefinder on their parent frame to /tf_static."""
        self._transforms(
            "/tf_static",
            stamp_ns,
            [(carrier, CAMERA_FRAME, carrier_from_camera), (carrier, RANGE_FRAME, carrier_from_range)],
        )

    def range(self, stamp_ns: int, range_m: float, sigma_m: float) -> None:
        """Write a measured distance along the rangefinder's x axis."""
        message = self._message(
            "sensor_msgs/msg/Range",
            header=self._header(stamp_ns, RANGE_FRAME),
            radiation_type=1,
            field_of_view=_RANGE_FIELD_OF_VIEW_RAD,
            min_range=_RANGE_LIMITS_M[0],
            max_range=_RANGE_LIMITS_M[1],
            range=range_m,
            variance=sigma_m**2,
        )
        self._write(RANGE_TOPIC, stamp_ns, message)

    def _transforms(self, topic: str, stamp_ns: int, transforms: list[tuple[str, str, Pose]]) -> None:
        stamped = [
            self._message(
                "geometry_msgs/msg/TransformStamped",
                header=self._header(stamp_ns, parent),
                child_frame_id=child,
                transform=self._message(
                    "geometry_msgs/msg/Transform",
                    translation=self._xyz("geometry_msgs/msg/Vector3", pose.position_m),
                    rotation=self._quaternion(pose.quaternion),
                ),
            )
            for parent, child, pose in transforms
        ]
        self._write(topic, stamp_ns, self._message("tf2_msgs/msg/TFMessage", transforms=stamped))

    def _header(self, stamp_ns: int, frame: str) -> Any:
        stamp = self._message(
            "builtin_interfaces/msg/Time", sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000
        )
        return self._message("std_msgs/msg/Header", stamp=stamp, frame_id=frame)

    def _xyz(self, kind: str, values: NDArray[np.float64]) -> Any:
        x, y, z = values.tolist()
        return self._message(kind, x=x, y=y, z=z)

    def _quaternion(self, values: NDArray[np.float64]) -> Any:
        x, y, z, w = values.tolist()
        return self._message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)

    def _message(self, kind: str, **fields: Any) -> Any:
        return self._store.types[kind](**fields)

    def _write(self, topic: str, stamp_ns: int, message: Any) -> None:
        kind = message.__msgtype__
        if topic not in self._connections:
            qos = (_LATCHED,) if topic == "/tf_static" else ()
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self._store, offered_qos_profiles=qos
            )
        self._writer.write(self._connections[topic], stamp_ns, self._store.serialize_cdr(message, kind))
