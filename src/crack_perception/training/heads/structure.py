# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Readout that distinguishes structures from other pictures, from the head that the backbone was trained with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import roc_auc
from crack_perception.recognition.backends.protocol import NO_STRUCTURE_FROM
from crack_perception.training.data.other_pictures import STRATUM
from crack_perception.training.heads.calibration import fit_platt
from crack_perception.training.heads.compression import LinearReadout
from crack_perception.training.heads.decision import CrackRows

GATE_LOGIT = 2.0
"""Logit of "no structure" from which a gated head lowers the crack logit, by as much as it is exceeded."""
_LEAST_TILES = 20


@dataclass(frozen=True)
class StructureReadout:
    """Logit of "no structure" as a linear function of the pooled features, with its figures on validation pictures.

    Attributes:
        logit: Readout of features ``(N, F)``.
        recognised: Share of the tiles of other pictures that are recognised.
        mistaken: Share of the tiles of a source and surface that are taken for something else, by name; without those
            that have too few tiles for a share.
        auc: Area under the ROC curve.
        gates: Whether it lowers the crack score.
    """

    logit: LinearReadout
    recognised: float
    mistaken: dict[str, float]
    auc: float
    gates: bool = False

    def report(self) -> dict[str, object]:
        """Return the figures for the model card."""
        return {
            "recognised": self.recognised,
            "mistaken": self.mistaken,
            "auc": self.auc,
            "threshold": NO_STRUCTURE_FROM,
            **({"lowers_crack_score_from": round(1 / (1 + math.exp(-GATE_LOGIT)), 4)} if self.gates else {}),
        }


def calibrated_structure(
    weights: npt.NDArray[np.float64], bias: float, rows: CrackRows, gates: bool
) -> StructureReadout:
    """Calibrate the head of a backbone on the tiles that it was not trained on.

    Both classes have the same weight.

    Args:
        weights: ``(F,)`` weights of the head.
        bias: Its bias.
        rows: Tiles of structures, and of other pictures as the stratum ``STRATUM``.
        gates: Whether the readout lowers the crack score.
    """
    unseen = rows.unseen
    logits = rows.features[unseen] @ weights + bias
    strata = rows.strata[unseen]
    is_other = (strata == STRATUM).astype(np.int64)
    # As many rows of each class, so that the probability does not depend on how many tiles of each were at hand.
    rng = np.random.default_rng(0)
    count = max(int(is_other.sum()), int((1 - is_other).sum()))
    drawn = np.concatenate([rng.choice(np.nonzero(is_other == value)[0], count) for value in (0, 1)])
    curve = fit_platt(logits[drawn], is_other[drawn])
    called = curve.probability(logits) >= NO_STRUCTURE_FROM
    names = [name for name, n in zip(*np.unique(strata, return_counts=True), strict=True) if n >= _LEAST_TILES]
    return StructureReadout(
        LinearReadout(weights, bias).scaled(curve.slope, curve.offset),
        round(float(called[is_other == 1].mean()), 4),
        {str(name): round(float(called[strata == name].mean()), 4) for name in names if name != STRATUM},
        round(roc_auc(is_other, logits), 4),
        gates,
    )
