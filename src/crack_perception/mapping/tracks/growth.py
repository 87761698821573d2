"""Where a frame shows more than the map has: cracks that go on beyond their ends, branches, and new cracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.matching import Assignment
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.index import TrackIndex

Index = npt.NDArray[np.intp]

_NEAR_END = 3


@dataclass(frozen=True, eq=False)
class Extension:
    """A crack goes on: ``part`` of line number ``line``, in the order that leads away from it."""

    crack: int
    at_end: bool
    line: int
    part: Index


@dataclass(frozen=True, eq=False)
class Addition:
    """A new crack: ``part`` of line number ``line``."""

    line: int
    part: Index


@dataclass(eq=False)
class Growth:
    """What a frame adds to the map.

    Attributes:
        extensions: At most one for each end of a crack.
        additions: New cracks.
        linked: Pairs of cracks that a line of the frame shows as one.
    """

    extensions: list[Extension]
    additions: list[Addition]
    linked: set[tuple[int, int]]


def growth(assignments: list[Assignment], tracks: TrackIndex, settings: MapSettings) -> Growth:
    """What the lines of a frame add to the cracks that they were assigned to."""
    extensions: dict[tuple[int, bool], Extension] = {}
    additions: list[Addition] = []
    linked: set[tuple[int, int]] = set()
    for number, assignment in enumerate(assignments):
        owner = assignment.owner
        edges = (owner[1:] != owner[:-1]).nonzero()[0] + 1
        stretches = list(zip(np.append(0, edges).tolist(), np.append(edges, len(owner)).tolist(), strict=True))
        for start, stop in stretches:
            before = _end_beside(assignment, tracks, start - 1, start)
            if owner[start]:
                if (
                    before is not None
                    and owner[start - 1]
                    and _end_beside(assignment, tracks, start, start - 1) is not None
                ):
                    linked.add((int(owner[start - 1]), int(owner[start])))
                continue
            after = _end_beside(assignment, tracks, stop, stop - 1)
            part = np.arange(start, stop)
            if before is not None and after is not None and owner[start - 1] != owner[stop]:
                linked.add((int(owner[start - 1]), int(owner[stop])))
            if before is not None:
                _keep_longest(extensions, Extension(int(owner[start - 1]), before, number, part))
            elif after is not None:
                _keep_longest(extensions, Extension(int(owner[stop]), after, number, part[::-1]))
            elif (stop - start) * settings.step_m >= _least_length(start, stop, len(owner), settings):
                # A branch begins on the crack that it leaves.
                additions.append(Addition(number, np.arange(max(start - 1, 0), min(stop + 1, len(owner)))))
    return Growth(list(extensions.values()), additions, linked)


def _least_length(start: int, stop: int, count: int, settings: MapSettings) -> float:
    return settings.min_length_m if stop - start == count else settings.branch_length_m


def _keep_longest(extensions: dict[tuple[int, bool], Extension], extension: Extension) -> None:
    key = (extension.crack, extension.at_end)
    if key not in extensions or len(extensions[key].part) < len(extension.part):
        extensions[key] = extension


def _end_beside(assignment: Assignment, tracks: TrackIndex, inner: int, outer: int) -> bool | None:
    """Which end of its crack the vertex ``inner`` of a line is at, when the line leaves it outward towards ``outer``.

    Returns:
        True for the last vertex, False for the first, None when it is at neither or there is no such vertex.
    """
    if not 0 <= inner < len(assignment.owner) or not assignment.owner[inner]:
        return None
    line = tracks[int(assignment.owner[inner])].vertices.point_m
    foot = int(assignment.foot[inner])
    leaving = assignment.line.point_m[outer] - assignment.line.point_m[inner]
    near = min(_NEAR_END, len(line) - 1)
    if len(line) - 1 - foot < near and leaving @ (line[-1] - line[-1 - near]) > 0:
        return True
    if foot < near and leaving @ (line[0] - line[near]) > 0:
        return False
    return None
