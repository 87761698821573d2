# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Merging of tracks that are one crack, after every change, among the neighbours of what has changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crack_perception.mapping.polylines import length_of
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.end_joining import end_to_end, furthest_m, unite
from crack_perception.mapping.tracks.index import MapChange, TrackIndex
from crack_perception.mapping.tracks.overlaps import Absorbed, absorb, longer_first, may_overlap
from crack_perception.mapping.tracks.track import Track
from crack_perception.mapping.tracks.vertices import Vertices

# Shorter parts of a crack that turns back are duplicates.
_LONG_FOLD_M = 0.5


class TrackMerger:
    """Merges tracks of one crack, and removes overlaps between tracks.

    Args:
        tracks: All cracks of the map.
    """

    def __init__(self, tracks: TrackIndex, settings: MapSettings) -> None:
        self._tracks = tracks
        self._settings = settings

    def join_linked(self, one: int, other: int, change: MapChange) -> None:
        """Merge two cracks that one line of a frame follows, if they fit together."""
        if one in self._tracks and other in self._tracks and one != other:
            self._merge(self._tracks[one], self._tracks[other], True, True, change)

    def merge_around(self, track: Track, change: MapChange) -> None:
        """Merge a crack with all those near it that are the same crack."""
        found: int | None = track.id
        while found is not None:
            self._unfold(self._tracks[found], change)
            found = self._merge_once(self._tracks[found], change)

    def _merge_once(self, track: Track, change: MapChange) -> int | None:
        """Merge one neighbour; the id of the resulting crack, None when there is none left to merge."""
        settings = self._settings
        facing = np.cos(settings.max_normal_angle_rad)
        near = [
            other
            for other in self._tracks.near(track.vertices.point_m, settings.max_offset_m)
            if other is not track and float(other.normal @ track.normal) >= facing
        ]
        if not near:
            return None
        alongside = may_overlap(track, near, settings)
        ends = np.stack([other.vertices.point_m[[0, -1]] for other in near])
        gaps = np.square(ends[:, :, None] - track.vertices.point_m[[0, -1]]).sum(axis=3).min(axis=(1, 2))
        for other, is_alongside, gap in zip(near, alongside, np.sqrt(gaps).tolist(), strict=True):
            in_line = gap <= settings.max_offset_m and gap <= furthest_m(track.vertices, other.vertices, settings)
            if (is_alongside or in_line) and other.id in self._tracks:
                survivor = self._merge(track, other, False, is_alongside, change, in_line)
                if survivor is not None:
                    return survivor
        return None

    def _merge(
        self, one: Track, other: Track, linked: bool, alongside: bool, change: MapChange, in_line: bool = True
    ) -> int | None:
        """Merge two cracks, or remove their overlap from one of them; the id of the merged crack, else None."""
        older, younger = (one, other) if one.id < other.id else (other, one)
        vertices: Vertices | None = None
        if alongside:
            longer, shorter = longer_first(older, younger)
            absorbed = absorb(longer, shorter, self._settings)
            if absorbed is not None and absorbed.left:
                self._divide(longer, shorter, absorbed, change)
                return None
            if absorbed is not None:
                vertices = absorbed.longer
        if vertices is None and in_line:
            vertices = end_to_end(older, younger, linked, self._settings)
        if vertices is None:
            return None
        unite(older, younger, vertices, self._settings)
        for identifier in younger.apart_from - {older.id}:
            self._tracks.set_apart(older.id, identifier)
            neighbour = self._tracks[identifier].vertices
            views = neighbour.parallel_views_of(older.id), neighbour.parallel_views_of(younger.id)
            neighbour.parallel_views[older.id] = np.maximum(*views)
        self._tracks.drop(younger.id)
        self._tracks.put(older)
        change.drop(younger.id)
        change.merged[younger.id] = older.id
        change.changed.add(older.id)
        return older.id

    def _divide(self, longer: Track, shorter: Track, absorbed: Absorbed, change: MapChange) -> None:
        """Replace two cracks that overlap; what is left of the shorter one may be several cracks."""
        self._give(longer, [absorbed.longer], change)
        self._give(shorter, absorbed.left, change)
        change.reduced.add(shorter.id)

    def _unfold(self, track: Track, change: MapChange) -> None:
        """Reduce a crack that turns back to its longest part; other long parts become cracks of their own."""
        parts = track.unfolded(self._settings.step_m)
        if len(parts) > 1:
            others = [part for part in parts[1:] if length_of(part.point_m) >= _LONG_FOLD_M]
            self._give(track, [parts[0], *others], change)
            change.reduced.add(track.id)

    def _give(self, track: Track, parts: list[Vertices], change: MapChange) -> None:
        """Assign the first of some parts to a track; the others become tracks of their own."""
        pieces = [
            replace(
                track,
                id=self._tracks.next_id + number,
                existence=replace(track.existence),
                apart_from=set(),
            )
            for number in range(len(parts) - 1)
        ]
        for each, vertices in zip((track, *pieces), parts, strict=True):
            each.set_vertices(vertices, self._settings.step_m)
            self._tracks.put(each)
            change.changed.add(each.id)
        change.divided |= {piece.id: track.id for piece in pieces}
