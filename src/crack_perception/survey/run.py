# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A survey from its sources to the index page: plan, process, join, map."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from crack_perception.errors import UserError, printable
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.survey.engine import Engine
from crack_perception.survey.frames import Part
from crack_perception.survey.page import PAGE, index_page
from crack_perception.survey.progress import Progress
from crack_perception.survey.sources import Source, StructureTable
from crack_perception.survey.storage import Storage
from crack_perception.survey.structure_map import PLAN_FILE, MapSource, map_structure, structure_folder
from crack_perception.survey.tasks import (
    Job,
    Planned,
    describe,
    finish_recording,
    plan_recording,
    process_part,
)

SUMMARY = "survey.json"

# Tasks that wait at the workers beside those that run, so that no worker is idle between two.
_QUEUED_PER_WORKER = 2


@dataclass
class _Progressing:
    """Recording of the run.

    Attributes:
        source: Where it is.
        planned: Its plan; None before it is made.
        left: Parts that are not finished.
        summary: Its figures; None before it is finished.
        problem: Why it was skipped; empty otherwise.
        is_resumed: Whether an earlier run has finished it.
    """

    source: Source
    planned: Planned | None = None
    left: set[int] = field(default_factory=set)
    summary: dict[str, Any] | None = None
    problem: str = ""
    is_resumed: bool = False

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left to do."""
        return self.summary is not None or bool(self.problem)


@dataclass(frozen=True)
class _Task:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    done: Callable[[Any], None]
    failed: Callable[[str], None]


class SurveyRun:
    """Run of a survey.

    Args:
        job: Output, model and settings.
        sources: Recordings.
        table: Structures.
        progress: Shows the progress.
    """

    def __init__(self, job: Job, sources: Sequence[Source], table: StructureTable, progress: Progress) -> None:
        self._job, self._table, self._progress = job, table, progress
        self._storage = Storage(job.out)
        self._recordings = [_Progressing(source) for source in sources]
        self._structures: dict[str, dict[str, Any]] = {}
        self._problems: dict[str, str] = {}
        self._ready: deque[_Task] = deque()
        self._same: dict[str, list[_Progressing]] = {}

    def run(self, engine: Engine) -> dict[str, Any]:
        """Process everything and write summary and page; return the summary.

        Raises:
            UserError: The results cannot be written, or the processes ended.
        """
        for recording in self._recordings:
            self._plan(recording)
        self._work(engine)
        summary = self._summary(engine)
        self._storage.write_json(SUMMARY, summary)
        plans = {name: self._storage.read(f"{structure_folder(name)}/{PLAN_FILE}") for name in self._structures}
        page = index_page(summary, {name: plan for name, plan in plans.items() if plan is not None})
        self._storage.write(PAGE, page.encode())
        self._progress.close()
        return summary

    def _work(self, engine: Engine) -> None:
        """Run the tasks, those of begun recordings first; few wait at the workers, so that memory is bounded."""
        running: dict[Future[Any], _Task] = {}
        try:
            while self._ready or running:
                while self._ready and len(running) < engine.workers + _QUEUED_PER_WORKER * engine.workers:
                    task = self._ready.popleft()
                    running[engine.executor.submit(task.function, *task.arguments)] = task
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take(running.pop(future), future)
        except BrokenProcessPool as error:
            raise UserError(
                "a process of the survey ended unexpectedly (was it killed, or out of memory?)",
                "Run the same command again, with fewer --workers if memory is short: finished parts are kept",
            ) from error
        finally:
            for future in running:
                future.cancel()

    def _take(self, task: _Task, future: Future[Any]) -> None:
        try:
            result = future.result()
        except BrokenProcessPool:
            raise
        except UserError as error:
            task.failed(str(error))
        except Exception as error:  # a fault of one recording must not end the others
            task.failed(f"{type(error).__name__}: {error}. This is a fault of the program: please report it")
        else:
            task.done(result)

    def _plan(self, recording: _Progressing) -> None:
        def done(planned: Planned) -> None:
            recording.planned = planned
            self._progress.expect(planned.plan.frames)
            if planned.summary is not None:
                recording.is_resumed = True
                self._progress.add(planned.plan.frames, is_repeated=True)
                self._finish(recording, planned.summary)
                return
            same = self._same.setdefault(planned.key, [])
            same.append(recording)
            if len(same) > 1:  # a copy: it gets the results of the first one
                return
            recording.left = {part.number for part in planned.plan.parts}
            for part in reversed(planned.plan.parts):
                self._ready.appendleft(self._part(recording, planned, part))
            if not planned.plan.parts:
                self._fail(recording, f"{recording.source.path}: contains no frames")

        self._ready.append(
            _Task(plan_recording, (self._job, recording.source), done, lambda text: self._fail(recording, text))
        )

    def _part(self, recording: _Progressing, planned: Planned, part: Part) -> _Task:
        def done(figures: dict[str, Any]) -> None:
            self._progress.add(figures["frames"], figures["is_repeated"])
            recording.left.discard(part.number)
            if not recording.left and not recording.problem:
                self._join(recording, planned)

        arguments = (self._job, recording.source, planned.key, part)
        return _Task(process_part, arguments, done, lambda text: self._fail(recording, text))

    def _join(self, recording: _Progressing, planned: Planned) -> None:
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

    def _finish(self, recording: _Progressing, summary: dict[str, Any]) -> None:
        if summary["frames"] == 0:
            text = "; ".join(summary["fault_texts"].values()) or "it contains no frames"
            self._fail(recording, f"{recording.source.path}: no frame can be used: {text}")
            return
        recording.summary = summary
        self._map_if_complete(recording.source.structure)

    def _fail(self, recording: _Progressing, text: str) -> None:
        if not recording.problem:
            recording.problem = printable(text)
            for copy in self._copies(recording):
                self._fail(copy, text)
            path = str(recording.source.path)
            self._progress.note(f"skipped: {'' if path in text else f'{path}: '}{recording.problem}")
            self._map_if_complete(recording.source.structure)

    def _copies(self, recording: _Progressing) -> list[_Progressing]:
        """Return the other recordings that wait for the results of this one."""
        same = [] if recording.planned is None else self._same.get(recording.planned.key, [])
        return same[1:] if same and same[0] is recording else []

    def _map_if_complete(self, structure: str) -> None:
        """Map a structure when all of its recordings are over."""
        own = [recording for recording in self._recordings if recording.source.structure == structure]
        if not all(recording.is_over for recording in own):
            return
        mapped: dict[str, MapSource] = {}
        for recording in own:
            if recording.summary is not None and recording.planned is not None and recording.summary["posed_frames"]:
                key, summary = recording.planned.key, recording.summary
                origin = None if summary["origin"] is None else GeographicOrigin(**summary["origin"])
                # The same recording under two names counts once.
                mapped.setdefault(key, MapSource(key, recording.source.name, summary["first_stamp_ns"] or 0, origin))
        if mapped:
            arguments = (self._job, structure, list(mapped.values()), self._table.origins.get(structure))
            self._ready.append(
                _Task(
                    map_structure,
                    arguments,
                    lambda summary: self._structures.__setitem__(structure, summary),
                    lambda text: self._fail_structure(structure, text),
                )
            )

    def _fail_structure(self, structure: str, text: str) -> None:
        self._problems[structure] = printable(text)
        self._progress.note(f"no map of {structure}: {self._problems[structure]}")

    def _summary(self, engine: Engine) -> dict[str, Any]:
        names = sorted({recording.source.structure for recording in self._recordings})
        structures = [
            {
                **(self._structures.get(name) or {"structure": name, "cracks": None, "worst": []}),
                "folder": structure_folder(name) if name in self._structures else None,
                "problem": self._problems.get(name),
                "recordings": [_plain(each) for each in self._recordings if each.source.structure == name],
            }
            for name in names
        ]
        skipped = sum(bool(recording.problem) for recording in self._recordings)
        return {
            "settings": describe(self._job.settings),
            "model": self._job.model,
            "engine": engine.description,
            "frames": sum(r.summary["frames"] for r in self._recordings if r.summary is not None),
            "rate_hz": round(self._progress.rate_hz, 3),
            "recordings": len(self._recordings),
            "resumed": sum(recording.is_resumed for recording in self._recordings),
            "skipped": skipped,
            "problems": skipped + len(self._problems),
            "structures": structures,
        }


def _plain(recording: _Progressing) -> dict[str, Any]:
    """Return a recording for the summary."""
    return {
        "name": recording.source.name,
        "path": str(recording.source.path),
        "kind": recording.source.kind.value,
        "key": None if recording.planned is None else recording.planned.key,
        "is_resumed": recording.is_resumed,
        "problem": recording.problem or None,
        **(recording.summary or {}),
    }
