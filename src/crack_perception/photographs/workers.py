# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Analysis of many photographs in processes of their own; a picture that ends its process costs itself only."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from crack_perception.geometry.surface.map_planes import MapPlanes
from crack_perception.interrupts import blocked_interrupt
from crack_perception.photographs.analysis import PhotographAnalysis, write_result
from crack_perception.photographs.photograph import PosedPhotograph
from crack_perception.photographs.surfaces.geometry import GeometrySurface, SurfaceError
from crack_perception.photographs.surfaces.settings import SurfaceSettings
from crack_perception.photographs.surfaces.sources import SurfaceSources
from crack_perception.photographs.table import Unusable
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.recognition.severity import SeverityScale

# Photographs that each process has waiting, so that it is never idle.
_WAITING = 2


@dataclass(frozen=True, eq=False)
class WorkerSetup:
    """Settings and model with which a process analyses photographs.

    Attributes:
        model: Name of a shipped model, or its folder.
        backend: Inference backend.
        threshold: Crack score of cracked tiles; None: that of the model.
        preset: Severity classes.
        settings: Of the surface and the measurements.
        planes: Planes in the map.
        points, triangles: Files (``.npy``) of a mesh or a point cloud in the map; None without one.
        has_pictures: Whether pictures of the cracks are cut out.
    """

    model: str
    backend: str
    threshold: float | None
    preset: str
    settings: SurfaceSettings
    planes: MapPlanes
    points: Path | None
    triangles: Path | None
    has_pictures: bool

    def open(self) -> PhotographAnalysis:
        """Load the model and the surface.

        Raises:
            UserError: The model cannot be loaded.
        """
        model = load_model(self.model)
        detector = FrameDetector(model, open_backend(self.backend, model, 1), threshold=self.threshold)
        geometry: GeometrySurface | None = None
        if self.points is not None and self.triangles is not None:
            error = SurfaceError(self.settings.sigma_m, float(np.deg2rad(self.settings.normal_sigma_deg)))
            # Mapped into memory, so that all processes share the pages.
            geometry = GeometrySurface(np.load(self.points, mmap_mode="r"), np.load(self.triangles), error)
        sources = SurfaceSources(self.settings, self.planes, geometry)
        return PhotographAnalysis(detector, sources, SeverityScale.of_preset(self.preset), self.has_pictures)


@dataclass(frozen=True)
class Task:
    """A photograph, the file of its result and the digest of all that it depends on."""

    photograph: PosedPhotograph
    result: Path
    digest: str


Outcome = tuple[Task, Unusable | None]
"""A task with the reason why it has no result; None where it has one."""


def analyse_all(tasks: Sequence[Task], setup: WorkerSetup, jobs: int) -> Iterator[Outcome]:
    """Analyse photographs and write their results; yield each as it is done.

    Args:
        tasks: The photographs.
        setup: Model and surface.
        jobs: Number of processes; 1: in this process.

    Raises:
        UserError: The model cannot be loaded, or a result cannot be written.
    """
    if jobs == 1:
        analysis = setup.open()
        for task in tasks:
            yield task, _analysed(analysis, task)
        return
    waiting = deque(tasks)
    while waiting:
        suspects: list[Task] = []
        yield from _pooled(waiting, setup, jobs, suspects)
        for task in suspects:
            # One of these has ended its process: alone, it shows which one.
            alone: list[Task] = []
            yield from _pooled(deque([task]), setup, 1, alone)
            if alone:
                yield task, Unusable("failed", "it ended the process that worked on it: is there enough memory?")


def _pooled(waiting: deque[Task], setup: WorkerSetup, jobs: int, suspects: list[Task]) -> Iterator[Outcome]:
    """Analyse what waits in a pool of processes; if one of them ends, add what was in work to ``suspects``."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, _begin, (setup,))
    in_work: dict[Future[tuple[str, str] | None], Task] = {}
    try:
        while waiting or in_work:
            while waiting and len(in_work) < _WAITING * jobs:
                task = waiting.popleft()
                try:
                    with blocked_interrupt():  # it may start a process
                        in_work[pool.submit(_work, task)] = task
                except BrokenProcessPool:
                    suspects += [task, *in_work.values()]
                    return
            done, _ = wait(in_work, return_when=FIRST_COMPLETED)
            for future in done:
                problem = future.result()
                yield in_work.pop(future), None if problem is None else Unusable(*problem)
    except BrokenProcessPool:
        suspects += in_work.values()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_analysis: PhotographAnalysis | None = None


def _begin(setup: WorkerSetup) -> None:
    """Prepare a process: the model, one thread, and an end with its parent's."""
    global _analysis
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    _analysis = setup.open()


def _work(task: Task) -> tuple[str, str] | None:
    assert _analysis is not None  # set by _begin
    problem = _analysed(_analysis, task)
    return None if problem is None else (problem.kind, str(problem))


def _analysed(analysis: PhotographAnalysis, task: Task) -> Unusable | None:
    """Analyse one photograph and write its result; return why it has none."""
    try:
        result = analysis.analyse(task.photograph)
    except Unusable as problem:
        return problem
    except MemoryError:
        return Unusable("too_large", "there is not enough memory for it")
    except Exception as error:  # one photograph must not end the others
        return Unusable("failed", f"{type(error).__name__}: {error}")
    write_result(task.result, result, task.digest)
    return None
