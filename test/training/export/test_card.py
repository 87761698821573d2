# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of written model folders: loading, model card, README."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("onnx")

from crack_perception.recognition.backends.selection import open_backend  # noqa: E402
from crack_perception.recognition.frame_detector import FrameDetector  # noqa: E402
from crack_perception.recognition.models import load_model  # noqa: E402
from crack_perception.training.backbones.mobilenet_v3 import SMALL_BLOCKS, MobileNetV3Trunk  # noqa: E402
from crack_perception.training.data.rows import TILE_PX  # noqa: E402
from crack_perception.training.export.card import add_figures, write_model  # noqa: E402
from crack_perception.training.export.model_graph import tile_model  # noqa: E402
from crack_perception.training.heads.compression import LinearReadout  # noqa: E402
from crack_perception.training.heads.decision import Decision  # noqa: E402
from crack_perception.training.heads.head import TileHead  # noqa: E402
from crack_perception.training.heads.structure import StructureReadout  # noqa: E402
from crack_perception.training.pipeline import TrainedModel  # noqa: E402

FIGURES = {
    "n": 4, "positives": 2, "photographs": 2, "f1": 0.8, "precision": 1.0, "recall": 2 / 3, "far": 0.0, "auc": 0.9,
    "ap": 0.95, "ece": 0.1, "interval": [0.5, 1.0], "recall_interval": [0.5, 1.0], "fpr_at_tpr_95": 0.3,
    "balanced": {"prevalence": 0.5, "f1": 0.8, "ap": 0.9}, "natural": None,
}  # fmt: skip
RENDERED = {
    "n": 10.0, "wide_accuracy": 0.9, "median_relative_error": 0.25, "rms_log_error": 0.3, "within_1_sigma": 0.7,
    "within_2_sigma": 0.95,
}  # fmt: skip


@pytest.fixture
def trained() -> TrainedModel:
    """A random narrow network with invented metrics and a real graph."""
    torch.manual_seed(0)
    trunk = MobileNetV3Trunk(SMALL_BLOCKS[:2], 0.5, 16).eval()
    shapes = [(48, 4), (4,), (4, 8), (8,), (8, 4), (4,)]
    rng = np.random.default_rng(0)
    head = TileHead(*(rng.normal(0.0, 0.3, shape).astype(np.float32) for shape in shapes))
    step = {"step": "RBF SVM, float trunk", "head_bytes": 1000, "mean_f1": 0.8, "mean_auc": 0.9, "agreement": 1.0}
    report = {
        "svm": {"cost": 1.0, "components": 4},
        "cross_validation": [],
        "out_of_fold": {"mean_f1": 0.8},
        "compression": [step],
        "fourier_features": 8,
        "rendered_widths": RENDERED,
    }
    training = {
        "tiles": {"sdnet2018/wall": {"crack": 3, "none": 4}, "sdnet2018_hardneg/wall": {"crack": 0, "none": 2}},
        "photographs": 5,
        "validation_photographs": 1,
        "seed": 7,
    }
    graph = tile_model(trunk, head, TILE_PX, int8_weights=True).SerializeToString()
    return TrainedModel(
        graph, 3, Decision(head, 0.4321, report), "narrow blocks", "ImageNet weights", 1234, 5_600_000, training
    )


def quick_report() -> dict[str, Any]:
    """A report in the form of ``evaluate_model(..., quick=True)``."""
    width = dict.fromkeys(("mae_px", "median_ratio", "median_relative_error", "within_1_sigma", "within_2_sigma"), 0.7)
    counted = {"n": 3, "share": 0.5, "interval": [0.2, 0.8]}
    return {
        "metrics": {"sdnet2018/wall": FIGURES},
        "calibration": {"pooled": {"ece": 0.04}, "mean": 0.05, "strata": {}},
        "unseen_sources": {"uav75/wall": FIGURES},
        "unseen_means": {"image_recall": 0.9, "crop_recall": 0.8, "crop_far": 0.03},
        "crops": {"uav75/wall": {"recall": counted, "far": counted, "auc": 0.9}},
        "widths": {"uav75/wall": {"n": 3, "wide_accuracy": 1.0, **width}},
    }


