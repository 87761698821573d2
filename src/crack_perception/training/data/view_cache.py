# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cache of augmented views with the outputs of a teacher, made once and used in many passes.

Rendering a view and running the teacher cost as much as several training steps of a small student. Views are therefore
stored, grey if the student has no colour input, and changed cheaply in every pass (``light_views``).
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
import torch

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.training.heads.whitening import Projection, fit_pca

_LOGGER = logging.getLogger(__name__)

Tile = npt.NDArray[np.uint8]

_BATCH = 32
_PROGRESS = "progress.json"
_PROJECTION = "projection.npz"
_SYMMETRIES = 8
_LOG_GAIN_SIGMA = 0.08
_OFFSET_SIGMA = 5.0


@dataclass(frozen=True)
class View:
    """One example.

    Attributes:
        tile: ``(S, S, 3)`` uint8 BGR.
        label: 1 = crack.
        log_width_px: Natural logarithm of the crack's width in pixels, ``nan`` where unknown.
        group: Index of its photograph, -1 without one.
        other: True for a picture that shows no structure.
    """

    tile: Tile
    label: int
    log_width_px: float
    group: int = -1
    other: bool = False


@dataclass(frozen=True)
class TeacherOutputs:
    """Outputs of a teacher for B tiles: crack logits ``(B,)``, log widths ``(B,)``, pooled features ``(B, F)``."""

    logits: npt.NDArray[np.float32]
    log_widths: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]


Teacher = Callable[[Tile], TeacherOutputs]
"""Function of tiles ``(B, S, S, 3)`` uint8 BGR."""


