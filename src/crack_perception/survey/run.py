# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A survey from its sources to the index page: plan, process, join, map."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Any

from crack_perception.errors import UserError, printable
from crack_perception.interrupts import uninterrupted
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.survey.awaited_maps import AwaitedMaps
from crack_perception.survey.engine import Engine, ProcessLostError, explained
from crack_perception.survey.frames import Part
from crack_perception.survey.page import PAGE, index_page
from crack_perception.survey.placement import MapSource
from crack_perception.survey.progress import Progress, fault_lines
from crack_perception.survey.recording_state import RecordingState
from crack_perception.survey.registry import SUMMARY, Entry, check_unchanged, plain_origin, read_registry
from crack_perception.survey.sources import Source, StructureTable
from crack_perception.survey.storage import FatalError, Storage
from crack_perception.survey.structure_map import PLAN_FILE, map_structure, structure_folder
from crack_perception.survey.tasks import (
    RECORDINGS,
    Job,
    Planned,
    describe,
    finish_recording,
    plan_recording,
    process_part,
)

# Inputs without which nothing has a place in the map; a user who switches one off wants results in pixels.
_PLACING = ("pose", "camera_info")
# Tasks that wait at the workers beside those that run, so that no worker is idle between two.
_QUEUED_PER_WORKER = 2


@dataclass(frozen=True)
class _Task:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    done: Callable[[Any], None]
    failed: Callable[[str], None]
    is_needed: Callable[[], bool] = lambda: True


