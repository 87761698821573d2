"""The map with its file: updates it with frame observations, saves what has changed, and writes the exports."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent import futures
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from itertools import islice
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.mapping.crack_map import CrackMap
from crack_perception.mapping.export.table_rows import TableRows
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.observation import FrameObservation
from crack_perception.mapping.storage.database import MapStore
from crack_perception.ros.mapper.exports import remove_unfinished_exports, write_plan, write_tables
from crack_perception.ros.mapper.inspected_areas import InspectedAreas
from crack_perception.ros.mapper.parameters import MapperSettings
from crack_perception.ros.mapper.saver import MapSaver, settle, wait_with_progress

# Rows of GeoJSON and CSV that are made in a save period: half a millisecond each, beside the flight.
_ROWS_AT_ONCE = 200


def _rows_of(settings: MapperSettings) -> tuple[TableRows, tuple[object, ...]]:
    """No rows yet, and the settings that they will show."""
    return TableRows(settings.map_frame, settings.severity, settings.geo_origin), _shown_settings(settings)


def _shown_settings(settings: MapperSettings) -> tuple[object, ...]:
    """What rows depend on, comparable."""
    return settings.map_frame, settings.severity.edges_mm, settings.severity.confidence, settings.geo_origin


class MapKeeper:
    """All of its methods return at once and belong to one thread, but for ``stop``, which waits.

    Args:
        settings: Names the file, and how cracks are mapped.

    Raises:
        UserError: The file cannot be used.
    """

    def __init__(self, settings: MapperSettings) -> None:
        self._map = CrackMap(settings.map)
        self._store = MapStore(settings.database) if settings.database else None
        self._seen = InspectedAreas()
        if self._store is not None:
            try:
                self._map.restore(self._store.load(), self._store.next_id)
                for area_m in self._store.load_inspected_areas():
                    self._seen.add(area_m)
            except UserError:
                self._store.close()
                raise
        self._cracks: tuple[MappedCrack, ...] | None = None
        self._handed_over = {crack.id: crack for crack in self.cracks()}
        self._areas_handed_over = len(self._seen)
        # A mapper that was killed has left exports that do not show what its file holds.
        self._exported = self._shown() if not any(self._shown()) else None
        self._exporting = threading.Lock()
        self._drawing = threading.Lock()
        self._rows, self._shown_by_rows = _rows_of(settings)
        self._preparing: Future[None] | None = None
        self._is_putting_aside = False
        self._was_emptied_late = False
        self._saver = MapSaver(self._store)
        if settings.output_folder is not None:
            remove_unfinished_exports(settings.output_folder)

    @property
    def rescue(self) -> str:
        """What became of a damaged file; empty where it was whole."""
        return str(self._store.rescue) if self._store and self._store.rescue else ""

    @property
    def failure(self) -> str:
        """Why the map cannot be saved at present; empty when it can."""
        return self._saver.failure

    @property
    def unsaved_s(self) -> float:
        """Age of the oldest change that is not safely on the disk; zero when everything is."""
        return self._saver.unsaved_s

    @property
    def refused(self) -> Mapping[str, int]:
        """How many observations the map did not take, by reason."""
        return self._map.refused

    def add(self, frame_observation: FrameObservation) -> None:
        """Map what a frame shows."""
        self._cracks = None
        self._map.add(frame_observation)
        self._seen.add(frame_observation.footprint_m)

    def cracks(self) -> tuple[MappedCrack, ...]:
        """All cracks by id; a crack is the same object for as long as nothing about it changes."""
        if self._cracks is None:
            self._cracks = self._map.cracks()
        return self._cracks

    def hand_over(self) -> None:
        """Give the disk what has changed since the last time."""
        if self._is_putting_aside:
            return
        if self._was_emptied_late:  # by a reset that was given up: all of it is to be there again
            self._was_emptied_late = False
            self._handed_over, self._areas_handed_over = {}, 0
        self._prepare_rows()
        present = {crack.id: crack for crack in self.cracks()}
        changed = [crack for crack in present.values() if self._handed_over.get(crack.id) is not crack]
        removed = self._handed_over.keys() - present.keys()
        areas_m = self._seen.polygons_m()[self._areas_handed_over :]
        if changed or removed or areas_m:
            self._saver.save(changed, removed, self._map.next_id, areas_m)
            self._handed_over = present
            self._areas_handed_over = len(self._seen)

    def export(self, settings: MapperSettings, with_plan: bool) -> Future[list[Path]]:
        """Save everything and write the exports; their paths, or a UserError.

        Writing the tables and drawing the plan, which takes seconds for a large map, have a thread of their own beside
        the one that saves. Tables do not wait for a plan that is being drawn.

        Args:
            with_plan: Draw the plan too, once the tables are written.
        """
        self.hand_over()
        saved = self._saver.do(lambda: self._saver.failure)
        cracks, seen_areas_m = self.cracks(), self._seen.polygons_m()
        shown = self._shown()

        def write() -> list[Path]:
            failure = saved.result()
            with self._exporting:
                paths = write_tables(self._rows_for(settings), cracks, settings)
                self._exported = shown
            if with_plan:
                with self._drawing:
                    paths += write_plan(cracks, seen_areas_m, settings)
            if failure:
                raise UserError(failure, f"The exports are written: {', '.join(map(str, paths))}")
            return paths

        future: Future[list[Path]] = Future()
        threading.Thread(target=settle, args=(future, write), name="crack_map_exports", daemon=True).start()
        return future

    def _prepare_rows(self) -> None:
        """Make rows of cracks that no longer change in the saver's thread, so that the end has few to make."""
        if self._preparing is not None and not self._preparing.done():
            return
        rows = self._rows
        stable = (crack for crack in self.cracks() if self._handed_over.get(crack.id) is crack and rows.lacks(crack))
        chosen = list(islice(stable, _ROWS_AT_ONCE))
        self._preparing = self._saver.do(lambda: rows.prepare(chosen)) if chosen else None

    def _rows_for(self, settings: MapperSettings) -> TableRows:
        """The rows, made anew where the settings that they show have changed."""
        if _shown_settings(settings) != self._shown_by_rows:
            self._rows, self._shown_by_rows = _rows_of(settings)
        return self._rows

    @property
    def is_exported(self) -> bool:
        """Whether the last tables that were written show the map as it is."""
        cracks, areas = self._shown()
        return self._exported is not None and self._exported[0] is cracks and self._exported[1] == areas

    def put_aside(self, timeout_s: float) -> Future[Path | None]:
        """Keep the map so far beside its file and empty the file, the first half of a reset; ``begin_anew`` follows.

        Returns:
            Where the map is kept, None where it has no file. A UserError if the disk refuses, or does not answer in
            this time: then the map goes on as it was, and is saved again should the disk empty the file later.
        """
        self.hand_over()
        self._is_putting_aside = True
        kept_at: Future[Path | None] = Future()
        emptied = self._saver.do(self._clear_store)

        def give_up() -> None:
            with suppress(InvalidStateError):
                kept_at.set_exception(
                    UserError(f"the disk has not answered for {timeout_s:g} s", "Check it; the map is as it was")
                )
                self._is_putting_aside = False
                emptied.cancel()

        patience = threading.Timer(timeout_s, give_up)
        patience.daemon = True

        def answer(done: Future[Path | None]) -> None:
            patience.cancel()
            if done.cancelled():
                return
            failure = done.exception()
            try:
                if failure is None:
                    kept_at.set_result(done.result())
                else:
                    self._is_putting_aside = False
                    kept_at.set_exception(failure)
            except InvalidStateError:
                self._was_emptied_late = failure is None

        patience.start()
        emptied.add_done_callback(answer)
        return kept_at

    def begin_anew(self) -> None:
        """Empty the map itself, the second half of a reset; what was mapped since the first half goes too."""
        self._map.reset()
        self._seen.clear()
        self._cracks = None
        self._handed_over, self._areas_handed_over = {}, 0
        self._is_putting_aside = False

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
        self.hand_over()
        self._saver.stop(patience_s)

    def _shown(self) -> tuple[tuple[MappedCrack, ...], int]:
        """What an export would show: the cracks, and how many areas."""
        return self.cracks(), len(self._seen)

    def _clear_store(self) -> Path | None:
        if self._store is None:
            return None
        if self._saver.failure:  # what is not in the file could not be kept
            raise UserError(self._saver.failure)
        return self._store.clear()
