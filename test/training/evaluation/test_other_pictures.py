# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures on pictures that show no structure, with a model of known scores."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_model import write_tiny_model

from crack_perception.errors import UserError
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.training.evaluation.other_pictures import other_picture_figures, other_picture_table


def detector(folder: Path, has_structure_score: bool) -> FrameDetector:
    model = load_model(str(write_tiny_model(folder, has_structure_score=has_structure_score)))
    return FrameDetector(model, open_backend("auto", model, 1))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Dark pictures, which the tiny model calls cracked, and bright ones, which it takes for no structure."""
    for name, level in (("dark", 10), ("bright", 245)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(3):
            grain = np.random.default_rng(i).integers(0, 9, (90, 140, 3))
            cv2.imwrite(str(tmp_path / "pictures" / name / f"{i}.png"), (level + grain).astype(np.uint8))
    return tmp_path / "pictures"


def test_other_picture_figures_count_parts_by_folder(tmp_path: Path, pictures: Path) -> None:
    figures = other_picture_figures(detector(tmp_path / "model", True), pictures, 0)
    shares = {
        name: (row["reported"]["n"], row["reported"]["share"], row["recognised"]["share"])
        for name, row in figures.items()
    }
    assert shares == {"bright": (12, 0.0, 1.0), "dark": (12, 1.0, 0.0)}
    assert other_picture_table(figures).splitlines()[-1].startswith("| dark | 12 | 1.000 |")


def test_other_picture_figures_of_a_model_that_does_not_tell(tmp_path: Path, pictures: Path) -> None:
    figures = other_picture_figures(detector(tmp_path / "model", False), pictures / "dark", 0)
    assert list(figures) == ["."] and figures["."]["recognised"] is None
    assert other_picture_table(figures).endswith("| \u2013 | \u2013 |")


def test_other_picture_figures_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no pictures"):
        other_picture_figures(detector(tmp_path / "model", True), tmp_path / "model", 0)
