# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training tiles of a manifest with the inputs of the view generator, loaded once for all steps of a training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.training.data.examples import Materials, donor_gains
from crack_perception.training.data.manifest import LABELS, WHOLE_PHOTOGRAPHS, is_surface_picture, read_manifest
from crack_perception.training.data.other_pictures import NO_OTHER_PICTURES, load_other_pictures
from crack_perception.training.data.picture_parts import load_parts
from crack_perception.training.data.rows import TILE_PX, check_rows, load_tiles, trainable_rows, validation_groups
from crack_perception.training.data.surfaces import load_surfaces

_PARTS_PER_SURFACE = 24


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
            "drawn_surfaces": len(self.materials.surfaces.courses),
            "photographed_surfaces": len(self.materials.surfaces.photographed),
            "transplanted_cracks": len(self.materials.gains),
            "other_pictures": len(np.unique(self.materials.others.groups)),
        }


def load_training_tiles(
    data: Path, cache: Path, validation_share: float, surfaces: int, seed: int, others: Path | None = None
) -> TrainingTiles:
    """Check the manifest, decode its train tiles, render the surfaces and extract the cracks for copy-paste.

    The surfaces include parts of the pictures of intact surfaces of the training photographs.

    Args:
        data: Folder with ``manifest.csv``.
        cache: Folder for decoded tiles and surfaces.
        validation_share: Share of the train photographs that are used for validation only.
        surfaces: Number of synthetic surfaces.
        seed: Seed of all random choices.
        others: Folder of pictures that show no structure; None for none.

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
    pool = load_surfaces(surfaces, TILE_PX, seed, cache)
    if surfaces:
        learned = [row for row, held in zip(rows, unseen, strict=True) if not held]
        files = [data / row.path for row in learned if is_surface_picture(row)]
        pool = replace(pool, photographed=load_parts(files, _PARTS_PER_SURFACE, TILE_PX, seed, cache, "parts"))
    others_pool = load_other_pictures(others, TILE_PX, seed, cache, validation_share) if others else NO_OTHER_PICTURES
    return TrainingTiles(
        Materials(rows, pixels, pool, gains, others_pool),
        np.array([LABELS[row.label] for row in rows], np.int64),
        np.array([row.group_id for row in rows]),
        unseen,
    )
