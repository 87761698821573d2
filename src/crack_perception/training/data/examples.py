# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Composition of an epoch: real tiles, and cracks and hard negatives on intact tiles and synthetic surfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from crack_perception.training.data.augmentation import SCALE_LIMITS, USUAL_INTERFERENCE, Interference, augment
from crack_perception.training.data.manifest import HARD_NEGATIVES, LABELS, Row
from crack_perception.training.data.other_pictures import NO_OTHER_PICTURES, OtherPictures
from crack_perception.training.data.surfaces import SurfacePool, stepped_path
from crack_perception.training.data.synthesis import (
    CrackRanges,
    Gain,
    crack_gain,
    draw_crack,
    draw_hard_negative,
    paste_crack,
)

Tile = npt.NDArray[np.uint8]

TRAINING_CRACKS = CrackRanges(
    width_px=(0.6, 18.0), contrast=(0.1, 0.6), broad_share=0.08, bright_share=0.1, least_signal=0.12
)
BROAD_CRACK_SOURCES = ("metu", "cracktile_arthurflor")
"""Sources whose cracks stay visible when the tile is scaled down strongly."""
DONOR_SOURCE = "metu"
"""Source of cracks for copy-paste augmentation: they stand out clearly from smooth surfaces."""
_BROAD_SCALE_LIMITS = (0.4, 1.5)
_STEPPED_SHARE = 0.6


@dataclass(frozen=True)
class Mixture:
    """Shares of an epoch; each family of synthetic examples can be disabled for an ablation."""

    hard_negative_repeats: int = 4
    metu_share: float = 0.6
    """Share of the METU tiles used in an epoch: they are easy, and many are similar."""
    rendered_crack_share: float = 0.15
    """Rendered cracks on intact tiles, as a share of the real cracked tiles."""
    transplant_share: float = 0.1
    """Real cracks copied onto intact tiles, as a share of the real cracked tiles."""
    lookalike_share: float = 0.12
    """Rendered hard negatives, as a share of the real intact tiles; half as many are added to cracked tiles."""
    surface_share: float = 0.3
    """Synthetic surfaces without a crack, as a share of the real intact tiles, and as many with one."""
    other_share: float = 0.3
    """Tiles of pictures that show no structure, as a share of the real intact tiles."""
    interference: Interference = USUAL_INTERFERENCE


class Origin(Enum):
    """Material of an example."""

    TILE = "tile"
    SURFACE = "surface"
    """A surface of the pool, synthetic or photographed."""
    OTHER_PICTURE = "other picture"
    """A tile of a picture that shows no structure."""


@dataclass(frozen=True)
class Sample:
    """One example of an epoch.

    Attributes:
        index: Index among the tiles, the surfaces or the tiles of other pictures.
        label: 1 = crack.
        overlay: What is added: nothing (``""``), ``crack``, ``copy_paste`` or ``hard_negative``.
        origin: Which of them.
    """

    index: int
    label: int
    overlay: str = ""
    origin: Origin = Origin.TILE


