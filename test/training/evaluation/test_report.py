# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the evaluation of a model on a manifest."""

from __future__ import annotations

import math
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
from crack_perception.training.evaluation import report as model_report
from crack_perception.training.evaluation.images import (
    ImagePredictions,
    calibration_figures,
    figures_by_stratum,
    metrics_table,
    predict_images,
    prevalence_table,
)
from crack_perception.training.evaluation.report import evaluate_model, report_tables

BRIGHT, DARK = 200, 10


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> FrameDetector:
    model = load_model(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")))
    return FrameDetector(model, open_backend("auto", model, 1))


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
    """Source a has 3 cracks, 2 of them detected, and 2 background tiles, 1 of them a false alarm."""
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


def test_evaluate_model_quick_gives_metrics_by_source(
    detector: FrameDetector, manifest: list[Row], tmp_path: Path
) -> None:
    report = evaluate_model(detector, tmp_path, manifest, "test", quick=True)
    figures = report["metrics"]["a/wall"]
    assert (figures["n"], figures["positives"], figures["photographs"]) == (5, 3, 3)
    expected = {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "far": 1 / 2}
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert 0.0 <= figures["interval"][0] <= figures["f1"] <= figures["interval"][1] <= 1.0
    background = report["metrics"]["hard/wall"]
    assert (background["far"], background["f1"], background["auc"]) == (0.0, None, None)


def test_evaluate_model_unseen_sources_are_separate(
    detector: FrameDetector, manifest: list[Row], tmp_path: Path
) -> None:
    report = evaluate_model(detector, tmp_path, manifest, "test", quick=True)
    assert set(report["metrics"]) == {"a/wall", "hard/wall"}
    assert report["unseen_sources"]["unseen/wall"]["recall"] == 1.0
    assert report["unseen_sources"]["unseen/wall/other_defect"]["far"] == 1.0
    # The tiny model always predicts 2 px; the mask is 4 px wide, 3 px without its bias.
    widths = report["widths"]["unseen/wall"]
    assert widths["median_ratio"] == pytest.approx(2 / 3, abs=1e-3) and widths["mae_px"] == pytest.approx(1.0, abs=1e-3)
    assert widths["within_2_sigma"] == 0.0


def test_predict_images_large_image_uses_best_tile(detector: FrameDetector, tmp_path: Path) -> None:
    rows = [row(image(tmp_path, f"{spot}.png", spot, 200), "crack", "a:0") for spot in (True, False)]
    predicted = predict_images(detector, tmp_path, rows)
    assert predicted.crack_score[0] > 0.99 and predicted.crack_score[1] < 0.01
    np.testing.assert_allclose(predicted.log_width_px, math.log(2.0), rtol=1e-5)


def test_evaluate_model_empty_split_raises(detector: FrameDetector, manifest: list[Row], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="in the train split"):
        evaluate_model(detector, tmp_path, manifest, "train", quick=True)


def test_metrics_table_has_row_per_source(detector: FrameDetector, manifest: list[Row], tmp_path: Path) -> None:
    table = metrics_table(evaluate_model(detector, tmp_path, manifest, "test", quick=True)["metrics"]).splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert table[2].startswith("| a/wall | 5 | 3 | 0.667 |")


def predictions(scores: list[float], labels: list[int], source: str = "a") -> ImagePredictions:
    rows = [row(f"{i}.png", ("none", "crack")[label], f"g{i}", source) for i, label in enumerate(labels)]
    nothing = np.zeros(len(rows))
    return ImagePredictions(rows, np.array(scores), nothing, nothing, nothing, [])


def test_figures_by_stratum_other_class_shares_are_reweighted() -> None:
    """One of two cracks is detected, one of four background tiles is a false alarm; balanced halves their weight."""
    predicted = predictions([0.9, 0.1, 0.8, 0.2, 0.3, 0.4], [1, 1, 0, 0, 0, 0], "sdnet2018")
    figures = figures_by_stratum(predicted, 0.5)["sdnet2018/wall"]
    assert figures["balanced"]["f1"] == pytest.approx(2 / (1 + 0.5 + 2), abs=1e-4)
    weight = (1 - 3851 / 18138) / (3851 / 18138) / 2
    assert figures["natural"]["f1"] == pytest.approx(2 / (1 + weight + 2), abs=1e-4)
    assert figures["natural"]["ap"] < figures["balanced"]["ap"]
    assert figures["fpr_at_tpr_95"] == 1.0
    assert figures_by_stratum(predictions([0.9, 0.1], [1, 0]), 0.5)["a/wall"]["natural"] is None
    assert (
        prevalence_table({"sdnet2018/wall": figures}).splitlines()[2].startswith("| sdnet2018/wall | 1.000 | 0.571 |")
    )


def test_calibration_figures_two_bins_give_expected_error() -> None:
    figures = calibration_figures(predictions([0.15, 0.15, 0.95, 0.95], [0, 1, 1, 1]))
    assert figures["pooled"]["ece"] == pytest.approx((abs(0.3 - 1) + abs(1.9 - 2)) / 4)
    assert figures["strata"] == {"a/wall": figures["pooled"]["ece"]} and figures["mean"] == figures["pooled"]["ece"]
    assert figures["pooled"]["bins"] == [
        {"n": 2, "score": 0.15, "cracked": 0.5},
        {"n": 2, "score": 0.95, "cracked": 1.0},
    ]
    assert calibration_figures(predictions([0.5], [1]))["mean"] is None


def test_evaluate_model_full_report_has_every_part(
    detector: FrameDetector, manifest: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_report, "SEVERITY_CRACKS", 20)
    monkeypatch.setattr(model_report, "TILES_PER_WIDTH", 3)
    pytest.importorskip("sklearn", reason="scikit-learn, which refits heads, is not installed")
    report = evaluate_model(detector, tmp_path, manifest, "test")
    assert report["interference"]["clean"]["n"] == 6
    # Rendered cracks darken the bright wall by at most 40 %, too little for this model.
    assert report["width_detection"]["contrasts"]["0.4"]["w50_px"] is None
    assert report["severity"]["found"] == 0 and report["left_out_sources"] == {}
    for table in report_tables(report).values():
        assert len({line.count("|") for line in table.splitlines()}) == 1
