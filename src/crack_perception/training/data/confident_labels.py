"""Labels that are probably wrong, found inside the training photographs (Northcutt, Jiang and Chuang 2021).

Confident learning: networks that never saw a photograph judge its tiles; a tile whose class the others predict more
surely than they predict that class where it is labelled is counted as mislabelled. SDNET2018 is known for its wrong
labels, above all on decks. Nothing outside the training photographs is ever looked at.
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
    """Crack probabilities ``(N,)`` of training tiles from networks that did not see their photographs; else ``nan``.

    Args:
        fitted_on: Trains a network on the tiles of a mask ``(N,)``; the second argument counts the folds.
        tiles: ``(N, T, T, 3)`` uint8 BGR.
        groups: ``(N,)`` photographs.
        training: ``(N,)`` True for tiles that may be learned from.
        seed: Divides the photographs.
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
    """Which tiles ``(N,)`` the confident joint counts as mislabelled, stratum by stratum.

    A class counts as predicted confidently from the mean probability on that it has where it is the label.

    Args:
        labels: ``(N,)`` 1 = crack.
        probabilities: ``(N,)`` of a crack, held out; ``nan`` where not known, such tiles are never doubtful.
        strata: ``(N,)`` source and surface.
    """
    doubtful = np.zeros(len(labels), np.bool_)
    for name in np.unique(strata):
        here = (strata == name) & np.isfinite(probabilities)
        cracked, sound = here & (labels == 1), here & (labels == 0)
        if not (cracked.any() and sound.any()):
            continue
        surely_cracked = probabilities >= probabilities[cracked].mean()
        surely_sound = 1 - probabilities >= (1 - probabilities[sound]).mean()
        doubtful |= (sound & surely_cracked & (probabilities > 0.5)) | (cracked & surely_sound & (probabilities < 0.5))
    return doubtful
