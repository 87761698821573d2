# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plan of a replay: inputs, truth and node parameters, derived from the bag and the user's options."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from crack_perception.errors import UsageError, UserError
from crack_perception.evaluation.metrics.crack_recall import DEFAULT_MIN_WIDTH_PX
from crack_perception.evaluation.metrics.marked_pictures import MarkedPictures, read_coco, read_masks
from crack_perception.evaluation.metrics.true_line_file import read_true_lines
from crack_perception.evaluation.recordings.bag import WHOLE, Bag, BagTopic, Window, deserialize
from crack_perception.evaluation.recordings.definitions import GIMBAL_ATTITUDE, VEHICLE_ODOMETRY
from crack_perception.evaluation.recordings.messages import read_header
from crack_perception.evaluation.replay.input_topics import (
    BASE_FRAME,
    LASER_SCAN,
    POSE_WITH_COVARIANCE,
    TF,
    TRANSPORTS,
    InputTopics,
    find_inputs,
    static_transforms,
)
from crack_perception.evaluation.replay.requirements import Requirement
from crack_perception.evaluation.replay.static_transforms import (
    Transform,
    ancestors,
    body_pose,
    fixed_pose,
    map_above,
    transforms_of,
)
from crack_perception.geometry.camera.calibration import names_rectified
from crack_perception.geometry.poses.pose import Pose
from crack_perception.parameter_files import read_parameter_file
from crack_perception.simulation.flight.truth import FILE_NAME as TRUTH_FILE_NAME
from crack_perception.simulation.flight.truth import Truth, TruthCrack, load_truth

NAMESPACE = "/replay"
NODE_NAME = "crack_node"
TARGET = f"{NAMESPACE}/{NODE_NAME}"
"""Full name of the node of a replay."""

UNNAMED_MAP_FRAME = "map"

_TRANSLATION, _ROTATION = "camera_extrinsic.translation", "camera_extrinsic.rotation"
_MAX_RATE = 100.0
_OPTICAL = re.compile(r"(^|[/_])optical([/_]|$)")
_VEHICLE_FRAMES = ("base_link", "base_footprint", "base_stabilized", "odom")
# Enough messages to contain the first transform of every broadcaster.
_TF_MESSAGES_READ = 2000


