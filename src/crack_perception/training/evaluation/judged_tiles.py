"""Real tiles of known truth in memory, and a model's scores of tiles: what every figure on tiles starts from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.backends.protocol import TileScores
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.manifest import LABELS, Row
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, in_channels, pad_to_tile

_BATCH = 8


@dataclass(frozen=True)
class JudgedTiles:
    """Tiles with their truth.

    Args:
        pixels: ``(T, T, 3)`` uint8 BGR each.
        labels: ``(N,)`` 1 = crack, 0 = sound.
        groups: ``(N,)`` photographs.
        strata: ``(N,)`` names that figures are reported under.
    """

    pixels: Sequence[Image]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    strata: npt.NDArray[np.str_]

    def part(self, chosen: npt.NDArray[np.bool_]) -> JudgedTiles:
        """The tiles that a mask ``(N,)`` picks."""
        pixels = [tile for tile, kept in zip(self.pixels, chosen, strict=True) if kept]
        return JudgedTiles(pixels, self.labels[chosen], self.groups[chosen], self.strata[chosen])


def sample_tiles(directory: Path, rows: Sequence[Row], tile_px: int, most: int, seed: int) -> JudgedTiles:
    """At most so many tiles of every stratum and label, spread over its photographs.

    Args:
        directory: What the rows' paths are relative to.
        rows: Cracked and sound ones; images no larger than a tile, which are padded to it, or cut at its size.
        tile_px: Side of a tile.
        most: Tiles of a stratum and label.
        seed: Chooses them.

    Raises:
        UserError: An image cannot be read.
    """
    rng = np.random.default_rng(seed)
    strata: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.label in LABELS:
            strata[row.stratum, row.label].append(row)
    chosen = [row for key in sorted(strata) for row in _spread(strata[key], most, rng)]
    return JudgedTiles(
        [pad_to_tile(read_picture(directory / row.path), tile_px)[:tile_px, :tile_px] for row in chosen],
        np.array([LABELS[row.label] for row in chosen], np.int64),
        np.array([row.group_id for row in chosen], np.str_),
        np.array([row.stratum for row in chosen], np.str_),
    )


def _spread(rows: Sequence[Row], most: int, rng: np.random.Generator) -> list[Row]:
    """One tile of every photograph in turn, until there are enough."""
    taken: dict[str, int] = defaultdict(int)
    ranked: list[tuple[int, int, Row]] = []
    for index in rng.permutation(len(rows)):
        group = rows[index].group_id
        ranked.append((taken[group], len(ranked), rows[index]))
        taken[group] += 1
    return [row for _, _, row in sorted(ranked, key=lambda item: item[:2])[:most]]


def score_tiles(detector: FrameDetector, tiles: Iterable[Image]) -> TileScores:
    """A model's outputs for BGR tiles ``(T, T, 3)``, which may be made one by one.

    Raises:
        InferenceFailed: The backend failed.
    """
    waiting = iter(tiles)
    parts = []
    while batch := list(islice(waiting, _BATCH)):
        parts.append(detector.backend.run(in_channels(np.stack(batch), detector.model.channels)))
    empty = np.empty(0, np.float32)
    return TileScores(
        *(np.concatenate([empty, *(getattr(part, name) for part in parts)]) for name in TileScores.__dataclass_fields__)
    )


def quiet_tiles(detector: FrameDetector, sound: JudgedTiles) -> JudgedTiles:
    """Those sound tiles that the model calls sound, so that what is found on them is what is drawn on them."""
    return sound.part(score_tiles(detector, sound.pixels).crack_score < detector.threshold)
