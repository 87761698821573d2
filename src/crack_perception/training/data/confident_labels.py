# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detection of wrong labels by confident learning (Northcutt, Jiang and Chuang 2021).

Each tile is scored by a network that was trained without its photograph. A tile counts as mislabelled if the other
class is predicted with at least the mean probability that it has on tiles with that label. SDNET2018 has many wrong
labels, above all on decks. Only training photographs are used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from crack_perception.training.backbones.finetune import predict
from crack_perception.training.backbones.network import CrackNetwork

Mask = npt.NDArray[np.bool_]

FOLDS = 2


def held_out_probabilities(
    fitted_on: Callable[[Mask, int], CrackNetwork],
    tiles: npt.NDArray[np.uint8],
    groups: npt.NDArray[np.str_],
    training: Mask,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Predict the crack probabilities of training tiles with networks trained without their photographs.

    Args:
        fitted_on: Trains a network on the tiles of a mask ``(N,)``; the second argument is the index of the fold.
        tiles: ``(N, T, T, 3)`` uint8 BGR.
        groups: ``(N,)`` photographs.
        training: ``(N,)`` True for training tiles.
        seed: Seed of the division of the photographs into folds.

    Returns:
        ``(N,)`` float64; ``nan`` for tiles outside ``training``.
    """
    photographs = np.random.default_rng(seed).permutation(np.unique(groups[training]))
    probabilities = np.full(len(groups), np.nan)
    for fold, names in enumerate(np.array_split(photographs, FOLDS)):
        held_out = training & np.isin(groups, names)
        network = fitted_on(training & ~held_out, fold)
        logits = np.asarray(predict(network, tiles[held_out]), np.float64)
        probabilities[held_out] = 1.0 / (1.0 + np.exp(-logits))
    return probabilities


def doubtful_labels(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64], strata: npt.NDArray[np.str_]
) -> Mask:
    """Find the tiles that are probably mislabelled, in each stratum separately.

    A class is predicted confidently if its probability is at least the mean that it has on tiles with that label.

    Args:
        labels: ``(N,)`` 1 = crack.
        probabilities: ``(N,)`` held-out probabilities of a crack; tiles with ``nan`` are never doubtful.
        strata: ``(N,)`` source and surface.

    Returns:
        ``(N,)`` True for doubtful labels.
    """
    doubtful = np.zeros(len(labels), np.bool_)
    for name in np.unique(strata):
        here = (strata == name) & np.isfinite(probabilities)
        cracked, intact = here & (labels == 1), here & (labels == 0)
        if not (cracked.any() and intact.any()):
            continue
        confident_crack = probabilities >= probabilities[cracked].mean()
        confident_intact = 1 - probabilities >= (1 - probabilities[intact]).mean()
        doubtful |= intact & confident_crack & (probabilities > 0.5)
        doubtful |= cracked & confident_intact & (probabilities < 0.5)
    return doubtful
