# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Test sets that every variant of an ablation is evaluated on: clean, under interference, unseen sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import grouped_bootstrap_interval
from crack_perception.training.backbones.finetune import predict
from crack_perception.training.backbones.network import CrackNetwork
from crack_perception.training.data.interference import PAPER_KINDS, interfere
from crack_perception.training.data.manifest import Row, read_manifest
from crack_perception.training.data.rows import TILE_PX
from crack_perception.training.evaluation.crops import MIN_LENGTH_PX, background_tiles, crack_length_px, read_mask
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.images import rows_of_split, unseen_source_rows
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles, sample_tiles
from crack_perception.training.evaluation.stratum_figures import mean_auc
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import pad_to_tile, plan_tiles

Logits = npt.NDArray[np.float64]

BENCHES = ("clean", "interfered", "unseen")
_MOST_TILES = 120
_BATCH = 64
_DRAWS = 300


@dataclass(frozen=True)
class Benches:
    """Tiles of the test split, the same under the paper's interference, and tiles of sources outside the training."""

    clean: LabelledTiles
    interfered: LabelledTiles
    unseen: LabelledTiles

    def logits(self, network: CrackNetwork) -> dict[str, Logits]:
        """Compute the crack logits ``(N,)`` on every test set."""
        return {name: tile_logits(network, getattr(self, name)) for name in BENCHES}

    def figures(self, logits: Mapping[str, Logits], reference: Mapping[str, Logits]) -> dict[str, Any]:
        """Compute the mean AUC over the strata, and its loss against a reference, on every test set.

        Intervals come from 300 bootstrap draws of photographs; the loss is paired by tile.
        """
        return {name: _figures(getattr(self, name), logits[name], reference[name]) for name in BENCHES}


def load_benches(data: Path, seed: int) -> Benches:
    """Load the test sets of a manifest.

    Raises:
        UserError: An image cannot be read.
    """
    manifest = read_manifest(data)
    clean = sample_tiles(data, rows_of_split(manifest, "test"), TILE_PX, _MOST_TILES, seed)
    interfered = [interfere(tile, kind, seed + i) for kind in PAPER_KINDS for i, tile in enumerate(clean.pixels)]
    kinds = len(PAPER_KINDS)
    return Benches(
        clean,
        LabelledTiles(
            interfered, np.tile(clean.labels, kinds), np.tile(clean.groups, kinds), np.tile(clean.strata, kinds)
        ),
        _crops(data, unseen_source_rows(manifest)),
    )


def tile_logits(network: CrackNetwork, tiles: LabelledTiles) -> Logits:
    """Compute the crack logits ``(N,)`` of tiles."""
    batches = (np.stack(tiles.pixels[i : i + _BATCH]) for i in range(0, len(tiles.pixels), _BATCH))
    return np.concatenate([predict(network, batch) for batch in batches]).astype(np.float64)


def _figures(tiles: LabelledTiles, logits: Logits, reference: Logits) -> dict[str, Any]:
    def auc(rows: npt.NDArray[np.intp]) -> float:
        return mean_auc(tiles.labels[rows], logits[rows], tiles.strata[rows])

    def loss(rows: npt.NDArray[np.intp]) -> float:
        return mean_auc(tiles.labels[rows], reference[rows], tiles.strata[rows]) - auc(rows)

    everything = np.arange(len(logits))
    return {
        "n": len(logits),
        "auc": number(auc(everything)),
        "interval": interval(grouped_bootstrap_interval(auc, tiles.groups, _DRAWS)),
        "loss": number(loss(everything)),
        "loss_interval": interval(grouped_bootstrap_interval(loss, tiles.groups, _DRAWS)),
    }


def _crops(data: Path, rows: Sequence[Row]) -> LabelledTiles:
    """Cut crack and background tiles from images that are larger than a tile."""
    crops = [(tile, label, row) for row in rows if row.mask_path for tile, label in _crops_of(data, row)]
    tiles, labels, origins = zip(*crops, strict=True)
    groups = np.array([row.group_id for row in origins])
    return LabelledTiles(list(tiles), np.array(labels), groups, np.array([row.stratum for row in origins]))


def _crops_of(data: Path, row: Row) -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
    image = read_picture(data / row.path)
    height, width = image.shape[:2]
    if max(height, width) <= TILE_PX:
        return
    mask = read_mask(data / row.mask_path, (height, width))
    for left, top, right, bottom in plan_tiles(width, height, TILE_PX, 0.0).boxes():
        if crack_length_px(mask[top:bottom, left:right]) >= MIN_LENGTH_PX:
            yield pad_to_tile(image[top:bottom, left:right], TILE_PX), 1
    for tile, _ in background_tiles(image, mask, TILE_PX):
        yield tile, 0
