# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pose source of a replay: topic or tf, frames, and the camera's place on the vehicle, found in the bag."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import Bag, BagTopic, deserialize
from crack_perception.evaluation.recordings.definitions import GIMBAL_ATTITUDE, VEHICLE_ODOMETRY
from crack_perception.evaluation.recordings.messages import read_header
from crack_perception.evaluation.replay.input_topics import (
    BASE_FRAME,
    POSE_WITH_COVARIANCE,
    TF,
    InputTopics,
    static_transforms,
)
from crack_perception.evaluation.replay.static_transforms import (
    BODY_FRAMES,
    Transform,
    ancestors,
    body_pose,
    fixed_pose,
    map_above,
    transforms_of,
)
from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.flight.truth import Truth

UNNAMED_MAP_FRAME = "map"
"""Frame of poses that name none."""

TRANSLATION, ROTATION = "camera_extrinsic.translation", "camera_extrinsic.rotation"
"""Parameters of the camera's place on the vehicle."""

_OPTICAL = re.compile(r"(^|[/_])optical([/_]|$)")
_VEHICLE_FRAMES = (*BODY_FRAMES, "odom")
# Enough messages to contain the first transform of every broadcaster.
_TF_MESSAGES_READ = 2000


class PoseSource:
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
        if ROTATION in given or given.get("pose_of") in ("camera", "optical"):
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
        TRANSLATION: _numbers(extrinsic.position_m.tolist()),
        ROTATION: _numbers(extrinsic.quaternion.tolist()),
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
