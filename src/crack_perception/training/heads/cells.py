# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cell head: a linear function of the last feature map, which locates the crack inside a tile."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.training.data.cell_tiles import CRACK, UNKNOWN

Maps = npt.NDArray[np.float16]
Cells = npt.NDArray[np.int8]
Logits = npt.NDArray[np.float32]

RECALL = 0.98
"""Share of the cells with a crack that must be searched, the margin of one cell included."""
_STEPS, _BATCH, _RATE, _DECAY = 600, 96, 9e-3, 1e-3
_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.999
_WHOLE_WEIGHT = 0.5
"""Weight of a tile that is only known to be cracked somewhere, relative to one whose cells are labelled."""
_MARGIN = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class CellHead:
    """Weights ``(C,)`` float32 and bias of the logit of every cell."""

    weights: npt.NDArray[np.float32]
    bias: float

    def logits(self, maps: Maps) -> Logits:
        """Compute the logits ``(N, H, W)`` of feature maps ``(N, C, H, W)``."""
        count, channels, *size = maps.shape
        logits = np.empty((count, *size), np.float32)
        for place, features in enumerate(maps):
            logits[place] = (self.weights @ features.reshape(channels, -1).astype(np.float32)).reshape(size)
        return logits + np.float32(self.bias)


def fit_cells(maps: Maps, cells: Cells, is_cracked: npt.NDArray[np.bool_], seed: int) -> CellHead:
    """Fit by logistic regression, with one label for all cells of a tile where its cracks are not located.

    The log-sum-exp of the logits of such a cracked tile counts as its logit: at least one cell must hold the crack.

    Args:
        maps: ``(N, C, H, W)`` last feature maps.
        cells: ``(N, H, W)`` labels of the cells.
        is_cracked: ``(N,)`` labels of the tiles.
        seed: Seed of the order of the tiles.
    """
    rng = np.random.default_rng(seed)
    sample = maps[np.sort(rng.permutation(len(maps))[:500])].astype(np.float32)
    mean, scale = sample.mean(axis=(0, 2, 3)), sample.std(axis=(0, 2, 3)) + np.float32(1e-3)
    weights, first, second = np.zeros((3, len(mean) + 1), np.float32)
    weights[-1] = -2.0
    located = (cells != UNKNOWN).any(axis=(1, 2))
    for step in range(_STEPS):
        index = np.sort(rng.permutation(len(maps))[:_BATCH])
        features = maps[index].transpose(0, 2, 3, 1).reshape(-1, len(mean)).astype(np.float32)
        features -= mean
        features /= scale
        logits = (features @ weights[:-1] + weights[-1]).reshape(len(index), -1)
        slopes = _slopes(logits, cells[index].reshape(len(index), -1), is_cracked[index] & ~located[index])
        gradient = np.append(slopes.ravel() @ features + 2 * _DECAY * weights[:-1], slopes.sum())
        # Adam (Kingma & Ba 2015), with a rate that falls like a cosine.
        first += (1 - _FIRST_DECAY) * (gradient - first)
        second += (1 - _SECOND_DECAY) * (gradient**2 - second)
        rate = _RATE * (1 + np.cos(np.pi * step / _STEPS)) / 2
        scaled = first / (1 - _FIRST_DECAY ** (step + 1))
        weights -= rate * scaled / (np.sqrt(second / (1 - _SECOND_DECAY ** (step + 1))) + 1e-8)
    fitted = weights[:-1] / scale
    return CellHead(fitted, float(weights[-1] - fitted @ mean))


def _slopes(logits: Logits, cells: Cells, somewhere: npt.NDArray[np.bool_]) -> Logits:
    """Return the derivatives of the loss by the logits ``(N, K)``; ``somewhere`` marks cracks without a place."""
    known = cells != UNKNOWN
    slopes = np.where(known, 1 / (1 + np.exp(-logits)) - cells, 0) / max(int(known.sum()), 1)
    if somewhere.any():
        odds = np.exp(logits[somewhere])
        # The slope of softplus(-log-sum-exp), shared among the cells by their odds.
        slopes[somewhere] -= (
            _WHOLE_WEIGHT
            / len(cells)
            * odds
            / (odds.sum(axis=1, keepdims=True) + 1)
            / np.maximum(odds.sum(axis=1, keepdims=True), 1e-12)
        )
    return slopes.astype(np.float32)


def searched(logits: Logits, threshold: float) -> npt.NDArray[np.bool_]:
    """Return which cells ``(N, H, W)`` are searched: those at or above the threshold, and a margin of one cell."""
    above = (logits >= threshold).astype(np.uint8)
    return np.stack([cv2.dilate(tile, _MARGIN) for tile in above]) > 0


def threshold_for(logits: Logits, cells: Cells, recall: float = RECALL) -> float:
    """Return the highest threshold at which this share of the crack cells ``(N, H, W)`` is searched."""
    is_crack = cells == CRACK
    # A cell is searched if the highest logit among itself and its neighbours reaches the threshold.
    highest = np.stack([cv2.dilate(tile, _MARGIN) for tile in logits])
    return float(np.quantile(highest[is_crack], 1.0 - recall))
