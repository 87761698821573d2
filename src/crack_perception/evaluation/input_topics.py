"""Which topics of a bag are the node's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crack_perception.errors import UserError
from crack_perception.evaluation.bag import Bag, BagTopic

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POSE = "geometry_msgs/msg/PoseStamped"
POSE_WITH_COVARIANCE = "geometry_msgs/msg/PoseWithCovarianceStamped"
ODOMETRY = "nav_msgs/msg/Odometry"
RANGE = "sensor_msgs/msg/Range"
TF = "tf2_msgs/msg/TFMessage"

DEPTH_ENCODINGS = ("16UC1", "32FC1")
_GREY_ENCODINGS = ("mono8", "mono16", "8UC1")

# Input of the node -> message types that it takes there.
INPUT_TYPES: dict[str, tuple[str, ...]] = {
    "image": (IMAGE, COMPRESSED_IMAGE),
    "camera_info": (CAMERA_INFO,),
    "pose": (POSE, POSE_WITH_COVARIANCE),
    "odom": (ODOMETRY,),
    "range": (RANGE,),
    "depth": (IMAGE,),
    "/tf": (TF,),
    "/tf_static": (TF,),
}


@dataclass(frozen=True)
class InputTopics:
    """The topics of a bag that are played.

    Attributes:
        by_input: The node's input name (a key of ``INPUT_TYPES``) -> topic of the bag.
        skipped: Topics that are not played.
    """

    by_input: Mapping[str, BagTopic]
    skipped: tuple[BagTopic, ...]

    @property
    def image(self) -> BagTopic:
        """The camera's images."""
        return self.by_input["image"]


def find_inputs(bag: Bag, overrides: Mapping[str, str]) -> InputTopics:
    """Match a bag's topics with the node's inputs by type, encoding and namespace.

    Args:
        bag: The bag.
        overrides: Input name -> topic that the user wants there; an empty topic leaves the input out.

    Raises:
        UserError: No topic with colour images, or an override names a topic that is missing or of a wrong type.
    """
    chosen: dict[str, BagTopic] = {
        name: _overridden(bag, name, topic) for name, topic in overrides.items() if topic and name in INPUT_TYPES
    }
    recorded = [topic for topic in bag.topics if topic.count > 0]
    if "image" not in chosen:
        chosen["image"] = _image_topic(bag, recorded)
    candidates: dict[str, list[BagTopic]] = {
        "camera_info": _camera_infos(chosen["image"], recorded),
        "depth": [topic for topic in recorded if topic.type_name == IMAGE and _encoding(bag, topic) in DEPTH_ENCODINGS],
        "/tf": [topic for topic in recorded if topic.type_name == TF and topic.name == "/tf"],
        "/tf_static": [topic for topic in recorded if topic.type_name == TF and topic.name == "/tf_static"],
    }
    for name in ("pose", "odom", "range"):
        candidates[name] = [topic for topic in recorded if topic.type_name in INPUT_TYPES[name]]
    for name, found in candidates.items():
        if name not in overrides and found:
            chosen[name] = found[0]
    played = {topic.name for topic in chosen.values()}
    return InputTopics(chosen, tuple(topic for topic in bag.topics if topic.name not in played))


def _overridden(bag: Bag, name: str, wanted: str) -> BagTopic:
    topic = bag.topic(wanted)
    if topic is None:
        raise UserError(f"{bag.path} has no topic {wanted}", f"It has {_listed(bag.topics)}")
    if topic.type_name not in INPUT_TYPES[name]:
        raise UserError(
            f"{wanted} of {bag.path} holds {topic.type_name}, which the input `{name}` does not take",
            f"It takes {' or '.join(INPUT_TYPES[name])}",
        )
    return topic


def _image_topic(bag: Bag, recorded: list[BagTopic]) -> BagTopic:
    ranked = []
    for topic in recorded:
        if topic.type_name not in INPUT_TYPES["image"]:
            continue
        encoding = _encoding(bag, topic)
        if not encoding or encoding in DEPTH_ENCODINGS or "compressedDepth" in encoding:
            continue
        # A calibrated camera first, then colour before grey, then raw before compressed.
        rank = (
            not _camera_infos(topic, recorded, same_namespace=True),
            encoding in _GREY_ENCODINGS,
            topic.type_name == COMPRESSED_IMAGE,
        )
        ranked.append((rank, topic.name, topic))
    if not ranked:
        raise UserError(
            f"{bag.path} has no camera images; its topics are {_listed(bag.topics)}",
            f"Record a topic of type {IMAGE} or {COMPRESSED_IMAGE}, or name it with --image-topic",
        )
    return min(ranked)[2]


def _encoding(bag: Bag, topic: BagTopic) -> str:
    """Pixel encoding or compression format of a topic's first image; empty when it cannot be read."""
    message = bag.first_message(topic)
    if message is None:
        return ""
    return str(message.encoding if topic.type_name == IMAGE else message.format or "jpeg")


def _camera_infos(image: BagTopic, recorded: list[BagTopic], same_namespace: bool = False) -> list[BagTopic]:
    """CameraInfo topics, the one in the image's own namespace first (image_transport's convention)."""
    infos = [topic for topic in recorded if topic.type_name == CAMERA_INFO]
    base = image.name.removesuffix("/compressed").rpartition("/")[0]
    own = [topic for topic in infos if topic.name == f"{base}/camera_info"]
    if same_namespace or own:
        return own
    return infos if len(infos) == 1 else []


def _listed(topics: tuple[BagTopic, ...]) -> str:
    return ", ".join(f"{topic.name} ({topic.type_name})" for topic in topics) or "none at all"
