"""Chains of frames in recorded transforms: the camera on its vehicle, and the map above the camera."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from crack_perception.geometry.poses.pose import Pose

# (parent frame, child frame, pose of the child in the parent)
Transform = tuple[str, str, Pose]


def transforms_of(message: Any | None) -> list[Transform]:
    """The transforms of a tf2_msgs/TFMessage (None: none); those that are no rigid transforms are left out."""
    found = []
    for item in [] if message is None else message.transforms:
        translation, rotation = item.transform.translation, item.transform.rotation
        try:
            pose = Pose.of(
                (translation.x, translation.y, translation.z), (rotation.x, rotation.y, rotation.z, rotation.w)
            )
        except ValueError:
            continue
        found.append((item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/"), pose))
    return found


def map_above(transforms: Iterable[Transform], frame: str) -> str | None:
    """The frame above ``frame`` that serves as its map: one called ``map`` where there is one, else the root.

    Returns:
        None where no transform connects the frame with another one above it.
    """
    parents = {child: parent for parent, child, _ in transforms}
    above: list[str] = []
    while (parent := parents.get(above[-1] if above else frame)) is not None and parent not in {frame, *above}:
        above.append(parent)
    return next((name for name in above if name.rpartition("/")[2] == "map"), above[-1] if above else None)


def fixed_pose(transforms: Iterable[Transform], parent: str, child: str) -> Pose | None:
    """``T_parent_child`` along any chain of the given transforms; None when they do not connect the frames."""
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
