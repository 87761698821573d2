"""What a replay does, decided from the bag, its truth and the user's wishes before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from crack_perception.errors import UsageError, UserError
from crack_perception.evaluation.bag import Bag, BagTopic, deserialize
from crack_perception.evaluation.cdr import read_header
from crack_perception.evaluation.crack_recall import DEFAULT_MIN_WIDTH_PX
from crack_perception.evaluation.input_topics import COMPRESSED_IMAGE, TF, InputTopics, find_inputs
from crack_perception.evaluation.static_transforms import Transform, fixed_pose, transforms_of
from crack_perception.geometry.pose import Pose
from crack_perception.simulation.truth import FILE_NAME as TRUTH_FILE_NAME
from crack_perception.simulation.truth import Truth, load_truth

DEFAULT_BASE_FRAME = "base_link"

_FASTEST_RATE = 100.0


@dataclass(frozen=True)
class ReplayOptions:
    """What the user asked for.

    Attributes:
        bag: Folder or file of the bag.
        out: Folder for everything that is written.
        truth: Truth file; None takes ``truth.json`` of the bag's folder if there is one.
        rate: Bag seconds per second.
        topics: Input name -> topic of the bag; an empty topic leaves the input out.
        parameters: Parameters of the node by name, as they are written on a ROS command line.
        params_file: Parameter file of the node; ``parameters`` win over it.
        video: Record the annotated images.
        min_width_px: Width in the image from which on a crack counts as visible.
        map: Have crack_mapper map what the node finds.
        wait_budget_s: Seconds by which the playback may be delayed in all, so that a slow node need not drop frames.
    """

    bag: Path
    out: Path
    truth: Path | None = None
    rate: float = 1.0
    topics: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    params_file: Path | None = None
    video: bool = True
    min_width_px: float = DEFAULT_MIN_WIDTH_PX
    map: bool = True
    wait_budget_s: float = 0.0


@dataclass(frozen=True)
class ReplayPlan:
    """The decisions.

    Attributes:
        inputs: Topics that are played.
        truth: The truth, or None.
        parameters: Parameters that the bag implies, for the node.
        notes: What the reader of the report should know about the input.
    """

    inputs: InputTopics
    truth: Truth | None
    parameters: Mapping[str, str]
    notes: tuple[str, ...]


def plan_replay(bag: Bag, options: ReplayOptions) -> ReplayPlan:
    """Decide.

    Raises:
        UserError: No images, a wrong topic, an unreadable truth or parameter file, a rate that is no rate.
    """
    if not 0 < options.rate <= _FASTEST_RATE:
        raise UsageError(
            f"--rate {options.rate:g} is no rate", f"Give a factor above 0 and up to {_FASTEST_RATE:g}, for example 1.0"
        )
    if not 0 <= options.min_width_px < math.inf:
        raise UsageError(f"--min-width-px {options.min_width_px:g} is no width", "Give a number of pixels, 0 or more")
    if options.params_file is not None:
        _check_parameter_file(options.params_file)
    inputs = find_inputs(bag, options.topics)
    truth = _truth(options)
    notes = [
        f"not played: {topic.name} ({topic.type_name}, {topic.count} messages)"
        for topic in inputs.skipped
        if topic.count > 0
    ]
    parameters = {"image_transport": "compressed" if inputs.image.type_name == COMPRESSED_IMAGE else "raw"}
    if "camera_info" not in inputs.by_input:
        notes.append("no camera_info belongs to the images: detections stay in pixels")
    parameters["pose_source"] = _pose_source(inputs, notes)
    if parameters["pose_source"] in ("pose", "odom"):
        parameters["map_frame"] = _frame_of(bag, inputs.by_input[parameters["pose_source"]])
        parameters.update(_extrinsic_parameters(bag, inputs, truth, notes))
    if "range" not in inputs.by_input and "depth" not in inputs.by_input:
        notes.append("no range and no depth image: without a standoff there are no positions")
    return ReplayPlan(inputs, truth, parameters, tuple(notes))


def _check_parameter_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such parameter file", "Give an existing YAML file to --params")
    try:
        yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML: {error}", "Mend it, or begin with a copy of config/drone.yaml") from None


def _truth(options: ReplayOptions) -> Truth | None:
    if options.truth is not None:
        return load_truth(options.truth)
    beside = options.bag / TRUTH_FILE_NAME if options.bag.is_dir() else options.bag.with_name(TRUTH_FILE_NAME)
    return load_truth(beside) if beside.is_file() else None


def _pose_source(inputs: InputTopics, notes: list[str]) -> str:
    for source in ("pose", "odom"):
        if source in inputs.by_input:
            return source
    if "/tf" not in inputs.by_input:
        notes.append("no pose, odometry or tf: no positions in the map")
    return "auto"


def _extrinsic_parameters(bag: Bag, inputs: InputTopics, truth: Truth | None, notes: list[str]) -> dict[str, str]:
    """The camera's place on the vehicle out of the static transforms of the bag."""
    base = truth.base_frame if truth is not None else _vehicle_frame(bag, inputs)
    camera = _frame_of(bag, inputs.image).lstrip("/")
    transforms: list[Transform] = []
    if "/tf_static" in inputs.by_input:
        for message in bag.messages(["/tf_static"]):
            transforms += transforms_of(deserialize(message.data, TF))
    extrinsic = fixed_pose(transforms, base, camera)
    if extrinsic is None:
        notes.append(
            f"/tf_static does not connect {base} with {camera or 'the camera'}: the node's own camera_extrinsic is used"
        )
        return {}
    notes.append(f"camera_extrinsic is /tf_static's {base} to {camera}")
    return _as_parameters(extrinsic)


def _as_parameters(extrinsic: Pose) -> dict[str, str]:
    return {
        "camera_extrinsic.translation": _numbers(extrinsic.position_m.tolist()),
        "camera_extrinsic.rotation": _numbers(extrinsic.quaternion.tolist()),
    }


def _numbers(values: list[float]) -> str:
    # The command line's YAML takes 1e-05 for a text and 1 for an integer.
    return "[" + ", ".join(f"{value:.9f}" for value in values) + "]"


def _vehicle_frame(bag: Bag, inputs: InputTopics) -> str:
    if "pose" in inputs.by_input:
        return DEFAULT_BASE_FRAME
    odometry = bag.first_message(inputs.by_input["odom"])
    return str(odometry.child_frame_id if odometry is not None else "").lstrip("/") or DEFAULT_BASE_FRAME


def _frame_of(bag: Bag, topic: BagTopic) -> str:
    """The frame in the header of a topic's first message.

    Raises:
        UserError: The topic has no message or a damaged one.
    """
    for message in bag.messages([topic.name]):
        try:
            return read_header(message.data).frame_id
        except ValueError as error:
            raise UserError(f"the first message of {topic.name} in {bag.path} is damaged: {error}") from error
    raise UserError(f"{topic.name} in {bag.path} has no messages", "Name another topic or leave it out with ''")
