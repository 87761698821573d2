# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Ablation of the training: short training runs with one part changed, evaluated on the same test sets.

There are four series. *Augmentation*: short fine-tuning runs of the same initial trunk on a part of the photographs,
each without one kind of views. *Labels*: the same fine-tuning with and without treatment of doubtful labels.
*Distillation*: students on the same stored views, with labels only, with the teacher, with the adversary. *Sizes*:
students of several widths and depths. The first three series report the AUC, which is independent of a threshold, and
its loss against the first variant; the last one reports F1 against size.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crack_perception.documents import parse_json
from crack_perception.interrupts import uninterrupted
from crack_perception.training.backbones.finetune import FinetuneSettings, finetune, validation_line
from crack_perception.training.backbones.network import CrackNetwork, rounded_weights
from crack_perception.training.data.augmentation import Interference
from crack_perception.training.data.confident_labels import doubtful_labels, held_out_probabilities
from crack_perception.training.data.examples import Materials, Mixture
from crack_perception.training.data.training_tiles import TrainingTiles
from crack_perception.training.data.view_cache import ViewCache
from crack_perception.training.distillation.losses import DistillationSettings
from crack_perception.training.distillation.pipeline import StudentSettings, student_views
from crack_perception.training.distillation.students import StudentNetwork, StudentTable, get_student
from crack_perception.training.distillation.training import distil
from crack_perception.training.evaluation.figures import markdown_table
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles
from crack_perception.training.paper.ablation_benches import BENCHES, Benches, load_benches, tile_logits
from crack_perception.training.paper.size_curve import SIZES, StudentLogits, plot_sizes, size_figures
from crack_perception.training.pipeline import TrainSettings, finetuned_network, initial_network, training_tiles

_LOGGER = logging.getLogger(__name__)

Mask = npt.NDArray[np.bool_]

_NOTHING = Interference(0.0, 0.0, 0.0, 0.0, 0.0)

WHOLE = "complete training"
AUGMENTATION_VARIANTS: Mapping[str, Mixture] = {
    WHOLE: Mixture(),
    "without rendered cracks": Mixture(rendered_crack_share=0.0),
    "without copy-paste augmentation": Mixture(transplant_share=0.0),
    "without hard negatives": Mixture(lookalike_share=0.0),
    "without synthetic surfaces": Mixture(surface_share=0.0),
    "without interference": Mixture(interference=_NOTHING),
    "real tiles only": Mixture(4, 0.6, 0.0, 0.0, 0.0, 0.0, interference=_NOTHING),
}
DISTILLATION_VARIANTS: Mapping[str, dict[str, Any]] = {
    "labels only": {"teacher_share": 0.0, "feature_share": 0.0, "label_share": 1.0},
    "labels and teacher's scores": {"feature_share": 0.0},
    "labels, scores and features": {},
    "labels, scores, features and adversary": {"adversary_share": 0.03},
}


@dataclass(frozen=True)
class Budget:
    """Training budget of every variant.

    Args:
        tile_share: Share of the photographs of the train split that are used for fine-tuning.
        epochs: Epochs of fine-tuning.
        view_share: Share of the stored views that a student is trained on.
        passes: Passes of a student over its views.
    """

    tile_share: float = 0.4
    epochs: int = 2
    view_share: float = 1.0
    passes: int = 1


def ablate(settings: TrainSettings, student: StudentSettings, budget: Budget, out: Path) -> dict[str, Any]:
    """Train and evaluate all variants; those already in ``out/ablations.json`` are skipped.

    Args:
        settings: Settings of the full training.
        student: Settings of the student.
        budget: Training budget of every variant.
        out: Folder for ``ablations.json``, ``ablations.md``, ``sizes.png`` and the checkpoints in ``runs``.

    Returns:
        Metrics by series and variant.

    Raises:
        UserError: The data or the weights cannot be used.
    """
    tiles = training_tiles(settings)
    report = _Report(out, load_benches(settings.data, settings.seed))
    fine_tunes = _FineTunes(settings, budget, tiles, report)
    fine_tunes.augmentation()
    fine_tunes.labels()
    views = student_views(settings, student, tiles, finetuned_network(settings, tiles))
    students = _Students(student, budget, tiles, views.first(round(budget.view_share * len(views))), report)
    students.distillation()
    students.sizes()
    return report.figures


