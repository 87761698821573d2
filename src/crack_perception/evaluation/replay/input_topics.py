# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Assignment of the topics of a bag to the node's inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crack_perception.errors import UsageError, UserError
from crack_perception.evaluation.recordings.bag import Bag, BagTopic, deserialize
from crack_perception.evaluation.recordings.definitions import COMPRESSED_VIDEO, FFMPEG_PACKET, VEHICLE_ODOMETRY
from crack_perception.evaluation.recordings.images import COMPRESSED as COMPRESSED_IMAGE
from crack_perception.evaluation.recordings.images import RAW as IMAGE
from crack_perception.evaluation.replay.directions import direction_of, named_directions
from crack_perception.evaluation.replay.static_transforms import Transform, body_pose, fixed_pose, transforms_of
from crack_perception.evaluation.replay.topic_choice import (
    IMAGE_CRITERIA,
    Choice,
    Criterion,
    choose,
    depth_criteria,
    pose_criteria,
    range_criteria,
    range_doubts,
)
from crack_perception.evaluation.replay.topic_facts import TopicFacts, read_facts, survey
from crack_perception.geometry.poses.pose import Pose

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POSE = "geometry_msgs/msg/PoseStamped"
POSE_WITH_COVARIANCE = "geometry_msgs/msg/PoseWithCovarianceStamped"
ODOMETRY = "nav_msgs/msg/Odometry"
RANGE = "sensor_msgs/msg/Range"
LASER_SCAN = "sensor_msgs/msg/LaserScan"
TF = "tf2_msgs/msg/TFMessage"

TRANSPORTS = {IMAGE: "raw", COMPRESSED_IMAGE: "compressed", FFMPEG_PACKET: "ffmpeg", COMPRESSED_VIDEO: "foxglove"}
"""Type of the images -> image_transport of the node; in the order of preference."""

DEPTH_ENCODINGS = ("16UC1", "32FC1")
_GREY_ENCODINGS = ("mono8", "mono16", "8UC1")

# Cosines of the angles to the camera's axis up to which a rangefinder is aligned, and from which it is not.
_ALIGNED, _NOT_ALIGNED = math.cos(math.radians(30)), math.cos(math.radians(60))

TF_INPUTS = ("/tf", "/tf_static")
BASE_FRAME = "base_link"

# Input of the node -> accepted message types.
INPUT_TYPES: dict[str, tuple[str, ...]] = {
    "image": tuple(TRANSPORTS),
    "camera_info": (CAMERA_INFO,),
    "pose": (POSE, POSE_WITH_COVARIANCE),
    "odom": (ODOMETRY, VEHICLE_ODOMETRY),
    "range": (RANGE, LASER_SCAN),
    "depth": (IMAGE,),
    "/tf": (TF,),
    "/tf_static": (TF,),
}


@dataclass(frozen=True)
class InputTopics:
    """Topics of a bag that are played.

    Attributes:
        by_input: Input name (a key of ``INPUT_TYPES``) -> topic of the bag.
        skipped: Topics that are not played.
        notes: Reasons for the choice between several topics.
    """

    by_input: Mapping[str, BagTopic]
    skipped: tuple[BagTopic, ...]
    notes: tuple[str, ...] = ()

    @property
    def image(self) -> BagTopic:
        """Topic of the camera's images."""
        return self.by_input["image"]


def find_inputs(bag: Bag, overrides: Mapping[str, str], body_from_camera: Pose | None = None) -> InputTopics:
    """Assign a bag's topics to the node's inputs by type, encoding, namespace, rate, motion and frame.

    Args:
        bag: Open bag.
        overrides: Input name -> topic chosen by the user; an empty topic disables the input.
        body_from_camera: Pose of the optical frame on the vehicle, where the user has given it.

    Raises:
        UserError: There is no topic with camera images.
        UsageError: An override names a missing topic or one of a wrong type, or several topics fit equally well.
    """
    chosen: dict[str, BagTopic] = {
        name: _overridden(bag, name, topic) for name, topic in overrides.items() if topic and name in INPUT_TYPES
    }
    recorded = [topic for topic in bag.topics if topic.count > 0]
    if not recorded:
        raise UserError(f"{bag.path} contains no messages; its topics are {_listed(bag.topics)}", "Record it again")
    notes: list[str] = []
    if "image" in chosen:
        image = read_facts(bag, [chosen["image"]])[0]
    else:
        image, image_notes = _image(bag, recorded)
        notes += image_notes
        chosen["image"] = image.topic
    finder = _Finder(bag, recorded, image, chosen, body_from_camera)
    for name in INPUT_TYPES:
        if name not in overrides and name not in chosen:
            choice = finder.find(name)
            notes += choice.notes
            if choice.topic is not None:
                chosen[name] = choice.topic
    played = {topic.name for topic in chosen.values()}
    return InputTopics(chosen, tuple(topic for topic in bag.topics if topic.name not in played), tuple(notes))


