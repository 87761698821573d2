# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Refit of the crack readout of a trained model on rows of more sources: logistic regression around the old readout.

The logit gets a term that is linear in the standardised Fourier features, with a Gaussian prior around 0. The prior and
the rows of the sources that the model was trained on keep what it can do. The term is added to the readout, so that
size and speed of the model do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.classification import precision_recall_f1
from crack_perception.training.adaptation.refit import BIAS_SIGMA, group_folds, minimise, sigmoid
from crack_perception.training.heads.compression import LinearReadout
from crack_perception.training.heads.svm import choose_threshold

Array = npt.NDArray[np.float64]

WEIGHT_SIGMA = 0.05
"""Standard deviation of the prior of a weight, for a feature with standard deviation 1."""
PARTITIONS = 4
"""Partitions of the photographs into folds for the cross-validation."""
LEAST_OF_CLASS = 10
"""Least number of evaluated tiles of each class that a stratum takes part in the choice of the threshold with."""


@dataclass(frozen=True)
class RefitRows:
    """Rows of known and of added sources.

    Attributes:
        fourier: ``(N, D)`` Fourier features.
        labels: ``(N,)`` 1 = crack.
        groups: ``(N,)`` photographs; views of one photograph are never on both sides of a cross-validation.
        strata: ``(N,)`` source and surface.
        weights: ``(N,)`` weight in the fit.
        evaluated: ``(N,)`` True for original tiles of photographs that the backbone was not trained on, which the
            threshold is chosen on.
    """

    fourier: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    strata: npt.NDArray[np.str_]
    weights: Array
    evaluated: npt.NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: list[RefitRows]) -> RefitRows:
        """Concatenate rows."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Refit:
    """New readout and threshold, with a report for the model card."""

    readout: LinearReadout
    threshold: float
    report: dict[str, Any]


def refit_readout(rows: RefitRows, old: LinearReadout, threshold: float) -> Refit:
    """Fit the readout, and choose the threshold on out-of-fold scores as a full training does.

    Args:
        rows: Rows of both classes from several photographs.
        old: Readout of the model.
        threshold: Threshold of the model, a probability.

    Raises:
        UserError: There are too few photographs.
    """
    fourier = rows.fourier.astype(np.float64)
    centre, scales = fourier.mean(axis=0), np.maximum(fourier.std(axis=0), 1e-9)
    columns = np.column_stack([(fourier - centre) / scales, np.ones(len(fourier))])
    logits = old.apply(fourier)
    offset = float(np.log(threshold / (1.0 - threshold)))
    precisions = np.append(np.full(fourier.shape[1], WEIGHT_SIGMA**-2), BIAS_SIGMA**-2)

    def solve(chosen: npt.NDArray[np.intp], start: Array) -> Array:
        return minimise(
            columns[chosen], logits[chosen] - offset, rows.labels[chosen], rows.weights[chosen], precisions, start
        )

    solution = solve(np.arange(len(logits)), np.zeros(columns.shape[1]))
    partitions = []
    for seed in range(PARTITIONS):
        adapted = logits.copy()
        folds = group_folds(rows.labels, rows.groups, seed)
        if not len(folds):
            raise UserError(
                f"{len(np.unique(rows.groups))} photographs are too few for a cross-validation with both classes",
                "Add tiles of more photographs",
            )
        for fold in np.unique(folds):
            inside = folds == fold
            adapted[inside] += columns[inside] @ solve(np.nonzero(~inside)[0], solution)
        partitions.append(adapted)
    chosen = _threshold(rows, [sigmoid(adapted) for adapted in partitions])
    slopes = solution[:-1] / scales
    readout = LinearReadout(old.coefficients + slopes, old.intercept + float(solution[-1] - slopes @ centre))
    report = {
        "rows": _counts(rows),
        "weight_sigma": WEIGHT_SIGMA,
        "validation": {
            "before": _figures(rows, [logits >= offset]),
            "after": _figures(rows, [adapted >= np.log(chosen / (1.0 - chosen)) for adapted in partitions]),
        },
    }
    return Refit(readout, chosen, report)


def _threshold(rows: RefitRows, partitions: list[Array]) -> float:
    """Apply the rule of a training to the evaluated rows of the strata with both classes.

    One partition into folds moves the threshold; therefore the scores ``(N,)`` of several partitions are used together.
    """
    strata = [str(name) for name in np.unique(rows.strata[rows.evaluated])]
    both = [
        name
        for name in strata
        if np.bincount(rows.labels[rows.evaluated & (rows.strata == name)], minlength=2).min() >= LEAST_OF_CLASS
    ]
    here = rows.evaluated & np.isin(rows.strata, both)
    return choose_threshold(
        np.concatenate([scores[here] for scores in partitions]),
        np.tile(rows.labels[here], len(partitions)),
        np.tile(rows.strata[here], len(partitions)),
    )


def _figures(rows: RefitRows, partitions: list[npt.NDArray[np.bool_]]) -> dict[str, Any]:
    """F1 of the evaluated strata with both classes, recall or false alarms of the others; means over partitions."""
    f1: dict[str, float] = {}
    recall: dict[str, float] = {}
    alarms: dict[str, float] = {}
    for name in np.unique(rows.strata[rows.evaluated]):
        here = rows.evaluated & (rows.strata == name)
        labels = rows.labels[here]
        if len(np.unique(labels)) == 2:
            scores = [precision_recall_f1(labels, called[here])[2] for called in partitions]
            f1[str(name)] = round(float(np.mean(scores)), 4)
        else:
            share = float(np.mean([called[here].mean() for called in partitions]))
            (recall if labels[0] else alarms)[str(name)] = round(share, 4)
    return {"f1": f1, "recall": recall, "false_alarms": alarms}


def _counts(rows: RefitRows) -> dict[str, dict[str, float]]:
    counts = {}
    for name in np.unique(rows.strata):
        here = rows.strata == name
        counts[str(name)] = {
            "crack": int(rows.labels[here].sum()),
            "none": int((rows.labels[here] == 0).sum()),
            "weight": round(float(rows.weights[here].sum()), 1),
        }
    return counts
