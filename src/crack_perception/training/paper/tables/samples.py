"""The tiles that all tables share: the same for every backbone, spread over sources, classes and photographs."""

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
from crack_perception.training.evaluation.judged_tiles import JudgedTiles, sample_tiles

# Those of crack_perception train: a shipped model's backbone has seen none of these photographs.
VALIDATION_SHARE, VALIDATION_SEED = 0.12, 7


@dataclass(frozen=True)
class Samples:
    """Three sets of tiles that share no photograph.

    Args:
        fitting: Of photographs that backbones may have learned from.
        validation: Of train photographs that no backbone has seen; they decide settings and thresholds.
        test: Judged once.
    """

    fitting: JudgedTiles
    validation: JudgedTiles
    test: JudgedTiles

    def report(self) -> dict[str, Any]:
        """Numbers of tiles and photographs."""
        return {name: _counts(getattr(self, name)) for name in self.__dataclass_fields__}


def draw_samples(data: Path, most: int, seed: int) -> Samples:
    """Sample the trainable sources of a manifest.

    Args:
        data: Folder with ``manifest.csv``.
        most: Tiles of each source, surface and class to fit on and to test on; half as many validate.
        seed: Chooses them.

    Raises:
        UserError: The manifest cannot be used, or has no test or validation tiles of both classes.
    """
    manifest = read_manifest(data)
    test, train = rows_of_split(manifest, "test"), trainable_rows(manifest)
    check_rows([*train, *test], data)
    held_out = validation_groups(train, VALIDATION_SHARE, VALIDATION_SEED)
    return Samples(
        _drawn(data, [row for row in train if row.group_id not in held_out], "to fit on", most, seed),
        _drawn(data, [row for row in train if row.group_id in held_out], "for validation", -(-most // 2), seed),
        _drawn(data, test, "to test on", most, seed),
    )


def _drawn(data: Path, rows: Sequence[Row], use: str, most: int, seed: int) -> JudgedTiles:
    lacking = [label for label in LABELS if not any(row.label == label for row in rows)]
    if lacking:
        raise UserError(f"{data} has no tile {use} labelled {' or '.join(lacking)}", "Add some to the manifest")
    return sample_tiles(data, rows, TILE_PX, most, seed)


def _counts(tiles: JudgedTiles) -> dict[str, Any]:
    return {
        "tiles": len(tiles.labels),
        "cracked": int(tiles.labels.sum()),
        "photographs": len(np.unique(tiles.groups)),
    }


def list_name(name: str, tiles: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Name under which the features of these tiles are cached: another list of tiles has another name."""
    digest = hashlib.sha256()
    for tile in tiles:
        digest.update(tile.tobytes())
    return f"tables_{name}_{digest.hexdigest()[:12]}"