class _Finder:
    """Selection of the inputs that belong to an image topic.

    Args:
        bag: Open bag.
        recorded: Its topics with messages.
        image: Image topic.
        chosen: Input name -> topic, for the inputs chosen so far; filled by the caller.
        body_from_camera: As in ``find_inputs``.
    """

    def __init__(
        self,
        bag: Bag,
        recorded: Sequence[BagTopic],
        image: TopicFacts,
        chosen: Mapping[str, BagTopic],
        body_from_camera: Pose | None,
    ) -> None:
        self._bag = bag
        self._recorded = recorded
        self._image = image
        self._chosen = chosen
        self._body_from_camera = body_from_camera
        self._transforms: list[Transform] | None = None

    def find(self, name: str) -> Choice:
        """Choose the topic of an input.

        Raises:
            UsageError: Several topics fit equally well.
        """
        typed = [topic for topic in self._recorded if topic.type_name in INPUT_TYPES[name]]
        if name in TF_INPUTS:
            return _of_transforms(name, typed, self._image.topic)
        if name == "camera_info":
            return self._camera_info(typed)
        if name == "range":
            return self._range(typed)
        if name == "depth":
            typed = [topic for topic in typed if topic.name != self._image.topic.name]
        facts = read_facts(self._bag, typed)
        if name == "depth":
            facts = [item for item in facts if getattr(item.first, "encoding", "") in DEPTH_ENCODINGS]
            return choose(name, facts, depth_criteria(self._image))
        if len(facts) > 1:
            survey(self._bag, facts)
        required, preferred = pose_criteria(self._on_vehicle())
        return choose(name, facts, preferred, required)

    def _range(self, typed: Sequence[BagTopic]) -> Choice:
        """Choose a rangefinder along the camera's axis; even a single one may point elsewhere."""
        facts = read_facts(self._bag, typed)
        located = next((self._chosen[name] for name in ("pose", "odom") if name in self._chosen), None)
        poses = None if located is None else read_facts(self._bag, [located])[0]
        if facts:
            survey(self._bag, [*facts, *([] if poses is None else [poses])])
        required, preferred = range_criteria(self._is_aligned, self._camera_directions(), poses)
        choice = choose("range", facts, preferred, required)
        doubts = [doubt for item in facts if item.topic == choice.topic for doubt in range_doubts(item)]
        return Choice(choice.topic, (*choice.notes, *doubts))

    def _camera_directions(self) -> frozenset[str]:
        """Return the directions of the camera on the vehicle: as mounted, as named, else to the front."""
        mount = self._body_from_camera or body_pose(self._static_transforms(), BASE_FRAME, self._image.frame)
        if mount is not None:
            return frozenset({direction_of(mount.rotation[:, 2])})
        return named_directions(f"{self._image.topic.name}/{self._image.frame}") or frozenset({"front"})

    def _camera_info(self, infos: Sequence[BagTopic]) -> Choice:
        """Choose the camera_info of the image's namespace, else the one with the image's frame and size."""
        beside = _camera_info_beside(self._image.topic, infos)
        if beside is not None:
            return Choice(beside)
        image = self._image
        size = image.size_px
        required = [Criterion(lambda facts: size is None or facts.size_px in (None, size), "image size differs")]
        facts = read_facts(self._bag, infos)
        if len(facts) > 1:
            required.append(Criterion(lambda facts: facts.frame == image.frame, "frame differs from the image's"))
        preferred = [Criterion(lambda facts: facts.frame == image.frame, "frame differs from the image's")]
        return choose("camera_info", facts, preferred, required)

    def _on_vehicle(self) -> frozenset[str]:
        return frozenset({"base_link", "base_footprint", self._image.frame} - {""})

    def _is_aligned(self, frame: str) -> bool | None:
        """Return whether the x axis of a rangefinder's frame is parallel to the camera's axis; None when unknown."""
        pose = fixed_pose(self._static_transforms(), self._image.frame, frame)
        if pose is None or frame == self._image.frame:
            return None
        axis = pose.rotation[:, 0]
        if axis[2] > _ALIGNED:
            return True
        # Many drivers use an image frame whose x axis, not z, is the optical axis.
        return False if max(axis[2], axis[0]) < _NOT_ALIGNED else None

    def _static_transforms(self) -> list[Transform]:
        if self._transforms is None:
            topic = self._chosen.get("/tf_static") or self.find("/tf_static").topic
            self._transforms = static_transforms(self._bag, topic)
        return self._transforms


def static_transforms(bag: Bag, topic: BagTopic | None) -> list[Transform]:
    """Return the transforms of a topic of static transforms; none without a topic."""
    if topic is None:
        return []
    messages = bag.messages([topic.name])
    return [item for message in messages for item in transforms_of(deserialize(message.data, TF))]


