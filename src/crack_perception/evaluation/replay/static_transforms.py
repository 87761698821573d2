# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Chains of recorded transforms: camera pose on the vehicle, and map frame above the camera."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from crack_perception.geometry.poses.pose import Pose

BODY_FRAMES = ("base_link", "base_footprint", "base_stabilized")
"""Frames of a vehicle's body (REP 105 and REP 120), without the prefix of a vehicle; none of them is a map."""

# (parent frame, child frame, pose of the child in the parent)
Transform = tuple[str, str, Pose]


def transforms_of(message: Any | None) -> list[Transform]:
    """Return the valid transforms of a tf2_msgs/TFMessage (None: empty list)."""
    found = (transform_of(item) for item in ([] if message is None else message.transforms))
    return [transform for transform in found if transform is not None]


def transform_of(item: Any) -> Transform | None:
    """Return a geometry_msgs/TransformStamped; None where the node refuses it, too.

    That is one without a rotation or without the names of two different frames.
    """
    translation, rotation = item.transform.translation, item.transform.rotation
    try:
        turn = (rotation.x, rotation.y, rotation.z, rotation.w)
        pose = Pose.received((translation.x, translation.y, translation.z), turn)
    except ValueError:
        return None
    parent, child = item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/")
    return (parent, child, pose) if parent and child and parent != child else None


def ancestors(transforms: Iterable[Transform], frame: str) -> list[str]:
    """Return the frames above ``frame``, from its parent to the root."""
    parents = {child: parent for parent, child, _ in transforms}
    above: list[str] = []
    while (parent := parents.get(above[-1] if above else frame)) is not None and parent not in {frame, *above}:
        above.append(parent)
    return above


def map_above(transforms: Iterable[Transform], frame: str) -> str | None:
    """Return the map frame above ``frame``: the ancestor called ``map`` if there is one, else the root.

    Returns:
        None when the frame has no parent, or the root is the body of a vehicle, whose own transform is missing.
    """
    above = ancestors(transforms, frame)
    found = next((name for name in above if name.rpartition("/")[2] == "map"), above[-1] if above else None)
    return None if found is not None and found.rpartition("/")[2] in BODY_FRAMES else found


def fixed_pose(transforms: Iterable[Transform], parent: str, child: str) -> Pose | None:
    """Return ``T_parent_child`` along a chain of transforms; None when they do not connect the frames."""
    neighbours: dict[str, list[tuple[str, Pose]]] = {}
    for above, below, pose in transforms:
        neighbours.setdefault(above, []).append((below, pose))
        neighbours.setdefault(below, []).append((above, pose.inverse()))
    reached = {parent: Pose.identity()}
    waiting = deque([parent])
    while waiting:
        frame = waiting.popleft()
        if frame == child:
            return reached[frame]
        for neighbour, pose in neighbours.get(frame, []):
            if neighbour not in reached:
                reached[neighbour] = reached[frame].compose(pose)
                waiting.append(neighbour)
    return None


def body_pose(transforms: Iterable[Transform], body: str, camera: str) -> Pose | None:
    """Return the pose of a camera on a body, whose frame may have the prefix of a drone (``drone1/base_link``).

    Returns:
        None when the transforms do not connect them.
    """
    found = list(transforms)
    names = dict.fromkeys(name for parent, child, _ in found for name in (parent, child))
    prefixed = [name for name in names if name != body and name.rpartition("/")[2] == body]
    poses = (fixed_pose(found, name, camera) for name in (body, *prefixed))
    return next((pose for pose in poses if pose is not None), None)
