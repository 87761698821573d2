# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Accuracy of a model on whole images, by source and surface.

An image no larger than a tile is padded to one tile; a larger one is tiled, and its highest-scoring tile decides.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import (
    average_precision,
    expected_calibration_error,
    false_alarm_rate,
    false_positive_rate_at_recall,
    grouped_bootstrap_interval,
    negative_weight_at,
    precision_recall_f1,
    roc_auc,
)
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.manifest import LABELS, NATURAL_PREVALENCE, WHOLE_PHOTOGRAPHS, Row
from crack_perception.training.evaluation.figures import interval, markdown_table, number, share
from crack_perception.training.evaluation.severity import width_errors
from crack_perception.vision.images.files import read_picture

MASK_BIAS_PX = 1.0
"""Bias of the widths in the manifest, which a distance transform measured on masks of thin cracks."""
_MIN_MASK_WIDTH_PX = 0.5
_CALIBRATION_BINS = 10


@dataclass(frozen=True)
class ImagePredictions:
    """Outputs of a model for the highest-scoring tile of each image, ``(N,)`` each.

    ``tile_scores`` holds the crack scores of all tiles of each image, in the order of the detector's grid.
    """

    rows: Sequence[Row]
    crack_score: npt.NDArray[np.float64]
    wide_score: npt.NDArray[np.float64]
    log_width_px: npt.NDArray[np.float64]
    log_width_sigma: npt.NDArray[np.float64]
    tile_scores: Sequence[npt.NDArray[np.float32]]


def predict_images(detector: FrameDetector, directory: Path, rows: Sequence[Row]) -> ImagePredictions:
    """Run a model on the images of a manifest.

    Raises:
        UserError: An image cannot be read.
    """
    outputs = np.empty((len(rows), 4))
    tile_scores = []
    for index, row in enumerate(rows):
        scores = detector.detect(read_picture(directory / row.path)).scores
        tile_scores.append(scores.crack_score)
        best = int(scores.crack_score.argmax())
        outputs[index] = (
            scores.crack_score[best],
            scores.wide_score[best],
            scores.log_width_px[best],
            scores.log_width_sigma[best],
        )
    crack, wide, log_width, log_sigma = outputs.T
    return ImagePredictions(rows, crack, wide, log_width, log_sigma, tile_scores)


def rows_of_split(rows: Iterable[Row], split: str) -> list[Row]:
    """Select the tiles of the training sources in one split, without whole photographs."""
    return [row for row in rows if row.role == "ship" and row.split == split and row.source != WHOLE_PHOTOGRAPHS]


def unseen_source_rows(rows: Iterable[Row]) -> list[Row]:
    """Select all rows of the sources that no shipped model is trained on."""
    return [row for row in rows if row.role == "evaluate"]


def figures_by_stratum(predictions: ImagePredictions, threshold: float) -> dict[str, dict[str, Any]]:
    """Compute the metrics of every source and surface; ``None`` where a metric is undefined.

    ``other_defect`` rows belong to neither class and form strata of their own, where ``far`` is the share reported as
    cracked. ``balanced`` and ``natural`` hold F1 and AP reweighted to equal classes, and to the share of cracked tiles
    in whole photographs where it is known.
    """
    strata = np.array([f"{r.stratum}/{r.label}" if r.label not in LABELS else r.stratum for r in predictions.rows])
    labels = np.array([LABELS.get(row.label, 0) for row in predictions.rows])
    groups = np.array([row.group_id for row in predictions.rows])
    return {
        str(name): _figures(
            labels[here], predictions.crack_score[here], groups[here], threshold, NATURAL_PREVALENCE.get(str(name))
        )
        for name in np.unique(strata)
        for here in [strata == name]
    }


def _figures(
    labels: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    groups: npt.NDArray[np.str_],
    threshold: float,
    prevalence: float | None,
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
        "fpr_at_tpr_95": number(false_positive_rate_at_recall(labels, scores)),
        "balanced": _at_prevalence(labels, scores, called, 0.5) if both_classes else None,
        "natural": _at_prevalence(labels, scores, called, prevalence) if both_classes and prevalence else None,
        "ece": number(expected_calibration_error(labels, scores)) if both_classes else None,
        "interval": f1_interval,
        "recall_interval": share(called[labels == 1], groups[labels == 1])["interval"],
    }


