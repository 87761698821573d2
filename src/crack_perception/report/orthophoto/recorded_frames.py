# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images of a recording with the camera's pose and model, found by the rules of ``replay`` and ``crack_node``."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.documents import parse_yaml
from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import Bag, BagMessage, deserialize
from crack_perception.evaluation.recordings.definitions import VEHICLE_ODOMETRY
from crack_perception.evaluation.recordings.images import ImageReader
from crack_perception.evaluation.recordings.messages import Header
from crack_perception.evaluation.recordings.poses import recorded_pose
from crack_perception.evaluation.replay.input_topics import TF
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.evaluation.replay.static_transforms import transform_of
from crack_perception.geometry.camera.calibration import calibration_of
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.boot_clock import BootClock
from crack_perception.geometry.poses.buffer import PoseBuffer
from crack_perception.geometry.poses.motion import PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions
from crack_perception.geometry.poses.transform_tree import TransformTree
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.parameter_files import parameter_values
from crack_perception.vision.images.blank import lost_part
from crack_perception.vision.images.encodings import BadImage

Image = npt.NDArray[np.uint8]

_NODE = "/crack_node"
# An image whose pose has not been recorded so much later has none.
_PATIENCE_NS = 1_000_000_000
_KEPT_INFOS = 50


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """An image of a recording.

    Attributes:
        number: Of the image among all of its topic, from 0.
        stamp_ns: Of its header.
        camera: Its model.
        pose: Of the optical frame in the map.
    """

    number: int
    stamp_ns: int
    camera: CameraModel
    pose: Pose


