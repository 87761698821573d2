# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Paths that are shown: of bounded size, and of the frames on tf."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.replay.static_transforms import Transform, ancestors, transforms_of
from crack_perception.geometry.poses.pose import Pose

Array = npt.NDArray[np.float64]

MOST_VERTICES = 2000
# Vehicles and cameras; of the other frames, which may be rotors or wheels, only those below the map are shown.
_SHOWN_FRAME = re.compile(r"(^|[/_])(base_link|base_footprint|camera|optical)([/_]|$)")


class BoundedPath:
    """A path whose number of vertices stays bounded: when it is full, every second vertex is left out.

    Attributes:
        count: Positions so far.
    """

    def __init__(self, most: int = MOST_VERTICES) -> None:
        self._most = most
        self._vertices_m: list[Array] = []
        self._every = 1
        self.count = 0
        self._last_m: Array | None = None

    def add(self, position_m: Array) -> None:
        """Add a position (3,)."""
        self._last_m = np.asarray(position_m, np.float64)
        if self.count % self._every == 0:
            self._vertices_m.append(self._last_m)
        self.count += 1
        if len(self._vertices_m) >= self._most:
            self._vertices_m = self._vertices_m[::2]
            self._every *= 2

    def vertices_m(self) -> Array:
        """Return the vertices (N, 3), the last position among them."""
        last = [] if self._last_m is None or self._last_m is self._vertices_m[-1] else [self._last_m]
        return np.array([*self._vertices_m, *last]).reshape(-1, 3)


class FramePoses:
    """Poses of moving frames in the root of their tree, from the latest transforms of one tf topic."""

    def __init__(self) -> None:
        self._latest: dict[str, Transform] = {}

    def push(self, message: Any, is_static: bool) -> Iterator[tuple[str, int, Pose]]:
        """Take a TFMessage; yield frame, stamp [ns] and pose of every frame that has moved and is shown."""
        transforms = transforms_of(message)
        self._latest.update({child: (parent, child, pose) for parent, child, pose in transforms})
        if is_static:
            return
        stamps = {
            item.child_frame_id.lstrip("/"): int(item.header.stamp.sec) * 10**9 + int(item.header.stamp.nanosec)
            for item in message.transforms
        }
        for _, frame, _ in transforms:
            above = ancestors(self._latest.values(), frame)
            if len(above) > 1 and not _SHOWN_FRAME.search(frame):
                continue
            pose = Pose.identity()
            for each in reversed([frame, *above[:-1]]):
                pose = pose.compose(self._latest[each][2])
            yield frame, stamps[frame], pose