@dataclass(frozen=True)
class ReplayOptions:
    """Options given by the user.

    Attributes:
        bag: Folder or file of the bag.
        out: Output folder.
        truth: Truth file; None uses ``truth.json`` in the bag's folder if it exists.
        rate: Playback speed, bag seconds per second.
        topics: Input name -> topic of the bag; an empty topic disables the input.
        parameters: Parameters of the node by name, written as on a ROS command line.
        params_file: Parameter file of the node; ``parameters`` take precedence over it.
        video: Whether annotated images are recorded.
        min_width_px: Minimum width of a visible crack in the image [px].
        map: Whether crack_mapper runs.
        window: Part of the bag that is played.
        requirements: Requirements on the figures of the report.
        wait_budget_s: Maximum total delay of the playback, so that a slow node drops no frames [s].
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
    requirements: tuple[Requirement, ...] = ()
    wait_budget_s: float = 0.0


@dataclass(frozen=True)
class ReplayPlan:
    """Plan of a replay.

    Attributes:
        inputs: Topics that are played.
        truth: Truth of the flight, or None.
        parameters: Node parameters that follow from the bag.
        notes: Remarks about the input for the report.
        unnamed: Topic whose messages have an empty frame -> frame with which they are played.
        marked: Cracks that were marked in images, or None.
        true_lines: Known cracks as lines in the map; empty without.
    """

    inputs: InputTopics
    truth: Truth | None
    parameters: Mapping[str, str]
    notes: tuple[str, ...]
    unnamed: Mapping[str, str] = field(default_factory=dict)
    marked: MarkedPictures | None = None
    true_lines: tuple[TruthCrack, ...] = ()

    @property
    def has_truth(self) -> bool:
        """Return whether any truth is known."""
        return self.truth is not None or self.marked is not None or bool(self.true_lines)


def plan_replay(bag: Bag, options: ReplayOptions, given: Mapping[str, Any] | None = None) -> ReplayPlan:
    """Make the plan of a replay.

    Args:
        bag: Open bag.
        options: Options given by the user.
        given: Values of the node's parameters that the user has set, by name; None: those of the options.

    Raises:
        UserError: The bag has no images, or a topic, the truth, the parameter file or an option is invalid.
    """
    if not 0 < options.rate <= _MAX_RATE:
        raise UsageError(
            f"--rate {options.rate:g} is out of range",
            f"Give a factor above 0 and up to {_MAX_RATE:g}, for example 1.0",
        )
    if not 0 <= options.min_width_px < math.inf:
        raise UsageError(
            f"--min-width-px {options.min_width_px:g} is out of range", "Give a number of pixels, 0 or more"
        )
    _check_window(bag, options.window)
    given = _given_values(options) if given is None else given
    inputs = find_inputs(bag, options.topics, _given_mount(given))
    truth, marked, true_lines = _truth(options)
    notes = [*bag.notes, *inputs.notes]
    notes += [
        f"not played: {topic.name} ({topic.type_name}, {topic.count} messages)"
        for topic in inputs.skipped
        if topic.count > 0
    ]
    parameters = {"image_transport": TRANSPORTS[inputs.image.type_name]}
    if "range" in inputs.by_input and inputs.by_input["range"].type_name == LASER_SCAN:
        parameters["range_type"] = "LaserScan"
        notes.append(f"the range is that of the beam straight ahead of {inputs.by_input['range'].name}")
    if names_rectified(inputs.image.name):
        parameters["image_is_rectified"] = "true"
        notes.append(f"the name {inputs.image.name} means rectified images: image_is_rectified is set")
    if "camera_info" not in inputs.by_input:
        notes.append("there is no camera_info for the images: detections stay in pixels")
    poses = _PoseSource(bag, inputs, truth, given, notes, options.topics)
    parameters.update(poses.parameters())
    if "range" not in inputs.by_input and "depth" not in inputs.by_input:
        notes.append("there is neither range nor depth: without a distance there are no positions")
    return ReplayPlan(inputs, truth, parameters, tuple(notes), poses.unnamed, marked, true_lines)


def _given_values(options: ReplayOptions) -> dict[str, Any]:
    """Return the values of the node's parameters that the user has set, by name.

    Raises:
        UserError: The parameter file cannot be used.
    """
    values: dict[str, Any] = {}
    for block in read_parameter_file(options.params_file) if options.params_file is not None else ():
        # A block for such a node in another namespace is used too, see ``readdressed``.
        if block.applies_to(TARGET) or block.key.rpartition("/")[2] == NODE_NAME:
            values.update(block.values)
    return values | {name: _parsed(text) for name, text in options.parameters.items()}


def _parsed(text: str) -> Any:
    """Return a value as ROS reads it on a command line."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _given_mount(given: Mapping[str, Any]) -> Pose | None:
    """Return the optical frame on the vehicle, where the user has given it and it is valid."""
    if given.get("pose_of", "body") != "body":
        return None  # the poses are the camera's own, whose direction on the vehicle is unknown
    try:
        return Pose.of(given.get(_TRANSLATION, (0.0, 0.0, 0.0)), given[_ROTATION])
    except (KeyError, ValueError, TypeError):
        return None  # the node refuses an invalid one


def _check_window(bag: Bag, window: Window) -> None:
    if not (0 <= window.start_s < math.inf and window.duration_s > 0):
        raise UsageError(
            f"--start {window.start_s:g} --duration {window.duration_s:g} is out of range",
            "Give seconds: --start 0 or more, --duration more than 0",
        )
    if window.start_s > bag.duration_s:
        raise UsageError(f"--start {window.start_s:g} is after the end of {bag.path} ({bag.duration_s:.1f} s)")


_TruthKinds = tuple[Truth | None, MarkedPictures | None, tuple[TruthCrack, ...]]


def _truth(options: ReplayOptions) -> _TruthKinds:
    """Return the truth of the flight, marked images, or known lines in the map, whichever there is."""
    if options.truth is not None:
        return _given_truth(options.truth)
    beside = (
        options.bag / TRUTH_FILE_NAME if options.bag.is_dir() else options.bag.absolute().with_name(TRUTH_FILE_NAME)
    )
    return (load_truth(beside) if beside.is_file() else None), None, ()


def _given_truth(path: Path) -> _TruthKinds:
    """Read a truth by its content: a folder of masks, COCO, GeoJSON or the truth of a simulation.

    Raises:
        UserError: It is none of these.
    """
    if path.is_dir() and not (path / TRUTH_FILE_NAME).is_file():
        return None, read_masks(path), ()
    if path.is_file():
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            document = None  # load_truth says what is wrong
        if isinstance(document, dict) and "annotations" in document and "images" in document:
            return None, read_coco(path, document), ()
        if isinstance(document, dict) and document.get("type") == "FeatureCollection":
            return None, None, read_true_lines(path, document)
    return load_truth(path), None, ()