def test_write_model_folder_loads_and_runs(tmp_path: Path, trained: TrainedModel) -> None:
    write_model(tmp_path / "mine", trained, "mine", "crack_perception train ...")
    model = load_model(str(tmp_path / "mine"))
    assert (model.name, model.tile_px, model.threshold, model.wide_edge_px) == ("mine", TILE_PX, 0.4321, 3.0)
    assert model.card["input"] == {"tiles": "uint8 (N, 256, 256, 3), BGR, native resolution", "channels": 3}
    scores = FrameDetector(model, open_backend("auto", model, 1)).detect(np.zeros((300, 400, 3), np.uint8)).scores
    assert scores.crack_score.shape == (4,)
    assert np.isfinite(scores.log_width_px).all() and (scores.log_width_sigma > 0).all()


def test_write_model_luminance_input_is_stated(tmp_path: Path, trained: TrainedModel) -> None:
    card = write_model(tmp_path, replace(trained, channels=1), "mine", "crack_perception train ...")
    described = "uint8 (N, 256, 256, 1), luminance (ITU-R BT.601), native resolution"
    assert card["input"] == {"tiles": described, "channels": 1}
    assert load_model(str(tmp_path)).channels == 1
    add_figures(tmp_path, card, quick_report())
    assert f"Input tiles are {described}." in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_add_figures_readme_states_metrics_and_licences(tmp_path: Path, trained: TrainedModel) -> None:
    card = write_model(tmp_path, trained, "mine", "crack_perception train ...")
    report = quick_report()
    add_figures(tmp_path, card, report)
    written = load_model(str(tmp_path)).card
    assert written["metrics"]["sdnet2018/wall"] == FIGURES
    assert written["crops"] == report["crops"] and written["calibration"] == report["calibration"]
    assert written["severity"]["against_masks"] == report["widths"]
    assert "interference" not in written
    assert set(written["sources"]) == {"sdnet2018"}
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    for words in (
        "10.15142/T3TD19",
        "CC BY 4.0",
        "0.4321",
        "| sdnet2018/wall | 4 | 2 | 0.800 |",
        "ImageNet",
        "noisy",
        "Narrow blocks",
        "| uav75/wall | 3 | 0.500 | 0.200 – 0.800 |",
        "0.030 false alarms",
        "0.040 pooled",
    ):
        assert words in readme


def test_write_model_that_has_structure_scores_is_stated(tmp_path: Path, trained: TrainedModel) -> None:
    readout = StructureReadout(
        LinearReadout(np.zeros(48), 0.0), 0.987, {"metu/wall": 0.0, "sdnet2018/deck": 0.02}, 0.99
    )
    training = {**trained.training_report, "other_pictures_source": {"title": "Leaves", "licence": "CC0"}}
    card = write_model(tmp_path, replace(trained, structure=readout, training_report=training), "mine", "train ...")
    assert card["no_structure"]["recognised"] == 0.987
    assert card["outputs"]["no_structure_score"].startswith("float32 (N,)")
    assert card["sources"]["other_pictures"] == {"title": "Leaves", "licence": "CC0"}
    add_figures(tmp_path, card, quick_report())
    written = " ".join((tmp_path / "README.md").read_text(encoding="utf-8").split())
    assert "98.7% of the tiles of validation pictures" in written and "at most 2.0%" in written
    assert "(sdnet2018/deck)." in written and "* Leaves. CC0." in written


def test_write_model_compact_loads_and_is_stated(tmp_path: Path, trained: TrainedModel) -> None:
    card = write_model(tmp_path, trained, "mine", "crack_perception train ...", compact=True)
    assert (card["backbone"], card["initialisation"]) == ("narrow blocks", "ImageNet weights")
    assert load_model(str(tmp_path)).graph == trained.graph
    add_figures(tmp_path, card, quick_report())
    assert f"{card['bytes_total'] / 1000:.1f} kB, compressed by xz)" in (tmp_path / "README.md").read_text(
        encoding="utf-8"
    )
