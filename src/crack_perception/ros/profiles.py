# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Profiles of flight stacks and camera drivers: their topics, and the parameters that fit them.

A profile is a YAML file below ``config/stacks`` or ``config/cameras``::

    topics: {odom: mavros/local_position/odom}
    parameters: {pose_source: odom}

``topics`` renames inputs of the nodes, ``parameters`` are those of crack_node. A stack may start converters (``nodes``)
with parameters of their own (``node_parameters``). Topics are relative, so they follow the namespace of a drone. Frames
are global: ``with_frame_prefix`` gives those of one drone their own names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from crack_perception.documents import parse_yaml
from crack_perception.errors import UserError
from crack_perception.ros.px4.parameters import SPECS as PX4_TRANSFORMS_SPECS

CONVERTERS = ("px4_transforms",)
"""Executables that a profile may start beside the nodes."""

INPUTS = ("image", "camera_info", "depth", "range", "pose", "odom")
"""Inputs of crack_node."""
_CONVERTER_INPUTS = ("vehicle_odometry", "gimbal_device_attitude_status")
# Parameters that name frames of one drone, those of converters with their defaults. The map is common to all drones.
_NODE_FRAMES = ("camera_frame",)
_CONVERTER_FRAMES = {
    "px4_transforms": {
        spec.name: str(spec.default) for spec in PX4_TRANSFORMS_SPECS if spec.name in ("base_frame", "camera_frame")
    }
}
_MAP_FRAME = "map_frame"
_DEFAULT_MAP_FRAME = "map"
_KEYS = {"topics", "parameters", "nodes", "node_parameters"}

DEFAULT_TOPICS = {
    "image": "/camera/image_raw",
    "camera_info": "/camera/camera_info",
    "depth": "/camera/depth/image_raw",
    "range": "/drone/range",
    "pose": "/drone/pose",
    "odom": "/drone/odom",
}
"""Topics of the inputs that neither a profile nor a launch argument names."""