class _PoseSource:
    """Choice of the pose source of a bag.

    Args:
        bag: Open bag.
        inputs: Topics that are played.
        truth: Truth of the flight, or None.
        given: Values of the node's parameters that the user has set, by name.
        notes: Remarks for the report; extended.
        chosen: Inputs whose topic the user has given.

    Attributes:
        unnamed: Topic whose poses have an empty frame -> frame that the player sets.
    """

    def __init__(
        self,
        bag: Bag,
        inputs: InputTopics,
        truth: Truth | None,
        given: Mapping[str, Any],
        notes: list[str],
        chosen: Collection[str],
    ) -> None:
        self._bag, self._inputs, self._truth, self._given, self._notes = bag, inputs, truth, given, notes
        self._chosen = chosen
        self.unnamed: dict[str, str] = {}

    def parameters(self) -> dict[str, str]:
        """Return the node parameters of the pose source: frame, message type and extrinsic."""
        source = next((name for name in ("pose", "odom") if name in self._inputs.by_input), None)
        if source is None:
            return self._from_tf(_CameraOnTf.found(self._bag, self._inputs))
        topic = self._inputs.by_input[source]
        parameters = {"pose_source": source, "map_frame": self._map_of_topic(topic)}
        kind = {POSE_WITH_COVARIANCE: "pose_type", VEHICLE_ODOMETRY: "odom_type"}.get(topic.type_name)
        if kind is not None:
            parameters[kind] = topic.type_name.rpartition("/")[2]
        extrinsic = self._extrinsic()
        if extrinsic is not None:
            return parameters | _as_parameters(extrinsic)
        # With a gimbal, only tf has the moving pose of the camera on the vehicle.
        on_tf = _CameraOnTf.found(self._bag, self._inputs)
        if on_tf is not None and on_tf.map_frame == parameters["map_frame"].lstrip("/"):
            self._notes.append(f"{topic.name} is not used: the camera moves on the vehicle")
            return self._from_tf(on_tf)
        gimbal = next((each for each in self._bag.topics if each.type_name == GIMBAL_ATTITUDE and each.count), None)
        if gimbal is None or source in self._chosen:
            self._check_mount(topic)
            return parameters
        self._notes.append(
            f"{topic.name} is not used: {gimbal.name} turns the camera on the vehicle, and tf, which px4_transforms "
            f"publishes, was not recorded; there are no map positions. --topic {source}={topic.name} uses it for a "
            "fixed camera"
        )
        return {"pose_source": "tf"}

    def _from_tf(self, on_tf: _CameraOnTf | None) -> dict[str, str]:
        """Return the parameters of poses from tf, where it was recorded."""
        if "/tf" not in self._inputs.by_input:
            self._notes.append("there is no pose, odometry or tf: there are no map positions")
            return {"pose_source": "auto"}
        if on_tf is None:
            camera = _frame_of(self._bag, self._inputs.image).lstrip("/")
            self._notes.append(
                f"tf does not connect the camera's frame '{camera}' with a map frame: there are no map positions"
            )
            return {"pose_source": "tf"}
        self._notes.append(f"the camera's pose is taken from tf, {on_tf.map_frame} to {on_tf.camera_frame}")
        parameters = {"pose_source": "tf", "map_frame": on_tf.map_frame}
        if not on_tf.is_named_by_images:
            parameters["camera_frame"] = on_tf.camera_frame
        return parameters

    def _map_of_topic(self, topic: BagTopic) -> str:
        """Return the frame of the poses on a topic; a VehicleOdometry has no header, its map is that of PX4."""
        if topic.type_name == VEHICLE_ODOMETRY:
            return UNNAMED_MAP_FRAME
        frame = _frame_of(self._bag, topic)
        if frame.strip("/"):
            return frame
        self._notes.append(f"the poses on {topic.name} have an empty frame_id: {UNNAMED_MAP_FRAME} is used")
        self.unnamed[topic.name] = UNNAMED_MAP_FRAME
        return UNNAMED_MAP_FRAME

    def _extrinsic(self) -> Pose | None:
        """Return the optical frame on the vehicle from the static transforms of the bag; None if they lack it."""
        base, camera = self._base_frame(), _frame_of(self._bag, self._inputs.image).lstrip("/")
        transforms = static_transforms(self._bag, self._inputs.by_input.get("/tf_static"))
        extrinsic = body_pose(transforms, base, camera) if base == BASE_FRAME else fixed_pose(transforms, base, camera)
        self._notes.append(
            f"/tf_static does not connect {base} with {camera or 'the camera'}: camera_extrinsic is not set"
            if extrinsic is None
            else f"camera_extrinsic is taken from /tf_static, {base} to {camera}"
        )
        return extrinsic

    def _base_frame(self) -> str:
        """Return the frame whose pose is recorded."""
        if self._truth is not None:
            return self._truth.base_frame
        if "pose" in self._inputs.by_input:
            return BASE_FRAME
        odometry = self._bag.first_message(self._inputs.by_input["odom"])
        return str(getattr(odometry, "child_frame_id", "")).lstrip("/") or BASE_FRAME

    def _check_mount(self, topic: BagTopic) -> None:
        """Note as a warning that the camera's pose on the vehicle is unknown, unless the user has given it."""
        given, played = self._given, self._inputs.by_input.keys()
        if _ROTATION in given or given.get("pose_of") in ("camera", "optical"):
            return
        has_distance = played & {"range", "depth"} or given.keys() & {"standoff_m", "map_planes.equations"}
        if not has_distance or "camera_info" not in played or given.get("pose_source") in ("tf", "none"):
            return  # no positions follow from these poses
        self._notes.append(
            f"warning: {topic.name} has the pose of the vehicle, and nothing says how the camera is mounted on it: "
            "positions in the map are those of a camera that looks forward. Give camera_extrinsic in a file "
            "with --params, or pose_of if the poses are the camera's"
        )


