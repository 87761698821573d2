"""The map of all cracks: takes frames in, keeps every crack once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from crack_perception.mapping.association.matching import Association, associate
from crack_perception.mapping.association.view_lines import ViewLine, view_lines
from crack_perception.mapping.camera_error import CameraErrorModel
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.observation import FrameObservation
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.evidence import add_misses, depth_m, judge
from crack_perception.mapping.tracks.fusion import FrameError, FrameTime, Stretch, combined, stretches_of, take_in
from crack_perception.mapping.tracks.growth import Growth, growth
from crack_perception.mapping.tracks.index import TrackIndex
from crack_perception.mapping.tracks.line_building import extend, new_track
from crack_perception.mapping.tracks.map_change import MapChange
from crack_perception.mapping.tracks.merging import TrackMerger
from crack_perception.mapping.tracks.track import track_of


class CrackMap:
    """All cracks that were seen, each once, with ids that last.

    Not safe for use from several threads at once.

    Args:
        settings: What it assumes.
        next_id: The first id that it may give.
    """

    def __init__(self, settings: MapSettings | None = None, next_id: int = 1) -> None:
        self.settings = settings or MapSettings()
        self._tracks = TrackIndex(self.settings.max_offset_m, next_id)
        self._merger = TrackMerger(self._tracks, self.settings)
        self._sources: dict[str, CameraErrorModel] = {}
        self._refused: Counter[str] = Counter()

    @property
    def next_id(self) -> int:
        """The id of the next new crack; larger than every id before."""
        return self._tracks.next_id

    @property
    def refused(self) -> Mapping[str, int]:
        """How many observations were not mapped, by reason."""
        return self._refused

    def __len__(self) -> int:
        return len(self._tracks)

    def cracks(self) -> tuple[MappedCrack, ...]:
        """All cracks as they are now, by id."""
        return tuple(
            self._tracks[identifier].mapped(self.settings.position_floor_m) for identifier in sorted(self._tracks)
        )

    def restore(self, cracks: Iterable[MappedCrack], next_id: int | None = None) -> None:
        """Put stored cracks into an empty map.

        Args:
            next_id: As it was stored, where ids of removed cracks must not come back.

        Raises:
            ValueError: The map is not empty, or two cracks have one id.
        """
        if len(self._tracks):
            raise ValueError("cracks are restored into an empty map")
        restored = [track_of(crack, self.settings.max_log_odds) for crack in cracks]
        if len({track.id for track in restored}) != len(restored):
            raise ValueError("two cracks have the same id")
        for track in restored:
            if not 0.5 < track.length_m / (len(track.vertices) - 1) / self.settings.step_m < 1.8:
                # It does not come from a map with these settings.
                track.even_out(self.settings.step_m)
            self._tracks.keep(track)
        for track in restored:
            track.apart_from &= set(self._tracks) - {track.id}
            for other in set(track.apart_from):
                self._tracks.set_apart(track.id, other)
        self._tracks.next_id = max(self._tracks.next_id, next_id or 0)

    def reset(self) -> None:
        """Forget all cracks and sources; ids go on."""
        self._tracks.clear()
        self._sources.clear()
        self._refused.clear()

    def add(self, frame_observation: FrameObservation) -> MapChange:
        """Take in what a frame shows, and what it does not show."""
        lines = view_lines(frame_observation.observations, self.settings, self._refused)
        footprint = Footprint.of(frame_observation.footprint_m)
        source = self._sources.setdefault(frame_observation.source, CameraErrorModel(self.settings))
        frame = FrameTime(frame_observation.stamp_ns, frame_observation.source, source.noise)
        source.learn_pixels(footprint, lines)

        change = MapChange()
        shown: dict[int, list[Stretch]] = {}
        grown: set[int] = set()
        found = self._associated(lines, source, frame)
        errors: dict[int, FrameError] = {}
        if found is not None:
            for identifier in sorted({crack for a in found.assignments for crack in a.information}):
                shown[identifier] = stretches_of(identifier, found.assignments)
            if shown:
                seen = [self._tracks[identifier] for identifier in shown]
                errors = take_in(seen, shown, found.assignments, frame, self.settings)
        if footprint is not None and frame_observation.is_complete:
            corners, depth = footprint.corners_m, depth_m(source)
            near = self._tracks.in_box(corners.min(axis=0) - depth, corners.max(axis=0) + depth)
            missed = add_misses(
                near,
                shown,
                footprint,
                source,
                frame.now_s,
                self.settings,
            )
            change.changed |= missed
        linked: set[tuple[int, int]] = set()
        if found is not None:
            grows = growth(found.assignments, self._tracks, self.settings)
            grown = self._grow(found, grows, errors, source, frame)
            linked = grows.linked
        change.changed |= set(shown) | grown
        self._settle(change, grown, linked)
        return change

    def _associated(self, lines: list[ViewLine], source: CameraErrorModel, frame: FrameTime) -> Association | None:
        if not lines:
            return None
        tracks = self._tracks.near(np.concatenate([line.point_m for line in lines]), self.settings.max_offset_m)
        return associate(lines, tracks, source.prior(lines, frame.now_s), self.settings)

    def _grow(
        self,
        found: Association,
        grows: Growth,
        errors: dict[int, FrameError],
        source: CameraErrorModel,
        frame: FrameTime,
    ) -> set[int]:
        """Extend cracks and add new ones; the ids of both."""
        error = combined(list(errors.values()))
        if error is not None:
            source.learn_error(error, source.view_m2, frame.now_s)
        grown = set()
        for extension in grows.extensions:
            assignment, part = found.assignments[extension.line], extension.part
            own = errors[extension.crack]
            offset = assignment.similarity.offset_at(assignment.line.point_m[part]) + own.correction_m
            track = self._tracks[extension.crack]
            extend(track, extension.at_end, assignment.line, part, offset, own, frame, self.settings)
            assignment.owner[part] = extension.crack
            grown.add(extension.crack)
        for addition in grows.additions:
            assignment, part = found.assignments[addition.line], addition.part
            offset = np.zeros((len(part), 3))
            if error is not None:
                offset = assignment.similarity.offset_at(assignment.line.point_m[part]) + error.correction_m
            track = new_track(self._tracks.next_id, assignment.line, part, offset, error, frame, self.settings)
            self._tracks.keep(track)
            assignment.owner[part[assignment.owner[part] == 0]] = track.id
            grown.add(track.id)
        self._count_parallel(found)
        return grown

    def _count_parallel(self, found: Association) -> None:
        """Keep in mind which cracks the frame has shown side by side, and where."""
        for pair in found.parallel:
            line, other = found.assignments[pair.line], found.assignments[pair.other]
            mine, theirs = line.owner[pair.at], other.owner[pair.other_at]
            for one, two in sorted(set(zip(mine.tolist(), theirs.tolist(), strict=True))):
                if one == two or not one or not two:
                    continue
                self._tracks.set_apart(one, two)
                if one in line.information:
                    v = self._tracks[one].vertices
                    count = v.parallel_views.setdefault(two, np.zeros(len(v)))
                    at = line.foot[pair.at[(mine == one) & (theirs == two)]]
                    count[np.unique(at[at < len(v)])] += 1

    def _settle(self, change: MapChange, grown: set[int], linked: set[tuple[int, int]]) -> None:
        """Judge what has changed, and make one crack of what is one."""
        for identifier in sorted(change.changed):
            track = self._tracks[identifier]
            if judge(track, self.settings):
                self._tracks.keep(track)
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
