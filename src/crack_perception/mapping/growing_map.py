# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The map of all cracks: a pipeline from the observations of a frame to the changes of the map.

Predict, associate, update, manage: each stage takes the values of the one before it and returns values; tracks change
in the manage stage alone. What has changed is then stored by the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.matching import Association, ShiftPrior, associate
from crack_perception.mapping.association.nearest import nearest_crack
from crack_perception.mapping.association.view_lines import ViewLines, view_lines
from crack_perception.mapping.camera_error import CameraErrorModel
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.observation import FrameObservation
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.fusion import FrameError, FrameTime, TrackUpdate, combined, update_tracks
from crack_perception.mapping.tracks.growth import Growth, find_growth
from crack_perception.mapping.tracks.index import MapChange, TrackIndex
from crack_perception.mapping.tracks.management import TrackManager
from crack_perception.mapping.tracks.missed_views import ExpectedView, depth_m, expected_views
from crack_perception.mapping.tracks.track import track_of

Array = npt.NDArray[np.float64]

_NO_GROWTH = Growth([], [], set())


@dataclass(frozen=True, eq=False)
class Prediction:
    """A frame before it is compared with the map.

    Attributes:
        lines: Its usable lines.
        footprint: The patch of surface that it covers, where known.
        camera: Error model of its camera.
        frame: Its time, source and error process.
        prior: Expected shift of its lines; None without lines.
    """

    lines: ViewLines
    footprint: Footprint | None
    camera: CameraErrorModel
    frame: FrameTime
    prior: ShiftPrior | None


@dataclass(frozen=True, eq=False)
class Updates:
    """New states of the cracks around a frame, not applied yet.

    Attributes:
        shown: Cracks that the frame shows.
        expected: Cracks, shown or not, that it should have shown.
        growth: What it adds to them.
        error: Its common error against the cracks that it shows; None when it shows none.
    """

    shown: list[TrackUpdate]
    expected: list[ExpectedView]
    growth: Growth
    error: FrameError | None


class GrowingMap:
    """All cracks, each once, with ids that never change; every observation of a frame extends or corrects them.

    ``CrackMap`` of the public API reads the file that a growing map is stored in.

    Not safe for use from several threads at once.

    Args:
        settings: Assumptions on cameras, errors and cracks.
        next_id: The first id that may be given.
    """

    def __init__(self, settings: MapSettings | None = None, next_id: int = 1) -> None:
        self.settings = settings or MapSettings()
        self._tracks = TrackIndex(next_id)
        self._manager = TrackManager(self._tracks, self.settings)
        self._cameras: dict[str, CameraErrorModel] = {}
        self._refused: Counter[str] = Counter()

    @property
    def next_id(self) -> int:
        """The id of the next new crack; larger than every id before."""
        return self._tracks.next_id

    @property
    def refused(self) -> Mapping[str, int]:
        """Number of observations that were not mapped, by reason."""
        return self._refused

    def __len__(self) -> int:
        return len(self._tracks)

    def cracks(self) -> tuple[MappedCrack, ...]:
        """Present state of all cracks, by id."""
        return tuple(
            self._tracks[identifier].mapped(self.settings.position_floor_m) for identifier in sorted(self._tracks)
        )

    def restore(self, cracks: Iterable[MappedCrack], next_id: int | None = None) -> None:
        """Restore stored cracks into an empty map.

        Args:
            next_id: The stored counter, so that ids of removed cracks are not used again.

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
            self._tracks.put(track)
        for track in restored:
            track.apart_from &= set(self._tracks) - {track.id}
            for other in set(track.apart_from):
                self._tracks.set_apart(track.id, other)
        self._tracks.next_id = max(self._tracks.next_id, next_id or 0)

    def keep_decided(self, identifiers: Iterable[int]) -> None:
        """Never remove these cracks as false ones: a reviewer has decided on them, and a new id would lose that."""
        self._manager.decided = frozenset(identifiers)

    def crack_along(self, line_m: Array) -> int | None:
        """The crack that a line (N, 3) of a frame shows, N >= 2; None where there is none."""
        near = self._tracks.near(line_m, self.settings.max_offset_m)
        return nearest_crack(line_m, near)

    def reset(self) -> None:
        """Remove all cracks and camera models; ids continue."""
        self._tracks.clear()
        self._cameras.clear()
        self._refused.clear()

    def add(self, observation: FrameObservation) -> MapChange:
        """Update the map with a frame: with what it shows, and with what it should have shown."""
        prediction = self._predict(observation)
        association = self._associate(prediction)
        updates = self._update(prediction, association, observation.is_complete)
        return self._manage(prediction, association, updates)

    def _predict(self, observation: FrameObservation) -> Prediction:
        """Prepare a frame's lines and predict their error."""
        lines = view_lines(observation.observations, self.settings, self._refused)
        footprint = Footprint.of(observation.footprint_m)
        camera = self._cameras.setdefault(observation.source, CameraErrorModel(self.settings))
        camera.learn_pixels(footprint, lines)
        frame = FrameTime(observation.stamp_ns, observation.source, camera.noise)
        prior = camera.prior(lines, frame.now_s) if len(lines) else None
        return Prediction(lines, footprint, camera, frame, prior)

    def _associate(self, prediction: Prediction) -> Association | None:
        """Match the lines with the cracks near them; None without lines."""
        if prediction.prior is None:
            return None
        near = self._tracks.near(prediction.lines.point_m, self.settings.max_offset_m)
        return associate(prediction.lines, near, prediction.prior, self.settings)

    def _update(self, prediction: Prediction, association: Association | None, is_complete: bool) -> Updates:
        """Compute the new states of the cracks around the frame.

        Args:
            is_complete: Whether the frame contains all lines that were found, so that missing ones are evidence.
        """
        shown: list[TrackUpdate] = []
        growth, frame = _NO_GROWTH, prediction.frame
        if association is not None:
            owners = {crack for assignment in association.assignments for crack in assignment.information}
            tracks = [self._tracks[identifier] for identifier in sorted(owners)]
            shown = update_tracks(tracks, association, frame, self.settings)
            growth = find_growth(association.assignments, {each.track: each for each in shown}, self.settings)
        expected: list[ExpectedView] = []
        footprint = prediction.footprint
        if footprint is not None and is_complete:
            depth = depth_m(prediction.camera)
            low, high = footprint.corners_m.min(axis=0) - depth, footprint.corners_m.max(axis=0) + depth
            expected = expected_views(
                self._tracks.in_box(low, high),
                {each.track: each for each in shown},
                footprint,
                prediction.camera,
                frame.now_s,
                self.settings,
            )
        return Updates(shown, expected, growth, combined([each.error for each in shown]))

    def _manage(self, prediction: Prediction, association: Association | None, updates: Updates) -> MapChange:
        """Apply the updates, grow, classify, merge and remove cracks."""
        changed = self._manager.update(updates.shown, updates.expected, association, prediction.frame)
        if updates.error is not None and prediction.prior is not None:
            prediction.camera.learn_error(updates.error, prediction.prior.view_m2, prediction.frame.now_s)
        grown: set[int] = set()
        if association is not None:
            grown = self._manager.grow(association, updates.growth, updates.shown, updates.error, prediction.frame)
        return self._manager.settle(changed, grown, updates.growth.linked)
