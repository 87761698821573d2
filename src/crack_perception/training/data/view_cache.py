"""Augmented views with what a teacher says of them, made once and learned from many times.

Drawing a view and asking the teacher cost several training steps of a small student. Views are therefore stored, grey
where the student sees no colour, and looked at again in later passes after cheap changes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.training.heads.whitening import Projection, fit_pca

_LOGGER = logging.getLogger(__name__)

Tile = npt.NDArray[np.uint8]

_BATCH = 32
_PROGRESS = "progress.json"
_PROJECTION = "projection.npz"


@dataclass(frozen=True)
class View:
    """One example.

    Attributes:
        tile: ``(S, S, 3)`` uint8 BGR.
        label: 1 = crack.
        log_width_px: Natural logarithm of the crack's width in pixels, ``nan`` where unknown.
        group: Index of its photograph, -1 without one.
    """

    tile: Tile
    label: int
    log_width_px: float
    group: int = -1


@dataclass(frozen=True)
class TeacherOutputs:
    """What a teacher says of B tiles: crack logits ``(B,)``, log widths ``(B,)``, pooled features ``(B, F)``."""

    logits: npt.NDArray[np.float32]
    log_widths: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]


Teacher = Callable[[Tile], TeacherOutputs]
"""Takes ``(B, S, S, 3)`` uint8 BGR tiles."""


@dataclass(frozen=True)
class ViewPlan:
    """What a cache holds; the same plan finds the same cache again.

    Args:
        name: Of everything that decides the views and the teacher's answers: data, augmentation, teacher's weights.
        epoch_lengths: Number of views of every epoch.
        side_px: Side S of the views.
        grey: Store luminance only, a third of the size.
        components: Principal components kept of the teacher's standardised features.
        chunk: Views between two points to go on from; the principal components are those of the first chunk.
        seed: Of the randomised principal component analysis.
    """

    name: str
    epoch_lengths: tuple[int, ...]
    side_px: int
    grey: bool = True
    components: int = 96
    chunk: int = 2048
    seed: int = 7

    @property
    def count(self) -> int:
        """Number of views."""
        return sum(self.epoch_lengths)

    @property
    def digest(self) -> str:
        """Short name of the plan."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    def places(self) -> list[tuple[int, int]]:
        """``(epoch, place in it)`` of every view."""
        return [(epoch, k) for epoch, length in enumerate(self.epoch_lengths) for k in range(length)]

    def columns(self) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
        """Name, type and shape of a row of every array."""
        side = (self.side_px, self.side_px)
        return {
            "views": (np.uint8, side if self.grey else (*side, 3)),
            "labels": (np.uint8, ()),
            "log_widths": (np.float32, ()),
            "groups": (np.int32, ()),
            "teacher_logits": (np.float32, ()),
            "teacher_log_widths": (np.float32, ()),
            "teacher_features": (np.float16, (self.components,)),
        }


@dataclass(frozen=True)
class ViewCache:
    """A finished cache; all arrays are read-only memory maps.

    Attributes:
        views: ``(N, S, S)`` grey or ``(N, S, S, 3)`` BGR uint8.
        labels: ``(N,)`` uint8, 1 = crack.
        log_widths: ``(N,)`` float32, ``nan`` where unknown.
        groups: ``(N,)`` int32, -1 without a photograph.
        teacher_logits: ``(N,)`` float32.
        teacher_log_widths: ``(N,)`` float32.
        teacher_features: ``(N, P)`` float16: principal components of the standardised features, scaled together so
            that their mean square is 1. The squared distance between two rows is the one between the features.
    """

    views: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    log_widths: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int32]
    teacher_logits: npt.NDArray[np.float32]
    teacher_log_widths: npt.NDArray[np.float32]
    teacher_features: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> ViewCache:
        """The first views alone."""
        return ViewCache(**{column.name: getattr(self, column.name)[:count] for column in fields(self)})


