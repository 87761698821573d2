# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Second look: tiles near the threshold are scored again as mirror images, and the logits are averaged.

The maximum of several views would multiply false alarms; the mean removes some of them and finds more cracks
(``docs/ablations.md``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.scheduling import with_neighbours
from crack_perception.vision.tiling import Image, TileGrid

VIEWS = 2
"""Views of a tile beside the first one: mirrored left to right, and mirrored top to bottom."""
BAND = 0.6
"""Largest distance of a doubtful logit from that of the threshold."""
_BAND_BESIDE_CRACK = 1.5
MOST_SHARE = 0.15
"""Most views of a frame without a cracked tile, as a share of its processed tiles."""
_MOST_SHARE_CRACKED = 0.5
_LEAST_SCORE = 1e-6


def doubtful_tiles(grid: TileGrid, crack_score: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.int64]:
    """Return the tiles that deserve a second look, those nearest to the threshold first.

    These are tiles whose logit is near that of the threshold; beside a cracked tile, also those that are farther from
    it. Their number is limited to a share of the processed tiles, so that the cost of a frame is bounded.

    Args:
        grid: Tiles of the frame.
        crack_score: (grid.count,), ``nan`` for tiles that were not processed.
        threshold: Score from which a tile counts as cracked.

    Returns:
        (K,) indices.
    """
    margins = np.abs(_logit(crack_score) - _logit(np.array([threshold])))
    flagged = crack_score >= threshold
    beside = with_neighbours(flagged, grid, itself=False)
    candidates = np.flatnonzero(margins < np.where(beside, _BAND_BESIDE_CRACK, BAND))
    share = _MOST_SHARE_CRACKED if flagged.any() else MOST_SHARE
    most = int(share * np.count_nonzero(np.isfinite(crack_score))) // VIEWS
    return np.asarray(candidates[np.argsort(margins[candidates], kind="stable")][:most], np.int64)


def mirrored(tiles: Image) -> Image:
    """Return the further views (``VIEWS`` x N, T, T, C) of tiles (N, T, T, C): all of one kind, then of the other."""
    return np.concatenate([tiles[:, :, ::-1], tiles[:, ::-1]])


def averaged(first: npt.NDArray[np.float32], further: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Average the views of tiles in logits.

    Args:
        first: (N,) scores of the tiles.
        further: (``VIEWS`` x N,) scores in the order of :func:`mirrored`.

    Returns:
        (N,) scores.
    """
    logits = np.concatenate([_logit(first)[None], _logit(further).reshape(VIEWS, len(first))]).mean(axis=0)
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), np.float32)


def _logit(score: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    limited = np.clip(score.astype(np.float64), _LEAST_SCORE, 1.0 - _LEAST_SCORE)
    return np.asarray(np.log(limited / (1.0 - limited)), np.float64)