class _Report:
    """Results of all variants, written to disk after each."""

    def __init__(self, out: Path, benches: Benches) -> None:
        self.out = out
        self.benches = benches
        self._path = out / "ablations.json"
        self.figures: dict[str, Any] = (
            parse_json(self._path.read_text(encoding="utf-8")) if self._path.is_file() else {}
        )
        out.mkdir(parents=True, exist_ok=True)

    def has(self, series: str, name: str) -> bool:
        return name in self.figures.get(series, {})

    def run(self, series: str, name: str) -> Path:
        """Return the folder of a variant's checkpoint and logits."""
        return self.out / "runs" / f"{series}_{name}".replace(" ", "_").replace(",", "")

    def evaluate(self, series: str, name: str, train: Callable[[Path], CrackNetwork], reference: Path) -> None:
        """Train a variant unless it is in the report, and compare it with the reference in another run's folder."""
        if self.has(series, name):
            return
        folder = self.run(series, name)
        logits = self.benches.logits(train(folder))
        np.savez(folder / "logits.npz", **logits)  # type: ignore[arg-type]
        with np.load(reference / "logits.npz") as known:
            figures = self.benches.figures(logits, {bench: known[bench] for bench in BENCHES})
        self.keep(series, name, figures)

    def keep(self, series: str, name: str, figures: dict[str, Any]) -> None:
        _LOGGER.info("%s, %s: %s", series, name, figures)
        self.figures.setdefault(series, {})[name] = figures
        with uninterrupted():
            self._path.write_text(json.dumps(self.figures, indent=2) + "\n", encoding="utf-8")
            (self.out / "ablations.md").write_text(_markdown(self.figures), encoding="utf-8")


class _FineTunes:
    """Variants of fine-tuning, all from the same initial trunk and on the same photographs."""

    def __init__(self, settings: TrainSettings, budget: Budget, tiles: TrainingTiles, report: _Report) -> None:
        self._settings = settings
        self._schedule = replace(settings.finetune, epochs=budget.epochs)
        self._tiles = tiles
        self._report = report
        photographs = np.unique(tiles.groups[~tiles.unseen])
        rng = np.random.default_rng(settings.seed)
        kept = rng.choice(photographs, round(budget.tile_share * len(photographs)), replace=False)
        self._training: Mask = np.isin(tiles.groups, kept)

    def _trained(
        self, schedule: FinetuneSettings, training: Mask, folder: Path, materials: Materials | None = None
    ) -> CrackNetwork:
        network, unseen = initial_network(self._settings), self._tiles.unseen
        return finetune(network, materials or self._tiles.materials, training, folder, schedule, validation=unseen)

    def augmentation(self) -> None:
        reference = self._report.run("augmentation", WHOLE)
        for name, mixture in AUGMENTATION_VARIANTS.items():
            schedule = replace(self._schedule, mixture=mixture)

            def train(folder: Path, schedule: FinetuneSettings = schedule) -> CrackNetwork:
                return self._trained(schedule, self._training, folder)

            self._report.evaluate("augmentation", name, train, reference)

    def labels(self) -> None:
        """Compare with :data:`WHOLE`, which uses bootstrapped targets."""
        given = replace(self._schedule, bootstrap_share=0.0)

        def as_given(folder: Path) -> CrackNetwork:
            return self._trained(given, self._training, folder)

        def corrected(folder: Path) -> CrackNetwork:
            doubtful = self._doubtful()
            other = {"crack": "none", "none": "crack"}
            rows = [
                replace(row, label=other[row.label]) if wrong else row
                for row, wrong in zip(self._tiles.materials.rows, doubtful, strict=True)
            ]
            return self._trained(given, self._training, folder, replace(self._tiles.materials, rows=rows))

        def without_doubtful(folder: Path) -> CrackNetwork:
            return self._trained(given, self._training & ~self._doubtful(), folder)

        variants = {
            "labels unchanged": as_given,
            "doubtful labels inverted": corrected,
            "doubtful labels removed": without_doubtful,
        }
        for name, train in variants.items():
            self._report.evaluate("labels", name, train, self._report.run("augmentation", WHOLE))

    def _doubtful(self) -> Mask:
        """Find tiles whose label contradicts networks trained on the other photographs; cached on disk."""
        tiles, folder = self._tiles, self._report.run("labels", "held out")
        path = folder / "probabilities.npy"
        if not path.is_file():
            probabilities = held_out_probabilities(
                lambda training, fold: self._trained(self._schedule, training, folder / str(fold)),
                tiles.materials.tiles,
                tiles.groups,
                self._training,
                self._settings.seed,
            )
            np.save(path, probabilities)
        strata = np.array([row.stratum for row in tiles.materials.rows])
        doubtful = doubtful_labels(tiles.labels, np.load(path), strata)
        share = doubtful[self._training].mean()
        _LOGGER.info("%d of %d labels are doubtful (%.1f %%)", doubtful.sum(), self._training.sum(), 100 * share)
        return doubtful


