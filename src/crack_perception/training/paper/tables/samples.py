# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sampling of the tiles of all tables, balanced over sources, classes and photographs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.training.data.manifest import LABELS, Row, read_manifest
from crack_perception.training.data.rows import TILE_PX, check_rows, trainable_rows, validation_groups
from crack_perception.training.evaluation.images import rows_of_split
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles, sample_tiles

# The values of crack_perception train, so that no shipped backbone was trained on these photographs.
VALIDATION_SHARE, VALIDATION_SEED = 0.12, 7


@dataclass(frozen=True)
class Samples:
    """Three sets of tiles that share no photograph.

    Args:
        fitting: Tiles of photographs that backbones may have been trained on.
        validation: Tiles of train photographs that no backbone was trained on; they decide settings and thresholds.
        test: Tiles of the test split.
    """

    fitting: LabelledTiles
    validation: LabelledTiles
    test: LabelledTiles

    def report(self) -> dict[str, Any]:
        """Count tiles and photographs."""
        return {name: _counts(getattr(self, name)) for name in self.__dataclass_fields__}


def draw_samples(data: Path, most: int, seed: int) -> Samples:
    """Sample the training sources of a manifest.

    Args:
        data: Folder with ``manifest.csv``.
        most: Largest number of tiles per source, surface and class for fitting and for test; validation gets half.
        seed: Seed of the sampling.

    Raises:
        UserError: The manifest cannot be used, or has no test or validation tiles of both classes.
    """
    manifest = read_manifest(data)
    test, train = rows_of_split(manifest, "test"), trainable_rows(manifest)
    check_rows([*train, *test], data)
    held_out = validation_groups(train, VALIDATION_SHARE, VALIDATION_SEED)
    return Samples(
        _drawn(data, [row for row in train if row.group_id not in held_out], "for fitting", most, seed),
        _drawn(data, [row for row in train if row.group_id in held_out], "for validation", -(-most // 2), seed),
        _drawn(data, test, "for test", most, seed),
    )


def _drawn(data: Path, rows: Sequence[Row], use: str, most: int, seed: int) -> LabelledTiles:
    missing = [label for label in LABELS if not any(row.label == label for row in rows)]
    if missing:
        raise UserError(f"{data} has no tile {use} labelled {' or '.join(missing)}", "Add rows to manifest.csv")
    return sample_tiles(data, rows, TILE_PX, most, seed)


def _counts(tiles: LabelledTiles) -> dict[str, Any]:
    return {
        "tiles": len(tiles.labels),
        "cracked": int(tiles.labels.sum()),
        "photographs": len(np.unique(tiles.groups)),
    }


def list_name(name: str, tiles: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Return the name under which the features of a list of tiles are cached; it depends on every pixel."""
    digest = hashlib.sha256()
    for tile in tiles:
        digest.update(tile.tobytes())
    return f"tables_{name}_{digest.hexdigest()[:12]}"
