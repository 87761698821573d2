# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Adaptive search of the SVM settings by error type (paper section 3.1.3).

The paper says "if the false positive rate is high, increase C" and, again for false positives, "adjust gamma to enhance
the identification of fine cracks". The first has the wrong sign and the second must mean misses. It is implemented as
follows: too many false alarms raise the threshold or the weight of the intact class; too many misses lower the
threshold, change gamma or raise the weight of the crack class. This is repeated until F1 stops rising.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.training.data.photograph_folds import FOLDS
from crack_perception.training.evaluation.stratum_figures import mean_f1, mean_false_alarm_rate, mean_miss_rate
from crack_perception.training.heads.svm import SvmData, SvmSettings, gamma_unit, out_of_fold_scores

Array = npt.NDArray[np.float64]

FALSE_ALARMS_AIMED_AT = 0.05
MISSES_AIMED_AT = 0.08
"""Figures of the paper (Table 2, after enhancement). Only their ratio matters: it defines which error is worse."""

_LEAST_RISE = 1e-3
_GAMMA_STEP = 2.0
_WEIGHT_STEP = 1.5
_THRESHOLDS = np.linspace(-0.75, 0.75, 31)
_MOST_STEPS = 20

Move = tuple[str, Callable[[SvmSettings], SvmSettings]]

AGAINST_FALSE_ALARMS: tuple[Move, ...] = (
    ("raise the weight of the intact class", lambda s: replace(s, sound_weight=s.sound_weight * _WEIGHT_STEP)),
)
AGAINST_MISSES: tuple[Move, ...] = (
    ("raise gamma", lambda s: replace(s, gamma=s.gamma * _GAMMA_STEP)),
    ("lower gamma", lambda s: replace(s, gamma=s.gamma / _GAMMA_STEP)),
    (
        "raise the weight of the crack class",
        lambda s: replace(s, cost=s.cost * _WEIGHT_STEP, sound_weight=s.sound_weight / _WEIGHT_STEP),
    ),
)


@dataclass(frozen=True)
class SearchStep:
    """One set of SVM settings and its figures from cross-validation over photographs.

    ``f1``, ``false_alarm_rate`` and ``miss_rate`` are means over the strata at ``threshold``, a decision value;
    ``decided`` describes the change that was made; ``kept`` is True if F1 rose enough to continue from it.
    """

    settings: SvmSettings
    threshold: float
    f1: float
    false_alarm_rate: float
    miss_rate: float
    decided: str
    kept: bool

    @property
    def misses_are_worse(self) -> bool:
        """True if misses exceed their target by a larger factor than false alarms."""
        return self.miss_rate / MISSES_AIMED_AT > self.false_alarm_rate / FALSE_ALARMS_AIMED_AT


@dataclass(frozen=True)
class AdaptiveSearch:
    """Best step, all steps in the order of evaluation, and the number of SVM fits."""

    best: SearchStep
    path: tuple[SearchStep, ...]
    fits: int


def adaptive_search(data: SvmData, fitting_rows: int | None, seed: int) -> AdaptiveSearch:
    """Search from the middle of the coarse grid towards fewer errors of the worse kind.

    The figures of the steps are biased upwards because they select the steps; measure F1 on photographs outside
    ``data``.

    Args:
        data: Rows; the unseen ones are evaluated by SVMs that were fitted without their photograph.
        fitting_rows: Maximum number of rows of the backbone's training photographs in a fit; ``None`` for all.
        seed: Seed of their choice.

    Raises:
        UserError: There are fewer unseen photographs than folds.
    """
    evaluator = _Evaluator(data, fitting_rows, seed)
    best = evaluator.step(SvmSettings(1.0, 0.1 * gamma_unit(data)), 0.0, "start", None)
    while evaluator.fits < _MOST_STEPS * FOLDS:
        better = next((step for step in evaluator.moves_from(best) if step.kept), None)
        if better is None:
            break
        best = better
    return AdaptiveSearch(best, tuple(evaluator.path), evaluator.fits)


class _Evaluator:
    """Evaluates steps and records them with their out-of-fold decision values."""

    def __init__(self, data: SvmData, fitting_rows: int | None, seed: int) -> None:
        self.path: list[SearchStep] = []
        self.fits = 0
        self._data, self._fitting_rows, self._seed = data, fitting_rows, seed
        self._labels, self._strata = data.labels[data.unseen], data.strata[data.unseen]
        self._decisions: dict[SvmSettings, Array] = {}

    def step(self, settings: SvmSettings, threshold: float, decided: str, last: SearchStep | None) -> SearchStep:
        """Evaluate settings at a threshold; the step is kept if its F1 is higher than that of the last step."""
        called = self._decision_values(settings) >= threshold
        f1 = mean_f1(self._labels, called, self._strata)
        step = SearchStep(
            settings,
            threshold,
            f1,
            mean_false_alarm_rate(self._labels, called, self._strata),
            mean_miss_rate(self._labels, called, self._strata),
            decided,
            last is None or f1 > last.f1 + _LEAST_RISE,
        )
        self.path.append(step)
        return step

    def moves_from(self, last: SearchStep) -> Iterator[SearchStep]:
        """Yield the steps against the worse kind of error, then those against the other kind."""
        for misses in (last.misses_are_worse, not last.misses_are_worse):
            aim = "misses" if misses else "false alarms"
            threshold = self._best_threshold(last, down=misses)
            if threshold != last.threshold:
                yield self.step(last.settings, threshold, f"{aim}: move the threshold", last)
            for name, move in AGAINST_MISSES if misses else AGAINST_FALSE_ALARMS:
                settings = move(last.settings)
                if settings not in self._decisions:
                    yield self.step(settings, last.threshold, f"{aim}: {name}", last)

    def _best_threshold(self, last: SearchStep, down: bool) -> float:
        """Find the threshold with the highest F1 below or above the last one, without another fit."""
        decisions = self._decision_values(last.settings)
        side = [t for t in _THRESHOLDS if (t < last.threshold if down else t > last.threshold)]
        return max(
            [last.threshold, *map(float, side)], key=lambda t: mean_f1(self._labels, decisions >= t, self._strata)
        )

    def _decision_values(self, settings: SvmSettings) -> Array:
        if settings not in self._decisions:
            self._decisions[settings] = out_of_fold_scores(self._data, settings, self._fitting_rows, self._seed)
            self.fits += FOLDS
        return self._decisions[settings]
