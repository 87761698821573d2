"""What a replay does, decided from the bag, its truth and the user's wishes before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from crack_perception.errors import UsageError, UserError
from crack_perception.evaluation.metrics.crack_recall import DEFAULT_MIN_WIDTH_PX
from crack_perception.evaluation.recordings.bag import WHOLE, Bag, BagTopic, Window, deserialize
from crack_perception.evaluation.recordings.cdr import read_header
from crack_perception.evaluation.replay.input_topics import (
    COMPRESSED_IMAGE,
    POSE_WITH_COVARIANCE,
    TF,
    InputTopics,
    find_inputs,
)
from crack_perception.evaluation.replay.static_transforms import Transform, fixed_pose, map_above, transforms_of
from crack_perception.geometry.camera.calibration import names_rectified
from crack_perception.geometry.poses.pose import Pose
from crack_perception.parameter_files import read_parameter_file
from crack_perception.simulation.flight.truth import FILE_NAME as TRUTH_FILE_NAME
from crack_perception.simulation.flight.truth import Truth, load_truth

DEFAULT_BASE_FRAME = "base_link"
UNNAMED_MAP_FRAME = "map"

_FASTEST_RATE = 100.0
# Enough for every broadcaster to have sent its first transform.
_TF_MESSAGES_READ = 2000


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
        window: Part of the bag that is played.
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
    window: Window = WHOLE
    wait_budget_s: float = 0.0


@dataclass(frozen=True)
class ReplayPlan:
    """The decisions.

    Attributes:
        inputs: Topics that are played.
        truth: The truth, or None.
        parameters: Parameters that the bag implies, for the node.
        notes: What the reader of the report should know about the input.
        unnamed: Topic whose messages name no frame -> the frame that they are played with.
    """

    inputs: InputTopics
    truth: Truth | None
    parameters: Mapping[str, str]
    notes: tuple[str, ...]
    unnamed: Mapping[str, str] = field(default_factory=dict)


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
    _check_window(bag, options.window)
    if options.params_file is not None:
        read_parameter_file(options.params_file)
    inputs = find_inputs(bag, options.topics)
    truth = _truth(options)
    notes = [*bag.notes, *inputs.notes]
    notes += [
        f"not played: {topic.name} ({topic.type_name}, {topic.count} messages)"
        for topic in inputs.skipped
        if topic.count > 0
    ]
    unnamed: dict[str, str] = {}
    parameters = {"image_transport": "compressed" if inputs.image.type_name == COMPRESSED_IMAGE else "raw"}
    if names_rectified(inputs.image.name):
        parameters["image_is_rectified"] = "true"
        notes.append(f"{inputs.image.name} is named as rectified: image_is_rectified is set")
    if "camera_info" not in inputs.by_input:
        notes.append("no camera_info belongs to the images: detections stay in pixels")
    parameters.update(_pose_parameters(bag, inputs, truth, notes, unnamed))
    if "range" not in inputs.by_input and "depth" not in inputs.by_input:
        notes.append("no range and no depth image: without a standoff there are no positions")
    return ReplayPlan(inputs, truth, parameters, tuple(notes), unnamed)


def _check_window(bag: Bag, window: Window) -> None:
    if not (0 <= window.start_s < math.inf and window.duration_s > 0):
        raise UsageError(
            f"--start {window.start_s:g} --duration {window.duration_s:g} is no part of a bag",
            "Give seconds: 0 or more to --start, more than 0 to --duration",
        )
    if window.start_s > bag.duration_s:
        raise UsageError(f"--start {window.start_s:g} lies behind the end of {bag.path} ({bag.duration_s:.1f} s)")


def _truth(options: ReplayOptions) -> Truth | None:
    if options.truth is not None:
        return load_truth(options.truth)
    beside = (
        options.bag / TRUTH_FILE_NAME if options.bag.is_dir() else options.bag.absolute().with_name(TRUTH_FILE_NAME)
    )
    return load_truth(beside) if beside.is_file() else None


def _pose_parameters(
    bag: Bag, inputs: InputTopics, truth: Truth | None, notes: list[str], unnamed: dict[str, str]
) -> dict[str, str]:
    """Return the node's pose source with its frame, message type and extrinsic.

    Poses that name no frame are entered in ``unnamed`` with the frame that the player gives them.
    """
    source = _pose_source(inputs, notes)
    if source in ("pose", "odom"):
        topic = inputs.by_input[source]
        frame = _frame_of(bag, topic)
        if not frame.strip("/"):
            notes.append(f"the poses on {topic.name} name no frame: they are taken as given in {UNNAMED_MAP_FRAME}")
            unnamed[topic.name] = frame = UNNAMED_MAP_FRAME
        parameters = {"pose_source": source, "map_frame": frame}
        if topic.type_name == POSE_WITH_COVARIANCE:
            parameters["pose_type"] = topic.type_name.rpartition("/")[2]
        extrinsic = _extrinsic_parameters(bag, inputs, truth, notes)
        # Only tf knows where the camera is on a vehicle that carries it on a gimbal.
        if extrinsic or _map_of_tf(bag, inputs) != parameters["map_frame"].lstrip("/"):
            return parameters | extrinsic
        notes.append(f"{topic.name} is not used: the camera moves on the vehicle")
    if "/tf" not in inputs.by_input:
        return {"pose_source": source}
    camera, map_frame = _frame_of(bag, inputs.image).lstrip("/"), _map_of_tf(bag, inputs)
    if map_frame is None:
        notes.append(f"tf does not connect the camera's frame '{camera}' with any other: no positions in the map")
        return {"pose_source": "tf"}
    notes.append(f"the camera's pose is tf's {map_frame} to {camera}")
    return {"pose_source": "tf", "map_frame": map_frame}


def _map_of_tf(bag: Bag, inputs: InputTopics) -> str | None:
    """The frame above the camera that serves as its map; None without moving transforms or without a connection."""
    if "/tf" not in inputs.by_input:
        return None
    return map_above(_recorded_transforms(bag, inputs), _frame_of(bag, inputs.image).lstrip("/"))


def _recorded_transforms(bag: Bag, inputs: InputTopics) -> list[Transform]:
    """Static transforms, and the first of those that move."""
    transforms: list[Transform] = []
    for name, most in (("/tf_static", None), ("/tf", _TF_MESSAGES_READ)):
        if name in inputs.by_input:
            for message in islice(bag.messages([inputs.by_input[name].name]), most):
                transforms += transforms_of(deserialize(message.data, TF))
    return transforms


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
            f"/tf_static does not connect {base} with {camera or 'the camera'}: no camera_extrinsic is taken from it"
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
            raise UserError(
                f"the first message of {topic.name} in {bag.path} is damaged: {error}",
                "Name another topic with --topic",
            ) from error
    raise UserError(f"{topic.name} in {bag.path} has no messages", "Name another topic with --topic")
