"""Figures of a model on a manifest come from the runtime that flies."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.errors import UserError
from crack_perception.recognition.backends import open_backend
from crack_perception.recognition.detector import CrackDetector
from crack_perception.recognition.model_store import load_model
from crack_perception.training.manifest import Row
from crack_perception.training.tile_evaluation import judge_images, judge_model, metrics_table

BRIGHT, DARK = 200, 10


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> CrackDetector:
    model = load_model(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")))
    return CrackDetector(model, open_backend("auto", model, 1))


def image(directory: Path, name: str, dark_spot: bool, size_px: int = TILE_PX) -> str:
    pixels = np.full((size_px, size_px, 3), BRIGHT, np.uint8)
    if dark_spot:
        pixels[-3, -3] = DARK
    cv2.imwrite(str(directory / name), pixels)
    return name


def row(path: str, label: str, group: str, source: str = "a", role: str = "ship", width: str = "") -> Row:
    return Row(path, source, "wall", "test", label, role, group, "", width)


@pytest.fixture
def manifest(tmp_path: Path) -> list[Row]:
    """Source a: 3 cracks, of which 2 are found, and 2 sound tiles, of which 1 raises an alarm."""
    return [
        row(image(tmp_path, "0.png", True), "crack", "a:0"),
        row(image(tmp_path, "1.png", True), "crack", "a:1"),
        row(image(tmp_path, "2.png", False), "crack", "a:1"),
        row(image(tmp_path, "3.png", True), "none", "a:2"),
        row(image(tmp_path, "4.png", False), "none", "a:2"),
        row(image(tmp_path, "5.png", False), "none", "h:0", source="hard"),
        row(image(tmp_path, "6.png", True, 150), "crack", "u:0", "unseen", "evaluate", str(1.0 + 3.0)),
        row(image(tmp_path, "7.png", True), "other_defect", "u:1", "unseen", "evaluate"),
    ]


def test_figures_of_every_source(detector: CrackDetector, manifest: list[Row], tmp_path: Path) -> None:
    report = judge_model(detector, tmp_path, manifest, "test")
    figures = report["metrics"]["a/wall"]
    assert (figures["n"], figures["positives"], figures["photographs"]) == (5, 3, 3)
    expected = {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "far": 1 / 2}
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert 0.0 <= figures["interval"][0] <= figures["f1"] <= figures["interval"][1] <= 1.0
    sound = report["metrics"]["hard/wall"]
    assert (sound["far"], sound["f1"], sound["auc"]) == (0.0, None, None)


def test_unseen_sources_stand_apart(detector: CrackDetector, manifest: list[Row], tmp_path: Path) -> None:
    report = judge_model(detector, tmp_path, manifest, "test")
    assert set(report["metrics"]) == {"a/wall", "hard/wall"}
    assert report["unseen_sources"]["unseen/wall"]["recall"] == 1.0
    assert report["unseen_sources"]["unseen/wall/other_defect"]["far"] == 1.0
    # The tiny model reads 2 px everywhere; the mask says 4 px, which is 3 without its bias.
    assert report["widths"]["median_ratio"] == pytest.approx(2 / 3, abs=1e-3)
    assert report["widths"]["within_2_sigma"] == 0.0


def test_strongest_tile_of_a_larger_image_counts(detector: CrackDetector, tmp_path: Path) -> None:
    rows = [row(image(tmp_path, f"{spot}.png", spot, 200), "crack", "a:0") for spot in (True, False)]
    verdicts = judge_images(detector, tmp_path, rows)
    assert verdicts.crack_score[0] > 0.99 and verdicts.crack_score[1] < 0.01
    np.testing.assert_allclose(verdicts.log_width_px, math.log(2.0), rtol=1e-5)


def test_empty_split_is_refused(detector: CrackDetector, manifest: list[Row], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="in the train split"):
        judge_model(detector, tmp_path, manifest, "train")


def test_table_has_a_row_a_source(detector: CrackDetector, manifest: list[Row], tmp_path: Path) -> None:
    table = metrics_table(judge_model(detector, tmp_path, manifest, "test")["metrics"]).splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert table[2].startswith("| a/wall | 5 | 3 | 0.667 |")
