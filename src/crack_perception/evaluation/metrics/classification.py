# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Metrics of a binary crack classifier.

In all functions, ``labels`` are ``(N,)`` 0/1 (1 = crack) and ``scores`` are ``(N,)`` floats that rise with crack
probability.
A metric that is undefined (no positives or no negatives) is ``nan``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer]
Scores = npt.NDArray[np.floating]


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")


def precision_recall_f1(
    labels: Labels, predicted: npt.NDArray[np.bool_], negative_weight: float = 1.0
) -> tuple[float, float, float]:
    """Return precision, recall and F1 of the crack class.

    Args:
        labels: True labels.
        predicted: ``(N,)`` true where a crack is predicted.
        negative_weight: Weight of every negative, see :func:`negative_weight_at`.
    """
    positives, hits = int((labels == 1).sum()), int(np.sum(predicted & (labels == 1)))
    called = hits + negative_weight * int(np.sum(predicted & (labels != 1)))
    return _ratio(hits, called), _ratio(hits, positives), _ratio(2 * hits, called + positives)


def negative_weight_at(labels: Labels, prevalence: float) -> float:
    """Return the weight of a negative at which positives have this prevalence; ``nan`` without negatives."""
    positives, negatives = int((labels == 1).sum()), int((labels != 1).sum())
    return _ratio(positives * (1.0 - prevalence), negatives * prevalence)


def false_alarm_rate(labels: Labels, predicted: npt.NDArray[np.bool_]) -> float:
    """Return the share of negatives that are predicted as cracks."""
    negatives = labels == 0
    return _ratio(int(np.sum(predicted & negatives)), int(negatives.sum()))


def roc_auc(labels: Labels, scores: Scores) -> float:
    """Return the area under the ROC curve: probability that a positive outranks a negative, ties counting half."""
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mean_rank[inverse][labels == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def false_positive_rate_at_recall(labels: Labels, scores: Scores, recall: float = 0.95) -> float:
    """Return the false positive rate at the highest threshold that reaches this recall."""
    positives, negatives = np.sort(scores[labels == 1]), scores[labels == 0]
    if not len(positives) or not len(negatives):
        return float("nan")
    found = math.ceil(recall * len(positives) - 1e-9)
    return float(np.mean(negatives >= positives[len(positives) - found]))


def average_precision(labels: Labels, scores: Scores, negative_weight: float = 1.0) -> float:
    """Return the average precision: sum of precision times the step in recall, ties counted together.

    Args:
        labels: True labels.
        scores: Scores of the model.
        negative_weight: Weight of every negative, see :func:`negative_weight_at`.
    """
    positives = int((labels == 1).sum())
    if not positives or positives == len(labels):
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(scores) - 1)
    hits = np.cumsum(labels[order] == 1)[ends]
    precision = hits / (hits + negative_weight * (ends + 1 - hits))
    return float(np.sum(precision * np.diff(hits, prepend=0)) / positives)


def expected_calibration_error(labels: Labels, scores: Scores, bins: int = 10) -> float:
    """Return the mean gap between predicted probability and observed share of cracks over equal-width bins."""
    if not len(labels):
        return float("nan")
    index = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [abs(float(np.sum(scores[index == b])) - int(np.sum(labels[index == b]))) for b in range(bins)]
    return sum(gaps) / len(labels)


def grouped_bootstrap_interval(
    figure: Callable[[npt.NDArray[np.intp]], float],
    groups: npt.NDArray[np.str_],
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the bootstrap percentile interval of a metric, resampling whole photographs.

    Args:
        figure: Metric of given row indices (with repetitions); ``nan`` results are skipped.
        groups: ``(N,)`` photograph of every row.
        draws: Number of bootstrap samples.
        seed: Seed of the random generator.
        level: Nominal coverage of the interval.

    Returns:
        Lower and upper end; ``nan`` when no resample defines the metric.
    """
    members = [np.nonzero(groups == group)[0] for group in np.unique(groups)]
    rng = np.random.default_rng(seed)
    figures = []
    for _ in range(draws):
        chosen = rng.integers(len(members), size=len(members))
        figures.append(figure(np.concatenate([members[i] for i in chosen])))
    return _percentiles(np.array(figures), level)


def grouped_share_interval(
    hits: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.str_],
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return :func:`grouped_bootstrap_interval` of the share of hits ``(N,)``: same result, about 100 times faster."""
    _, group = np.unique(groups, return_inverse=True)
    sizes, hits_of = np.bincount(group), np.bincount(group, weights=hits)
    chosen = np.random.default_rng(seed).integers(len(sizes), size=(draws, len(sizes)))
    return _percentiles(hits_of[chosen].sum(axis=1) / sizes[chosen].sum(axis=1), level)


def _percentiles(figures: npt.NDArray[np.float64], level: float) -> tuple[float, float]:
    defined = figures[~np.isnan(figures)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
