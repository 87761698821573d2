# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labelled tiles in memory, and the scores of a model on tiles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.backends.protocol import OUTPUT_NAMES, TileScores
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.manifest import LABELS, Row
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, in_channels, pad_to_tile

_BATCH = 8


@dataclass(frozen=True)
class LabelledTiles:
    """Tiles with their ground truth.

    Args:
        pixels: ``(T, T, 3)`` uint8 BGR each.
        labels: ``(N,)`` 1 = crack, 0 = background.
        groups: ``(N,)`` photographs.
        strata: ``(N,)`` names of source and surface.
    """

    pixels: Sequence[Image]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    strata: npt.NDArray[np.str_]

    def part(self, chosen: npt.NDArray[np.bool_]) -> LabelledTiles:
        """Select tiles by a mask ``(N,)``."""
        pixels = [tile for tile, kept in zip(self.pixels, chosen, strict=True) if kept]
        return LabelledTiles(pixels, self.labels[chosen], self.groups[chosen], self.strata[chosen])


def sample_tiles(directory: Path, rows: Sequence[Row], tile_px: int, most: int, seed: int) -> LabelledTiles:
    """Sample tiles of every stratum and label, distributed over its photographs.

    Args:
        directory: Folder that the paths of the rows are relative to.
        rows: Rows of the manifest, both labels; smaller images are padded to a tile, larger ones cropped.
        tile_px: Side of a tile [px].
        most: Largest number of tiles per stratum and label.
        seed: Seed of the sampling.

    Raises:
        UserError: An image cannot be read.
    """
    rng = np.random.default_rng(seed)
    strata: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.label in LABELS:
            strata[row.stratum, row.label].append(row)
    chosen = [row for key in sorted(strata) for row in _round_robin(strata[key], most, rng)]
    return LabelledTiles(
        [pad_to_tile(read_picture(directory / row.path), tile_px)[:tile_px, :tile_px] for row in chosen],
        np.array([LABELS[row.label] for row in chosen], np.int64),
        np.array([row.group_id for row in chosen], np.str_),
        np.array([row.stratum for row in chosen], np.str_),
    )


def _round_robin(rows: Sequence[Row], most: int, rng: np.random.Generator) -> list[Row]:
    """Pick rows from all photographs in turn."""
    taken: dict[str, int] = defaultdict(int)
    ranked: list[tuple[int, int, Row]] = []
    for index in rng.permutation(len(rows)):
        group = rows[index].group_id
        ranked.append((taken[group], len(ranked), rows[index]))
        taken[group] += 1
    return [row for _, _, row in sorted(ranked, key=lambda item: item[:2])[:most]]


def score_tiles(detector: FrameDetector, tiles: Iterable[Image]) -> TileScores:
    """Run a model on BGR tiles ``(T, T, 3)``, in batches, so that the tiles may be a generator; without cells.

    Raises:
        InferenceFailed: The backend failed.
    """
    pending = iter(tiles)
    parts = []
    while batch := list(islice(pending, _BATCH)):
        parts.append(detector.backend.run(in_channels(np.stack(batch), detector.model.channels)))
    empty = np.empty(0, np.float32)
    return TileScores(*(np.concatenate([empty, *(getattr(part, name) for part in parts)]) for name in OUTPUT_NAMES))


def true_negatives(detector: FrameDetector, background: LabelledTiles) -> LabelledTiles:
    """Select the background tiles without a detection, so that detections on them come from rendered cracks."""
    return background.part(score_tiles(detector, background.pixels).crack_score < detector.threshold)