def epoch_samples(
    rows: Sequence[Row],
    learned: npt.NDArray[np.intp],
    surfaces: int,
    mixture: Mixture,
    seed: Sequence[int],
    others: npt.NDArray[np.intp] | None = None,
) -> list[Sample]:
    """Choose the examples of one epoch in random order; the same seed gives the same examples.

    Args:
        rows: Manifest rows of all tiles.
        learned: Indices of the training tiles.
        surfaces: Number of surfaces in the pool.
        mixture: Shares of the families.
        seed: Seed of the run and index of the epoch.
        others: Indices of the tiles that show no structure; None for none.
    """
    rng = np.random.default_rng(list(seed))
    intact = np.array([i for i in learned if rows[i].label == "none"], np.intp)
    cracked = np.array([i for i in learned if rows[i].label == "crack"], np.intp)
    samples = []
    for i in learned:
        row = rows[i]
        if row.source == "metu" and rng.random() >= mixture.metu_share:
            continue
        repeats = mixture.hard_negative_repeats if row.source == HARD_NEGATIVES else 1
        samples += [Sample(int(i), LABELS[row.label])] * repeats
    hard_negatives = round(mixture.lookalike_share * len(intact))
    on_surfaces = round(mixture.surface_share * len(intact)) if surfaces else 0

    def add(
        label: int, overlay: str, count: int, places: npt.NDArray[np.intp] | int, origin: Origin = Origin.TILE
    ) -> None:
        samples.extend(Sample(int(i), label, overlay, origin) for i in rng.choice(places, count))

    add(1, "crack", round(mixture.rendered_crack_share * len(cracked)), intact)
    add(1, "copy_paste", round(mixture.transplant_share * len(cracked)), intact)
    add(0, "hard_negative", hard_negatives, intact)
    add(1, "hard_negative", hard_negatives // 2, cracked)
    if on_surfaces:
        add(0, "", on_surfaces - on_surfaces // 5, surfaces, Origin.SURFACE)
        add(0, "hard_negative", on_surfaces // 5, surfaces, Origin.SURFACE)
        add(1, "crack", on_surfaces - on_surfaces // 2, surfaces, Origin.SURFACE)
        add(1, "copy_paste", on_surfaces // 2, surfaces, Origin.SURFACE)
    if others is not None and len(others):
        add(0, "", round(mixture.other_share * len(intact)), others, Origin.OTHER_PICTURE)
    return [samples[i] for i in rng.permutation(len(samples))]


@dataclass(frozen=True)
class Materials:
    """Inputs of the view generator.

    Attributes:
        rows: Manifest rows of the tiles.
        tiles: ``(N, T, T, 3)`` uint8 BGR.
        surfaces: Intact surfaces, synthetic and photographed.
        gains: Cracks for copy-paste augmentation, ``(T, T)`` uint8 each.
        others: Tiles of pictures that show no structure.
    """

    rows: Sequence[Row]
    tiles: npt.NDArray[np.uint8]
    surfaces: SurfacePool
    gains: Sequence[Gain]
    others: OtherPictures = NO_OTHER_PICTURES

    def view(
        self,
        sample: Sample,
        rng: np.random.Generator,
        view_px: int | None = None,
        interference: Interference = USUAL_INTERFERENCE,
    ) -> tuple[Tile, float]:
        """Make the augmented view of a sample.

        Returns:
            The view, and the natural logarithm of its crack's width in pixels, ``nan`` where unknown.
        """
        tile, width_px = self.scene(sample, rng)
        broad = sample.origin is not Origin.TILE or self.rows[sample.index].source in BROAD_CRACK_SOURCES
        view, scale = augment(tile, rng, _BROAD_SCALE_LIMITS if broad else SCALE_LIMITS, view_px, interference)
        return view, math.log(width_px * scale)

    def scene(self, sample: Sample, rng: np.random.Generator) -> tuple[Tile, float]:
        """Make the image of a sample before augmentation.

        Returns:
            The image, and its crack's width in pixels, ``nan`` where unknown.
        """
        courses = None
        if sample.origin is Origin.OTHER_PICTURE:
            return np.asarray(self.others.pixels[sample.index], np.uint8), float("nan")
        if sample.origin is Origin.SURFACE:
            surface = self.surfaces[sample.index]
            tile, courses = surface.pixels, surface.courses
        else:
            tile = np.asarray(self.tiles[sample.index], np.uint8)
        # Without cracks to copy, a crack is rendered instead.
        if sample.overlay == "crack" or (sample.overlay == "copy_paste" and not self.gains):
            path = None
            if courses is not None and rng.random() < _STEPPED_SHARE:
                path = stepped_path(courses, len(tile), rng)
            return draw_crack(tile, rng, TRAINING_CRACKS, path)
        if sample.overlay == "copy_paste":
            return paste_crack(tile, self.gains[int(rng.integers(len(self.gains)))], rng), float("nan")
        if sample.overlay == "hard_negative":
            return draw_hard_negative(tile, rng), float("nan")
        return tile, float("nan")


def donor_gains(rows: Sequence[Row], tiles: npt.NDArray[np.uint8], learned: npt.NDArray[np.intp]) -> list[Gain]:
    """Extract the cracks of training tiles that stand out clearly from a smooth surface."""
    donors = [i for i in learned if rows[i].source == DONOR_SOURCE and rows[i].label == "crack"]
    found = (crack_gain(np.asarray(tiles[i])) for i in donors)
    return [gain for gain in found if gain is not None]