def _of_transforms(name: str, typed: Sequence[BagTopic], image: BagTopic) -> Choice:
    """Choose the transforms of the drone that carries the camera: the nearest namespace around the image topic.

    Raises:
        UsageError: There are several, all in other namespaces.
    """
    found = [topic for topic in typed if topic.name.endswith(name)]
    around = [topic for topic in found if image.name.startswith(topic.name.removesuffix(name) + "/")]
    if not around and len(found) > 1:
        raise UsageError(
            f"several topics fit the input `{name}`: {_listed(found)}", f"Choose one with --topic {name.lstrip('/')}=/x"
        )
    best = max(around or found, key=lambda topic: len(topic.name), default=None)
    if best is None or (best.name == name and len(found) == 1):
        return Choice(best)
    others = ", ".join(topic.name for topic in found if topic != best)
    refused = f", rejected are {others} (other namespace)" if others else ""
    return Choice(best, (f"{name}: {best.name} was chosen{refused}; --topic {name.lstrip('/')}=/x selects another",))


def _overridden(bag: Bag, name: str, wanted: str) -> BagTopic:
    topic = bag.topic(wanted)
    if topic is None:
        raise UsageError(f"{bag.path} has no topic {wanted}", f"Choose one of {_listed(bag.topics)}")
    if topic.type_name not in INPUT_TYPES[name]:
        raise UsageError(
            f"{wanted} of {bag.path} has type {topic.type_name}, which the input `{name}` does not accept",
            f"Choose a topic of type {' or '.join(INPUT_TYPES[name])}",
        )
    return topic


def _image(bag: Bag, recorded: Sequence[BagTopic]) -> tuple[TopicFacts, tuple[str, ...]]:
    """Choose the image topic: calibrated before uncalibrated, colour before grey, raw before compressed."""
    found: list[TopicFacts] = []
    depth: list[str] = []
    for facts in read_facts(bag, [topic for topic in recorded if topic.type_name in INPUT_TYPES["image"]]):
        encoding = _encoding(facts)
        if not encoding or encoding in DEPTH_ENCODINGS or "compressedDepth" in encoding or facts.is_depth():
            depth.append(facts.topic.name)
        else:
            found.append(facts)
    if not found:
        raise UserError(
            f"{bag.path} has no camera images{_rejected(depth)}; its topics are {_listed(bag.topics)}",
            f"Record a topic of type {' or '.join(TRANSPORTS)}, or name it with --topic image=/x",
        )
    infos = [topic for topic in recorded if topic.type_name == CAMERA_INFO]
    criteria = [
        *IMAGE_CRITERIA,
        Criterion(lambda facts: _camera_info_beside(facts.topic, infos) is not None, "no camera_info in its namespace"),
        Criterion(lambda facts: _encoding(facts) not in _GREY_ENCODINGS, "grey"),
    ]
    cameras: dict[tuple[str, str], list[TopicFacts]] = {}
    for facts in found:
        cameras.setdefault((_namespace(facts.topic.name), facts.frame), []).append(facts)
    # Preference among the topics of one camera: colour, unrectified, raw.
    for streams in cameras.values():
        streams.sort(
            key=lambda facts: (
                bool(IMAGE_CRITERIA[0].holds(facts)) is False,
                _encoding(facts) in _GREY_ENCODINGS,
                "rect" in facts.topic.name,
                list(TRANSPORTS).index(facts.topic.type_name),
                facts.topic.name,
            )
        )
    best = [streams[0] for streams in cameras.values()]
    choice = choose("image", best, criteria)
    return next(facts for facts in best if facts.topic == choice.topic), choice.notes


def _rejected(depth: list[str]) -> str:
    return f" ({', '.join(depth)}: depth, or not a picture of a known encoding)" if depth else ""


def _encoding(facts: TopicFacts) -> str:
    """Return the pixel encoding or compression format of a topic's first image; empty when it cannot be read."""
    if facts.first is None:
        return ""
    if facts.topic.type_name == COMPRESSED_IMAGE:
        return str(facts.first.format or "jpeg")
    return str(facts.first.format if facts.topic.type_name == COMPRESSED_VIDEO else facts.first.encoding)


def _namespace(image: str) -> str:
    return image.removesuffix("/compressed").removesuffix("/ffmpeg").rpartition("/")[0]


def _camera_info_beside(image: BagTopic, infos: Sequence[BagTopic]) -> BagTopic | None:
    """Return the camera_info in the image's namespace (convention of image_transport), or None."""
    return next((topic for topic in infos if topic.name == f"{_namespace(image.name)}/camera_info"), None)


def _listed(topics: Sequence[BagTopic]) -> str:
    return ", ".join(f"{topic.name} ({topic.type_name})" for topic in topics) or "none"
