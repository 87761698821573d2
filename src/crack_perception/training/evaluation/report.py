# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evaluation of a model on a manifest: all results of its model card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.manifest import HARD_NEGATIVES, Row
from crack_perception.training.evaluation.crops import crop_figures, crop_table, mean_figures, score_crops
from crack_perception.training.evaluation.figures import markdown_table
from crack_perception.training.evaluation.images import (
    calibration_figures,
    figures_by_stratum,
    mask_width_figures,
    metrics_table,
    predict_images,
    prevalence_table,
    rows_of_split,
    unseen_source_rows,
)
from crack_perception.training.evaluation.interference import interference_figures, interference_table
from crack_perception.training.evaluation.labelled_tiles import sample_tiles, true_negatives
from crack_perception.training.evaluation.readings import stored_readings, visible_figures, visible_table
from crack_perception.training.evaluation.severity import (
    known_width_figures,
    measure_known_widths,
    severity_table,
    width_error_table,
)
from crack_perception.training.evaluation.width_detection import width_detection_figures, width_detection_table

_LOGGER = logging.getLogger(__name__)

SEED = 11
INTERFERENCE_TILES = 60
"""Largest number of tiles per stratum and label, each evaluated under every kind of interference."""
BACKGROUND_TILES = 120
"""Largest number of background tiles per stratum that cracks of known width are rendered on."""
TILES_PER_WIDTH = 36
SEVERITY_CRACKS = 600


def evaluate_model(
    detector: FrameDetector, directory: Path, rows: Sequence[Row], split: str, quick: bool = False
) -> dict[str, Any]:
    """Evaluate a model on a manifest.

    Args:
        detector: Detector with the model and an open backend.
        directory: Folder of the manifest.
        rows: All rows of the manifest.
        split: Split of the training sources to evaluate.
        quick: Skip the parts that alter tiles or refit heads.

    Returns:
        ``metrics`` and ``calibration`` (training sources), ``visible`` (cracks that readers saw on them),
        ``unseen_sources`` (all rows of the other sources), ``crops`` (their crack and background tiles),
        ``unseen_means`` (of both), ``widths`` (against their masks), ``model``, ``split`` and ``threshold``; unless
        quick also ``interference``, ``width_detection``, ``severity`` (on tiles of the split) and ``left_out_sources``.

    Raises:
        UserError: The split is empty, or an image or mask cannot be read.
    """
    chosen = rows_of_split(rows, split)
    if not chosen:
        raise UserError(
            f"{directory}: manifest.csv has no row of role 'ship' in the {split} split", "Choose another split"
        )
    trained = predict_images(detector, directory, chosen)
    unseen = predict_images(detector, directory, unseen_source_rows(rows))
    unseen_figures = figures_by_stratum(unseen, detector.threshold)
    crops = crop_figures(score_crops(detector, directory, unseen.rows, unseen.tile_scores), detector.threshold)
    report = {
        "model": {"name": detector.model.name, "sha256": detector.model.sha256},
        "split": split,
        "threshold": detector.threshold,
        "metrics": figures_by_stratum(trained, detector.threshold),
        "visible": visible_figures(trained.rows, trained.crack_score, detector.threshold, stored_readings()),
        "calibration": calibration_figures(trained),
        "unseen_sources": unseen_figures,
        "unseen_means": mean_figures(unseen_figures, crops),
        "crops": crops,
        "widths": mask_width_figures(unseen, detector.threshold, detector.model.wide_edge_px),
    }
    return report if quick else {**report, **_evaluate_in_detail(detector, directory, rows, chosen)}


def _evaluate_in_detail(
    detector: FrameDetector, directory: Path, rows: Sequence[Row], chosen: Sequence[Row]
) -> dict[str, Any]:
    # Imported here because only this part needs scikit-learn and onnx.
    from crack_perception.training.evaluation.left_out_sources import evaluate_left_out_sources

    tile_px = detector.model.tile_px
    _LOGGER.info("Evaluating under interference")
    interference = interference_figures(
        detector, sample_tiles(directory, chosen, tile_px, INTERFERENCE_TILES, SEED), SEED
    )
    background_rows = [row for row in chosen if row.label == "none" and row.source != HARD_NEGATIVES]
    background = true_negatives(detector, sample_tiles(directory, background_rows, tile_px, BACKGROUND_TILES, SEED))
    _LOGGER.info("Evaluating cracks of known width")
    return {
        "interference": interference,
        "width_detection": width_detection_figures(detector, background, TILES_PER_WIDTH, SEED),
        "severity": known_width_figures(measure_known_widths(detector, background, SEVERITY_CRACKS, SEED)),
        "left_out_sources": evaluate_left_out_sources(detector.model, directory, rows, SEED),
    }


def report_tables(report: dict[str, Any]) -> dict[str, str]:
    """Format every part of the result of :func:`evaluate_model` as a Markdown table, by title."""
    tables = {
        "Training sources": metrics_table(report["metrics"]),
        **({"Cracks that readers see": visible_table(report["visible"])} if report.get("visible") else {}),
        "Training sources at other shares of cracked tiles": prevalence_table(report["metrics"]),
        "Sources outside the training": metrics_table(report["unseen_sources"]),
        "Crack and background tiles of these sources": crop_table(report["crops"]),
        "Widths against masks": width_error_table(report["widths"]),
    }
    if "interference" in report:
        tables |= {
            "Under interference": interference_table(report["interference"]),
            "Probability of detection by crack width": width_detection_table(report["width_detection"]),
            "Widths of rendered cracks": width_error_table(report["severity"]["widths"]),
            "Severity of rendered cracks": severity_table(report["severity"]),
            "Head refitted without a source": _left_out_table(report["left_out_sources"]),
        }
    return tables


def _left_out_table(figures: dict[str, dict[str, Any]]) -> str:
    keys = ("n", "f1", "f1_without", "f1_loss", "f1_loss_interval", "auc", "auc_without")
    head = ("excluded", "n", "F1", "F1 without it", "loss", "interval", "AUC", "AUC without it")
    return markdown_table(head, [(name, *(row[key] for key in keys)) for name, row in figures.items()])