@dataclass(frozen=True)
class ViewPlan:
    """Contents of a cache; the same plan refers to the same files.

    Args:
        name: Identifies everything that determines the views and the teacher outputs: data, augmentation, weights.
        epoch_lengths: Number of views of every epoch.
        side_px: Side S of the views [px].
        grey: Store luminance only, which takes a third of the space.
        components: Number of principal components kept of the teacher's standardised features.
        chunk: Number of views between two checkpoints; the principal components are fitted on the first chunk.
        seed: Seed of the randomised principal component analysis.
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
        """Short identifier of the plan, 12 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    def places(self) -> list[tuple[int, int]]:
        """Return ``(epoch, index in the epoch)`` of every view."""
        return [(epoch, k) for epoch, length in enumerate(self.epoch_lengths) for k in range(length)]

    def columns(self) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
        """Return the name of every array with the dtype and shape of one row."""
        side = (self.side_px, self.side_px)
        return {
            "views": (np.uint8, side if self.grey else (*side, 3)),
            "labels": (np.uint8, ()),
            "log_widths": (np.float32, ()),
            "groups": (np.int32, ()),
            "others": (np.uint8, ()),
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
        teacher_features: ``(N, P)`` float16: principal components of the standardised features, multiplied by one
            factor so that their mean square is 1. Distances between rows are proportional to those of the features.
    """

    views: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    log_widths: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int32]
    others: npt.NDArray[np.uint8]
    teacher_logits: npt.NDArray[np.float32]
    teacher_log_widths: npt.NDArray[np.float32]
    teacher_features: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> ViewCache:
        """Return a cache of the first ``count`` views."""
        return ViewCache(**{column.name: getattr(self, column.name)[:count] for column in fields(self)})


def render_views(
    cache: Path, plan: ViewPlan, view: Callable[[int, int], View], teacher: Teacher, workers: int = 1
) -> ViewCache:
    """Render the views of a plan that are not in the cache yet; an interrupted run is resumed.

    Args:
        cache: Folder of the caches of all plans.
        plan: Views to render.
        view: Renders the view at ``(epoch, index)``; the same call must always give the same view. Called in
            ``workers`` threads.
        teacher: Called for batches of views in the calling thread, while the next views are rendered.
        workers: Number of threads that render views.

    Raises:
        UserError: The first chunk has fewer views than principal components.
    """
    if min(plan.chunk, plan.count) < plan.components:
        raise UserError(
            f"{min(plan.chunk, plan.count)} views are too few for {plan.components} principal components",
            "Use more views, longer chunks or fewer components",
        )
    folder = cache / f"views_{plan.digest}"
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        _Rendering(partial, plan).run(view, teacher, workers)
        os.replace(partial, folder)
    return ViewCache(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in plan.columns()})


class _Rendering:
    """An unfinished cache: arrays of full length, and the number of rows that are rendered."""

    def __init__(self, folder: Path, plan: ViewPlan) -> None:
        self._folder = folder
        self._plan = plan
        done = folder / _PROGRESS
        self._rendered = int(parse_json(done.read_text())["rendered"]) if done.is_file() else 0
        folder.mkdir(parents=True, exist_ok=True)
        self._arrays = {name: self._array(name, *column) for name, column in plan.columns().items()}

    def _array(self, name: str, dtype: type[np.generic], row: tuple[int, ...]) -> npt.NDArray[np.generic]:
        path = self._folder / f"{name}.npy"
        if self._rendered:
            return np.asanyarray(np.load(path, mmap_mode="r+"))
        return np.lib.format.open_memmap(path, "w+", dtype, (self._plan.count, *row))

    def run(self, view: Callable[[int, int], View], teacher: Teacher, workers: int) -> None:
        """Render the missing chunks."""
        places = self._plan.places()
        with ThreadPoolExecutor(workers) as pool:
            for first in range(self._rendered, len(places), self._plan.chunk):
                self._render(first, places[first : first + self._plan.chunk], view, teacher, pool)
                _LOGGER.info("Rendered %d of %d views", self._rendered, len(places))

    def _render(
        self,
        first: int,
        places: Sequence[tuple[int, int]],
        view: Callable[[int, int], View],
        teacher: Teacher,
        pool: ThreadPoolExecutor,
    ) -> None:
        outputs = []
        for start, views in _batches(places, view, pool):
            outputs.append(teacher(np.stack([v.tile for v in views])))
            self._store(first + start, views)
        features = np.concatenate([output.features for output in outputs])
        rows = slice(first, first + len(places))
        self._arrays["teacher_logits"][rows] = np.concatenate([output.logits for output in outputs])
        self._arrays["teacher_log_widths"][rows] = np.concatenate([output.log_widths for output in outputs])
        self._arrays["teacher_features"][rows] = self._projection(features).apply(features)
        self._checkpoint(rows.stop)

    def _store(self, first: int, views: Sequence[View]) -> None:
        for row, rendered in enumerate(views, first):
            tile = rendered.tile
            self._arrays["views"][row] = cv2.cvtColor(tile, cv2.COLOR_BGR2GRAY) if self._plan.grey else tile
            self._arrays["labels"][row] = rendered.label
            self._arrays["log_widths"][row] = rendered.log_width_px
            self._arrays["groups"][row] = rendered.group
            self._arrays["others"][row] = rendered.other

    def _projection(self, features: npt.NDArray[np.float32]) -> Projection:
        """Load the projection from the folder, or fit it on these features and store it."""
        path = self._folder / _PROJECTION
        if not path.is_file():
            fitted = fit_pca(features, self._plan.components, self._plan.seed)
            scale = np.float32(1.0 / np.sqrt(np.mean(fitted.apply(features) ** 2)))
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, matrix=fitted.matrix * scale, bias=fitted.bias * scale)
            os.replace(partial, path)
        with np.load(path) as stored:
            return Projection(stored["matrix"], stored["bias"])

    def _checkpoint(self, rendered: int) -> None:
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
    """Yield the views in batches, each with the index of its first view."""

    def make(start: int) -> list[View]:
        return [view(epoch, k) for epoch, k in places[start : start + _BATCH]]

    starts = range(0, len(places), _BATCH)
    yield from zip(starts, pool.map(make, starts), strict=True)


def light_views(views: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Rotate and mirror stored views, and change their brightness and contrast slightly.

    Each of the eight symmetries of the square is applied to an eighth of the batch, whose order is random.

    Args:
        views: ``(B, S, S)`` or ``(B, S, S, 3)`` uint8.
        generator: Random number generator.

    Returns:
        float32 of the same shape, in grey levels, not clipped.
    """
    first = int(torch.randint(_SYMMETRIES, (1,), generator=generator))
    parts = torch.tensor_split(views, _SYMMETRIES)
    turned = torch.cat([symmetry(part, (first + i) % _SYMMETRIES) for i, part in enumerate(parts)]).float()
    shape = (len(views), *[1] * (views.ndim - 1))
    gain = torch.exp(_LOG_GAIN_SIGMA * torch.randn(shape, generator=generator))
    return turned.mul_(gain).add_(_OFFSET_SIGMA * torch.randn(shape, generator=generator))


def symmetry(views: torch.Tensor, index: int) -> torch.Tensor:
    """Apply symmetry 0-7 to views ``(B, S, S, ...)``: ``index % 4`` quarter turns; mirrored from 4 on."""
    turned = torch.rot90(views, index % 4, (1, 2))
    return turned.flip(2) if index >= 4 else turned