class RecordedFrames:
    """Images of a bag and their poses, read in order, as often as wanted.

    Args:
        bag: Open bag.
        topics: Input name -> topic of the bag, chosen by the user as for ``replay``.
        parameters: Parameter file of ``crack_node`` whose settings of pose and camera apply; None for none.

    Attributes:
        images: Number of images of the last ``posed``, all of them.
        without_pose, damaged: Of those without a pose or camera model, and unreadable ones.
        reason: Why an image had no pose; "" where all had one.

    Raises:
        UserError: No images, no camera_info or no poses in the bag, or a wrong parameter file.
    """

    def __init__(self, bag: Bag, topics: Mapping[str, str], parameters: Path | None = None) -> None:
        plan = plan_replay(bag, ReplayOptions(bag=bag.path, out=bag.path, topics=topics))
        self._bag, self._inputs = bag, plan.inputs.by_input
        values = {name: parse_yaml(value) for name, value in plan.parameters.items()}
        if parameters is not None:
            chosen = parameter_values(parameters, _NODE)
            if chosen.get("pose_source") == "auto":
                del chosen["pose_source"]
            values.update(chosen)
        self._is_rectified = bool(values.get("image_is_rectified", False))
        self._poses = _pose_source(bag, self._inputs, values)
        if "camera_info" not in self._inputs:
            raise UserError(f"{bag.path} has no camera_info for its images", "Record it, or name it with --topic")
        self._image = plan.inputs.image
        self.images = self.without_pose = self.damaged = 0
        self.reason = ""

    def posed(self) -> Iterator[tuple[PosedFrame, Image]]:
        """Yield every image (H, W, 3) that has a pose, in order of time."""
        self.images = self.without_pose = self.damaged = 0
        self.reason = ""
        self._poses.clear()
        infos: OrderedDict[int, Any] = OrderedDict()
        waiting: deque[_Waiting] = deque()
        names = {self._image.name, self._inputs["camera_info"].name, *self._poses.topics}
        reader = _NumberedImages(self._image.type_name)
        for message in self._bag.messages(names):
            if message.topic == self._image.name:
                try:
                    waiting += reader.read(message)
                except BadImage:
                    self.damaged += 1
                self.images = reader.count
            elif message.topic == self._inputs["camera_info"].name:
                info = deserialize(message.data, self._inputs["camera_info"].type_name)
                if info is not None:
                    infos[_nanoseconds(info.header.stamp)] = info
                    while len(infos) > _KEPT_INFOS:
                        infos.popitem(last=False)
            else:
                self._poses.push(message)
            yield from self._ready(waiting, infos, message.stamp_ns)
        yield from self._ready(waiting, infos, None)

    def pictures(self, numbers: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Yield the images of these numbers, in order; unreadable ones are left out."""
        wanted, reader = set(numbers), _NumberedImages(self._image.type_name)
        for message in self._bag.messages([self._image.name]):
            with suppress(BadImage):
                for image in reader.read(message):
                    if image.number in wanted:
                        wanted.discard(image.number)
                        yield image.number, _whole(image.decode())
            if not wanted:
                return

    def _ready(
        self, waiting: deque[_Waiting], infos: Mapping[int, Any], now_ns: int | None
    ) -> Iterator[tuple[PosedFrame, Image]]:
        """Yield the images whose poses are known; one that waits in vain is counted. None: nothing more comes."""
        while waiting:
            image = waiting[0]
            try:
                pose = self._poses.at(image.header.stamp_ns, image.header.frame_id)
            except PoseUnavailable as error:
                if now_ns is not None and now_ns < image.recorded_ns + _PATIENCE_NS:
                    return
                self._leave_out(str(error))
                waiting.popleft()
                continue
            waiting.popleft()
            try:
                picture = _whole(image.decode())
            except BadImage:
                self.damaged += 1
                continue
            info = infos.get(image.header.stamp_ns) or (list(infos.values())[-1] if infos else None)
            camera = self._camera(info, picture)
            if camera is not None:
                yield PosedFrame(image.number, image.header.stamp_ns, camera, pose), picture

    def _leave_out(self, reason: str) -> None:
        self.without_pose += 1
        self.reason = self.reason or reason

    def _camera(self, info: Any | None, picture: Image) -> CameraModel | None:
        if info is None:
            self._leave_out("no camera_info was recorded before the image")
            return None
        camera = calibration_of(info).camera(self._is_rectified)
        if (camera.width_px, camera.height_px) != (picture.shape[1], picture.shape[0]):
            self._leave_out(
                f"camera_info is for {camera.width_px}x{camera.height_px} px, the image has "
                f"{picture.shape[1]}x{picture.shape[0]} px"
            )
            return None
        return camera


@dataclass(frozen=True, eq=False)
class _Waiting:
    """An image that waits for its pose, with the time of its recording [ns]."""

    number: int
    recorded_ns: int
    header: Header
    decode: Callable[[], Image]


class _NumberedImages:
    """The images of a topic in their order, with their numbers.

    Attributes:
        count: Number of images so far.
    """

    def __init__(self, type_name: str) -> None:
        self._reader = ImageReader(type_name)
        self.count = 0

    def read(self, message: BagMessage) -> list[_Waiting]:
        """Return the images in a message.

        Raises:
            BadImage: It is damaged, or a part of the video before it is missing.
        """
        images = self._reader.read(message.data)
        found = [_Waiting(self.count + at, message.stamp_ns, *image) for at, image in enumerate(images)]
        self.count += len(found)
        return found


def _whole(picture: Image) -> Image:
    """Return a picture.

    Raises:
        BadImage: A part of it is lost.
    """
    lost = lost_part(picture)
    if lost:
        raise BadImage(lost)
    return picture


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


class _TfPoses:
    """Poses from recorded transforms."""

    def __init__(self, moving: str, static: str | None, map_frame: str, camera_frame: str) -> None:
        self.topics = (moving,) if static is None else (moving, static)
        self._static = static
        self._map_frame = map_frame
        self._camera_frame = camera_frame
        self._tree = TransformTree()

    def clear(self) -> None:
        self._tree.clear()

    def push(self, message: BagMessage) -> None:
        recorded = deserialize(message.data, TF)
        for item in [] if recorded is None else recorded.transforms:
            transform = transform_of(item)
            if transform is None:
                continue
            try:
                if message.topic == self._static:
                    self._tree.push_static(*transform)
                else:
                    parent, child, pose = transform
                    self._tree.push(parent, child, _nanoseconds(item.header.stamp), pose)
            except ValueError:
                continue

    def at(self, stamp_ns: int, camera_frame: str) -> Pose:
        return self._tree.at(self._map_frame, self._camera_frame or camera_frame, stamp_ns).pose


class _TopicPoses:
    """Poses from a recorded topic, with a fixed transform to the camera."""

    def __init__(self, topic: str, type_name: str, body_from_camera: Pose, is_px4: bool) -> None:
        self.topics = (topic,)
        self._type_name = type_name
        self._body_from_camera = body_from_camera
        self._is_px4 = is_px4
        self._buffer = PoseBuffer()
        self._clock = BootClock()

    def clear(self) -> None:
        self._buffer.clear()
        self._clock = BootClock()

    def push(self, message: BagMessage) -> None:
        recorded = deserialize(message.data, self._type_name)
        if recorded is None:
            return
        try:
            stamp_ns, pose = recorded_pose(recorded)
        except ValueError:
            return
        if self._type_name == VEHICLE_ODOMETRY:
            stamp_ns = self._clock.converted(stamp_ns, message.stamp_ns)
        elif self._is_px4:
            pose = swap_conventions(pose)
        self._buffer.push(stamp_ns, pose)

    def at(self, stamp_ns: int, camera_frame: str) -> Pose:
        return self._buffer.at(stamp_ns).compose(self._body_from_camera).pose


def _pose_source(bag: Bag, inputs: Mapping[str, Any], values: Mapping[str, Any]) -> _TfPoses | _TopicPoses:
    """Return the pose source that the parameters of the node select.

    Raises:
        UserError: There is none, or its extrinsic is unknown.
    """
    source = values.get("pose_source", "auto")
    remedy = "Record tf or poses of the camera, or give crack_node's parameter file with --params"
    if source == "auto":
        source = next((name for name in ("pose", "odom", "/tf") if name in inputs), "auto").strip("/")
    if source == "tf" and "/tf" in inputs:
        if "map_frame" not in values:
            raise UserError(f"{bag.path}: tf does not connect the images' frame with a map frame", remedy)
        static = inputs["/tf_static"].name if "/tf_static" in inputs else None
        camera_frame = str(values.get("camera_frame", "")).lstrip("/")
        return _TfPoses(inputs["/tf"].name, static, values["map_frame"].lstrip("/"), camera_frame)
    if source not in inputs:
        raise UserError(f"{bag.path} has no poses", remedy)
    pose_of = values.get("pose_of", "body")
    if pose_of == "optical":
        body_from_camera = Pose.identity()
    elif pose_of == "camera":
        body_from_camera = Pose.of((0.0, 0.0, 0.0), FORWARD_LOOKING_OPTICAL)
    elif "camera_extrinsic.rotation" in values:
        try:
            body_from_camera = Pose.of(
                values.get("camera_extrinsic.translation", (0.0, 0.0, 0.0)), values["camera_extrinsic.rotation"]
            )
        except (ValueError, TypeError) as error:
            raise UserError(f"camera_extrinsic is no pose: {error}", "Correct it in the file of --params") from error
    else:
        raise UserError(
            f"{bag.path} does not say where the camera is on the vehicle",
            "Give crack_node's parameter file, which has its camera_extrinsic, with --params",
        )
    topic = inputs[source]
    return _TopicPoses(topic.name, topic.type_name, body_from_camera, values.get("pose_convention", "ros") == "px4")
