# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The one place where tracks change: updates are applied, cracks are added, classified, merged and removed."""

from __future__ import annotations

import numpy as np

from crack_perception.mapping.association.matching import Association
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.fusion import FrameError, FrameTime, TrackUpdate
from crack_perception.mapping.tracks.growth import Growth, extended, new_track
from crack_perception.mapping.tracks.index import MapChange, TrackIndex
from crack_perception.mapping.tracks.merging import TrackMerger
from crack_perception.mapping.tracks.missed_views import ExpectedView, add_expected_view, classify


class TrackManager:
    """Changes the tracks of a map.

    Args:
        tracks: All tracks of the map.

    Attributes:
        decided: Ids of cracks that a reviewer has decided on: they are never removed as false ones.
    """

    def __init__(self, tracks: TrackIndex, settings: MapSettings) -> None:
        self._tracks = tracks
        self._settings = settings
        self._merger = TrackMerger(tracks, settings)
        self.decided: frozenset[int] = frozenset()

    def update(
        self,
        updates: list[TrackUpdate],
        expected: list[ExpectedView],
        association: Association | None,
        frame: FrameTime,
    ) -> set[int]:
        """Apply the updates of a frame to the cracks that it shows or should have shown; the ids that changed."""
        changed = set()
        for update in updates:
            assert association is not None
            lines = [association.lines[number] for number in sorted({stretch.line for stretch in update.stretches})]
            self._tracks[update.track].add_view(lines, update.vertices, update.independence, frame.stamp_ns)
            changed.add(update.track)
        for view in expected:
            add_expected_view(self._tracks[view.track], view, frame.now_s, self._settings)
            if view.missed:
                changed.add(view.track)
        return changed

    def grow(
        self,
        association: Association,
        growth: Growth,
        updates: list[TrackUpdate],
        error: FrameError | None,
        frame: FrameTime,
    ) -> set[int]:
        """Extend cracks and add new ones; the ids of both.

        Args:
            error: Common error of the frame against the cracks that it shows, where it shows any.
        """
        errors = {update.track: update.error for update in updates}
        grown = set()
        for extension in growth.extensions:
            assignment, part = association.assignments[extension.line], extension.part
            own = errors[extension.crack]
            offset = assignment.similarity.offset_at(assignment.line.point_m[part]) + own.correction_m
            track = self._tracks[extension.crack]
            vertices = extended(
                track.vertices, extension.at_end, assignment.line, part, offset, own, frame, self._settings
            )
            track.set_vertices(vertices, self._settings.step_m)
            assignment.owner[part] = extension.crack
            grown.add(extension.crack)
        for addition in growth.additions:
            assignment, part = association.assignments[addition.line], addition.part
            offset = np.zeros((len(part), 3))
            if error is not None:
                offset = assignment.similarity.offset_at(assignment.line.point_m[part]) + error.correction_m
            track = new_track(self._tracks.next_id, assignment.line, part, offset, error, frame, self._settings)
            self._tracks.put(track)
            assignment.owner[part[assignment.owner[part] == 0]] = track.id
            grown.add(track.id)
        self._count_parallel(association)
        return grown

    def settle(self, changed: set[int], grown: set[int], linked: set[tuple[int, int]]) -> MapChange:
        """Classify what has changed, remove false cracks, and merge cracks that are one."""
        change = MapChange(changed | grown)
        for identifier in sorted(change.changed):
            track = self._tracks[identifier]
            if classify(track, self._settings) or identifier in self.decided:
                self._tracks.put(track)
            else:
                self._tracks.drop(identifier)
                change.drop(identifier)
        for one, other in sorted(linked):
            self._merger.join_linked(one, other, change)
        for identifier in sorted(change.changed):
            if identifier not in self._tracks:
                continue
            # A crack that has not grown moves little from view to view.
            track = self._tracks[identifier]
            if identifier in grown or track.views & (track.views - 1) == 0:
                self._merger.merge_around(track, change)
        return change

    def _count_parallel(self, association: Association) -> None:
        """Record which cracks the frame shows parallel, and where."""
        for pair in association.parallel:
            line, other = association.assignments[pair.line], association.assignments[pair.other]
            mine, theirs = line.owner[pair.at], other.owner[pair.other_at]
            both = sorted(set(zip(mine.tolist(), theirs.tolist(), strict=True)))
            for one, two in both:
                if one == two or not one or not two:
                    continue
                self._tracks.set_apart(one, two)
                if one in line.information:
                    v = self._tracks[one].vertices
                    count = v.parallel_views.setdefault(two, np.zeros(len(v)))
                    at = line.foot[pair.at if len(both) == 1 else pair.at[(mine == one) & (theirs == two)]]
                    # A vertex that is there several times is counted once.
                    count[at[at < len(v)]] += 1
