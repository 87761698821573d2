# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Saver: writes the map to its database in a separate thread, so that mapping never waits for the disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError, file_error
from crack_perception.mapping.coverage.coverage import CoverageChanges
from crack_perception.mapping.evidence.decisions import Decision
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.database import MapStore

# Time between a failed attempt to save and the next.
_RETRY_S = 1.0
_PROGRESS_CHECK_S = 0.25

Result = TypeVar("Result")
Array = npt.NDArray[np.float64]


def settle(future: Future[Result], job: Callable[[], Result]) -> None:
    """Run a job unless it was cancelled; set its result or its error in the future."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except Exception as error:
        future.set_exception(error)


def wait_with_progress(is_done: Callable[[float], bool], progress: Callable[[], int], patience_s: float) -> bool:
    """Wait for work on the disk for as long as it advances; whether it is done.

    Args:
        is_done: Waits for this time [s] at most and returns whether the work is done.
        progress: Number that changes while the work advances.
        patience_s: Time without progress after which the disk is taken to hang [s].
    """
    seen, since_s = progress(), time.monotonic()
    while not is_done(min(_PROGRESS_CHECK_S, patience_s)):
        now = progress()
        if now != seen:
            seen, since_s = now, time.monotonic()
        elif time.monotonic() - since_s >= patience_s:
            return False
    return True


@dataclass(eq=False)
class EvidenceChanges:
    """Changes of photographs and of reviewers' decisions.

    Attributes:
        photographs: New and changed records, by file.
        files: JPEGs of the new ones, by file.
        removed: Files that are to be removed with their records.
        decisions: New and changed decisions, by id.
    """

    photographs: dict[str, Photograph] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    decisions: dict[int, Decision] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.photographs or self.removed or self.decisions)

    def add(self, newer: EvidenceChanges) -> None:
        """Add changes; they take precedence over earlier ones."""
        self.photographs |= newer.photographs
        self.files |= newer.files
        self.decisions |= newer.decisions
        self.removed = (self.removed - newer.photographs.keys()) | newer.removed
        for file in newer.removed:
            self.photographs.pop(file, None)
            self.files.pop(file, None)

    @property
    def file_bytes(self) -> int:
        """Size of the files that are not written."""
        return sum(map(len, list(self.files.values())))


class _Changes:
    """Unsaved changes of cracks, the id counter, inspected areas, evidence and coverage; the newest state of each."""

    def __init__(self) -> None:
        self.cracks: dict[int, MappedCrack] = {}
        self.removed: set[int] = set()
        self.next_id = 1
        self.inspected_areas_m: list[Array] = []
        self.evidence = EvidenceChanges()
        self.coverage = CoverageChanges()

    def __bool__(self) -> bool:
        return bool(self.cracks or self.removed or self.inspected_areas_m or self.evidence or self.coverage)

    def add(
        self,
        changed: Iterable[MappedCrack],
        removed: Iterable[int],
        next_id: int,
        inspected_areas_m: Iterable[Array],
        evidence: EvidenceChanges,
        coverage: CoverageChanges,
    ) -> None:
        """Add changes; they take precedence over earlier ones."""
        self.evidence.add(evidence)
        self.coverage.add(coverage)
        self.inspected_areas_m.extend(inspected_areas_m)
        for crack in changed:
            self.cracks[crack.id] = crack
            self.removed.discard(crack.id)
        for crack_id in removed:
            self.cracks.pop(crack_id, None)
            self.removed.add(crack_id)
        self.next_id = max(self.next_id, next_id)


class MapSaver:
    """Save changes in their order; changes that cannot be saved are kept and tried again.

    Args:
        store: Database of the map; None: nothing is saved.
    """

    def __init__(self, store: MapStore | None) -> None:
        self._store = store
        self._changes = _Changes()
        self._attempted_bytes = 0  # of the photographs in the attempt that runs
        self._unsaved_since_s: float | None = None
        self._retry_at_s = 0.0
        self._failure = ""
        self._jobs: deque[Callable[[], None]] = deque()
        self._jobs_done = 0
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="crack_map_saver", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str:
        """Why the last attempt to save failed; empty if it succeeded."""
        return self._failure

    @property
    def unsaved_s(self) -> float:
        """Age of the oldest change that is not saved [s]; 0 if all changes are saved."""
        with self._news:
            return 0.0 if self._unsaved_since_s is None else time.monotonic() - self._unsaved_since_s

    def save(
        self,
        changed: Iterable[MappedCrack],
        removed: Iterable[int],
        next_id: int,
        inspected_areas_m: Iterable[Array] = (),
        evidence: EvidenceChanges | None = None,
        coverage: CoverageChanges | None = None,
    ) -> None:
        """Queue changed cracks, removed ids, the next free id, new areas, evidence and coverage; return at once."""
        if self._store is None:
            return
        with self._news:
            if self._unsaved_since_s is None:
                self._unsaved_since_s = time.monotonic()
            self._changes.add(
                *(changed, removed, next_id, inspected_areas_m),
                *(evidence or EvidenceChanges(), coverage or CoverageChanges()),
            )
            self._news.notify()

    @property
    def unwritten_bytes(self) -> int:
        """Size of the photographs that wait for the disk or are being written."""
        with self._news:
            return self._changes.evidence.file_bytes + self._attempted_bytes

    def do(self, job: Callable[[], Result]) -> Future[Result]:
        """Run a job in the thread after an attempt to save all earlier changes.

        Nothing is saved meanwhile, so the job must be short.
        """
        future: Future[Result] = Future()
        with self._news:
            self._jobs.append(lambda: settle(future, job))
            self._news.notify()
        return future

    @property
    def progress(self) -> int:
        """A number that grows while the thread works."""
        return self._jobs_done + (self._store.progress if self._store is not None else 0)

    def stop(self, patience_s: float) -> None:
        """Save what waits, do the jobs, and end.

        Args:
            patience_s: Time without progress after which a disk that hangs is left behind [s].
        """
        with self._news:
            self._ended = True
            self._news.notify()

        def has_ended(timeout_s: float) -> bool:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()

        if wait_with_progress(has_ended, lambda: self.progress, patience_s) and self._store is not None:
            self._store.close()

    def _work(self) -> None:
        while True:
            with self._news:
                while not (self._ended or self._jobs or self._may_save()):
                    self._news.wait(_RETRY_S if self._changes else None)
                jobs, ended = list(self._jobs), self._ended
                self._jobs.clear()
            self._save_changes()
            for job in jobs:
                job()
                self._jobs_done += 1
            if ended:
                return

    def _may_save(self) -> bool:
        return bool(self._changes) and time.monotonic() >= self._retry_at_s

    def _save_changes(self) -> None:
        with self._news:
            changes, self._changes = self._changes, _Changes()
            self._attempted_bytes = changes.evidence.file_bytes
            taken_s = time.monotonic()
        if not changes or self._store is None:
            return
        evidence = changes.evidence
        unwritten, file_failure = self._write_files(evidence.files)
        try:
            self._store.save(
                changes.cracks.values(),
                changes.removed,
                changes.next_id,
                changes.inspected_areas_m,
                [record for file, record in evidence.photographs.items() if file not in unwritten],
                evidence.removed,
                evidence.decisions.values(),
                changes.coverage,
            )
        except UserError as error:
            self._keep(changes, str(error))
        except OSError as error:
            self._keep(changes, str(file_error(self._store.path, error)))
        except Exception as error:  # one fault must not end all saving
            self._keep(changes, f"The map cannot be saved, please report it: {type(error).__name__}: {error}")
        else:
            self._store.files.remove(evidence.removed)
            if unwritten:  # the rest is saved
                left = _Changes()
                records = {file: evidence.photographs[file] for file in unwritten if file in evidence.photographs}
                left.evidence = EvidenceChanges(records, unwritten)
                self._keep(left, file_failure)
                return
            with self._news:
                self._failure = ""
                self._attempted_bytes = 0
                self._unsaved_since_s = taken_s if self._changes else None

    def _write_files(self, files: Mapping[str, bytes]) -> tuple[dict[str, bytes], str]:
        """Write photographs; return those that could not be written, and why."""
        assert self._store is not None
        waiting = dict(files)
        for file, data in files.items():
            try:
                self._store.files.write(file, data)
            except UserError as error:
                return waiting, str(error)
            except OSError as error:
                return waiting, str(file_error(self._store.files.folder / file, error))
            del waiting[file]
            self._jobs_done += 1
        return {}, ""

    def _keep(self, changes: _Changes, failure: str) -> None:
        """Put back changes that could not be saved; newer ones take precedence."""
        with self._news:
            newer = self._changes
            changes.add(
                *(newer.cracks.values(), newer.removed, newer.next_id, newer.inspected_areas_m),
                *(newer.evidence, newer.coverage),
            )
            self._changes = changes
            self._attempted_bytes = 0
            self._failure = failure
            self._retry_at_s = time.monotonic() + _RETRY_S
