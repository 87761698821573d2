"""A model on a manifest, through the runtime that flies: the figures of its card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.manifest import HARD_NEGATIVES, Row
from crack_perception.training.evaluation.crops import crop_figures, crop_table, judge_crops, mean_figures
from crack_perception.training.evaluation.figures import markdown_table
from crack_perception.training.evaluation.images import (
    calibration_figures,
    figures_by_stratum,
    judge_images,
    mask_width_figures,
    metrics_table,
    prevalence_table,
    rows_of_split,
    unseen_source_rows,
)
from crack_perception.training.evaluation.interference import interference_figures, interference_table
from crack_perception.training.evaluation.judged_tiles import quiet_tiles, sample_tiles
from crack_perception.training.evaluation.severity import (
    judge_known_widths,
    known_width_figures,
    severity_table,
    width_error_table,
)
from crack_perception.training.evaluation.width_detection import width_detection_figures, width_detection_table

_LOGGER = logging.getLogger(__name__)

SEED = 11
INTERFERENCE_TILES = 60
"""Of a stratum and label, each under every kind of interference."""
SOUND_TILES = 120
"""Of a stratum, to draw cracks of known width on."""
TILES_A_WIDTH = 36
SEVERITY_CRACKS = 600


def judge_model(
    detector: FrameDetector, directory: Path, rows: Sequence[Row], split: str, quick: bool = False
) -> dict[str, Any]:
    """All figures of a model.

    Args:
        detector: With the model and an open backend.
        directory: Of the manifest.
        rows: The whole manifest.
        split: Which tiles of the trainable sources to judge.
        quick: Judge images as they are and nothing else.

    Returns:
        ``metrics`` (trainable sources), ``calibration`` (of these), ``unseen_sources`` (the others, every row),
        ``crops`` (tiles on and away from their cracks), ``unseen_means`` (of both), ``widths`` (against their masks),
        ``model``, ``split`` and ``threshold``; unless quick also ``interference``, ``width_detection``, ``severity``
        (all three on tiles of that split) and ``left_out_sources``.

    Raises:
        UserError: No row is in that split, or an image or mask cannot be read.
    """
    chosen = rows_of_split(rows, split)
    if not chosen:
        raise UserError(f"{directory}: no tile of role 'ship' is in the {split} split", "Check manifest.csv")
    seen = judge_images(detector, directory, chosen)
    unseen = judge_images(detector, directory, unseen_source_rows(rows))
    unseen_figures = figures_by_stratum(unseen, detector.threshold)
    crops = crop_figures(judge_crops(detector, directory, unseen.rows, unseen.tile_scores), detector.threshold)
    report = {
        "model": {"name": detector.model.name, "sha256": detector.model.sha256},
        "split": split,
        "threshold": detector.threshold,
        "metrics": figures_by_stratum(seen, detector.threshold),
        "calibration": calibration_figures(seen),
        "unseen_sources": unseen_figures,
        "unseen_means": mean_figures(unseen_figures, crops),
        "crops": crops,
        "widths": mask_width_figures(unseen, detector.threshold, detector.model.wide_edge_px),
    }
    return report if quick else {**report, **_judge_closely(detector, directory, rows, chosen)}


def _judge_closely(
    detector: FrameDetector, directory: Path, rows: Sequence[Row], chosen: Sequence[Row]
) -> dict[str, Any]:
    # Needs scikit-learn and onnx, which nothing else here does.
    from crack_perception.training.evaluation.left_out_sources import judge_left_out_sources

    tile_px = detector.model.tile_px
    _LOGGER.info("judging under interference")
    interference = interference_figures(
        detector, sample_tiles(directory, chosen, tile_px, INTERFERENCE_TILES, SEED), SEED
    )
    sound_rows = [row for row in chosen if row.label == "none" and row.source != HARD_NEGATIVES]
    quiet = quiet_tiles(detector, sample_tiles(directory, sound_rows, tile_px, SOUND_TILES, SEED))
    _LOGGER.info("judging cracks of known width")
    return {
        "interference": interference,
        "width_detection": width_detection_figures(detector, quiet, TILES_A_WIDTH, SEED),
        "severity": known_width_figures(judge_known_widths(detector, quiet, SEVERITY_CRACKS, SEED)),
        "left_out_sources": judge_left_out_sources(detector.model, directory, rows, SEED),
    }


def report_tables(report: dict[str, Any]) -> dict[str, str]:
    """A title and a Markdown table for every part of a report of :func:`judge_model`."""
    tables = {
        "Trainable sources": metrics_table(report["metrics"]),
        "The same at other shares of cracked tiles": prevalence_table(report["metrics"]),
        "Sources that never train a shipped model": metrics_table(report["unseen_sources"]),
        "Tiles on and away from their cracks": crop_table(report["crops"]),
        "Widths against masks": width_error_table(report["widths"]),
    }
    if "interference" in report:
        tables |= {
            "Under interference": interference_table(report["interference"]),
            "Share found of cracks of known width": width_detection_table(report["width_detection"]),
            "Widths of drawn cracks": width_error_table(report["severity"]["widths"]),
            "Severity of drawn cracks": severity_table(report["severity"]),
            "Head refitted without a source": _left_out_table(report["left_out_sources"]),
        }
    return tables


def _left_out_table(figures: dict[str, dict[str, Any]]) -> str:
    keys = ("n", "f1", "f1_without", "f1_loss", "f1_loss_interval", "auc", "auc_without")
    head = ("left out", "n", "F1", "F1 without it", "loss", "interval", "AUC", "AUC without it")
    return markdown_table(head, [(name, *(row[key] for key in keys)) for name, row in figures.items()])