@dataclass(frozen=True)
class Profile:
    """Settings for a flight stack or a camera driver.

    Attributes:
        topics: Input -> topic.
        parameters: Parameters of crack_node by their dotted names.
        nodes: Converters to start.
        node_parameters: Parameters of the converters, by their names.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    node_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def over(self, other: Profile) -> Profile:
        """Return both profiles as one; where both name something, this one takes precedence."""
        return Profile(
            {**other.topics, **self.topics},
            {**other.parameters, **self.parameters},
            tuple(dict.fromkeys([*other.nodes, *self.nodes])),
            {**other.node_parameters, **self.node_parameters},
        )

    def with_frame_prefix(self, prefix: str) -> Profile:
        """Return the profile of one of several drones: its frames, except that of the map, begin with a prefix.

        Args:
            prefix: ``uav_1/`` or ``uav_1``; empty leaves the frames as they are.
        """
        prefix = prefix.strip("/")
        if not prefix:
            return self

        def prefixed(frame: str) -> str:
            return f"{prefix}/{frame.lstrip('/')}" if frame else frame

        def with_frames(values: Mapping[str, Any], frames: Collection[str]) -> dict[str, Any]:
            return {name: prefixed(str(value)) if name in frames else value for name, value in values.items()}

        of_nodes = {}
        for node in dict.fromkeys([*self.nodes, *self.node_parameters]):
            defaults = _CONVERTER_FRAMES.get(node, {})
            of_nodes[node] = with_frames({**defaults, **self.node_parameters.get(node, {})}, defaults)
        parameters = with_frames(self.parameters, _NODE_FRAMES)
        return replace(self, parameters=parameters, node_parameters=of_nodes)


def beside_file(values: Mapping[str, Any], in_file: Mapping[str, Any], is_shipped: bool) -> dict[str, Any]:
    """Return the values of a profile that apply beside a parameter file.

    The user's own file takes precedence over the profile, the profile over the defaults of the shipped file. What the
    file sets is left out, instead of relying on the order: ROS prefers a node's full name to ``/**`` in any order.

    Args:
        values: Parameters of a node from a profile.
        in_file: Those that the parameter file sets for that node.
        is_shipped: Whether it is the shipped file.
    """
    return {name: value for name, value in values.items() if is_shipped or name not in in_file}


def map_frame_of(profile: Profile, in_file: Mapping[str, Any], is_shipped: bool) -> str:
    """Return the frame of the map of crack_node, which its mapper, the converters and RViz share.

    Args:
        profile: Of the stack and the camera.
        in_file: Parameters that the parameter file sets for crack_node.
        is_shipped: Whether it is the shipped file.
    """
    values = {**in_file, **beside_file(profile.parameters, in_file, is_shipped)}
    return str(values.get(_MAP_FRAME, _DEFAULT_MAP_FRAME))


def names(config: Path, kind: str) -> list[str]:
    """Return the names of the shipped profiles of a kind (``stacks`` or ``cameras``)."""
    return sorted(path.stem for path in (config / kind).glob("*.yaml"))


def read_profile(config: Path, kind: str, name: str) -> Profile:
    """Read a shipped profile, or one of your own (a path that ends in ``.yaml``); an empty name gives an empty one.

    Args:
        config: Folder ``config`` of the package.
        kind: ``stacks`` or ``cameras``.
        name: Name of the profile, or its path.

    Raises:
        UserError: There is no such profile, or it is not one.
    """
    if not name:
        return Profile()
    is_path = name.endswith(".yaml")
    path = Path(name).expanduser() if is_path else config / kind / f"{name}.yaml"
    if not path.is_file():
        raise UserError(
            f"there is no profile '{name}' in {path.parent}",
            f"Choose one of {', '.join(names(config, kind))}, or give the path of your own .yaml file",
        )
    try:
        content = parse_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not a readable YAML file: {error}") from error
    return _checked(content, path)


def _checked(content: Any, path: Path) -> Profile:
    if not isinstance(content, dict) or not set(content) <= _KEYS:
        unknown = sorted(set(content) - _KEYS) if isinstance(content, dict) else [type(content).__name__]
        raise UserError(
            f"{path} is not a profile: it holds {', '.join(map(str, unknown))}",
            f"Use the keys {', '.join(sorted(_KEYS))}; parameters alone belong into params_file",
        )
    topics, parameters = content.get("topics") or {}, content.get("parameters") or {}
    nodes, node_parameters = content.get("nodes") or [], content.get("node_parameters") or {}
    for key, value in (("topics", topics), ("parameters", parameters), ("node_parameters", node_parameters)):
        if not isinstance(value, dict):
            raise UserError(f"{key} of {path} is no mapping of names to values, but {value!r}")
    unknown_inputs = sorted(set(topics) - {*INPUTS, *_CONVERTER_INPUTS})
    if unknown_inputs:
        raise UserError(
            f"topics of {path} name the unknown input {', '.join(map(str, unknown_inputs))}",
            f"The inputs are {', '.join((*INPUTS, *_CONVERTER_INPUTS))}",
        )
    unknown_nodes = sorted(map(str, set(nodes) - set(CONVERTERS)))
    if unknown_nodes:
        raise UserError(f"{path} starts the unknown {', '.join(unknown_nodes)}; there is {', '.join(CONVERTERS)}")
    return Profile(
        {name: str(topic) for name, topic in topics.items()},
        dict(_flat(parameters)),
        tuple(nodes),
        {node: dict(_flat(values)) for node, values in node_parameters.items()},
    )


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested parameters by their dotted names."""
    flat: list[tuple[str, Any]] = []
    for name, value in parameters.items():
        flat += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return flat


def topics_of(profile: Profile, arguments: Mapping[str, str], image_transport: str) -> dict[str, str]:
    """Return the topic of every input.

    Args:
        profile: Of the stack and the camera.
        arguments: Input -> topic as the user gives it; empty: as in the profile, else the default.
        image_transport: As the user gives it. ``compressed`` and ``ffmpeg`` are appended to the topic of the images, as
            image_transport does.
    """
    topics = {name: arguments.get(name) or profile.topics.get(name) or DEFAULT_TOPICS[name] for name in INPUTS}
    suffix = f"/{image_transport}"
    if image_transport in ("compressed", "ffmpeg") and not topics["image"].endswith(suffix):
        topics["image"] += suffix
    return topics


def overridden(profile: Profile, values: Mapping[str, Any]) -> list[str]:
    """Return the parameters of a profile that a parameter file changes, as ``name: value instead of value``.

    Args:
        profile: Of the stack and the camera.
        values: Name -> value of the parameters that the file sets for crack_node.
    """
    return [
        f"{name}: {values[name]} instead of {wanted}"
        for name, wanted in profile.parameters.items()
        if name in values and values[name] != wanted
    ]
