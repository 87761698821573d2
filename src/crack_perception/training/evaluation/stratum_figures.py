# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Metrics averaged over strata (a source and a surface each), so that every stratum has the same weight.

In all functions ``labels`` are ``(N,)`` 0/1, ``strata`` ``(N,)`` names or numbers, and ``called`` ``(N,)`` True where a
crack is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import (
    false_alarm_rate,
    grouped_bootstrap_interval,
    negative_weight_at,
    precision_recall_f1,
    roc_auc,
)

Labels = npt.NDArray[np.int64]
Strata = npt.NDArray[np.str_] | npt.NDArray[np.intp]
Called = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]
Interval = tuple[float, float]

DRAWS = 400
"""Bootstrap draws of an interval."""


def mixed_strata(labels: Labels, strata: Strata) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield row masks ``(N,)`` of the strata that hold both classes."""
    for name in np.unique(strata):
        here = strata == name
        if len(np.unique(labels[here])) == 2:
            yield here


def mean_f1(labels: Labels, called: Called, strata: Strata, prevalence: Mapping[str, float] | None = None) -> float:
    """Compute the mean F1 of the crack class over the strata with both classes; ``nan`` without such a stratum.

    Args:
        labels: ``(N,)`` 0/1.
        called: ``(N,)`` True where a crack is reported.
        strata: ``(N,)``.
        prevalence: Share of cracked tiles that a stratum is reweighted to; its own where none is given.
    """
    known = prevalence or {}

    def f1(here: npt.NDArray[np.bool_]) -> float:
        share = known.get(str(strata[here][0]))
        weight = 1.0 if share is None else negative_weight_at(labels[here], share)
        return precision_recall_f1(labels[here], called[here], weight)[2]

    return _mean(f1(here) for here in mixed_strata(labels, strata))


def mean_auc(labels: Labels, scores: Array, strata: Strata) -> float:
    """Compute the mean AUC over the strata with both classes; ``nan`` without such a stratum."""
    return _mean(roc_auc(labels[here], scores[here]) for here in mixed_strata(labels, strata))


def mean_false_alarm_rate(labels: Labels, called: Called, strata: Strata) -> float:
    """Compute the mean false-alarm rate over the strata with background tiles."""
    return _mean_where_defined(lambda here: false_alarm_rate(labels[here], called[here]), strata)


def mean_miss_rate(labels: Labels, called: Called, strata: Strata) -> float:
    """Compute the mean miss rate over the strata with cracked tiles."""
    return _mean_where_defined(lambda here: 1.0 - precision_recall_f1(labels[here], called[here])[1], strata)


def _mean(figures: Iterator[float]) -> float:
    values = list(figures)
    return float(np.mean(values)) if values else float("nan")


def _mean_where_defined(figure: Callable[[npt.NDArray[np.bool_]], float], strata: Strata) -> float:
    values = (figure(strata == name) for name in np.unique(strata))
    return _mean(value for value in values if not np.isnan(value))


@dataclass(frozen=True)
class OperatingFigures:
    """Means over the strata at one threshold, with the 95 % bootstrap interval of F1 over photographs."""

    f1: float
    f1_interval: Interval
    auc: float
    false_alarm_rate: float
    miss_rate: float


class LabelledRows:
    """Ground truth of a set of tiles, which classifiers are evaluated against.

    Args:
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs, the unit of the bootstrap.
        strata: ``(N,)`` names of the strata that metrics are averaged over.
    """

    def __init__(self, labels: Labels, groups: npt.NDArray[np.str_], strata: npt.NDArray[np.str_]) -> None:
        self.labels = labels
        self._groups = groups
        # The bootstrap compares strata often, and integers compare faster than strings.
        self._strata = np.unique(strata, return_inverse=True)[1]

    def figures(self, decisions: Array, threshold: float) -> OperatingFigures:
        """Evaluate decision values ``(N,)``; a crack is reported at or above the threshold."""
        called = decisions >= threshold
        return OperatingFigures(
            self.f1(called),
            grouped_bootstrap_interval(lambda rows: self._f1_of(rows, called), self._groups, DRAWS),
            mean_auc(self.labels, decisions, self._strata),
            mean_false_alarm_rate(self.labels, called, self._strata),
            mean_miss_rate(self.labels, called, self._strata),
        )

    def f1(self, called: Called) -> float:
        """Compute the mean F1 over the strata."""
        return mean_f1(self.labels, called, self._strata)

    def compare(self, decisions: Array, threshold: float, reference: Called) -> dict[str, Any]:
        """Evaluate decision values as plain data, with the paired ``f1_loss`` against reference calls ``(N,)``."""
        figures = self.figures(decisions, threshold)
        return {
            **asdict(figures),
            "f1_loss": self.f1(reference) - figures.f1,
            "f1_loss_interval": self.f1_loss_interval(reference, decisions >= threshold),
        }

    def f1_loss_interval(self, reference: Called, called: Called) -> Interval:
        """Compute the paired 95 % interval of the loss of F1 against a reference."""
        return grouped_bootstrap_interval(
            lambda rows: self._f1_of(rows, reference) - self._f1_of(rows, called), self._groups, DRAWS
        )

    def _f1_of(self, rows: npt.NDArray[np.intp], called: Called) -> float:
        return mean_f1(self.labels[rows], called[rows], self._strata[rows])