class SurveyRun:
    """Run of a survey.

    Args:
        job: Output, model and settings.
        sources: Recordings.
        table: Structures.
        progress: Shows the progress.
        removed: Names of recordings and structures that leave the archive, see ``Registry.without``.

    Raises:
        UserError: The archive cannot be read, or has none of a name.
    """

    def __init__(
        self,
        job: Job,
        sources: Sequence[Source],
        table: StructureTable,
        progress: Progress,
        removed: Sequence[str] = (),
    ) -> None:
        self._job, self._progress = job, progress
        self._storage = Storage(job.out)
        self._earlier, self._removed = read_registry(self._storage).without(removed)
        self._origins = self._earlier.with_origins(table).origins
        self._recordings = [
            RecordingState(replace(source, origin=self._origins.get(source.structure))) for source in sources
        ]
        self._structures: dict[str, dict[str, Any]] = {}
        self._problems: dict[str, str] = {}
        self._ready: deque[_Task] = deque()
        self._same: dict[str, list[RecordingState]] = {}
        self._unplanned = len(self._recordings)
        self._replacing: list[list[RecordingState]] = []
        self._awaited = AwaitedMaps[RecordingState]()
        self._of_structure: defaultdict[str, list[RecordingState]] = defaultdict(list)
        self._earlier_of: defaultdict[str, list[int]] = defaultdict(list)
        self._remade: set[str] = set()
        self._interrupted = 0

    def run(self, engine: Engine) -> dict[str, Any]:
        """Process everything and write summary and page; return the summary.

        A signal ends the run: summary and page of the finished recordings are written, then KeyboardInterrupt is
        raised.

        Raises:
            UserError: The results cannot be written, or the engine is lost.
        """
        sizes = [recording.source.size_bytes for recording in self._recordings]
        self._progress.announce(len(sizes), sum(sizes))
        for recording in self._recordings:
            self._plan(recording)
        if not self._recordings:
            self._prepare_maps()
        try:
            self._work(engine)
        except KeyboardInterrupt:
            with uninterrupted():
                self._abandon()
                self._write(engine)
                self._progress.note(
                    f"{len(self._recordings)} of {len(self._recordings) + self._interrupted} recordings are finished, "
                    "and finished parts of the others are kept. Run the same command again to continue"
                )
            raise
        finally:
            self._progress.close()
        with uninterrupted():
            return self._write(engine)

    def _write(self, engine: Engine) -> dict[str, Any]:
        """Write summary and page of the recordings that are over, and return the summary."""
        summary = self._summary(engine)
        check_unchanged(self._storage, self._earlier)
        self._storage.write_json(SUMMARY, summary)
        folders = {each["structure"]: each["folder"] for each in summary["structures"] if each["folder"]}
        plans = {name: self._storage.read(f"{folder}/{PLAN_FILE}") for name, folder in folders.items()}
        page = index_page(summary, {name: plan for name, plan in plans.items() if plan is not None})
        self._storage.write(PAGE, page.encode("utf-8", "replace"))
        self._remove_results()
        return summary

    def _abandon(self) -> None:
        """Leave out the recordings that are not over, and name the structures whose map was to be made."""
        self._interrupted = sum(not recording.is_over for recording in self._recordings)
        self._recordings = [recording for recording in self._recordings if recording.is_over]
        self._prepare_maps()
        for name in self._remade - self._structures.keys():
            if self._map_sources(name):
                self._problems.setdefault(name, "the run was interrupted before its map was made")

    def _work(self, engine: Engine) -> None:
        """Run the tasks, those of begun recordings first; few wait at the workers, so that memory is bounded."""
        # Tasks that wait at an engine when this ends early are cancelled by it: futures that are cancelled here would
        # make the thread of a pool fail that loses its processes then.
        running: dict[Future[Any], _Task] = {}
        while self._ready or running:
            try:
                while self._ready and len(running) < (1 + _QUEUED_PER_WORKER) * engine.capacity():
                    task = self._ready[0]
                    if not task.is_needed():
                        self._ready.popleft()
                        continue
                    running[engine.submit(task.function, *task.arguments)] = task
                    self._ready.popleft()
                if not running:
                    continue
                done, _ = wait(running, timeout=engine.patience_s, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take(running[future], future)
                    del running[future]
            except ProcessLostError:
                self._run_singly(engine, list(running.values()))
                running.clear()

    def _run_singly(self, engine: Engine, tasks: Sequence[_Task]) -> None:
        """Run tasks one after the other, so that the one that ends its process is known, and has all of the memory."""
        self._progress.note(f"a process ended unexpectedly: {len(tasks)} tasks are tried again, one at a time")
        engine.renew()
        for task in tasks:
            if not task.is_needed():
                continue
            try:
                self._take(task, engine.submit(task.function, *task.arguments))
            except ProcessLostError:
                task.failed(
                    "its process ended unexpectedly, also when it ran alone (out of memory, or a fault of a library?). "
                    "Repair the recording, or use a machine with more memory"
                )
                engine.renew()

    def _take(self, task: _Task, future: Future[Any]) -> None:
        try:
            result = future.result()
        except (BrokenProcessPool, CancelledError) as error:
            raise ProcessLostError from error
        except FatalError:
            raise
        except UserError as error:
            task.failed(str(error))
        except Exception as error:  # a fault of one recording must not end the others
            task.failed(explained(error))
        else:
            task.done(result)

    def _plan(self, recording: RecordingState) -> None:
        def done(planned: Planned) -> None:
            recording.planned = planned
            self._progress.expect(planned.plan.frames, recording.source.size_bytes)
            self._begin(recording, planned)
            self._count_planned()

        def failed(text: str) -> None:
            self._progress.expect(0, recording.source.size_bytes)
            self._fail(recording, text)
            self._count_planned()

        self._ready.append(_Task(plan_recording, (self._job, recording.source), done, failed))

    def _begin(self, recording: RecordingState, planned: Planned) -> None:
        if planned.summary is not None:
            recording.is_resumed = True
            self._progress.add(planned.plan.frames, is_repeated=True)
            self._finish(recording, planned.summary)
            return
        same = self._same.setdefault(planned.key, [])
        same.append(recording)
        if len(same) > 1:  # a copy: it gets the results of the first one, which may be there already
            if same[0].summary is not None:
                self._progress.add(planned.plan.frames, is_repeated=True)
                self._finish(recording, same[0].summary)
            elif same[0].problem:
                self._fail(recording, same[0].problem)
            return
        recording.left = {part.number for part in planned.plan.parts}
        for part in reversed(planned.plan.parts):
            self._ready.appendleft(self._part(recording, planned, part))
        if not planned.plan.parts:
            self._fail(recording, f"{recording.source.path}: contains no frames")

    def _part(self, recording: RecordingState, planned: Planned, part: Part) -> _Task:
        def done(figures: dict[str, Any]) -> None:
            self._progress.add(figures["frames"], figures["is_repeated"])
            recording.left.discard(part.number)
            if not recording.left and not recording.problem:
                self._join(recording, planned)

        arguments = (self._job, recording.source, planned.key, part, planned.plan.state)
        return _Task(
            process_part,
            arguments,
            done,
            lambda text: self._fail(recording, text),
            lambda: not recording.problem,
        )

    def _join(self, recording: RecordingState, planned: Planned) -> None:
        self._ready.appendleft(
            _Task(
                finish_recording,
                (self._job, recording.source, planned.key, planned.plan),
                lambda summary: self._finish_all(planned.key, summary),
                lambda text: self._fail(recording, text),
            )
        )

    def _finish_all(self, key: str, summary: dict[str, Any]) -> None:
        """Finish a recording and its copies."""
        first, *copies = self._same[key]
        for copy in copies:
            self._progress.add(summary["frames"], is_repeated=True)
            self._finish(copy, summary)
        self._finish(first, summary)

    def _finish(self, recording: RecordingState, summary: dict[str, Any]) -> None:
        if summary["frames"] == 0:
            text = "; ".join(summary["fault_texts"].values()) or "it contains no frames"
            self._fail(recording, f"{recording.source.path}: no frame can be used: {text}")
            return
        recording.summary = summary
        self._progress.finish_recording()
        for line in fault_lines(summary):
            self._progress.note(printable(f"note: {recording.source.path}: {line}", 2000))
        self._map(self._awaited.end(recording))

    def _fail(self, recording: RecordingState, text: str) -> None:
        if recording.is_over:
            return
        recording.problem = printable(text)
        for copy in self._copies(recording):
            self._fail(copy, text)
        path = str(recording.source.path)
        self._progress.finish_recording()
        self._progress.note(printable(f"skipped: {'' if path in text else f'{path}: '}{recording.problem}", 2000))
        self._map(self._awaited.end(recording))

    def _copies(self, recording: RecordingState) -> list[RecordingState]:
        """Return the other recordings that wait for the results of this one."""
        same = [] if recording.planned is None else self._same.get(recording.planned.key, [])
        return same[1:] if same and same[0] is recording else []

    def _count_planned(self) -> None:
        self._unplanned -= 1
        if not self._unplanned:
            self._prepare_maps()

    def _prepare_maps(self) -> None:
        """Find the structures whose recordings change, and what their maps wait for."""
        entries = [recording.entry for recording in self._recordings]
        replacing = self._earlier.replacing(entries)
        self._replacing = [[self._recordings[index] for index in indices] for indices in replacing]
        structures = {each.structure for each in (*entries, *self._removed)}
        structures |= {each.structure for each, by in zip(self._earlier.entries, self._replacing, strict=True) if by}
        structures |= {name for name, values in self._earlier.structures.items() if values.get("problem")}
        self._remade = structures
        self._awaited = AwaitedMaps(structures)
        self._of_structure.clear()  # an interrupted run prepares again, without what is not over
        self._earlier_of.clear()
        self._of_structure.clear()
        self._earlier_of.clear()
        for recording in self._recordings:
            self._of_structure[recording.source.structure].append(recording)
            if not recording.is_over:
                self._awaited.wait_for(recording, recording.source.structure)
        for index, (entry, by) in enumerate(zip(self._earlier.entries, self._replacing, strict=True)):
            self._earlier_of[entry.structure].append(index)
            for recording in by:
                if not recording.is_over:
                    self._awaited.wait_for(recording, entry.structure)
        self._map(self._awaited.complete())

    def _map_sources(self, structure: str) -> list[MapSource]:
        """Return the recordings that a map is made of, the same one under two names once."""
        sources: dict[str, MapSource] = {}
        entries = [recording.entry for recording in self._of_structure[structure]]
        entries += [self._earlier.entries[index] for index in self._earlier_of[structure] if self._is_kept(index)]
        for entry in entries:
            if entry.is_finished and entry.plain["posed_frames"]:
                plain = entry.plain
                origin = None if plain["origin"] is None else GeographicOrigin(**plain["origin"])
                source = MapSource(plain["key"], entry.name, plain["first_stamp_ns"] or 0, origin)
                sources.setdefault(source.key, source)
        return list(sources.values())

    def _entries(self) -> list[Entry]:
        """Return the recordings of the archive: those of this run, and earlier ones whose place none of them takes."""
        kept = [entry for index, entry in enumerate(self._earlier.entries) if self._is_kept(index)]
        return [*(recording.entry for recording in self._recordings), *kept]

    def _is_kept(self, index: int) -> bool:
        """Return whether a recording of an earlier run stays in the archive."""
        is_finished = self._earlier.entries[index].is_finished
        return not any(each.summary is not None or not is_finished for each in self._replacing[index])

    def _map(self, structures: Sequence[str]) -> None:
        """Map structures next; other processes go on with the other recordings meanwhile."""
        for structure in structures:
            sources = self._map_sources(structure)
            if sources:
                self._ready.appendleft(self._map_task(structure, sources))

    def _map_task(self, structure: str, sources: list[MapSource]) -> _Task:
        return _Task(
            map_structure,
            (self._job, structure, sources, self._origins.get(structure)),
            lambda summary: self._structures.__setitem__(structure, summary),
            lambda text: self._fail_structure(structure, text),
        )

    def _fail_structure(self, structure: str, text: str) -> None:
        self._problems[structure] = printable(text)
        self._progress.note(printable(f"no new map of {structure}: {self._problems[structure]}", 2000))

    def _summary(self, engine: Engine) -> dict[str, Any]:
        entries = self._entries()
        names = sorted({entry.structure for entry in entries})
        skipped = sum(bool(recording.problem) for recording in self._recordings)
        topics = self._job.settings.topics
        placed = self._recordings if all(topics.get(name) != "" for name in _PLACING) else []
        unplaced = sum(recording.is_unplaced_bag for recording in placed)
        return {
            "settings": describe(self._job.settings),
            "model": self._job.model,
            "engine": engine.description,
            "frames": sum(r.summary["frames"] for r in self._recordings if r.summary is not None),
            "rate_hz": round(self._progress.rate_hz, 3),
            "recordings": len(self._recordings),
            "interrupted": self._interrupted,
            "resumed": sum(each.is_resumed and each.summary is not None for each in self._recordings),
            "skipped": skipped,
            "unplaced": unplaced,
            "problems": skipped + unplaced + len(self._problems),
            "structures": [
                {
                    **self._structure(name),
                    "given_origin": plain_origin(self._origins.get(name)),
                    "recordings": sorted(
                        (entry.plain for entry in entries if entry.structure == name),
                        key=lambda plain: (plain["name"], plain["path"]),
                    ),
                }
                for name in names
            ],
        }

    def _structure(self, name: str) -> dict[str, Any]:
        """Return the values of a structure; those of its earlier map where that is unchanged or could not be made."""
        earlier = self._earlier.structures.get(name)
        if name not in self._remade and earlier is not None:
            return earlier
        made = self._structures.get(name) or (earlier if name in self._problems else None)
        values = made or {"structure": name, "cracks": None, "worst": [], "folder": None}
        if name in self._structures:
            values = {**values, "folder": structure_folder(name)}
        return {**values, "problem": self._problems.get(name)}

    def _remove_results(self) -> None:
        """Remove the results of recordings that have left the archive, and the maps of structures without any."""
        entries = self._entries()
        used, structures = {entry.plain["key"] for entry in entries}, {entry.structure for entry in entries}
        for entry in self._removed:
            if entry.plain["key"] and entry.plain["key"] not in used:
                self._storage.remove(f"{RECORDINGS}/{entry.plain['key']}")
        for name in {entry.structure for entry in self._removed} - structures:
            # A map is the place of what people have decided: it stays, without a row in the page.
            self._progress.note(
                printable(f"{name} has no recordings any more; its map stays in {structure_folder(name)}", 2000)
            )
        folders = {f"{RECORDINGS}/{each.planned.key}" for each in self._recordings if each.planned and each.summary}
        for folder in sorted(folders | {structure_folder(name) for name in self._structures}):
            self._storage.remove_partial(folder)
