# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The map with its file: updates it with frame observations, saves what has changed, and writes the exports."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from concurrent import futures
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from itertools import islice
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.coverage import Coverage, saved_coverage
from crack_perception.mapping.coverage.view import InspectedView
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.export.geographic import write_origin
from crack_perception.mapping.export.table_rows import TableRows
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.inspected_areas import InspectedAreas
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.observation import FrameObservation
from crack_perception.mapping.storage.database import MapStore
from crack_perception.ros.mapper.evidence import EvidenceFigures, MapEvidence
from crack_perception.ros.mapper.exports import remove_unfinished_exports, write_plan, write_tables
from crack_perception.ros.mapper.parameters import MapperSettings
from crack_perception.ros.mapper.saver import MapSaver, settle, wait_with_progress

# Rows of GeoJSON and CSV that are made in a save period: half a millisecond each, beside the flight.
_ROWS_AT_ONCE = 200


def _rows_of(settings: MapperSettings) -> tuple[TableRows, tuple[object, ...]]:
    """Return an empty table and the settings that its rows depend on."""
    return TableRows(settings.map_frame, settings.severity, settings.geo_origin), _shown_settings(settings)


def _shown_settings(settings: MapperSettings) -> tuple[object, ...]:
    """Return the settings that rows depend on, for comparison."""
    return settings.map_frame, settings.severity.edges_mm, settings.severity.confidence, settings.geo_origin


