# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images of a recording with the camera's pose and model, found by the rules of ``replay`` and ``crack_node``."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import Bag, BagMessage, deserialize
from crack_perception.evaluation.recordings.messages import read_header
from crack_perception.evaluation.replay.input_topics import COMPRESSED_IMAGE, TF
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.evaluation.replay.static_transforms import transform_of
from crack_perception.geometry.camera.calibration import calibration_of
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.buffer import PoseBuffer, PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions
from crack_perception.geometry.poses.transform_tree import TransformTree
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.parameter_files import parameter_values
from crack_perception.vision.images.blank import lost_part
from crack_perception.vision.images.encodings import BadImage, decode_compressed, decode_raw
from crack_perception.vision.images.samples import SampleScaler

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
        without_pose, damaged: Images of the last ``posed`` without a pose or camera model, and unreadable ones.
        reason: Why an image had no pose; "" where all had one.

    Raises:
        UserError: No images, no camera_info or no poses in the bag, or a wrong parameter file.
    """

    def __init__(self, bag: Bag, topics: Mapping[str, str], parameters: Path | None = None) -> None:
        plan = plan_replay(bag, ReplayOptions(bag=bag.path, out=bag.path, topics=topics))
        self._bag, self._inputs = bag, plan.inputs.by_input
        values = {name: yaml.safe_load(value) for name, value in plan.parameters.items()}
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
        self.without_pose = self.damaged = 0
        self.reason = ""

    def posed(self) -> Iterator[tuple[PosedFrame, Image]]:
        """Yield every image (H, W, 3) that has a pose, in order of time."""
        self.without_pose = self.damaged = 0
        self.reason = ""
        self._poses.clear()
        infos: OrderedDict[int, Any] = OrderedDict()
        waiting: deque[tuple[int, BagMessage]] = deque()
        names = {self._image.name, self._inputs["camera_info"].name, *self._poses.topics}
        number, scaler = 0, SampleScaler()
        for message in self._bag.messages(names):
            if message.topic == self._image.name:
                waiting.append((number, message))
                number += 1
            elif message.topic == self._inputs["camera_info"].name:
                info = deserialize(message.data, self._inputs["camera_info"].type_name)
                if info is not None:
                    infos[_nanoseconds(info.header.stamp)] = info
                    while len(infos) > _KEPT_INFOS:
                        infos.popitem(last=False)
            else:
                self._poses.push(message)
            yield from self._ready(waiting, infos, scaler, message.stamp_ns)
        yield from self._ready(waiting, infos, scaler, None)

    def pictures(self, numbers: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Yield the images of these numbers, in order; unreadable ones are left out."""
        wanted, scaler = set(numbers), SampleScaler()
        for number, message in enumerate(self._bag.messages([self._image.name])):
            if number in wanted:
                wanted.discard(number)
                try:
                    yield number, self._decoded(message, scaler)
                except BadImage:
                    continue
            if not wanted:
                return

    def _ready(
        self,
        waiting: deque[tuple[int, BagMessage]],
        infos: Mapping[int, Any],
        scaler: SampleScaler,
        now_ns: int | None,
    ) -> Iterator[tuple[PosedFrame, Image]]:
        """Yield the images whose poses are known; one that waits in vain is counted. None: nothing more comes."""
        while waiting:
            number, message = waiting[0]
            try:
                header = read_header(message.data)
                pose = self._poses.at(header.stamp_ns, header.frame_id)
            except PoseUnavailable as error:
                if now_ns is not None and now_ns < message.stamp_ns + _PATIENCE_NS:
                    return
                self._leave_out(str(error))
                waiting.popleft()
                continue
            except ValueError:
                self.damaged += 1
                waiting.popleft()
                continue
            waiting.popleft()
            try:
                picture = self._decoded(message, scaler)
            except BadImage:
                self.damaged += 1
                continue
            info = infos.get(header.stamp_ns) or (list(infos.values())[-1] if infos else None)
            camera = self._camera(info, picture)
            if camera is not None:
                yield PosedFrame(number, header.stamp_ns, camera, pose), picture

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

    def _decoded(self, message: BagMessage, scaler: SampleScaler) -> Image:
        """Decode an image.

        Raises:
            BadImage: It is damaged.
        """
        image = deserialize(message.data, self._image.type_name)
        if image is None:
            raise BadImage("it is no image message")
        data = np.asarray(image.data, np.uint8)
        if self._image.type_name == COMPRESSED_IMAGE:
            picture = decode_compressed(data, image.format, scaler)
        else:
            picture = decode_raw(
                data, image.width, image.height, image.step, image.encoding, bool(image.is_bigendian), scaler
            )
        lost = lost_part(picture)
        if lost:
            raise BadImage(lost)
        return picture


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


class _TfPoses:
    """Poses from recorded transforms."""

    def __init__(self, moving: str, static: str | None, map_frame: str) -> None:
        self.topics = (moving,) if static is None else (moving, static)
        self._static = static
        self._map_frame = map_frame
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
        return self._tree.at(self._map_frame, camera_frame, stamp_ns).pose


class _TopicPoses:
    """Poses from a recorded topic, with a fixed transform to the camera."""

    def __init__(self, topic: str, type_name: str, body_from_camera: Pose, is_px4: bool) -> None:
        self.topics = (topic,)
        self._type_name = type_name
        self._body_from_camera = body_from_camera
        self._is_px4 = is_px4
        self._buffer = PoseBuffer()

    def clear(self) -> None:
        self._buffer.clear()

    def push(self, message: BagMessage) -> None:
        recorded = deserialize(message.data, self._type_name)
        if recorded is None:
            return
        located = getattr(recorded.pose, "pose", recorded.pose)
        place, turn = located.position, located.orientation
        try:
            pose = Pose.of((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
        except ValueError:
            return
        self._buffer.push(_nanoseconds(recorded.header.stamp), swap_conventions(pose) if self._is_px4 else pose)

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
        return _TfPoses(inputs["/tf"].name, static, values["map_frame"].lstrip("/"))
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