class _Students:
    """Variants of the student, all trained on the same stored views."""

    def __init__(
        self, student: StudentSettings, budget: Budget, tiles: TrainingTiles, views: ViewCache, report: _Report
    ) -> None:
        self._table = get_student(student.table)
        self._distillation = replace(student.distillation, epochs=budget.passes)
        self._tiles = tiles
        self._views = views
        self._report = report

    def _trained(self, table: StudentTable, variant: DistillationSettings, folder: Path) -> StudentNetwork:
        torch.manual_seed(variant.seed)
        network = StudentNetwork(table)
        trained = distil(
            network,
            self._views,
            folder,
            variant,
            lambda average: validation_line(
                average, self._tiles.materials.rows, self._tiles.materials.tiles, self._tiles.unseen
            ),
        )
        network.load_state_dict(trained.state_dict())
        return network

    def distillation(self) -> None:
        reference = self._report.run("distillation", next(iter(DISTILLATION_VARIANTS)))
        for name, changes in DISTILLATION_VARIANTS.items():
            variant = replace(self._distillation, **changes)

            def train(folder: Path, variant: DistillationSettings = variant) -> CrackNetwork:
                return self._trained(self._table, variant, folder)

            self._report.evaluate("distillation", name, train, reference)

    def sizes(self) -> None:
        validation = self._validation()
        for name, table in SIZES.items():
            if self._report.has("sizes", name):
                continue
            network = self._trained(table, self._distillation, self._report.run("sizes", name))
            with rounded_weights(network):
                logits = StudentLogits(
                    tile_logits(network, self._report.benches.clean), tile_logits(network, validation)
                )
            self._report.keep("sizes", name, size_figures(network, logits, self._report.benches.clean, validation))
        rows = [{"name": name, **figures} for name, figures in self._report.figures["sizes"].items()]
        plot_sizes(rows, self._report.out / "sizes.png")

    def _validation(self) -> LabelledTiles:
        tiles, unseen = self._tiles, self._tiles.unseen
        strata = np.array([row.stratum for row in tiles.materials.rows])
        return LabelledTiles(
            tuple(tiles.materials.tiles[unseen]), tiles.labels[unseen], tiles.groups[unseen], strata[unseen]
        )


_SIZE_HEAD = ("student", "bytes", "parameters", "multiply-accumulates", "F1", "interval", "AUC")
_SIZE_KEYS = ("bytes", "parameters", "macs_per_tile", "f1", "interval", "auc")


def _markdown(report: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    head = ["variant"]
    for bench in ("clean tiles", "under interference", "unseen sources"):
        head += [bench, "interval", "loss", "interval (paired)"]
    keys = [(bench, key) for bench in BENCHES for key in ("auc", "interval", "loss", "loss_interval")]
    parts = []
    for series, variants in report.items():
        if series == "sizes":
            rows = [(name, *(figures[key] for key in _SIZE_KEYS)) for name, figures in variants.items()]
            table = markdown_table(_SIZE_HEAD, rows)
        else:
            rows = [(name, *(figures[bench][key] for bench, key in keys)) for name, figures in variants.items()]
            table = markdown_table(tuple(head), rows)
        parts.append(f"## {series.capitalize()}\n\n{table}\n")
    return "\n".join(parts)
