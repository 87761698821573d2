"""The rows that a head is fitted on: features of views of all train tiles, and of what is drawn on them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.training.backbones.features import FeatureExtractor, chosen_indices
from crack_perception.training.data.examples import Sample
from crack_perception.training.data.training_tiles import TrainingTiles
from crack_perception.training.heads.decision import CrackRows, WidthRows
from crack_perception.training.heads.severity import rendered_view

DRAWN = "drawn"
"""Stratum of the rows that hold something drawn."""


def crack_rows(tiles: TrainingTiles, extractor: FeatureExtractor, drawn_tiles: int, seed: int) -> CrackRows:
    """All train tiles, and drawn examples on sound tiles of training photographs and on drawn surfaces.

    The backbone knows its training tiles by heart; a random view of each gives features like those of new tiles.

    Args:
        tiles: All train tiles.
        extractor: Of the features.
        drawn_tiles: Number of drawn examples, half of them cracked.
        seed: Of everything random.
    """
    materials = tiles.materials
    drawn = _drawn_samples(tiles, drawn_tiles, seed)

    def drawn_view(i: int) -> npt.NDArray[np.uint8]:
        rng = np.random.default_rng([seed, 2, i])
        return materials.view(drawn[i], rng)[0] if drawn[i].on_surface else materials.scene(drawn[i], rng)[0]

    def view(i: int) -> npt.NDArray[np.uint8]:
        if tiles.unseen[i]:
            return np.asarray(materials.tiles[i])
        return materials.view(Sample(i, int(tiles.labels[i])), np.random.default_rng([seed, 5, i]))[0]

    features = [
        extractor.features("views", len(materials.rows), view),
        extractor.features("drawn", len(drawn), drawn_view),
    ]
    strata = np.array([row.stratum for row in materials.rows])
    grounds = [f"surface:{s.index}" if s.on_surface else str(tiles.groups[s.index]) for s in drawn]
    return CrackRows(
        np.concatenate(features),
        np.concatenate([tiles.labels, [s.label for s in drawn]]),
        np.concatenate([tiles.groups, grounds]),
        np.concatenate([strata, np.repeat(DRAWN, len(drawn))]),
        np.concatenate([tiles.unseen, np.zeros(len(drawn), bool)]),
    )


def _drawn_samples(tiles: TrainingTiles, count: int, seed: int) -> list[Sample]:
    """As many of each kind: drawn cracks, transplanted cracks and twice lookalikes on tiles, the same on surfaces.

    Of the sound surfaces, half carry nothing: their own texture is the lookalike.
    """
    rng = np.random.default_rng([seed, 1])
    half = count // 2
    sound = chosen_indices((tiles.labels == 0) & ~tiles.unseen, half, rng)
    ground = rng.integers(len(tiles.materials.surfaces), size=half)
    on_tiles = [(1, "crack"), (1, "transplant"), (0, "lookalike"), (0, "lookalike")]
    on_surfaces = [*on_tiles[:3], (0, "")]
    return [Sample(int(sound[i]), *on_tiles[i % 4]) for i in range(half)] + [
        Sample(int(ground[i]), *on_surfaces[i % 4], on_surface=True) for i in range(half)
    ]


def width_rows(tiles: TrainingTiles, extractor: FeatureExtractor, count: int, unseen: bool, seed: int) -> WidthRows:
    """Augmented rendered cracks on sound tiles, either of validation or of training photographs."""
    sound = (tiles.labels == 0) & (tiles.unseen == unseen)
    chosen = chosen_indices(sound, count, np.random.default_rng([seed, 3, int(unseen)]))

    def view(i: int) -> tuple[npt.NDArray[np.uint8], float]:
        rng = np.random.default_rng([seed, 4, int(unseen), i])
        return rendered_view(np.asarray(tiles.materials.tiles[chosen[i]]), rng)

    name = "widths_unseen" if unseen else "widths_seen"
    features, log_width_px = extractor.labelled_features(name, count, view)
    return WidthRows(features, log_width_px, tiles.groups[chosen])
