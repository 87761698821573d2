"""The map of all cracks: takes frames in, keeps every crack once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association import Association, associate
from crack_perception.mapping.evidence import add_misses, depth_m, judge
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.fusion import FrameError, FrameTime, Stretch, combined, stretches_of, take_in
from crack_perception.mapping.growth import Growth, growth
from crack_perception.mapping.line_building import extend, new_track
from crack_perception.mapping.map_settings import MapSettings
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.merging import merge
from crack_perception.mapping.observation import SurfaceSighting
from crack_perception.mapping.source import Source
from crack_perception.mapping.spatial_index import SpatialIndex
from crack_perception.mapping.track import Track, track_of
from crack_perception.mapping.view_lines import ViewLine, view_lines

Array = npt.NDArray[np.float64]


@dataclass(eq=False)
class MapChange:
    """What a frame changed.

    Attributes:
        changed: Ids of cracks that are new or differ from before.
        removed: Ids of cracks that are no longer there: false ones, and those merged into others.
        merged: For the latter, the id they are part of now.
    """

    changed: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    merged: dict[int, int] = field(default_factory=dict)


class CrackMap:
    """All cracks that were seen, each once, with ids that last.

    Not safe for use from several threads at once.

    Args:
        settings: What it assumes.
        next_id: The first id that it may give.
    """

    def __init__(self, settings: MapSettings | None = None, next_id: int = 1) -> None:
        self.settings = settings or MapSettings()
        self._next_id = next_id
        self._tracks: dict[int, Track] = {}
        self._index = SpatialIndex(self.settings.max_offset_m)
        self._sources: dict[str, Source] = {}
        self._refused: Counter[str] = Counter()

    @property
    def next_id(self) -> int:
        """The id of the next new crack; larger than every id before."""
        return self._next_id

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
        if self._tracks:
            raise ValueError("cracks are restored into an empty map")
        restored = [track_of(crack, self.settings.max_log_odds) for crack in cracks]
        if len({track.id for track in restored}) != len(restored):
            raise ValueError("two cracks have the same id")
        for track in restored:
            if not 0.5 < track.length_m / (len(track.vertices) - 1) / self.settings.step_m < 1.8:
                # It does not come from a map with these settings.
                track.even_out(self.settings.step_m)
            self._keep(track)
            self._next_id = max(self._next_id, track.id + 1)
        for track in restored:
            track.apart_from &= set(self._tracks) - {track.id}
            for other in track.apart_from:
                self._tracks[other].apart_from.add(track.id)
        self._next_id = max(self._next_id, next_id or 0)

    def reset(self) -> None:
        """Forget all cracks and sources; ids go on."""
        self._tracks.clear()
        self._index = SpatialIndex(self.settings.max_offset_m)
        self._sources.clear()
        self._refused.clear()

    def add(self, sighting: SurfaceSighting) -> MapChange:
        """Take in what a frame shows, and what it does not show."""
        lines = view_lines(sighting.observations, self.settings, self._refused)
        footprint = Footprint.of(sighting.footprint_m)
        source = self._sources.setdefault(sighting.source, Source(self.settings))
        frame = FrameTime(sighting.stamp_ns, sighting.source, source.noise)
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
        if footprint is not None and sighting.is_complete:
            corners, depth = footprint.corners_m, depth_m(source)
            near = self._index.in_box(corners.min(axis=0) - depth, corners.max(axis=0) + depth)
            missed = add_misses(
                [self._tracks[identifier] for identifier in sorted(near)],
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

    def _associated(self, lines: list[ViewLine], source: Source, frame: FrameTime) -> Association | None:
        if not lines:
            return None
        near = self._index.near(np.concatenate([line.point_m for line in lines]), self.settings.max_offset_m)
        tracks = [self._tracks[identifier] for identifier in sorted(near)]
        return associate(lines, tracks, source.prior(lines, frame.now_s), self.settings)

    def _grow(
        self, found: Association, grows: Growth, errors: dict[int, FrameError], source: Source, frame: FrameTime
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
            track = new_track(self._next_id, assignment.line, part, offset, error, frame, self.settings)
            self._next_id += 1
            self._keep(track)
            assignment.owner[part[assignment.owner[part] == 0]] = track.id
            grown.add(track.id)
        for first, first_mask, second, second_mask in found.beside:
            ones = set(found.assignments[first].owner[first_mask].tolist()) - {0}
            others = set(found.assignments[second].owner[second_mask].tolist()) - {0}
            for one in ones - others:
                for other in others - ones:
                    self._tracks[one].apart_from.add(other)
                    self._tracks[other].apart_from.add(one)
        return grown

    def _settle(self, change: MapChange, grown: set[int], linked: set[tuple[int, int]]) -> None:
        """Judge what has changed, merge what is one crack, and bring the index up to date."""
        for identifier in sorted(change.changed):
            track = self._tracks[identifier]
            if judge(track, self.settings):
                self._index.put(identifier, track.vertices.point_m)
            else:
                self._drop(identifier, change)
        for pair in sorted(linked):
            if all(identifier in self._tracks for identifier in pair):
                self._merge(min(pair), max(pair), True, change)
        for identifier in sorted(change.changed):
            if identifier not in self._tracks:
                continue
            # A crack that has not grown moves little from view to view.
            track = self._tracks[identifier]
            if identifier in grown or track.views & (track.views - 1) == 0:
                self._merge_around(track, change)

    def _merge_around(self, track: Track, change: MapChange) -> None:
        near = self._index.near(track.vertices.point_m, self.settings.max_offset_m)
        for identifier in sorted(near - {track.id}):
            if identifier not in self._tracks:
                continue
            survivor = min(identifier, track.id)
            if self._merge(survivor, max(identifier, track.id), False, change):
                self._merge_around(self._tracks[survivor], change)
                return

    def _merge(self, survivor: int, other: int, linked: bool, change: MapChange) -> bool:
        if survivor == other or not merge(self._tracks[survivor], self._tracks[other], linked, self.settings):
            return False
        apart = self._tracks[other].apart_from
        self._drop(other, change)
        change.merged[other] = survivor
        change.changed.add(survivor)
        for identifier in apart:
            self._tracks[identifier].apart_from.add(survivor)
        self._index.put(survivor, self._tracks[survivor].vertices.point_m)
        return True

    def _keep(self, track: Track) -> None:
        self._tracks[track.id] = track
        self._index.put(track.id, track.vertices.point_m)

    def _drop(self, identifier: int, change: MapChange) -> None:
        for other in self._tracks.pop(identifier).apart_from:
            self._tracks[other].apart_from.discard(identifier)
        self._index.remove(identifier)
        change.changed.discard(identifier)
        change.removed.add(identifier)
