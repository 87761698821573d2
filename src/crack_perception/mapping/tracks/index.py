"""The cracks of a map by id, and which of them are near a place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.tracks.spatial_index import SpatialIndex
from crack_perception.mapping.tracks.track import Track

Array = npt.NDArray[np.float64]


class TrackIndex:
    """Tracks by id; ids are never used twice.

    Args:
        cell_m: Size of the index' cells.
        next_id: The first id that may be given.
    """

    def __init__(self, cell_m: float, next_id: int) -> None:
        self.next_id = next_id
        self._cell_m = cell_m
        self._tracks: dict[int, Track] = {}
        self._index = SpatialIndex(cell_m)

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[int]:
        return iter(self._tracks)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._tracks

    def __getitem__(self, identifier: int) -> Track:
        return self._tracks[identifier]

    def keep(self, track: Track) -> None:
        """Take in a track, or note that its line has changed."""
        self._tracks[track.id] = track
        self._index.put(track.id, track.vertices.point_m)
        self.next_id = max(self.next_id, track.id + 1)

    def drop(self, identifier: int) -> None:
        """Forget a track."""
        for other in self._tracks.pop(identifier).apart_from:
            neighbour = self._tracks[other]
            neighbour.apart_from.discard(identifier)
            neighbour.vertices.parallel_views.pop(identifier, None)
        self._index.remove(identifier)

    def set_apart(self, one: int, other: int) -> None:
        """Note that two tracks were seen side by side."""
        self._tracks[one].apart_from.add(other)
        self._tracks[other].apart_from.add(one)

    def clear(self) -> None:
        """Forget all tracks; ids go on."""
        self._tracks.clear()
        self._index = SpatialIndex(self._cell_m)

    def near(self, points_m: Array, reach_m: float) -> list[Track]:
        """The tracks with a vertex within reach of one of the points (N, 3), and some a little further, by id."""
        return self._sorted(self._index.near(points_m, reach_m))

    def in_box(self, low_m: Array, high_m: Array) -> list[Track]:
        """The tracks with a vertex in an axis-aligned box, and some around it, by id."""
        return self._sorted(self._index.in_box(low_m, high_m))

    def _sorted(self, identifiers: Iterable[int]) -> list[Track]:
        return [self._tracks[identifier] for identifier in sorted(identifiers)]
