# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plan of a replay: inputs, truth and node parameters, derived from the bag and the user's options."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crack_perception.documents import parse_json, parse_yaml
from crack_perception.errors import UsageError
from crack_perception.evaluation.metrics.crack_recall import DEFAULT_MIN_WIDTH_PX
from crack_perception.evaluation.metrics.marked_pictures import MarkedPictures, read_coco, read_masks
from crack_perception.evaluation.metrics.true_line_file import read_true_lines
from crack_perception.evaluation.recordings.bag import WHOLE, Bag, Window
from crack_perception.evaluation.recordings.images import first_picture
from crack_perception.evaluation.replay.input_topics import LASER_SCAN, TRANSPORTS, InputTopics, find_inputs
from crack_perception.evaluation.replay.pose_source import ROTATION, TRANSLATION, PoseSource
from crack_perception.evaluation.replay.requirements import Requirement
from crack_perception.geometry.camera.calibration import names_rectified
from crack_perception.geometry.poses.pose import Pose
from crack_perception.parameter_files import read_parameter_file
from crack_perception.simulation.flight.truth import FILE_NAME as TRUTH_FILE_NAME
from crack_perception.simulation.flight.truth import Truth, TruthCrack, load_truth

NAMESPACE = "/replay"
NODE_NAME = "crack_node"
TARGET = f"{NAMESPACE}/{NODE_NAME}"
"""Full name of the node of a replay."""

_MAX_RATE = 100.0


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
    if marked is not None and options.truth is not None:
        picture = first_picture(bag, inputs.image)
        if picture is not None:
            marked.check_size((picture.shape[1], picture.shape[0]), options.truth)
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
    poses = PoseSource(bag, inputs, truth, given, notes, options.topics)
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
        return parse_yaml(text)
    except yaml.YAMLError:
        return text


def _given_mount(given: Mapping[str, Any]) -> Pose | None:
    """Return the optical frame on the vehicle, where the user has given it and it is valid."""
    if given.get("pose_of", "body") != "body":
        return None  # the poses are the camera's own, whose direction on the vehicle is unknown
    try:
        return Pose.of(given.get(TRANSLATION, (0.0, 0.0, 0.0)), given[ROTATION])
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
            document = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            document = None  # load_truth says what is wrong
        if isinstance(document, dict) and "annotations" in document and "images" in document:
            return None, read_coco(path, document), ()
        if isinstance(document, dict) and document.get("type") == "FeatureCollection":
            return None, None, read_true_lines(path, document)
    return load_truth(path), None, ()
