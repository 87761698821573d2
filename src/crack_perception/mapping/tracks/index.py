# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tracks by id and by place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.tracks.track import Track

Array = npt.NDArray[np.float64]

_FIRST_ROOM = 64


@dataclass(eq=False)
class MapChange:
    """Changes of the map by a frame.

    Attributes:
        changed: Ids of cracks that are new or differ from before.
        removed: Ids of cracks that no longer exist: false ones, and those merged into others.
        merged: For the latter, the id that they are part of now.
        divided: For cracks that were parts of others, the id of the crack that they were part of.
        reduced: Ids of cracks that have lost a part, to a crack of ``divided`` or to a neighbour.
    """

    changed: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    merged: dict[int, int] = field(default_factory=dict)
    divided: dict[int, int] = field(default_factory=dict)
    reduced: set[int] = field(default_factory=set)

    def drop(self, identifier: int) -> None:
        """Record that a crack was removed."""
        self.changed.discard(identifier)
        self.removed.add(identifier)

    @property
    def moves_ownership(self) -> bool:
        """Whether something belongs to another crack than before."""
        return bool(self.removed or self.divided or self.reduced)

    def owner_of(self, identifier: int) -> int | None:
        """The crack that one is now, or is a part of now; None when it was removed as a false one."""
        while identifier in self.merged:
            identifier = self.merged[identifier]
        return None if identifier in self.removed else identifier


class BoxIndex:
    """Bounding boxes by id, in one array: a query compares all of them at once.

    With 10,000 boxes that takes less time than a tree or a grid takes to keep up with lines that move in each frame.
    """

    def __init__(self) -> None:
        self._boxes = np.full((_FIRST_ROOM, 6), np.inf)
        self._ids: list[int] = []
        self._rows: dict[int, int] = {}

    def put(self, identifier: int, points: Array) -> None:
        """Set the vertices (N, 3) of an id, replacing those that it had."""
        row = self._rows.get(identifier)
        if row is None:
            row = self._rows[identifier] = len(self._ids)
            self._ids.append(identifier)
            if row == len(self._boxes):
                self._boxes = np.concatenate([self._boxes, np.full(self._boxes.shape, np.inf)])
        # Both sides are lower limits, the second one of the negated coordinates: a query is one comparison.
        self._boxes[row, :3] = points.min(axis=0)
        self._boxes[row, 3:] = -points.max(axis=0)

    def remove(self, identifier: int) -> None:
        """Remove an id; one that is not there is no error."""
        row = self._rows.pop(identifier, None)
        if row is None:
            return
        last = self._ids.pop()
        if last != identifier:
            self._ids[row] = last
            self._rows[last] = row
            self._boxes[row] = self._boxes[len(self._ids)]
        self._boxes[len(self._ids)] = np.inf

    def in_box(self, low: Array, high: Array) -> set[int]:
        """Ids whose bounding box touches the axis-aligned box from ``low`` (3,) to ``high`` (3,)."""
        limits = np.concatenate([high, -low])
        at = np.nonzero(np.all(self._boxes[: len(self._ids)] <= limits, axis=1))[0]
        return {self._ids[row] for row in at.tolist()}


class TrackIndex:
    """Tracks by id and by place; ids are never used twice.

    Args:
        next_id: The first id that may be given.
    """

    def __init__(self, next_id: int) -> None:
        self.next_id = next_id
        self._tracks: dict[int, Track] = {}
        self._boxes = BoxIndex()

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[int]:
        return iter(self._tracks)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._tracks

    def __getitem__(self, identifier: int) -> Track:
        return self._tracks[identifier]

    def put(self, track: Track) -> None:
        """Add a track, or update the place of one whose line has changed."""
        self._tracks[track.id] = track
        self._boxes.put(track.id, track.vertices.point_m)
        self.next_id = max(self.next_id, track.id + 1)

    def drop(self, identifier: int) -> None:
        """Remove a track."""
        for other in self._tracks.pop(identifier).apart_from:
            neighbour = self._tracks[other]
            neighbour.apart_from.discard(identifier)
            neighbour.vertices.parallel_views.pop(identifier, None)
        self._boxes.remove(identifier)

    def set_apart(self, one: int, other: int) -> None:
        """Record that a frame showed two tracks parallel."""
        self._tracks[one].apart_from.add(other)
        self._tracks[other].apart_from.add(one)

    def clear(self) -> None:
        """Remove all tracks; ids continue."""
        self._tracks.clear()
        self._boxes = BoxIndex()

    def near(self, points_m: Array, reach_m: float) -> list[Track]:
        """Tracks with a vertex within reach of one of the points (N, 3), and some a little further away, by id."""
        return self.in_box(points_m.min(axis=0) - reach_m, points_m.max(axis=0) + reach_m)

    def in_box(self, low_m: Array, high_m: Array) -> list[Track]:
        """Tracks with a vertex in an axis-aligned box, and some around it, by id."""
        return [self._tracks[identifier] for identifier in sorted(self._boxes.in_box(low_m, high_m))]
