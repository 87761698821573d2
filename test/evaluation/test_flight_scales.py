# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures of one flight that is read at two scales."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tiny_model import write_tiny_model

from crack_perception.evaluation.flight_scales import flight_figures, flight_settings
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.models import load_model


def test_flight_figures_reduction_reads_a_quarter_of_the_tiles(tmp_path: Path) -> None:
    model = load_model(str(write_tiny_model(tmp_path / "tiny")))
    settings = replace(flight_settings(1.0, 50.0, 2, 0), width=512, height=256)
    whole, reduced = flight_figures(model, open_backend("onnxruntime", model, 1), settings, (1, 2))
    assert (whole["tiles"], reduced["tiles"]) == (32, 8)
    assert whole["gsd_mm"] == reduced["gsd_mm"] > 1.0
    for row in (whole, reduced):
        assert 0.0 <= row["recall"] <= 1.0
        assert 0.0 <= row["intact_flagged"] <= 1.0
