"""A model on a manifest, through the runtime that flies: the figures of its card.

An image of up to one tile is one padded tile; a larger one is tiled and its strongest tile counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.evaluation.classification_metrics import (
    average_precision,
    expected_calibration_error,
    false_alarm_rate,
    grouped_bootstrap_interval,
    precision_recall_f1,
    roc_auc,
)
from crack_perception.recognition.detector import CrackDetector
from crack_perception.training.crop_evaluation import crop_figures, judge_crops, mean_figures
from crack_perception.training.figures import interval, markdown_table, number, share
from crack_perception.training.manifest import LABELS, WHOLE_PHOTOGRAPHS, Row
from crack_perception.vision.picture_files import read_picture

_MASK_BIAS_PX = 1.0
"""Widths that a manifest measured by distance transform are this much too high for thin cracks."""


@dataclass(frozen=True)
class Verdicts:
    """What a model says of the images of some rows: the outputs of each image's strongest tile, ``(N,)`` each.

    ``tile_scores`` holds the crack scores of all tiles of every image, in the order of the detector's grid.
    """

    rows: Sequence[Row]
    crack_score: npt.NDArray[np.float64]
    wide_score: npt.NDArray[np.float64]
    log_width_px: npt.NDArray[np.float64]
    log_width_sigma: npt.NDArray[np.float64]
    tile_scores: Sequence[npt.NDArray[np.float32]]


def judge_images(detector: CrackDetector, directory: Path, rows: Sequence[Row]) -> Verdicts:
    """Run a model over the images of a manifest.

    Raises:
        UserError: An image cannot be read.
    """
    outputs = np.empty((len(rows), 4))
    tile_scores = []
    for index, row in enumerate(rows):
        scores = detector.detect(read_picture(directory / row.path)).scores
        tile_scores.append(scores.crack_score)
        strongest = int(scores.crack_score.argmax())
        outputs[index] = (
            scores.crack_score[strongest],
            scores.wide_score[strongest],
            scores.log_width_px[strongest],
            scores.log_width_sigma[strongest],
        )
    crack, wide, log_width, log_sigma = outputs.T
    return Verdicts(rows, crack, wide, log_width, log_sigma, tile_scores)


def rows_of_split(rows: Iterable[Row], split: str) -> list[Row]:
    """The trainable sources' tiles of one split; whole photographs are not tiles."""
    return [row for row in rows if row.role == "ship" and row.split == split and row.source != WHOLE_PHOTOGRAPHS]


def unseen_source_rows(rows: Iterable[Row]) -> list[Row]:
    """Every row of the sources that never train a shipped model."""
    return [row for row in rows if row.role == "evaluate"]


def figures_by_stratum(verdicts: Verdicts, threshold: float) -> dict[str, dict[str, Any]]:
    """Figures of every source and surface; ``None`` where the data do not define one.

    ``other_defect`` rows are neither class: they stand apart, ``far`` being the share called cracked.
    """
    strata = np.array([f"{r.stratum}/{r.label}" if r.label not in LABELS else r.stratum for r in verdicts.rows])
    labels = np.array([LABELS.get(row.label, 0) for row in verdicts.rows])
    groups = np.array([row.group_id for row in verdicts.rows])
    return {
        str(name): _figures(labels[here], verdicts.crack_score[here], groups[here], threshold)
        for name in np.unique(strata)
        for here in [strata == name]
    }


def _figures(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], groups: npt.NDArray[np.str_], threshold: float
) -> dict[str, Any]:
    called = scores >= threshold
    positives = int(labels.sum())
    precision, recall, f1 = precision_recall_f1(labels, called)
    both_classes = 0 < positives < len(labels)
    f1_interval: list[float | None] | None = None
    if both_classes:
        f1_interval = interval(
            grouped_bootstrap_interval(lambda rows: precision_recall_f1(labels[rows], called[rows])[2], groups)
        )
    return {
        "n": len(labels),
        "positives": positives,
        "photographs": len(np.unique(groups)),
        "f1": number(f1) if both_classes else None,
        "precision": number(precision) if both_classes else None,
        "recall": number(recall),
        "far": number(false_alarm_rate(labels, called)),
        "auc": number(roc_auc(labels, scores)),
        "ap": number(average_precision(labels, scores)),
        "ece": number(expected_calibration_error(labels, scores)) if both_classes else None,
        "interval": f1_interval,
        "recall_interval": share(called[labels == 1], groups[labels == 1])["interval"],
    }


