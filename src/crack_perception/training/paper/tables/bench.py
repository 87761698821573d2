# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Shared data of all tables: sampled tiles, their features from every contender, and the fitted classifiers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import (
    false_alarm_rate,
    grouped_bootstrap_interval,
    precision_recall_f1,
    roc_auc,
)
from crack_perception.training.data.augmentation import augment
from crack_perception.training.data.interference import interfere
from crack_perception.training.data.manifest import HARD_NEGATIVES
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles
from crack_perception.training.evaluation.stratum_figures import DRAWS, LabelledRows
from crack_perception.training.heads.decision import CrackRows
from crack_perception.training.heads.whitening import fit_standardise
from crack_perception.training.paper.tables.contenders import Contender
from crack_perception.training.paper.tables.samples import Samples
from crack_perception.training.paper.whitening_ablation import MappedMachine, fit_behind
from crack_perception.vision.tiling import Image

Features = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
Decide = Callable[[Features], Array]

CLEAN = "clean"


class Bench:
    """Samples with cached features and classifiers that several tables use.

    Args:
        samples: Tiles for fitting, validation and test.
        seed: Seed of all random choices.
    """

    def __init__(self, samples: Samples, seed: int) -> None:
        self.samples = samples
        self.seed = seed
        test = samples.test
        self.truth = LabelledRows(test.labels, test.groups, test.strata)
        self.train_rows = lru_cache(maxsize=None)(self._train_rows)
        self.test_features = lru_cache(maxsize=None)(self._test_features)
        self.machine = lru_cache(maxsize=None)(self._machine)

    def _train_rows(self, contender: Contender) -> CrackRows:
        """Compute the features of the fitting tiles and of the validation tiles, which no backbone was trained on.

        Hard negatives are merged with the background tiles of their surface, so that they influence the threshold with
        the highest F1. The limit on false alarms of shipped models is not used, because weak features may not have a
        threshold that satisfies it.
        """
        fitting, validation = self.samples.fitting, self.samples.validation
        tiles = self.fitting_views if contender.learned else fitting.pixels
        features = [contender.features("fitting", tiles), contender.features("validation", validation.pixels)]
        labels, groups, strata = (
            np.concatenate([getattr(part, column) for part in (fitting, validation)])
            for column in ("labels", "groups", "strata")
        )
        strata = np.char.replace(strata, HARD_NEGATIVES, HARD_NEGATIVES.split("_")[0])
        unseen = np.arange(len(labels)) >= len(self.samples.fitting.labels)
        return CrackRows(np.concatenate(features), labels, groups, strata, unseen)

    @cached_property
    def fitting_views(self) -> list[Image]:
        """Random views of the fitting tiles, for trunks that were trained on these tiles themselves."""
        return [
            augment(tile, np.random.default_rng([self.seed, i]))[0]
            for i, tile in enumerate(self.samples.fitting.pixels)
        ]

    def _test_features(self, contender: Contender, kind: str = CLEAN) -> Features:
        """Compute the features of the test tiles, clean or under a kind of interference."""
        tiles = self.samples.test.pixels
        if kind != CLEAN:
            tiles = [interfere(tile, kind, self.seed) for tile in tiles]
        return contender.features(f"test_{kind}", tiles)

    def test_rows(self, contender: Contender) -> CrackRows:
        """Return the clean test tiles as rows."""
        test = self.samples.test
        unseen = np.ones(len(test.labels), bool)
        return CrackRows(self.test_features(contender), test.labels, test.groups, test.strata, unseen)

    def _machine(self, contender: Contender) -> tuple[MappedMachine, Decide]:
        """Fit the RBF SVM on standardised features, the paper's starting point."""
        rows = self.train_rows(contender)
        return fit_behind(fit_standardise(rows.features), rows)


def mean_figures(truth: LabelledRows, decisions: Array, threshold: float) -> dict[str, Any]:
    """Compute ``f1``, ``f1_interval``, ``auc``, ``false_alarms`` and ``misses`` as means over the strata."""
    figures = truth.figures(decisions, threshold)
    return {
        "f1": number(figures.f1),
        "f1_interval": interval(figures.f1_interval),
        "auc": number(figures.auc),
        "false_alarms": number(figures.false_alarm_rate),
        "misses": number(figures.miss_rate),
    }


def source_figures(tiles: LabelledTiles, decisions: Array, threshold: float) -> dict[str, dict[str, Any]]:
    """Compute the same by stratum, with ``n``, ``cracked`` and ``photographs``; ``None`` where undefined."""
    return {
        str(name): _stratum_figures(tiles.labels[here], tiles.groups[here], decisions[here], threshold)
        for name in np.unique(tiles.strata)
        for here in [tiles.strata == name]
    }


def _stratum_figures(
    labels: npt.NDArray[np.int64], groups: npt.NDArray[np.str_], decisions: Array, threshold: float
) -> dict[str, Any]:
    called = decisions >= threshold
    mixed = 0 < int(labels.sum()) < len(labels)

    def f1(rows: npt.NDArray[np.intp]) -> float:
        return precision_recall_f1(labels[rows], called[rows])[2]

    return {
        "n": len(labels),
        "cracked": int(labels.sum()),
        "photographs": len(np.unique(groups)),
        "f1": number(f1(np.arange(len(labels)))) if mixed else None,
        "f1_interval": interval(grouped_bootstrap_interval(f1, groups, DRAWS)) if mixed else None,
        "auc": number(roc_auc(labels, decisions)),
        "false_alarms": number(false_alarm_rate(labels, called)),
        "misses": number(1.0 - precision_recall_f1(labels, called)[1]),
    }
