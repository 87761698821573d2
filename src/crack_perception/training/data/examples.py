"""What an epoch is made of: real tiles, and cracks and lookalikes put on sound tiles and on drawn surfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.training.data.augmentation import SCALE_LIMITS, USUAL_INTERFERENCE, Interference, augment
from crack_perception.training.data.manifest import HARD_NEGATIVES, LABELS, Row
from crack_perception.training.data.rendered_views import CrackRanges, draw_crack, draw_lookalike
from crack_perception.training.data.surface_pool import SurfacePool
from crack_perception.training.data.surfaces import stepped_path
from crack_perception.training.data.transplant import Gain, crack_gain, transplant

Tile = npt.NDArray[np.uint8]

TRAINING_CRACKS = CrackRanges(width_px=(0.6, 18.0), contrast=(0.1, 0.6), least_signal=0.12)
BROAD_CRACK_SOURCES = ("metu", "cracktile_arthurflor")
"""Sources whose cracks can still be seen when the tile is made much smaller."""
DONOR_SOURCE = "metu"
"""Source of cracks that stand out clearly enough to be moved to other surfaces."""
_BROAD_SCALE_LIMITS = (0.4, 1.5)
_STEPPED_SHARE = 0.6


@dataclass(frozen=True)
class Mixture:
    """Shares of an epoch; each extra family can be switched off for an ablation."""

    hard_negative_repeats: int = 4
    metu_share: float = 0.6
    """Part of the METU tiles in an epoch: they are easy, and many look alike."""
    rendered_crack_share: float = 0.15
    """Drawn cracks on sound tiles, as a share of the real cracked ones."""
    transplant_share: float = 0.1
    """Real cracks moved to sound tiles, as a share of the real cracked ones."""
    lookalike_share: float = 0.12
    """Extra negatives, as a share of the real sound ones; half as many cracked tiles get a lookalike beside their
    crack."""
    surface_share: float = 0.3
    """Drawn surfaces without cracks, as a share of the real sound tiles, and as many with one."""
    interference: Interference = USUAL_INTERFERENCE


@dataclass(frozen=True)
class Sample:
    """One example: what it stands on, and what to put there (``""``, ``crack``, ``transplant`` or ``lookalike``)."""

    index: int
    label: int
    drawn: str = ""
    on_surface: bool = False
    """Whether ``index`` counts drawn surfaces instead of tiles."""


def epoch_samples(
    rows: Sequence[Row], learned: npt.NDArray[np.intp], surfaces: int, mixture: Mixture, seed: Sequence[int]
) -> list[Sample]:
    """The shuffled examples of one epoch, the same for the same seed.

    Args:
        rows: Of all tiles.
        learned: Indices of the tiles that may be learned from.
        surfaces: Number of drawn surfaces.
        mixture: Shares.
        seed: Of the run and the epoch.
    """
    rng = np.random.default_rng(list(seed))
    sound = np.array([i for i in learned if rows[i].label == "none"], np.intp)
    cracked = np.array([i for i in learned if rows[i].label == "crack"], np.intp)
    samples = []
    for i in learned:
        row = rows[i]
        if row.source == "metu" and rng.random() >= mixture.metu_share:
            continue
        repeats = mixture.hard_negative_repeats if row.source == HARD_NEGATIVES else 1
        samples += [Sample(int(i), LABELS[row.label])] * repeats
    lookalikes = round(mixture.lookalike_share * len(sound))
    on_surfaces = round(mixture.surface_share * len(sound)) if surfaces else 0

    def add(label: int, drawn: str, count: int, places: npt.NDArray[np.intp] | int, on_surface: bool = False) -> None:
        samples.extend(Sample(int(i), label, drawn, on_surface) for i in rng.choice(places, count))

    add(1, "crack", round(mixture.rendered_crack_share * len(cracked)), sound)
    add(1, "transplant", round(mixture.transplant_share * len(cracked)), sound)
    add(0, "lookalike", lookalikes, sound)
    add(1, "lookalike", lookalikes // 2, cracked)
    if on_surfaces:
        add(0, "", on_surfaces - on_surfaces // 5, surfaces, True)
        add(0, "lookalike", on_surfaces // 5, surfaces, True)
        add(1, "crack", on_surfaces - on_surfaces // 2, surfaces, True)
        add(1, "transplant", on_surfaces // 2, surfaces, True)
    return [samples[i] for i in rng.permutation(len(samples))]


@dataclass(frozen=True)
class Materials:
    """Everything that views are made of.

    Attributes:
        rows: Of the tiles.
        tiles: ``(N, T, T, 3)`` uint8 BGR.
        surfaces: Drawn sound surfaces.
        gains: Cracks that may be transplanted.
    """

    rows: Sequence[Row]
    tiles: npt.NDArray[np.uint8]
    surfaces: SurfacePool
    gains: Sequence[Gain]

    def view(
        self,
        sample: Sample,
        rng: np.random.Generator,
        view_px: int | None = None,
        interference: Interference = USUAL_INTERFERENCE,
    ) -> tuple[Tile, float]:
        """The augmented picture of a sample and its log width in pixels, ``nan`` where unknown."""
        tile, width_px = self.scene(sample, rng)
        broad = sample.on_surface or self.rows[sample.index].source in BROAD_CRACK_SOURCES
        view, scale = augment(tile, rng, _BROAD_SCALE_LIMITS if broad else SCALE_LIMITS, view_px, interference)
        return view, math.log(width_px * scale)

    def scene(self, sample: Sample, rng: np.random.Generator) -> tuple[Tile, float]:
        """The picture of a sample before augmentation and its crack's width in pixels, ``nan`` where unknown."""
        courses = None
        if sample.on_surface:
            surface = self.surfaces[sample.index]
            tile, courses = surface.pixels, surface.courses
        else:
            tile = np.asarray(self.tiles[sample.index], np.uint8)
        # Without a source of clear cracks there is nothing to transplant.
        if sample.drawn == "crack" or (sample.drawn == "transplant" and not self.gains):
            path = None
            if courses is not None and rng.random() < _STEPPED_SHARE:
                path = stepped_path(courses, len(tile), rng)
            return draw_crack(tile, rng, TRAINING_CRACKS, path)
        if sample.drawn == "transplant":
            return transplant(tile, self.gains[int(rng.integers(len(self.gains)))], rng), float("nan")
        if sample.drawn == "lookalike":
            return draw_lookalike(tile, rng), float("nan")
        return tile, float("nan")


def donor_gains(rows: Sequence[Row], tiles: npt.NDArray[np.uint8], learned: npt.NDArray[np.intp]) -> list[Gain]:
    """The cracks of learned tiles that stand clearly out of a smooth surface."""
    donors = [i for i in learned if rows[i].source == DONOR_SOURCE and rows[i].label == "crack"]
    found = (crack_gain(np.asarray(tiles[i])) for i in donors)
    return [gain for gain in found if gain is not None]
