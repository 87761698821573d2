"""Figures averaged over strata (a source and a surface each), so that no source is judged by its size.

Everywhere ``labels`` are ``(N,)`` 0/1, ``strata`` ``(N,)`` names or numbers, ``called`` ``(N,)`` True where a crack is
claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import false_alarm_rate, precision_recall_f1, roc_auc

Labels = npt.NDArray[np.int64]
Strata = npt.NDArray[np.str_] | npt.NDArray[np.intp]
Called = npt.NDArray[np.bool_]


def mixed_strata(labels: Labels, strata: Strata) -> Iterator[npt.NDArray[np.bool_]]:
    """Row masks ``(N,)`` of the strata that hold both classes."""
    for name in np.unique(strata):
        here = strata == name
        if len(np.unique(labels[here])) == 2:
            yield here


def mean_f1(labels: Labels, called: Called, strata: Strata) -> float:
    """Mean of the crack class's F1 over the strata with both classes; ``nan`` without such a stratum."""
    return _mean(precision_recall_f1(labels[here], called[here])[2] for here in mixed_strata(labels, strata))


def mean_auc(labels: Labels, scores: npt.NDArray[np.float64], strata: Strata) -> float:
    """Mean AUC over the strata with both classes; ``nan`` without such a stratum."""
    return _mean(roc_auc(labels[here], scores[here]) for here in mixed_strata(labels, strata))


def mean_false_alarm_rate(labels: Labels, called: Called, strata: Strata) -> float:
    """Mean share of sound tiles that are called cracked, over the strata with sound tiles."""
    return _mean_where_defined(lambda here: false_alarm_rate(labels[here], called[here]), strata)


def mean_miss_rate(labels: Labels, called: Called, strata: Strata) -> float:
    """Mean share of cracked tiles that are not called, over the strata with cracked tiles."""
    return _mean_where_defined(lambda here: 1.0 - precision_recall_f1(labels[here], called[here])[1], strata)


def _mean(figures: Iterator[float]) -> float:
    values = list(figures)
    return float(np.mean(values)) if values else float("nan")


def _mean_where_defined(figure: Callable[[npt.NDArray[np.bool_]], float], strata: Strata) -> float:
    values = (figure(strata == name) for name in np.unique(strata))
    return _mean(value for value in values if not np.isnan(value))
