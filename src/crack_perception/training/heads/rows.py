# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Feature rows that a head is fitted on: views of all training tiles, and synthetic examples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.training.backbones.features import FeatureExtractor, chosen_indices
from crack_perception.training.data.examples import Origin, Sample
from crack_perception.training.data.other_pictures import STRATUM
from crack_perception.training.data.training_tiles import TrainingTiles
from crack_perception.training.heads.decision import CrackRows, WidthRows
from crack_perception.training.heads.severity import rendered_view

SYNTHETIC = "drawn"
"""Stratum of the synthetic rows, also the name of their cached features."""
# Two of the eight tiles of every other picture: enough, and no more than a tenth of all rows.
_OTHERS_STEP = 4


def crack_rows(tiles: TrainingTiles, extractor: FeatureExtractor, synthetic_count: int, seed: int) -> CrackRows:
    """Compute the features of all training tiles, of synthetic examples, and of pictures that show no structure.

    Features of the tiles that the backbone was trained on are overfitted, therefore a random view of each is used.
    Synthetic examples are made on intact tiles of training photographs and on synthetic surfaces.

    Args:
        tiles: All training tiles.
        extractor: Feature extractor.
        synthetic_count: Number of synthetic examples, half of them cracked.
        seed: Seed of all random choices.
    """
    materials = tiles.materials
    synthetic = _synthetic_samples(tiles, synthetic_count, seed)

    def synthetic_view(i: int) -> npt.NDArray[np.uint8]:
        rng, sample = np.random.default_rng([seed, 2, i]), synthetic[i]
        return materials.view(sample, rng)[0] if sample.origin is Origin.SURFACE else materials.scene(sample, rng)[0]

    def view(i: int) -> npt.NDArray[np.uint8]:
        if tiles.unseen[i]:
            return np.asarray(materials.tiles[i])
        return materials.view(Sample(i, int(tiles.labels[i])), np.random.default_rng([seed, 5, i]))[0]

    others, chosen = materials.others, _chosen_others(tiles)

    def other(i: int) -> npt.NDArray[np.uint8]:
        return np.asarray(others.pixels[chosen[i]])

    features = [
        extractor.features("views", len(materials.rows), view),
        extractor.features(SYNTHETIC, len(synthetic), synthetic_view),
        *([extractor.features(STRATUM, len(chosen), other)] if len(chosen) else []),
    ]
    strata = np.array([row.stratum for row in materials.rows])
    groups = [f"surface:{s.index}" if s.origin is Origin.SURFACE else str(tiles.groups[s.index]) for s in synthetic]
    return CrackRows(
        np.concatenate(features),
        np.concatenate([tiles.labels, [s.label for s in synthetic], np.zeros(len(chosen), np.int64)]),
        np.concatenate([tiles.groups, groups, others.groups[chosen]]),
        np.concatenate([strata, np.repeat(SYNTHETIC, len(synthetic)), np.repeat(STRATUM, len(chosen))]),
        np.concatenate([tiles.unseen, np.zeros(len(synthetic), bool), others.unseen[chosen]]),
    )


def _chosen_others(tiles: TrainingTiles) -> npt.NDArray[np.intp]:
    """Indices of the tiles of other pictures that are used."""
    return np.arange(0, len(tiles.materials.others), _OTHERS_STEP)


def unseen_features(tiles: TrainingTiles, extractor: FeatureExtractor) -> npt.NDArray[np.float32]:
    """Compute the features of the unseen rows of :func:`crack_rows`, in their order.

    Args:
        tiles: All training tiles.
        extractor: Another extractor than that of the rows, for comparison.
    """
    others, chosen = tiles.materials.others, _chosen_others(tiles)
    pixels = [(tiles.materials.tiles, i) for i in np.nonzero(tiles.unseen)[0]]
    pixels += [(others.pixels, i) for i in chosen[others.unseen[chosen]]]
    return extractor.features("unseen", len(pixels), lambda k: np.asarray(pixels[k][0][pixels[k][1]]))


def _synthetic_samples(tiles: TrainingTiles, count: int, seed: int) -> list[Sample]:
    """Choose synthetic examples, half on tiles and half on surfaces.

    A quarter of each half are rendered cracks, a quarter pasted cracks, the rest negatives. Half of the negatives on
    surfaces have no overlay: their texture is a hard negative already.
    """
    rng = np.random.default_rng([seed, 1])
    half = count // 2
    intact = chosen_indices((tiles.labels == 0) & ~tiles.unseen, half, rng)
    surfaces = rng.integers(len(tiles.materials.surfaces), size=half)
    on_tiles = [(1, "crack"), (1, "copy_paste"), (0, "hard_negative"), (0, "hard_negative")]
    on_surfaces = [*on_tiles[:3], (0, "")]
    return [Sample(int(intact[i]), *on_tiles[i % 4]) for i in range(half)] + [
        Sample(int(surfaces[i]), *on_surfaces[i % 4], origin=Origin.SURFACE) for i in range(half)
    ]


def width_rows(tiles: TrainingTiles, extractor: FeatureExtractor, count: int, unseen: bool, seed: int) -> WidthRows:
    """Compute the features of augmented rendered cracks on intact tiles.

    Args:
        tiles: All training tiles.
        extractor: Feature extractor.
        count: Number of rows.
        unseen: Use validation photographs instead of training photographs.
        seed: Seed of all random choices.
    """
    intact = (tiles.labels == 0) & (tiles.unseen == unseen)
    chosen = chosen_indices(intact, count, np.random.default_rng([seed, 3, int(unseen)]))

    def view(i: int) -> tuple[npt.NDArray[np.uint8], float]:
        rng = np.random.default_rng([seed, 4, int(unseen), i])
        return rendered_view(np.asarray(tiles.materials.tiles[chosen[i]]), rng)

    name = "widths_unseen" if unseen else "widths_seen"
    features, log_width_px = extractor.labelled_features(name, count, view)
    return WidthRows(features, log_width_px, tiles.groups[chosen])
