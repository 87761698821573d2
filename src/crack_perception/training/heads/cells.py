# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cell head: a linear function of the last feature map, which locates the crack inside a tile."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from crack_perception.training.data.cell_tiles import CRACK, UNKNOWN

Maps = npt.NDArray[np.float16]
Cells = npt.NDArray[np.int8]
Logits = npt.NDArray[np.float32]

RECALL = 0.98
"""Share of the cells with a crack that must be searched, the margin of one cell included."""
_STEPS, _BATCH, _RATE, _DECAY = 600, 96, 9e-3, 1e-3
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
        parts = [
            np.einsum("nchw,c->nhw", maps[start : start + _BATCH].astype(np.float32), self.weights)
            for start in range(0, len(maps), _BATCH)
        ]
        return np.concatenate(parts) + np.float32(self.bias)


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
    weights = torch.zeros(maps.shape[1], requires_grad=True)
    bias = torch.tensor([-2.0], requires_grad=True)
    optimiser = torch.optim.Adam([weights, bias], _RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    located = (cells != UNKNOWN).any(axis=(1, 2))
    for _ in range(_STEPS):
        index = np.sort(rng.permutation(len(maps))[:_BATCH])
        features = torch.from_numpy(maps[index].transpose(0, 2, 3, 1).reshape(-1, len(mean)).astype(np.float32))
        scaled = weights / torch.from_numpy(scale)
        logits = (features @ scaled - torch.from_numpy(mean) @ scaled + bias).reshape(cells[index].shape)
        labels = torch.from_numpy(cells[index].astype(np.float32))
        known = labels >= 0
        loss = functional.binary_cross_entropy_with_logits(logits[known], labels[known])
        somewhere = torch.from_numpy(is_cracked[index] & ~located[index])
        if somewhere.any():
            bags = torch.logsumexp(logits[somewhere].flatten(1), 1)
            loss = loss + _WHOLE_WEIGHT * somewhere.float().mean() * functional.softplus(-bags).mean()
        loss = loss + _DECAY * (weights**2).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    fitted = weights.detach().numpy() / scale
    return CellHead(fitted.astype(np.float32), float(bias.detach()[0] - fitted @ mean))


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
