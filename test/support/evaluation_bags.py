# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Small bags with hand-made messages for the replay tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from crack_perception.evaluation.recordings.definitions import register

TYPES = get_typestore(Stores.LATEST)
register(TYPES)
POSE = "geometry_msgs/msg/PoseStamped"
IMAGE_TOPIC = "/camera/image_raw"
START_NS = 1_700_000_000_000_000_000

# Topic, message type, stamp in nanoseconds after the start, message.
Entry = tuple[str, str, int, Any]


def message(type_name: str, **fields: Any) -> Any:
    """Return a message of a standard type; all fields must be given."""
    return TYPES.types[type_name](**fields)


def header(offset_ns: int = 0, frame: str = "camera") -> Any:
    """Return a std_msgs/Header."""
    seconds, nanoseconds = divmod(START_NS + offset_ns, 1_000_000_000)
    stamp = message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return message("std_msgs/msg/Header", stamp=stamp, frame_id=frame)


def image(encoding: str = "bgr8", offset_ns: int = 0, frame: str = "camera") -> Any:
    """Return a 4x3 image; its 16-byte rows suffice for all encodings of up to four bytes per pixel."""
    return message(
        "sensor_msgs/msg/Image",
        header=header(offset_ns, frame),
        height=3,
        width=4,
        encoding=encoding,
        is_bigendian=0,
        step=16,
        data=np.zeros(48, np.uint8),
    )


def compressed_image(form: str = "jpeg") -> Any:
    """Return a CompressedImage of a given format with undecodable content."""
    return message("sensor_msgs/msg/CompressedImage", header=header(), format=form, data=np.zeros(8, np.uint8))


def camera_info() -> Any:
    """Return a CameraInfo without calibration."""
    return message(
        "sensor_msgs/msg/CameraInfo",
        header=header(),
        height=3,
        width=4,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.zeros(9),
        r=np.zeros(9),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def pose(frame: str = "map") -> Any:
    """Return a PoseStamped at the origin."""
    return message(
        "geometry_msgs/msg/PoseStamped",
        header=header(frame=frame),
        pose=message(
            "geometry_msgs/msg/Pose",
            position=message("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0),
            orientation=message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
        ),
    )


def transform(parent: str, child: str, xyz: tuple[float, ...], xyzw: tuple[float, ...]) -> Any:
    """Return a TFMessage with one transform."""
    x, y, z, w = xyzw
    return message(
        "tf2_msgs/msg/TFMessage",
        transforms=[
            message(
                "geometry_msgs/msg/TransformStamped",
                header=header(frame=parent),
                child_frame_id=child,
                transform=message(
                    "geometry_msgs/msg/Transform",
                    translation=message("geometry_msgs/msg/Vector3", x=xyz[0], y=xyz[1], z=xyz[2]),
                    rotation=message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
                ),
            )
        ],
    )


def range_reading() -> Any:
    """Return a Range of 1.5 m."""
    return message(
        "sensor_msgs/msg/Range",
        header=header(frame="range_sensor"),
        radiation_type=1,
        field_of_view=0.01,
        min_range=0.1,
        max_range=10.0,
        range=1.5,
        variance=0.0,
    )


def write_bag(path: Path, entries: Iterable[Entry], storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """Write a rosbag2 of these messages."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections: dict[tuple[str, str], Any] = {}
        for topic, type_name, offset_ns, content in entries:
            key = (topic, type_name)
            if key not in connections:
                connections[key] = writer.add_connection(topic, type_name, typestore=TYPES)
            data = TYPES.serialize_cdr(content, type_name)
            writer.write(connections[key], START_NS + offset_ns, data)
    return path