class MapKeeper:
    """Keep the map and its database up to date.

    All methods are called by one thread and return at once, except ``stop``, which waits.

    Args:
        settings: Parameters of the node.

    Raises:
        UserError: The database cannot be used.
    """

    def __init__(self, settings: MapperSettings) -> None:
        self._map = GrowingMap(settings.map)
        self._store = MapStore(settings.database) if settings.database else None
        self._areas = InspectedAreas()
        self._coverage = Coverage(settings.coverage_cell_m)
        # Sources whose footprints have a resolution; those of others count as seen at an unknown one.
        self._with_resolution: set[str] = set()
        if self._store is None:
            self._evidence = MapEvidence(self._map, None, 0)
        else:
            try:
                self._map.restore(self._store.load(), self._store.next_id)
                for area_m in self._store.load_inspected_areas():
                    self._areas.add(area_m)
                self._coverage = saved_coverage(
                    self._store.load_coverage(), self._areas.polygons_m(), settings.coverage_cell_m
                )
                self._evidence = MapEvidence(self._map, self._store, settings.evidence_max_bytes)
                if settings.database is not None and settings.geo_origin is not None:
                    write_origin(settings.database, settings.geo_origin)
            except UserError:
                self._store.close()
                raise
        self._cracks: tuple[MappedCrack, ...] | None = None
        self._flushed = {crack.id: crack for crack in self.cracks()}
        self._areas_flushed = len(self._areas)
        # A killed mapper leaves exports that do not show the present state of the database.
        self._exported = self._shown() if not any(self._shown()) else None
        self._exporting = threading.Lock()
        self._drawing = threading.Lock()
        self._rows, self._shown_by_rows = _rows_of(settings)
        self._preparing: Future[None] | None = None
        self._is_archiving = False
        self._was_emptied_late = False
        self._saver = MapSaver(self._store)
        if settings.output_folder is not None:
            remove_unfinished_exports(settings.output_folder)

    @property
    def rescue(self) -> str:
        """What happened to a damaged database; empty if it was intact."""
        return str(self._store.rescue) if self._store and self._store.rescue else ""

    @property
    def failure(self) -> str:
        """Why the map cannot be saved at present; empty if it can."""
        return self._saver.failure

    @property
    def unsaved_s(self) -> float:
        """Age of the oldest change that is not saved [s]; 0 if all changes are saved."""
        return self._saver.unsaved_s

    @property
    def refused(self) -> Mapping[str, int]:
        """Number of refused observations by reason."""
        return self._map.refused

    def add(self, frame_observation: FrameObservation) -> None:
        """Update the map with a frame."""
        self._cracks = None
        change = self._map.add(frame_observation)
        if change.moves_ownership:
            self._evidence.follow(change, self._flushed)
        self._evidence.note_mapped(frame_observation.source, frame_observation.stamp_ns)
        self._areas.add(frame_observation.footprint_m)
        if frame_observation.source not in self._with_resolution:
            view = InspectedView.of_outline(frame_observation.footprint_m)
            if view is not None:
                self._coverage.add(view)

    def add_view(self, source: str, view: InspectedView) -> None:
        """Update the coverage with the inspected surface of a frame."""
        self._with_resolution.add(source)
        self._coverage.add(view)

    @property
    def coverage(self) -> Coverage:
        """Coverage: the inspected surfaces and their resolution."""
        return self._coverage

    @property
    def evidence(self) -> EvidenceFigures:
        """Counters of photographs."""
        return self._evidence.figures

    def offer_photograph(self, photograph: Photograph, jpeg: bytes) -> None:
        """Accept a photograph of a frame that has been mapped, or soon will be."""
        self._evidence.offer(photograph, jpeg)

    def count_damaged_photograph(self) -> None:
        """Count a photograph that was refused at once."""
        self._evidence.count_damaged()

    def place_photographs(self, all_of_them: bool = False) -> None:
        """Find the cracks of photographs that wait; give up those without one if it is all of them."""
        self._evidence.place(self._saver.unwritten_bytes, math.inf if all_of_them else time.monotonic())

    def cracks(self) -> tuple[MappedCrack, ...]:
        """Return all cracks by id; an unchanged crack is the same object as before."""
        if self._cracks is None:
            self._cracks = self._map.cracks()
        return self._cracks

    def unrejected_cracks(self) -> tuple[MappedCrack, ...]:
        """Return the cracks that no reviewer has rejected, by id."""
        rejected = self._evidence.rejected
        return tuple(crack for crack in self.cracks() if crack.id not in rejected) if rejected else self.cracks()

    def flush(self) -> None:
        """Pass all changes since the last call to the saver."""
        if self._is_archiving:
            return
        if self._was_emptied_late:  # by a reset that was abandoned: the whole map is saved again
            self._was_emptied_late = False
            self._flushed, self._areas_flushed = {}, 0
            self._evidence.note_emptied()
            self._coverage.note_emptied()
        self._prepare_rows()
        present = {crack.id: crack for crack in self.cracks()}
        changed = [crack for crack in present.values() if self._flushed.get(crack.id) is not crack]
        removed = self._flushed.keys() - present.keys()
        areas_m = self._areas.polygons_m()[self._areas_flushed :]
        evidence = self._evidence.changes()
        coverage = self._coverage.take_changes()
        if changed or removed or areas_m or evidence or coverage:
            self._saver.save(changed, removed, self._map.next_id, areas_m, evidence, coverage)
            self._flushed = present
            self._areas_flushed = len(self._areas)

    def export(self, settings: MapperSettings, with_plan: bool) -> Future[list[Path]]:
        """Save everything and write the exports; return their paths, or a UserError.

        Tables and plan, which takes seconds for a large map, are written in a separate thread beside the saver. Tables
        do not wait for a plan that is being drawn.

        Args:
            settings: Parameters of the node.
            with_plan: Draw the plan too, after the tables are written.
        """
        self.flush()
        saved = self._saver.do(lambda: self._saver.failure)
        cracks, inspected_areas_m = self.cracks(), self._areas.polygons_m()
        shown = self._shown()

        def write() -> list[Path]:
            failure = saved.result()
            with self._exporting:
                paths = write_tables(self._rows_for(settings), cracks, settings)
                self._exported = shown
            if with_plan:
                with self._drawing:
                    paths += write_plan(cracks, inspected_areas_m, settings)
            if failure:
                raise UserError(failure, f"The exports are written: {', '.join(map(str, paths))}")
            return paths

        future: Future[list[Path]] = Future()
        threading.Thread(target=settle, args=(future, write), name="crack_map_exports", daemon=True).start()
        return future

    def _prepare_rows(self) -> None:
        """Prepare rows of stable cracks in the saver's thread, so that few remain at the end."""
        if self._preparing is not None and not self._preparing.done():
            return
        rows = self._rows
        stable = (crack for crack in self.cracks() if self._flushed.get(crack.id) is crack and rows.lacks(crack))
        chosen = list(islice(stable, _ROWS_AT_ONCE))
        self._preparing = self._saver.do(lambda: rows.prepare(chosen)) if chosen else None

    def _rows_for(self, settings: MapperSettings) -> TableRows:
        """Return the rows, reset if the settings that they depend on have changed."""
        if _shown_settings(settings) != self._shown_by_rows:
            self._rows, self._shown_by_rows = _rows_of(settings)
        return self._rows

    @property
    def is_exported(self) -> bool:
        """Whether the last written tables show the present map."""
        cracks, areas = self._shown()
        return self._exported is not None and self._exported[0] is cracks and self._exported[1] == areas

    def archive(self, timeout_s: float) -> Future[Path | None]:
        """Archive the map and empty its database, the first half of a reset; ``reset`` follows.

        Returns:
            Path of the archive, None without a database. A UserError if the disk fails, or does not answer within the
            timeout: the map is then unchanged, and is saved again if the database is emptied later.
        """
        self.flush()
        self._is_archiving = True
        archived: Future[Path | None] = Future()
        emptied = self._saver.do(self._clear_store)

        def give_up() -> None:
            with suppress(InvalidStateError):
                archived.set_exception(
                    UserError(f"the disk has not answered for {timeout_s:g} s", "Check the disk; the map is unchanged")
                )
                self._is_archiving = False
                emptied.cancel()

        timer = threading.Timer(timeout_s, give_up)
        timer.daemon = True

        def answer(done: Future[Path | None]) -> None:
            timer.cancel()
            if done.cancelled():
                return
            failure = done.exception()
            try:
                if failure is None:
                    archived.set_result(done.result())
                else:
                    self._is_archiving = False
                    archived.set_exception(failure)
            except InvalidStateError:
                self._was_emptied_late = failure is None

        timer.start()
        emptied.add_done_callback(answer)
        return archived

    def reset(self) -> None:
        """Empty the map, including frames that arrived since ``archive``, the second half of a reset."""
        self._map.reset()
        self._areas.clear()
        self._coverage.clear()
        self._evidence.clear()
        self._cracks = None
        self._flushed, self._areas_flushed = {}, 0
        self._is_archiving = False

    def export_tables_at_end(self, settings: MapperSettings, patience_s: float) -> list[Path]:
        """Save everything and write GeoJSON and CSV, however long it takes; their paths.

        Args:
            patience_s: Time without progress after which the disk is taken to hang [s].

        Raises:
            UserError: A file cannot be written, or the disk hangs.
        """
        done = self.export(settings, with_plan=False)

        def is_done(timeout_s: float) -> bool:
            return done in futures.wait([done], timeout_s).done

        if not wait_with_progress(is_done, lambda: self._saver.progress + self._rows.progress, patience_s):
            raise UserError(
                f"{settings.output_folder}: the disk has not answered for {patience_s:g} s, GeoJSON and CSV may be old",
                "Check the disk, start crack_mapper on the database again and call its service save",
            )
        return done.result()

    def stop(self, patience_s: float) -> None:
        """Save what waits and close the file; a disk that hangs is left behind after this time without progress."""
        self.flush()
        self._saver.stop(patience_s)

    def _shown(self) -> tuple[tuple[MappedCrack, ...], int]:
        """Return what an export would show: the cracks and the number of areas."""
        return self.cracks(), len(self._areas)

    def _clear_store(self) -> Path | None:
        if self._store is None:
            return None
        if self._saver.failure:  # changes that are not in the database would be lost
            raise UserError(self._saver.failure)
        return self._store.clear()
