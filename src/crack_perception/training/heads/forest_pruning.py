"""How much of a random forest is worth keeping, by cross-validation over photographs."""

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
    """What one price of a leaf leads to.

    ``auc`` is a mean over the strata, ``stored_bytes`` the mean of the folds' forests, ``probabilities`` ``(U,)`` those
    of the unseen rows, out of fold.
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
    """Every price of :data:`PRICES` judged out of fold; one forest a fold is grown and pruned at all prices.

    Args:
        features: ``(N, F)``.
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs.
        strata: ``(N,)`` names that the AUC is averaged over.
        unseen: ``(N,)`` rows to judge; see :func:`crack_perception.training.data.photograph_folds.photograph_folds`.
        inputs: How many of the most important inputs the trees may use, chosen in every fold anew; ``None`` for all.
        fitting_rows: At most so many rows of the backbone's photographs take part in a fit; ``None`` for all.
        seed: Of everything random.
        trees: Of every forest.

    Raises:
        UserError: Fewer unseen photographs than folds.
    """
    judged = np.nonzero(unseen)[0]
    probabilities = np.empty((len(PRICES), len(judged)))
    sizes = np.zeros(len(PRICES))
    folds = list(photograph_folds(groups, unseen, fitting_rows, seed))
    for fitting, held_out in folds:
        chosen = None if inputs is None else most_important_inputs(features[fitting], labels[fitting], inputs, seed)
        grown = grow_forest(features[fitting], labels[fitting], seed, chosen, trees)
        for i, price in enumerate(PRICES):
            forest = grown.pruned(price)
            probabilities[i, held_out] = forest.probability(features[judged[held_out]])
            sizes[i] += forest.stored_bytes / len(folds)
    return [
        PriceFigures(
            price, mean_auc(labels[judged], probabilities[i], strata[judged]), round(sizes[i]), probabilities[i]
        )
        for i, price in enumerate(PRICES)
    ]


def chosen_price(figures: list[PriceFigures]) -> float:
    """The highest price, hence the smallest forest, whose AUC is within :data:`MOST_AUC_LOSS` of the best."""
    best = max(figure.auc for figure in figures)
    return max(figure.price for figure in figures if figure.auc >= best - MOST_AUC_LOSS)
