# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training tiles of a manifest with the inputs of the view generator, loaded once for all steps of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.training.data.examples import Materials, donor_gains
from crack_perception.training.data.manifest import LABELS, WHOLE_PHOTOGRAPHS, read_manifest
from crack_perception.training.data.rows import TILE_PX, check_rows, load_tiles, trainable_rows, validation_groups
from crack_perception.training.data.surfaces import load_surfaces


@dataclass(frozen=True)
class TrainingTiles:
    """Decoded training tiles with labels, photographs and the inputs of the view generator.

    Attributes:
        materials: Tiles, their rows, synthetic surfaces, and cracks for copy-paste augmentation.
        labels: ``(N,)`` 1 = crack.
        groups: ``(N,)`` photographs.
        unseen: ``(N,)`` True for tiles of validation photographs, which no backbone is trained on.
    """

    materials: Materials
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    unseen: npt.NDArray[np.bool_]

    @property
    def learned(self) -> npt.NDArray[np.intp]:
        """Indices of the tiles that the backbone is trained on."""
        return np.nonzero(~self.unseen)[0]

    def report(self) -> dict[str, Any]:
        """Return the figures of the data for a model card: counts of tiles, photographs and synthetic material."""
        counts: dict[str, dict[str, int]] = {}
        for row in self.materials.rows:
            counts.setdefault(row.stratum, dict.fromkeys(LABELS, 0))[row.label] += 1
        return {
            "tiles": counts,
            "photographs": len(np.unique(self.groups)),
            "validation_photographs": len(np.unique(self.groups[self.unseen])),
            "validation_tiles": int(self.unseen.sum()),
            "drawn_surfaces": len(self.materials.surfaces),
            "transplanted_cracks": len(self.materials.gains),
        }


def load_training_tiles(data: Path, cache: Path, validation_share: float, surfaces: int, seed: int) -> TrainingTiles:
    """Check the manifest, decode its train tiles, render the surfaces and extract the cracks for copy-paste.

    Args:
        data: Folder with ``manifest.csv``.
        cache: Folder for decoded tiles and surfaces.
        validation_share: Share of the train photographs that are used for validation only.
        surfaces: Number of synthetic surfaces.
        seed: Seed of all random choices.

    Raises:
        UserError: The data cannot be used; all problems are listed.
    """
    manifest = read_manifest(data)
    check_rows([row for row in manifest if row.role == "ship" and row.source != WHOLE_PHOTOGRAPHS], data)
    rows = trainable_rows(manifest)
    held_out = validation_groups(rows, validation_share, seed)
    unseen = np.array([row.group_id in held_out for row in rows])
    pixels = load_tiles(rows, data, cache)
    gains = donor_gains(rows, pixels, np.nonzero(~unseen)[0])
    return TrainingTiles(
        Materials(rows, pixels, load_surfaces(surfaces, TILE_PX, seed, cache), gains),
        np.array([LABELS[row.label] for row in rows], np.int64),
        np.array([row.group_id for row in rows]),
        unseen,
    )
