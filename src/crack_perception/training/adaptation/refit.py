# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Refit of the crack logit on labelled tiles of a site: logistic regression with a Gaussian prior around the model.

The fit moves the logit by a linear function of the standardised features, so that the model's own threshold separates
the tiles of the site. The prior keeps that function small, and the stored rows of known surfaces take part with the
weight of at least ``BASE_WEIGHT`` tiles, so that the model keeps its accuracy there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.training.adaptation.base_rows import BaseRows
from crack_perception.training.adaptation.head import LinearTerm, Matrix, Vector

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

WEIGHT_SIGMA = 0.1
"""Standard deviation of the prior of a weight, for a feature with standard deviation 1."""
BIAS_SIGMA = 3.0
"""Standard deviation of the prior of the bias [logit]."""
BASE_WEIGHT = 50.0
BASE_SHARE = 0.5
"""Weight of all stored rows together: that of ``BASE_WEIGHT`` tiles, or of this share of the site's tiles if more."""
FOLDS = 5
_REPETITIONS = 4
_MOST_STEPS = 30
_CONVERGED = 1e-3
_LEAST_SCALE = 1e-9


@dataclass(frozen=True)
class SiteRows:
    """Labelled tiles of a site.

    Attributes:
        features: ``(N, P)`` principal components.
        logits: ``(N,)`` crack logits of the model before the adaptation.
        labels: ``(N,)`` 1 = crack, 0 = intact.
        groups: ``(N,)`` photographs; tiles of one photograph are never on both sides of a cross-validation.
    """

    features: Matrix
    logits: Vector
    labels: Labels
    groups: npt.NDArray[np.str_]


@dataclass(frozen=True)
class KnownSurfaces:
    """Stored rows with the logits of the model before the adaptation ``(N,)``."""

    rows: BaseRows
    logits: Vector


class SiteFit:
    """Fits the linear term of a site, to all of its tiles or to a part of them.

    Args:
        site: Tiles of the site.
        known: Stored rows.
        threshold_logit: Logit of the model's threshold, which the fit moves the boundary of the classes to.
    """

    def __init__(self, site: SiteRows, known: KnownSurfaces, threshold_logit: float) -> None:
        self._site = site
        self._centre = known.rows.features.mean(axis=0)
        self._scales = np.maximum(known.rows.features.std(axis=0), _LEAST_SCALE)
        features = (np.concatenate([site.features, known.rows.features]) - self._centre) / self._scales
        self._columns = np.column_stack([features, np.ones(len(features))])
        self._labels = np.concatenate([site.labels, known.rows.labels])
        # A threshold that is not at even odds on the stored rows must not move the boundary there.
        balanced = known.logits + _even_odds(known.logits, known.rows.labels)
        self._margins = np.concatenate([site.logits - threshold_logit, balanced])
        self._precisions = np.append(np.full(features.shape[1], WEIGHT_SIGMA**-2), BIAS_SIGMA**-2)
        self._solution = self._solve(np.ones(len(site.labels), np.bool_), np.zeros(self._columns.shape[1]))

    @property
    def term(self) -> LinearTerm:
        """Term that is fitted to all tiles."""
        return self._term(self._solution)

    def out_of_fold_logits(self, groups: npt.NDArray[np.str_]) -> Iterator[Vector]:
        """Yield the adapted logits ``(N,)`` of all tiles, each fitted without its group, for several partitions.

        Args:
            groups: ``(N,)`` tiles of one group are never on both sides.

        Yields nothing if no partition leaves both classes in every fit.
        """
        site = self._site
        for repetition in range(_REPETITIONS):
            folds = group_folds(site.labels, groups, repetition)
            logits = np.array(site.logits)
            for fold in np.unique(folds):
                inside = folds == fold
                term = self._term(self._solve(~inside, self._solution))
                logits[inside] += term.apply(site.features[inside])
            if len(folds):
                yield logits

    def _term(self, solution: Vector) -> LinearTerm:
        slopes = solution[:-1] / self._scales
        return LinearTerm(slopes, float(solution[-1] - slopes @ self._centre))

    def _solve(self, chosen: npt.NDArray[np.bool_], start: Vector) -> Vector:
        """Fit to some tiles ``(N,)`` of the site; each class gets half of their weight."""
        labels = self._site.labels
        count, cracks = np.count_nonzero(chosen), np.count_nonzero(labels[chosen])
        balanced = np.where(labels == 1, count / (2.0 * cracks), count / (2.0 * (count - cracks)))
        stored = len(self._labels) - len(labels)
        base_weight = max(BASE_WEIGHT, BASE_SHARE * count)
        weights = np.concatenate([np.where(chosen, balanced, 0.0), np.full(stored, base_weight / stored)])
        return minimise(self._columns, self._margins, self._labels, weights, self._precisions, start)


def _even_odds(logits: Vector, labels: Labels) -> float:
    """Return the constant that, added to logits ``(N,)``, makes them those of calibrated probabilities."""
    column, weights, precision = np.ones((len(logits), 1)), np.ones(len(logits)), np.full(1, BIAS_SIGMA**-2)
    return float(minimise(column, logits, labels, weights, precision, np.zeros(1))[0])


def minimise(
    columns: Matrix, margins: Vector, labels: Labels, weights: Vector, precisions: Vector, start: Vector
) -> Vector:
    """Minimise the weighted logistic loss with a Gaussian prior by Newton's method with step halving."""
    signs = 2.0 * labels - 1.0

    def loss(solution: Vector) -> float:
        errors = np.logaddexp(0.0, -signs * (margins + columns @ solution))
        return float(weights @ errors + 0.5 * precisions @ solution**2)

    solution, lowest = start, loss(start)
    for _ in range(_MOST_STEPS):
        probabilities = sigmoid(margins + columns @ solution)
        gradient = columns.T @ (weights * (probabilities - labels)) + precisions * solution
        curvatures = weights * probabilities * (1.0 - probabilities)
        hessian = (columns * curvatures[:, None]).T @ columns + np.diag(precisions)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (now := loss(solution - size * step)) > lowest and size > 1e-6:
            size /= 2.0
        solution, gained, lowest = solution - size * step, lowest - now, now
        if gained < _CONVERGED:
            break
    return solution


def sigmoid(logits: Vector) -> Vector:
    """Return the probabilities of logits, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), np.float64)


def group_folds(labels: Labels, groups: npt.NDArray[np.str_], seed: int) -> Rows:
    """Return the fold ``(N,)`` of every tile: whole photographs, classes as even as possible.

    Empty if the tiles cannot be divided so that every fit has both classes.
    """
    rng = np.random.default_rng(seed)
    names, group_of = np.unique(groups, return_inverse=True)
    counts = np.stack([np.bincount(group_of, labels == label, len(names)) for label in (0, 1)], axis=1)
    number = min(FOLDS, len(names))
    filled = np.zeros((number, 2))
    fold_of = np.zeros(len(names), np.intp)
    # Large photographs first: the small ones even out what these leave uneven.
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    order = rng.permutation(len(names))
    for group in order[np.argsort(-shares[order].sum(axis=1), kind="stable")]:
        crowding = (filled + shares[group]) ** 2 - filled**2
        fold_of[group] = int(np.argmin(crowding.sum(axis=1)))
        filled[fold_of[group]] += shares[group]
    outside = [counts[fold_of != fold] for fold in range(number)]
    if number < 2 or any((part.sum(axis=0) == 0).any() for part in outside):
        return np.empty(0, np.intp)
    return fold_of[group_of]
