# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Content of recorded or published messages: images, paths of poses and of frames on tf, and results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import WHOLE, Bag, Window, deserialize
from crack_perception.evaluation.recordings.definitions import VEHICLE_ODOMETRY, VIDEO_TYPES
from crack_perception.evaluation.recordings.poses import recorded_pose
from crack_perception.evaluation.replay.input_topics import (
    COMPRESSED_IMAGE,
    IMAGE,
    ODOMETRY,
    POSE,
    POSE_WITH_COVARIANCE,
    TF,
)
from crack_perception.evaluation.view.paths import BoundedPath, FramePoses
from crack_perception.evaluation.view.scene import Scene
from crack_perception.geometry.poses.boot_clock import BootClock
from crack_perception.vision.images.encodings import BadImage, decode_raw
from crack_perception.vision.images.jpeg.segments import is_jpeg
from crack_perception.vision.images.video_packets import PacketDecoder, packet_in, pixels_of

Array = npt.NDArray[np.float64]

POINTS = "sensor_msgs/msg/PointCloud2"
POLYGON = "geometry_msgs/msg/PolygonStamped"
_POSES = (POSE, POSE_WITH_COVARIANCE, ODOMETRY, VEHICLE_ODOMETRY)
_LINE_COLOUR = (213, 94, 0)
_FOOTPRINT_COLOUR = (86, 180, 233)

SHOWN_TYPES = (IMAGE, COMPRESSED_IMAGE, *VIDEO_TYPES, *_POSES, TF, POLYGON, POINTS)


def stamp_of(message: Any) -> int:
    """Return the stamp of a message's header [ns]; a CompressedVideo has it in its own fields."""
    stamp = message.header.stamp if hasattr(message, "header") else message.timestamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


class MessageView:
    """Show messages of standard types. Each topic, and each frame on tf, has entities of its own.

    Args:
        scene: Where they are shown.

    Attributes:
        notes: Why topics are not shown.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._paths: dict[str, BoundedPath] = {}
        self._counts_shown: dict[str, int] = {}
        self._trees: dict[str, FramePoses] = {}
        self._decoders: dict[str, PacketDecoder | None] = {}
        self._clocks: dict[str, BootClock] = {}
        self.notes: list[str] = []

    def show(self, topic: str, type_name: str, message: Any, received_ns: int) -> bool:
        """Show one message, from a recording or a running node; return whether it shows anything.

        Args:
            received_ns: Time of its arrival or its recording [ns].
        """
        name = topic.strip("/")
        if type_name in _POSES:
            return self._show_pose(name, type_name, message, received_ns)
        if type_name == TF:
            return self._show_frames(name, message)
        self._scene.set_time(stamp_of(message))
        if type_name in VIDEO_TYPES:
            return self._show_video(name, message)
        if type_name == IMAGE:
            return _show_raw(self._scene, name, message)
        if type_name == COMPRESSED_IMAGE:
            return _show_compressed(self._scene, name, message)
        if type_name == POLYGON:
            return _show_footprint(self._scene, name, message)
        return type_name == POINTS and _show_points(self._scene, name, message)

    def show_paths(self) -> None:
        """Show the paths that have grown."""
        for name, path in self._paths.items():
            if path.count > max(1, self._counts_shown.get(name, 0)):
                self._counts_shown[name] = path.count
                self._scene.show_path(name, path.vertices_m())

    def _show_pose(self, name: str, type_name: str, message: Any, received_ns: int) -> bool:
        try:
            stamp_ns, pose = recorded_pose(message)
        except ValueError:
            return False
        if type_name == VEHICLE_ODOMETRY:
            stamp_ns = self._clocks.setdefault(name, BootClock()).converted(stamp_ns, received_ns)
        self._place(name, stamp_ns, pose.position_m, pose.quaternion)
        return True

    def _show_frames(self, name: str, message: Any) -> bool:
        # /tf and /tf_static belong together, also in a namespace.
        tree = self._trees.setdefault(name.removesuffix("_static"), FramePoses())
        is_shown = False
        for frame, stamp_ns, pose in tree.push(message, name.endswith("_static")):
            self._place(f"{name}/{frame}", stamp_ns, pose.position_m, pose.quaternion)
            is_shown = True
        return is_shown

    def _place(self, name: str, stamp_ns: int, position_m: Array, quaternion: Array) -> None:
        self._scene.set_time(stamp_ns)
        self._scene.show_pose(name, position_m, quaternion)
        self._paths.setdefault(name, BoundedPath()).add(position_m)

    def _show_video(self, name: str, message: Any) -> bool:
        if name not in self._decoders:
            try:
                self._decoders[name] = PacketDecoder()
            except UserError as error:
                self._decoders[name] = None
                self.notes.append(f"/{name} is not shown: {error}")
        decoder = self._decoders[name]
        if decoder is None:
            return False
        try:
            pictures = [
                (pixels_of(each), stamp) for each, stamp in decoder.decode(packet_in(message), stamp_of(message))
            ]
        except BadImage:  # a part is missing; the next keyframe shows a picture again
            return False
        for pixels, stamp_ns in pictures:
            self._scene.set_time(stamp_ns)
            self._scene.show_image(name, pixels)
        return bool(pictures)


def show_bag(scene: Scene, bag: Bag, window: Window = WHOLE) -> tuple[dict[str, int], list[str]]:
    """Show a recording.

    Args:
        window: Part of it.

    Returns:
        Number of shown messages by topic, and why topics are not shown.
    """
    kinds = {topic.name: topic.type_name for topic in bag.topics if topic.type_name in SHOWN_TYPES}
    shown: dict[str, int] = {}
    view = MessageView(scene)
    for item in bag.messages(kinds, window=window):
        message = deserialize(item.data, kinds[item.topic])
        if message is not None and view.show(item.topic, kinds[item.topic], message, item.stamp_ns):
            shown[item.topic] = shown.get(item.topic, 0) + 1
    view.show_paths()
    return shown, view.notes


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