def render_views(
    cache: Path, plan: ViewPlan, view: Callable[[int, int], View], teacher: Teacher, workers: int = 1
) -> ViewCache:
    """Make all views of a plan, or the missing ones, or none where they lie in the cache.

    Args:
        cache: Folder for the caches of all plans.
        plan: What to make.
        view: Makes the view at ``(epoch, place)``; the same call must always make the same view. Called in
            ``workers`` threads.
        teacher: Judges them, in the calling thread while the next views are made.
        workers: Threads that make views.

    Raises:
        UserError: A plan without views, or with more components than its first chunk has views.
    """
    if min(plan.chunk, plan.count) < plan.components:
        raise UserError(
            f"{min(plan.chunk, plan.count)} views cannot give {plan.components} principal components",
            "Plan more views, longer chunks or fewer components",
        )
    folder = cache / f"views_{plan.digest}"
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        _Rendering(partial, plan).run(view, teacher, workers)
        os.replace(partial, folder)
    return ViewCache(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in plan.columns()})


class _Rendering:
    """A cache in the making: arrays of full length, and how many of their rows are there."""

    def __init__(self, folder: Path, plan: ViewPlan) -> None:
        self._folder = folder
        self._plan = plan
        done = folder / _PROGRESS
        self._rendered = int(json.loads(done.read_text())["rendered"]) if done.is_file() else 0
        folder.mkdir(parents=True, exist_ok=True)
        self._arrays = {name: self._array(name, *column) for name, column in plan.columns().items()}

    def _array(self, name: str, dtype: type[np.generic], row: tuple[int, ...]) -> npt.NDArray[np.generic]:
        path = self._folder / f"{name}.npy"
        if self._rendered:
            return np.asanyarray(np.load(path, mmap_mode="r+"))
        return np.lib.format.open_memmap(path, "w+", dtype, (self._plan.count, *row))

    def run(self, view: Callable[[int, int], View], teacher: Teacher, workers: int) -> None:
        places = self._plan.places()
        with ThreadPoolExecutor(workers) as pool:
            for first in range(self._rendered, len(places), self._plan.chunk):
                self._render(first, places[first : first + self._plan.chunk], view, teacher, pool)
                _LOGGER.info("made %d of %d views", self._rendered, len(places))

    def _render(
        self,
        first: int,
        places: Sequence[tuple[int, int]],
        view: Callable[[int, int], View],
        teacher: Teacher,
        pool: ThreadPoolExecutor,
    ) -> None:
        answers = []
        for start, views in _batches(places, view, pool):
            answers.append(teacher(np.stack([v.tile for v in views])))
            self._keep(first + start, views)
        features = np.concatenate([answer.features for answer in answers])
        rows = slice(first, first + len(places))
        self._arrays["teacher_logits"][rows] = np.concatenate([answer.logits for answer in answers])
        self._arrays["teacher_log_widths"][rows] = np.concatenate([answer.log_widths for answer in answers])
        self._arrays["teacher_features"][rows] = self._projection(features).apply(features)
        self._finish(rows.stop)

    def _keep(self, first: int, views: Sequence[View]) -> None:
        for row, made in enumerate(views, first):
            self._arrays["views"][row] = cv2.cvtColor(made.tile, cv2.COLOR_BGR2GRAY) if self._plan.grey else made.tile
            self._arrays["labels"][row] = made.label
            self._arrays["log_widths"][row] = made.log_width_px
            self._arrays["groups"][row] = made.group

    def _projection(self, features: npt.NDArray[np.float32]) -> Projection:
        """The one in the folder, or a new one fitted on these features."""
        path = self._folder / _PROJECTION
        if not path.is_file():
            fitted = fit_pca(features, self._plan.components, self._plan.seed)
            scale = np.float32(1.0 / np.sqrt(np.mean(fitted.apply(features) ** 2)))
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, matrix=fitted.matrix * scale, bias=fitted.bias * scale)
            os.replace(partial, path)
        with np.load(path) as stored:
            return Projection(stored["matrix"], stored["bias"])

    def _finish(self, rendered: int) -> None:
        for array in self._arrays.values():
            assert isinstance(array, np.memmap)
            array.flush()
        partial = self._folder / f"{_PROGRESS}.partial"
        partial.write_text(json.dumps({"plan": asdict(self._plan), "rendered": rendered}))
        os.replace(partial, self._folder / _PROGRESS)
        self._rendered = rendered


def _batches(
    places: Sequence[tuple[int, int]], view: Callable[[int, int], View], pool: ThreadPoolExecutor
) -> Iterator[tuple[int, list[View]]]:
    """The views of these places in batches, each with the index of its first."""

    def make(start: int) -> list[View]:
        return [view(epoch, k) for epoch, k in places[start : start + _BATCH]]

    starts = range(0, len(places), _BATCH)
    yield from zip(starts, pool.map(make, starts), strict=True)