def width_figures(verdicts: Verdicts, threshold: float, wide_edge_px: float) -> dict[str, Any] | None:
    """Widths against those measured on masks, for the images that the model calls cracked; ``None`` without any.

    The mask's width is averaged over the whole image and corrected by one pixel, the model's comes from its strongest
    tile, so the two agree only roughly.
    """
    known = [
        (i, float(row.width_px_mean) - _MASK_BIAS_PX)
        for i, row in enumerate(verdicts.rows)
        if row.width_px_mean and verdicts.crack_score[i] >= threshold
    ]
    known = [(i, width) for i, width in known if width > 0.5]
    if not known:
        return None
    index = np.array([i for i, _ in known])
    log_truth = np.log([width for _, width in known])
    errors = verdicts.log_width_px[index] - log_truth
    wide = verdicts.wide_score[index] >= 0.5
    return {
        "n": len(known),
        "median_ratio": number(float(np.exp(np.median(errors)))),
        "median_relative_error": number(float(np.median(np.expm1(np.abs(errors))))),
        "within_1_sigma": number(float(np.mean(np.abs(errors) <= verdicts.log_width_sigma[index]))),
        "within_2_sigma": number(float(np.mean(np.abs(errors) <= 2 * verdicts.log_width_sigma[index]))),
        "wide_accuracy": number(float(np.mean(wide == (log_truth > math.log(wide_edge_px))))),
    }


def metrics_table(metrics: dict[str, dict[str, Any]]) -> str:
    """Figures of :func:`figures_by_stratum` as a Markdown table."""
    columns = ("n", "positives", "f1", "interval", "precision", "recall", "far", "auc", "ap")
    return markdown_table(
        ("source", *columns), [(name, *(row[column] for column in columns)) for name, row in metrics.items()]
    )


def judge_model(detector: CrackDetector, directory: Path, rows: Sequence[Row], split: str) -> dict[str, Any]:
    """All figures of a model.

    Args:
        detector: With the model and an open backend.
        directory: Of the manifest.
        rows: The whole manifest.
        split: Which tiles of the trainable sources to judge.

    Returns:
        ``metrics`` (trainable sources), ``unseen_sources`` (the others, every row), ``crops`` (tiles on and away from
        their cracks), ``unseen_means`` (of both), ``widths`` (against masks, unseen sources; ``None`` without masks),
        ``model``, ``split`` and ``threshold``.

    Raises:
        UserError: No row is in that split, or an image cannot be read.
    """
    chosen = rows_of_split(rows, split)
    if not chosen:
        raise UserError(f"{directory}: no tile of role 'ship' is in the {split} split", "Check manifest.csv")
    seen = judge_images(detector, directory, chosen)
    unseen = judge_images(detector, directory, unseen_source_rows(rows))
    unseen_figures = figures_by_stratum(unseen, detector.threshold)
    crops = crop_figures(judge_crops(detector, directory, unseen.rows, unseen.tile_scores), detector.threshold)
    return {
        "model": {"name": detector.model.name, "sha256": detector.model.sha256},
        "split": split,
        "threshold": detector.threshold,
        "metrics": figures_by_stratum(seen, detector.threshold),
        "unseen_sources": unseen_figures,
        "unseen_means": mean_figures(unseen_figures, crops),
        "crops": crops,
        "widths": width_figures(unseen, detector.threshold, detector.model.wide_edge_px),
    }