@dataclass(frozen=True)
class _CameraOnTf:
    """Frames of the camera's pose on tf.

    Attributes:
        map_frame, camera_frame: Frames of the map and of the camera.
        is_named_by_images: Whether the camera's frame is that of the images.
    """

    map_frame: str
    camera_frame: str
    is_named_by_images: bool

    @classmethod
    def found(cls, bag: Bag, inputs: InputTopics) -> _CameraOnTf | None:
        """Find the images' frame below a map frame, else the only optical frame that moves on the vehicle.

        The frame of a camera on a gimbal often differs from the images'; in flight, the node's ``camera_frame``
        names it.

        Returns:
            None without moving transforms or without a connection.
        """
        if "/tf" not in inputs.by_input:
            return None
        fixed, moving = _recorded_transforms(bag, inputs)
        frame = _frame_of(bag, inputs.image).lstrip("/")
        map_frame = map_above([*fixed, *moving], frame)
        if map_frame is not None:
            return cls(map_frame, frame, True)
        moved = {child for _, child, _ in moving if child.rpartition("/")[2] not in _VEHICLE_FRAMES}
        optical = sorted({child for _, child, _ in [*fixed, *moving] if _OPTICAL.search(child)})
        below = [(frame, ancestors([*fixed, *moving], frame)) for frame in optical]
        found = [(frame, above) for frame, above in below if moved & {frame, *above}]
        if len(found) != 1:
            return None
        ((frame, _),) = found
        return cls(map_above([*fixed, *moving], frame) or "", frame, False)


def _recorded_transforms(bag: Bag, inputs: InputTopics) -> tuple[list[Transform], list[Transform]]:
    """Return the static transforms and the first moving ones."""
    fixed = static_transforms(bag, inputs.by_input.get("/tf_static"))
    moving: list[Transform] = []
    for message in islice(bag.messages([inputs.by_input["/tf"].name]), _TF_MESSAGES_READ):
        moving += transforms_of(deserialize(message.data, TF))
    return fixed, moving


def _as_parameters(extrinsic: Pose) -> dict[str, str]:
    return {
        _TRANSLATION: _numbers(extrinsic.position_m.tolist()),
        _ROTATION: _numbers(extrinsic.quaternion.tolist()),
    }


def _numbers(values: list[float]) -> str:
    # YAML on the command line parses 1e-05 as a string and 1 as an integer.
    return "[" + ", ".join(f"{value:.9f}" for value in values) + "]"


def _frame_of(bag: Bag, topic: BagTopic) -> str:
    """Return the frame in the header of a topic's first message.

    Raises:
        UserError: The topic has no message, or its first message is damaged.
    """
    for message in bag.messages([topic.name]):
        try:
            return read_header(message.data).frame_id
        except ValueError as error:
            raise UserError(
                f"the first message of {topic.name} in {bag.path} is damaged: {error}",
                "Choose another topic with --topic",
            ) from error
    raise UserError(f"{topic.name} in {bag.path} has no messages", "Choose another topic with --topic")