def _at_prevalence(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], called: npt.NDArray[np.bool_], prevalence: float
) -> dict[str, float | None]:
    weight = negative_weight_at(labels, prevalence)
    return {
        "prevalence": number(prevalence),
        "f1": number(precision_recall_f1(labels, called, weight)[2]),
        "ap": number(average_precision(labels, scores, weight)),
    }


def calibration_figures(predictions: ImagePredictions) -> dict[str, Any]:
    """Compute the expected calibration error of the scores, pooled and by stratum with both classes.

    Returns:
        ``pooled`` with ``n``, ``ece``, ``interval`` over photographs and ``bins`` of equal width (number of tiles, mean
        score, share of cracks); ``strata``, the errors by stratum; and their ``mean``.
    """
    known = [i for i, row in enumerate(predictions.rows) if row.label in LABELS]
    labels = np.array([LABELS[predictions.rows[i].label] for i in known], np.int64)
    scores, groups = predictions.crack_score[known], np.array([predictions.rows[i].group_id for i in known])
    strata = np.array([predictions.rows[i].stratum for i in known])
    errors = {
        str(name): number(expected_calibration_error(labels[here], scores[here]))
        for name in np.unique(strata)
        if len(np.unique(labels[here := strata == name])) == 2
    }
    ends = grouped_bootstrap_interval(lambda rows: expected_calibration_error(labels[rows], scores[rows]), groups)
    index = np.minimum((scores * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    return {
        "pooled": {
            "n": len(known),
            "ece": number(expected_calibration_error(labels, scores)),
            "interval": interval(ends),
            "bins": [
                {"n": int(here.sum()), "score": number(scores[here].mean()), "cracked": number(labels[here].mean())}
                for b in range(_CALIBRATION_BINS)
                if (here := index == b).any()
            ],
        },
        "strata": errors,
        "mean": number(float(np.mean([error for error in errors.values() if error is not None]))) if errors else None,
    }


def mask_width_figures(
    predictions: ImagePredictions, threshold: float, wide_edge_px: float
) -> dict[str, dict[str, Any]]:
    """Compare predicted widths with widths of masks, by stratum, on the images that are reported as cracked.

    The agreement is only approximate: the width of a mask is a mean over the whole image less one pixel, the predicted
    width comes from one tile, and annotated masks are wider than cracks. ``wide_accuracy`` is the share of predictions
    on the correct side of ``wide_edge_px``.
    """
    known: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for i, row in enumerate(predictions.rows):
        if row.width_px_mean and predictions.crack_score[i] >= threshold:
            width_px = float(row.width_px_mean) - MASK_BIAS_PX
            if width_px > _MIN_MASK_WIDTH_PX:
                known[row.stratum].append((i, width_px))
    report = {}
    for stratum, pairs in sorted(known.items()):
        index = np.array([i for i, _ in pairs])
        log_truth = np.log([width for _, width in pairs])
        wide = predictions.wide_score[index] >= 0.5
        report[stratum] = {
            **width_errors(log_truth, predictions.log_width_px[index], predictions.log_width_sigma[index]),
            "wide_accuracy": number(float(np.mean(wide == (log_truth > math.log(wide_edge_px))))),
        }
    return report


def metrics_table(metrics: dict[str, dict[str, Any]]) -> str:
    """Format the result of :func:`figures_by_stratum` as a Markdown table."""
    columns = ("n", "positives", "f1", "interval", "precision", "recall", "far", "auc", "ap")
    return markdown_table(
        ("source", *columns), [(name, *(row[column] for column in columns)) for name, row in metrics.items()]
    )


def prevalence_table(metrics: dict[str, dict[str, Any]]) -> str:
    """Format the metrics at other class shares, for strata with both classes, as a Markdown table."""
    head = ("source", "FPR at TPR 0.95", "F1 balanced", "AP balanced", "natural share", "F1 natural", "AP natural")
    rows = []
    for name, row in metrics.items():
        if row["balanced"]:
            natural = row["natural"] or dict.fromkeys(("prevalence", "f1", "ap"))
            rows.append((name, row["fpr_at_tpr_95"], row["balanced"]["f1"], row["balanced"]["ap"], *natural.values()))
    return markdown_table(head, rows)
