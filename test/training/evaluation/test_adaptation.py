# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The benefit of adaptations is measured on photographs that the adapted models have not seen."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.recognition.models import load_model
from crack_perception.training.adaptation.refit import SiteRows
from crack_perception.training.data.manifest import Row
from crack_perception.training.evaluation import adaptation
from crack_perception.training.evaluation.adaptation import adaptation_figures, adaptation_table

PHOTOGRAPHS = 8


@pytest.fixture
def manifest(tmp_path: Path) -> list[Row]:
    """Tiles of an unseen source in eight photographs, and a test split of a training source."""
    rng, rows = np.random.default_rng(0), []
    for number in range(PHOTOGRAPHS * 4):
        label = ("crack", "none")[number % 2]
        pixels = np.clip(rng.normal(120.0, 12.0, (256, 256)), 0, 255)
        if label == "crack":
            pixels[:, 100 + number : 103 + number] = 200
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), pixels.astype(np.uint8))
        source, split = ("elsewhere", "train") if number < PHOTOGRAPHS * 3 else ("sdnet2018", "test")
        rows.append(Row(f"{number}.png", source, "wall", split, label, "ship", f"photo{number // 3 % PHOTOGRAPHS}"))
    return rows


def test_figures_have_every_source_and_number_of_tiles(
    tmp_path: Path, manifest: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "COUNTS", (8, 1000))
    model = load_model("nano")
    report = adaptation_figures(model, tmp_path, manifest, tmp_path / "cache", draws=2)
    assert list(report["sources"]) == ["elsewhere/wall"]
    source = report["sources"]["elsewhere/wall"]
    assert (source["tiles"], source["cracks"]) == (PHOTOGRAPHS * 3, PHOTOGRAPHS * 3 // 2)
    figures = source["adapted"][8]
    assert figures["draws"] == 2
    assert 0 <= figures["f1_before"] <= 1
    assert figures["change"] == pytest.approx(figures["f1_after"] - figures["f1_before"], abs=2e-4)
    # There are not so many tiles.
    assert source["adapted"][1000] is None
    assert "elsewhere/wall" in adaptation_table(report)
    json.dumps(report)
    # The features are read from the cache now.
    for path in tmp_path.glob("*.png"):
        path.unlink()
    assert adaptation_figures(model, tmp_path, manifest, tmp_path / "cache", draws=2) == report


def test_halves_share_no_photograph_and_both_have_intact_tiles() -> None:
    labels = np.array([1] * 20 + [0] * 4)
    groups = np.array([f"p{i % 10}" for i in range(20)] + ["p0", "p0", "p1", "p1"])
    rows = SiteRows(np.zeros((24, 1)), np.zeros(24), labels, groups)
    for seed in range(10):
        first, second = adaptation._halves(rows, np.random.default_rng(seed))
        assert not set(groups[first]) & set(groups[second])
        assert sorted([*first, *second]) == list(range(24))
        assert 0 in labels[first]
        assert 0 in labels[second]
