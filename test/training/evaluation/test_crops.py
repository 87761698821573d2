# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of crack tiles and background tiles of images with a crack mask."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.errors import UserError
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.training.data.manifest import Row
from crack_perception.training.evaluation.crops import (
    MARGIN_PX,
    SMALL_PX,
    background_tiles,
    crack_length_px,
    crop_figures,
    crop_table,
    mean_figures,
    read_mask,
    score_crops,
)

CRACK, JOINT = 255, 128
BRIGHT, DARK = 200, 10


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FrameDetector:
    """A detector that reports a crack if the darkest pixel of a tile is dark."""
    model = load_model(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny", channels=request.param)))
    return FrameDetector(model, open_backend("auto", model, 1))


def write(directory: Path, name: str, pixels: np.ndarray) -> str:
    cv2.imwrite(str(directory / name), pixels)
    return name


def evaluate(detector: FrameDetector, directory: Path, image: np.ndarray, mask: np.ndarray) -> dict:
    row = Row(
        write(directory, "i.png", image), "s", "wall", "test", "crack", "evaluate", "g", write(directory, "m.png", mask)
    )
    scores = detector.detect(image).scores.crack_score
    return crop_figures(score_crops(detector, directory, [row], [scores]), detector.threshold)


def test_read_mask_other_level_is_ignored(tmp_path: Path) -> None:
    stored = np.zeros((8, 8), np.uint8)
    stored[2], stored[5] = JOINT, CRACK
    mask = read_mask(tmp_path / write(tmp_path, "mask.png", stored), (8, 8))
    assert mask[5].all() and mask.sum() == 8
    with pytest.raises(UserError, match="differs from its image"):
        read_mask(tmp_path / "mask.png", (8, 9))
    with pytest.raises(UserError, match="cannot decode"):
        read_mask(tmp_path / "none.png", (8, 8))


def test_crack_length_small_gap_is_closed() -> None:
    mask = np.zeros((100, 100), np.bool_)
    assert crack_length_px(mask) == 0.0
    mask[10, 10:40] = True
    mask[10, 43:50] = True
    mask[90, 10:20] = True
    assert crack_length_px(mask) == pytest.approx(np.hypot(40, 1), abs=0.1)


def test_background_tiles_mask_and_margin_are_excluded() -> None:
    image = np.arange(200 * 300 * 3, dtype=np.uint32).reshape(200, 300, 3).astype(np.uint8)
    mask = np.zeros((200, 300), np.bool_)
    mask[:, 100] = True
    tiles = [tile for tile, padded in background_tiles(image, mask, 64) if not padded]
    assert tiles and all(tile.shape == (64, 64, 3) for tile in tiles)
    clear = {tile.tobytes() for tile in tiles}
    allowed = {
        image[top : top + 64, left : left + 64].tobytes()
        for top in range(200 - 63)
        for left in range(300 - 63)
        if left + 64 <= 100 - MARGIN_PX or left > 100 + MARGIN_PX
    }
    assert clear <= allowed
    mask[:] = True
    assert not list(background_tiles(image, mask, 64))


def test_background_tiles_small_image_gives_mirrored_squares() -> None:
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    mask = np.zeros((224, 224), np.bool_)
    mask[:, 0] = True
    tiles = list(background_tiles(image, mask, 256))
    assert tiles and all(padded and tile.shape == (256, 256, 3) for tile, padded in tiles)
    np.testing.assert_array_equal(tiles[0][0][:, SMALL_PX : 2 * SMALL_PX], tiles[0][0][:, SMALL_PX - 1 :: -1])


def test_crop_figures_dark_spot_raises_false_alarms(detector: FrameDetector, tmp_path: Path) -> None:
    """The left two of four tiles are cracked, one visibly; the right half gets a dark spot outside the crack."""
    image = np.full((2 * TILE_PX, 6 * TILE_PX, 3), BRIGHT, np.uint8)
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[:, 5] = CRACK
    image[:TILE_PX, 5] = DARK
    clean = evaluate(detector, tmp_path, image, mask)["s/wall"]
    assert (clean["recall"]["n"], clean["recall"]["share"], clean["far"]["share"]) == (2, 0.5, 0.0)
    assert clean["far"]["n"] > 10 and clean["auc"] == pytest.approx(0.75, abs=1e-3)
    image[0, -1] = DARK
    spotted = evaluate(detector, tmp_path, image, mask)["s/wall"]
    assert spotted["far"]["share"] == pytest.approx(1 / spotted["far"]["n"], abs=1e-4)


def test_mean_figures_padded_tiles_are_skipped(detector: FrameDetector, tmp_path: Path) -> None:
    image, mask = np.full((TILE_PX, TILE_PX, 3), DARK, np.uint8), np.zeros((TILE_PX, TILE_PX), np.uint8)
    mask[0] = CRACK
    figures = evaluate(detector, tmp_path, image, mask)
    assert figures["s/wall"]["recall"]["share"] == 1.0 and figures["s/wall"]["far"]["n"] == 0
    figures["t/wall/padded"] = {**figures["s/wall"], "far": {"n": 1, "share": 1.0, "interval": None}}
    unseen = {"s/wall": {"recall": 0.5}, "t/wall": {"recall": 1.0}, "u/wall/other_defect": {"recall": None}}
    assert mean_figures(unseen, figures) == {"image_recall": 0.75, "crop_recall": 1.0, "crop_far": None}
    lines = crop_table(figures).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and lines[2].startswith("| s/wall | 1 | 1.000 |")


def test_score_crops_row_without_mask_is_skipped(detector: FrameDetector, tmp_path: Path) -> None:
    row = Row("i.png", "s", "wall", "test", "crack", "evaluate", "g")
    assert crop_figures(score_crops(detector, tmp_path, [row], [np.zeros(1)]), 0.5) == {}
