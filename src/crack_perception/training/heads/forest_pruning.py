# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice of the pruning of a random forest by cross-validation over photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.training.data.photograph_folds import photograph_folds
from crack_perception.training.evaluation.stratum_figures import mean_auc
from crack_perception.training.heads.forest import TREES, Features, Labels, grow_forest, most_important_inputs

PRICES = (0.0, 3e-4, 1e-3, 3e-3, 1e-2, 2e-2, 4e-2)
MOST_AUC_LOSS = 0.002


@dataclass(frozen=True)
class PriceFigures:
    """Figures of one price of a leaf.

    ``auc`` is the mean over the strata, ``stored_bytes`` the mean over the forests of the folds, ``probabilities``
    ``(U,)`` are out-of-fold probabilities of the unseen rows.
    """

    price: float
    auc: float
    stored_bytes: int
    probabilities: npt.NDArray[np.float64]


def pruning_figures(
    features: Features,
    labels: Labels,
    groups: npt.NDArray[np.str_],
    strata: npt.NDArray[np.str_],
    unseen: npt.NDArray[np.bool_],
    inputs: int | None,
    fitting_rows: int | None,
    seed: int,
    trees: int = TREES,
) -> list[PriceFigures]:
    """Evaluate all :data:`PRICES` out of fold; one forest is grown for each fold and pruned at all prices.

    Args:
        features: ``(N, F)``.
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs.
        strata: ``(N,)`` names of the strata that the AUC is averaged over.
        unseen: ``(N,)`` rows to evaluate, see ``photograph_folds``.
        inputs: Number of most important inputs that the trees may use, chosen again in every fold; ``None`` for all.
        fitting_rows: Maximum number of rows of the backbone's training photographs in a fit; ``None`` for all.
        seed: Seed of all random choices.
        trees: Number of trees of a forest.

    Raises:
        UserError: There are fewer unseen photographs than folds.
    """
    evaluated = np.nonzero(unseen)[0]
    probabilities = np.empty((len(PRICES), len(evaluated)))
    sizes = np.zeros(len(PRICES))
    folds = list(photograph_folds(groups, unseen, fitting_rows, seed))
    for fitting, held_out in folds:
        chosen = None if inputs is None else most_important_inputs(features[fitting], labels[fitting], inputs, seed)
        grown = grow_forest(features[fitting], labels[fitting], seed, chosen, trees)
        for i, price in enumerate(PRICES):
            forest = grown.pruned(price)
            probabilities[i, held_out] = forest.probability(features[evaluated[held_out]])
            sizes[i] += forest.stored_bytes / len(folds)
    return [
        PriceFigures(
            price, mean_auc(labels[evaluated], probabilities[i], strata[evaluated]), round(sizes[i]), probabilities[i]
        )
        for i, price in enumerate(PRICES)
    ]


def chosen_price(figures: list[PriceFigures]) -> float:
    """Choose the highest price (smallest forest) whose AUC is within :data:`MOST_AUC_LOSS` of the best."""
    best = max(figure.auc for figure in figures)
    return max(figure.price for figure in figures if figure.auc >= best - MOST_AUC_LOSS)
