# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Composition of epochs, and views of samples."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from crack_perception.training.data.augmentation import Interference
from crack_perception.training.data.examples import Materials, Mixture, Origin, Sample, donor_gains, epoch_samples
from crack_perception.training.data.manifest import Row
from crack_perception.training.data.other_pictures import OtherPictures
from crack_perception.training.data.surfaces import load_surfaces

SIZE = 128
COUNT = 200
NO_SYNTHETIC = Mixture(1, 1.0, 0.0, 0.0, 0.0, 0.0)


def row(index: int, source: str, label: str) -> Row:
    return Row(f"{index}.png", source, "wall", "train", label, "ship", f"{source}:{index}")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [row(i, "sdnet2018", "crack" if i % 2 else "none") for i in range(COUNT)]


@pytest.fixture(scope="module")
def materials(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Materials:
    rng = np.random.default_rng(0)
    tiles = np.clip(rng.normal(150, 3, (COUNT, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    gain = np.full((SIZE, SIZE), 255, np.uint8)
    gain[60:68] = 60
    return Materials(rows, tiles, load_surfaces(6, SIZE, 0, tmp_path_factory.mktemp("pool")), [gain])


def samples(rows: list[Row], mixture: Mixture, surfaces: int = 0, epoch: int = 0) -> list[Sample]:
    return epoch_samples(rows, np.arange(len(rows)), surfaces, mixture, (7, epoch))


def test_epoch_samples_no_synthetic_shares_returns_tiles(rows: list[Row]) -> None:
    chosen = samples(rows, NO_SYNTHETIC)
    assert sorted(s.index for s in chosen) == list(range(COUNT))
    assert all(s.label == int(rows[s.index].label == "crack") and not s.overlay for s in chosen)


def test_epoch_samples_mixture_sets_counts(rows: list[Row]) -> None:
    mixture = Mixture(1, 1.0, 0.2, 0.1, 0.1, 0.5)
    counts = Counter((s.label, s.overlay, s.origin) for s in samples(rows, mixture, surfaces=6))
    assert counts == {
        (0, "", Origin.TILE): 100,
        (1, "", Origin.TILE): 100,
        (1, "crack", Origin.TILE): 20,
        (1, "copy_paste", Origin.TILE): 10,
        (0, "hard_negative", Origin.TILE): 10,
        (1, "hard_negative", Origin.TILE): 5,
        (0, "", Origin.SURFACE): 40,
        (0, "hard_negative", Origin.SURFACE): 10,
        (1, "crack", Origin.SURFACE): 25,
        (1, "copy_paste", Origin.SURFACE): 25,
    }


def test_epoch_samples_cracks_go_on_intact_tiles_and_epochs_differ(rows: list[Row]) -> None:
    mixture = Mixture()
    first = samples(rows, mixture, surfaces=6)
    on_tiles = [s for s in first if s.overlay in ("crack", "copy_paste") and s.origin is Origin.TILE]
    assert on_tiles and all(rows[s.index].label == "none" for s in on_tiles)
    assert first == samples(rows, mixture, surfaces=6) != samples(rows, mixture, surfaces=6, epoch=1)


def test_epoch_samples_repeats_hard_negatives_and_thins_metu() -> None:
    rows = [row(i, "metu", "none") for i in range(400)] + [row(i, "sdnet2018_hardneg", "none") for i in range(10)]
    rows += [row(0, "sdnet2018", "crack")]
    counts = Counter(
        rows[s.index].source for s in samples(rows, replace(NO_SYNTHETIC, hard_negative_repeats=4, metu_share=0.5))
    )
    assert counts["sdnet2018_hardneg"] == 40 and counts["sdnet2018"] == 1
    assert 150 < counts["metu"] < 250


def test_epoch_samples_other_pictures_are_intact(rows: list[Row]) -> None:
    others = np.array([3, 5])
    mixture = replace(NO_SYNTHETIC, other_share=0.2)
    chosen = [
        s for s in epoch_samples(rows, np.arange(COUNT), 0, mixture, (7, 0), others) if s.origin is Origin.OTHER_PICTURE
    ]
    assert len(chosen) == 20
    assert {(s.index, s.label) for s in chosen} == {(3, 0), (5, 0)}


def test_view_of_another_picture_is_cut_from_it(materials: Materials) -> None:
    pixels = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    pixels[1] = 180
    others = OtherPictures(pixels, np.array(["a", "b"]), np.zeros(2, bool))
    told = replace(materials, others=others)
    view, log_width_px = told.view(
        Sample(1, 0, origin=Origin.OTHER_PICTURE), np.random.default_rng(0), 96, Interference(0, 0, 0, 0, 0)
    )
    assert view.shape == (96, 96, 3) and math.isnan(log_width_px)
    assert view.std() < 40 and view.mean() > 60


@pytest.mark.parametrize("overlay", ["", "crack", "copy_paste", "hard_negative"])
@pytest.mark.parametrize("origin", [Origin.TILE, Origin.SURFACE])
def test_view_same_seed_is_equal_and_of_given_size(materials: Materials, overlay: str, origin: Origin) -> None:
    sample = Sample(2, 1, overlay, origin)
    view, log_width = materials.view(sample, np.random.default_rng(3), 96)
    again, _ = materials.view(sample, np.random.default_rng(3), 96)
    assert (view.shape, view.dtype) == ((96, 96, 3), np.uint8)
    np.testing.assert_array_equal(view, again)
    assert math.isfinite(log_width) == (overlay == "crack")


def test_scene_crack_darkens_tile(materials: Materials) -> None:
    for i in range(5):
        scene, width_px = materials.scene(Sample(0, 1, "crack"), np.random.default_rng(i))
        lost = 1 - scene.mean(axis=2) / np.asarray(materials.tiles[0]).mean(axis=2)
        assert 0.5 < width_px < 19
        assert lost.max() > 0.05


def test_donor_gains_returns_clear_cracks_of_training_tiles() -> None:
    rng = np.random.default_rng(1)
    tiles = np.clip(rng.normal(170, 3, (3, 256, 256, 3)), 0, 255).astype(np.uint8)
    tiles[:2, :, 120:128] //= 3
    rows = [row(i, "metu", "crack") for i in range(3)]
    assert len(donor_gains(rows, tiles, np.array([0, 2]))) == 1
