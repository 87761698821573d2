# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Content of a recording: images, the path of the camera or the vehicle, and recorded results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.recordings.bag import WHOLE, Bag, Window, deserialize
from crack_perception.evaluation.replay.input_topics import (
    COMPRESSED_IMAGE,
    IMAGE,
    ODOMETRY,
    POSE,
    POSE_WITH_COVARIANCE,
)
from crack_perception.evaluation.view.scene import Scene
from crack_perception.vision.images.encodings import BadImage, decode_raw
from crack_perception.vision.images.jpeg import is_jpeg

Array = npt.NDArray[np.float64]

POINTS = "sensor_msgs/msg/PointCloud2"
POLYGON = "geometry_msgs/msg/PolygonStamped"
_LINE_COLOUR = (213, 94, 0)
_FOOTPRINT_COLOUR = (86, 180, 233)


def stamp_of(message: Any) -> int:
    """Return the stamp of a message's header [ns]."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def show_message(scene: Scene, topic: str, type_name: str, message: Any) -> bool:
    """Show one message of a standard type, from a recording or a running node; return whether it shows anything."""
    show = _SHOWN.get(type_name)
    if show is None:
        return False
    scene.set_time(stamp_of(message))
    return show(scene, topic.strip("/"), message)


def show_bag(scene: Scene, bag: Bag, window: Window = WHOLE) -> dict[str, int]:
    """Show a recording.

    Args:
        window: Part of it.

    Returns:
        Number of shown messages by topic.
    """
    kinds = {topic.name: topic.type_name for topic in bag.topics if topic.type_name in _SHOWN}
    shown: dict[str, int] = {}
    for item in bag.messages(kinds, window=window):
        message = deserialize(item.data, kinds[item.topic])
        if message is not None and show_message(scene, item.topic, kinds[item.topic], message):
            shown[item.topic] = shown.get(item.topic, 0) + 1
    scene.show_path()
    return shown


def _show_raw(scene: Scene, topic: str, message: Any) -> bool:
    data = np.frombuffer(message.data, np.uint8)
    try:
        image = decode_raw(
            data, message.width, message.height, message.step, message.encoding, bool(message.is_bigendian)
        )
    except BadImage:  # depth and others that are no pictures
        return False
    scene.show_image(topic, image)
    return True


def _show_compressed(scene: Scene, topic: str, message: Any) -> bool:
    data = np.frombuffer(message.data, np.uint8)
    if not is_jpeg(data):
        return False
    scene.show_jpeg(topic, data.tobytes())
    return True


def _show_pose(scene: Scene, topic: str, message: Any) -> bool:
    pose = message.pose
    while hasattr(pose, "pose"):  # with covariance
        pose = pose.pose
    place, turn = pose.position, pose.orientation
    numbers = np.array([place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w])
    if not np.all(np.isfinite(numbers)):
        return False
    scene.show_camera(numbers[:3], numbers[3:])
    return True


def _show_footprint(scene: Scene, topic: str, message: Any) -> bool:
    points = np.array([(point.x, point.y, point.z) for point in message.polygon.points]).reshape(-1, 3)
    closed = [np.vstack([points, points[:1]])] if len(points) > 2 else []
    scene.show_lines(topic, closed, [_FOOTPRINT_COLOUR] * len(closed))
    return True


def _show_points(scene: Scene, topic: str, message: Any) -> bool:
    """Show the crack lines in a cloud; other clouds are not shown."""
    lines = list(crack_lines(message))
    if not {"detection", "line"} <= {field.name for field in message.fields}:
        return False
    scene.show_lines(topic, lines, [_LINE_COLOUR] * len(lines))
    return True


def crack_lines(message: Any) -> Iterator[Array]:
    """Yield the polylines (N, 3) of a cloud of crack points; none of a cloud without the field ``line``."""
    offsets = {field.name: field.offset for field in message.fields}
    if not {"x", "y", "z", "line"} <= offsets.keys():
        return
    order = ">" if message.is_bigendian else "<"
    kind = np.dtype(
        {
            "names": ["x", "y", "z", "line"],
            "formats": [f"{order}f4"] * 3 + [f"{order}u4"],
            "offsets": [offsets[name] for name in ("x", "y", "z", "line")],
            "itemsize": message.point_step,
        }
    )
    count = message.width * message.height
    data = np.frombuffer(message.data, np.uint8)
    if len(data) < count * message.point_step:
        return
    rows = np.frombuffer(data[: count * message.point_step], kind)
    points = np.stack([rows["x"], rows["y"], rows["z"]], axis=1).astype(np.float64)
    is_known = np.isfinite(points).all(axis=1)
    for line in np.unique(rows["line"][is_known]):
        yield points[is_known & (rows["line"] == line)]


_SHOWN: dict[str, Callable[[Scene, str, Any], bool]] = {
    IMAGE: _show_raw,
    COMPRESSED_IMAGE: _show_compressed,
    POSE: _show_pose,
    POSE_WITH_COVARIANCE: _show_pose,
    ODOMETRY: _show_pose,
    POLYGON: _show_footprint,
    POINTS: _show_points,
}
"""Type of message -> how it is shown."""

SHOWN_TYPES = tuple(_SHOWN)
