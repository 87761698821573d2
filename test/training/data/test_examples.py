"""Epochs hold what the mixture says, and views keep labels, widths and form."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crack_perception.training.data.examples import Materials, Mixture, Sample, donor_gains, epoch_samples
from crack_perception.training.data.manifest import Row
from crack_perception.training.data.surface_pool import load_surfaces

SIZE = 128
COUNT = 200
NOTHING_ADDED = Mixture(1, 1.0, 0.0, 0.0, 0.0, 0.0)


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


def test_an_epoch_without_extras_is_the_tiles_themselves(rows: list[Row]) -> None:
    chosen = samples(rows, NOTHING_ADDED)
    assert sorted(s.index for s in chosen) == list(range(COUNT))
    assert all(s.label == int(rows[s.index].label == "crack") and not s.drawn for s in chosen)


def test_the_mixture_decides_how_much_of_everything(rows: list[Row]) -> None:
    mixture = Mixture(1, 1.0, 0.2, 0.1, 0.1, 0.5)
    counts = Counter((s.label, s.drawn, s.on_surface) for s in samples(rows, mixture, surfaces=6))
    assert counts == {
        (0, "", False): 100,
        (1, "", False): 100,
        (1, "crack", False): 20,
        (1, "transplant", False): 10,
        (0, "lookalike", False): 10,
        (1, "lookalike", False): 5,
        (0, "", True): 40,
        (0, "lookalike", True): 10,
        (1, "crack", True): 25,
        (1, "transplant", True): 25,
    }


def test_cracks_are_put_on_sound_tiles_only_and_epochs_differ(rows: list[Row]) -> None:
    mixture = Mixture()
    first = samples(rows, mixture, surfaces=6)
    assert all(rows[s.index].label == "none" for s in first if s.drawn in ("crack", "transplant") and not s.on_surface)
    assert first == samples(rows, mixture, surfaces=6) != samples(rows, mixture, surfaces=6, epoch=1)


def test_hard_negatives_are_repeated_and_easy_tiles_thinned() -> None:
    rows = [row(i, "metu", "none") for i in range(400)] + [row(i, "sdnet2018_hardneg", "none") for i in range(10)]
    rows += [row(0, "sdnet2018", "crack")]
    counts = Counter(
        rows[s.index].source for s in samples(rows, replace(NOTHING_ADDED, hard_negative_repeats=4, metu_share=0.5))
    )
    assert counts["sdnet2018_hardneg"] == 40 and counts["sdnet2018"] == 1
    assert 150 < counts["metu"] < 250


@pytest.mark.parametrize("drawn", ["", "crack", "transplant", "lookalike"])
@pytest.mark.parametrize("on_surface", [False, True])
def test_views_are_repeatable_and_of_the_asked_size(materials: Materials, drawn: str, on_surface: bool) -> None:
    sample = Sample(2, 1, drawn, on_surface)
    view, log_width = materials.view(sample, np.random.default_rng(3), 96)
    again, _ = materials.view(sample, np.random.default_rng(3), 96)
    assert (view.shape, view.dtype) == ((96, 96, 3), np.uint8)
    np.testing.assert_array_equal(view, again)
    assert math.isfinite(log_width) == (drawn == "crack")


def test_a_drawn_crack_darkens_its_ground_by_what_its_width_says(materials: Materials) -> None:
    for i in range(5):
        scene, width_px = materials.scene(Sample(0, 1, "crack"), np.random.default_rng(i))
        lost = 1 - scene.mean(axis=2) / np.asarray(materials.tiles[0]).mean(axis=2)
        assert 0.5 < width_px < 19
        assert lost.max() > 0.05


def test_only_clear_cracks_of_learned_tiles_are_donors() -> None:
    rng = np.random.default_rng(1)
    tiles = np.clip(rng.normal(170, 3, (3, 256, 256, 3)), 0, 255).astype(np.uint8)
    tiles[:2, :, 120:128] //= 3
    rows = [row(i, "metu", "crack") for i in range(3)]
    assert len(donor_gains(rows, tiles, np.array([0, 2]))) == 1


def test_surfaces_are_drawn_once(tmp_path: Path) -> None:
    first = load_surfaces(4, 64, 0, tmp_path)
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = load_surfaces(4, 64, 0, tmp_path)
    assert stored == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(first) == len(second) == 4
    for i in range(4):
        np.testing.assert_array_equal(first[i].pixels, second[i].pixels)
        assert first[i].courses == second[i].courses
