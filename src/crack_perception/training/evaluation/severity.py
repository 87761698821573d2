# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Accuracy of crack widths and severity classes on cracks of known width.

Rendered cracks are 2-12 px wide, and each gets a ground sampling distance (GSD), so that widths in millimetres and
classes are known exactly. The class follows from the predicted width and its standard deviation as in the node. Two
baselines estimate the width of the same tiles: the width of the longest dark component and the mean darkness of the
tile, each mapped to a width by a line in logarithms that is fitted on the other half of the photographs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.severity import PRESETS_MM, UNDETERMINED, SeverityScale, WidthEstimate
from crack_perception.training.data.known_cracks import KnownCrack, draw_known_crack
from crack_perception.training.evaluation.figures import markdown_table, number, share
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles, score_tiles
from crack_perception.vision.tiling import Image

WIDTH_RANGE_PX = (2.0, 12.0)
CONTRAST_RANGE = (0.15, 0.5)
BLUR_RANGE_PX = (0.0, 1.2)
GSD_EDGES_MM = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MODEL = "model"
TABLED_PRESETS = ("gb50204", "ec2", "aashto")
_SURROUNDINGS_PX = 12.0
_DARK = 0.06

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KnownWidths:
    """Detected rendered cracks with their true widths and the estimates of the model and the baselines.

    Args:
        log_width_px: ``(N,)`` logarithm of the true width in px.
        gsd_mm: ``(N,)`` ground sampling distance [mm/px].
        groups: ``(N,)`` photographs.
        estimates: Log width and its standard deviation, ``(N,)`` each, by name of the estimator.
        rendered: Number of rendered cracks, detected or not.
    """

    log_width_px: Array
    gsd_mm: Array
    groups: npt.NDArray[np.str_]
    estimates: dict[str, tuple[Array, Array]]
    rendered: int


def measure_known_widths(detector: FrameDetector, background: LabelledTiles, count: int, seed: int) -> KnownWidths:
    """Render one crack on each of ``count`` tiles (reused if there are fewer) and estimate its width.

    Args:
        detector: Detector with the model.
        background: Background tiles without a detection.
        count: Number of cracks.
        seed: Seed of tiles, paths, widths, contrasts and GSDs.
    """
    if not len(background.pixels):
        return KnownWidths(np.empty(0), np.empty(0), background.groups, {}, 0)
    rng = np.random.default_rng(seed)
    order = np.resize(rng.permutation(len(background.pixels)), count)
    widths = np.exp(rng.uniform(math.log(WIDTH_RANGE_PX[0]), math.log(WIDTH_RANGE_PX[1]), count))
    gsd_mm = np.exp(rng.uniform(math.log(GSD_EDGES_MM[0]), math.log(GSD_EDGES_MM[-1]), count))
    tiles = []
    for index, width in zip(order.tolist(), widths.tolist(), strict=True):
        crack = KnownCrack(width, float(rng.uniform(*BLUR_RANGE_PX)), (float(rng.uniform(*CONTRAST_RANGE)),))
        tiles += draw_known_crack(background.pixels[index], crack, rng)
    scores = score_tiles(detector, tiles)
    found = scores.crack_score >= detector.threshold
    log_width, groups = np.log(widths)[found], background.groups[order][found]
    measures = [dark_measures(tile) for tile, kept in zip(tiles, found, strict=True) if kept]
    estimates = {
        MODEL: (scores.log_width_px[found].astype(np.float64), scores.log_width_sigma[found].astype(np.float64))
    }
    for column, name in enumerate(("longest dark component", "mean darkness")):
        values = np.array([measure[column] for measure in measures])
        estimates[name] = _fitted_on_other_photographs(values, log_width, groups)
    return KnownWidths(log_width, gsd_mm[found], groups, estimates, count)


def dark_measures(tile: Image) -> tuple[float, float]:
    """Compute two darkness features of a tile that depend on the width of its crack.

    Returns:
        Logarithm of the width (area by length) of the longest component darker than its surroundings by 6 %, and
        logarithm of the mean relative loss of brightness against the surroundings.
    """
    grey = cv2.cvtColor(tile, cv2.COLOR_BGR2GRAY).astype(np.float32)
    around = np.maximum(np.asarray(cv2.GaussianBlur(grey, (0, 0), _SURROUNDINGS_PX), np.float32), 1.0)
    loss = np.maximum(1.0 - grey / around, 0.0)
    _, _, pieces, _ = cv2.connectedComponentsWithStats((loss > _DARK).astype(np.uint8))
    lengths = np.hypot(pieces[1:, cv2.CC_STAT_WIDTH], pieces[1:, cv2.CC_STAT_HEIGHT])
    if not len(lengths):
        return 0.0, float(np.log(loss.mean() + 1e-4))
    longest = int(lengths.argmax())
    return float(np.log(pieces[1 + longest, cv2.CC_STAT_AREA] / lengths[longest])), float(np.log(loss.mean() + 1e-4))


def _fitted_on_other_photographs(values: Array, log_width: Array, groups: npt.NDArray[np.str_]) -> tuple[Array, Array]:
    """Predict log widths by a line fitted on the other half of the photographs, with its standard deviation."""
    names = np.unique(groups)
    first = np.isin(groups, names[::2])
    estimate, sigma = np.full(len(values), float(log_width.mean() if len(values) else 0.0)), np.ones(len(values))
    for evaluated, fitting in ((first, ~first), (~first, first)):
        if len(np.unique(values[fitting])) > 1:
            line = np.polyfit(values[fitting], log_width[fitting], 1)
            estimate[evaluated] = np.polyval(line, values[evaluated])
            sigma[evaluated] = max(float(np.std(log_width[fitting] - np.polyval(line, values[fitting]))), 0.05)
    return estimate, sigma


def known_width_figures(known: KnownWidths) -> dict[str, Any]:
    """Compute the errors of widths and severity classes, for the model and both baselines.

    Returns:
        ``drawn`` (number of rendered cracks), ``found``, ``widths`` (:func:`width_errors` by estimator) and ``classes``
        (by preset and estimator: ``correct``, the share of correct classes among the determined ones with its interval;
        ``undetermined``; ``correct_of_all``; ``by_class``; ``gsd``, the same by GSD bin, with ``mae_mm``).
    """
    if not len(known.groups):
        return {"drawn": known.rendered, "found": 0, "widths": {}, "classes": {}}
    return {
        "drawn": known.rendered,
        "found": len(known.groups),
        "widths": {name: width_errors(known.log_width_px, *estimate) for name, estimate in known.estimates.items()},
        "classes": {
            preset: {name: _class_figures(known, estimate, preset) for name, estimate in known.estimates.items()}
            for preset in PRESETS_MM
        },
    }


def width_errors(log_truth: Array, log_width: Array, log_sigma: Array) -> dict[str, Any]:
    """Compute the errors of widths in px and the coverage of their standard deviations; arrays ``(N,)``, N >= 1."""
    errors = log_width - log_truth
    return {
        "n": len(errors),
        "mae_px": number(float(np.mean(np.abs(np.exp(log_width) - np.exp(log_truth))))),
        "median_ratio": number(float(np.exp(np.median(errors)))),
        "median_relative_error": number(float(np.median(np.expm1(np.abs(errors))))),
        "within_1_sigma": number(float(np.mean(np.abs(errors) <= log_sigma))),
        "within_2_sigma": number(float(np.mean(np.abs(errors) <= 2 * log_sigma))),
    }


def _class_figures(known: KnownWidths, estimate: tuple[Array, Array], preset: str) -> dict[str, Any]:
    scale = SeverityScale.of_preset(preset)
    classes = np.array(
        [
            scale.classify(WidthEstimate(float(width), float(sigma)).scaled(float(gsd), 0.0)).verdict
            for width, sigma, gsd in zip(*estimate, known.gsd_mm, strict=True)
        ]
    )
    width_mm = np.exp(known.log_width_px) * known.gsd_mm
    truth = np.array([scale.labels[scale.index_of(float(width))] for width in width_mm])
    error_mm = np.abs(np.exp(estimate[0]) * known.gsd_mm - width_mm)
    bins = np.digitize(known.gsd_mm, GSD_EDGES_MM[1:-1])
    figures = _class_accuracy(classes, truth, known.groups)
    figures["gsd"] = {
        f"{low:g}-{high:g} mm/px": {
            **_class_accuracy(classes[here], truth[here], known.groups[here]),
            "mae_mm": number(float(error_mm[here].mean())),
        }
        for index, (low, high) in enumerate(pairwise(GSD_EDGES_MM))
        if (here := bins == index).any()
    }
    return figures


def _class_accuracy(
    classes: npt.NDArray[np.str_], truth: npt.NDArray[np.str_], groups: npt.NDArray[np.str_]
) -> dict[str, Any]:
    determined, correct = classes != UNDETERMINED, classes == truth
    return {
        "correct": share(correct[determined], groups[determined]),
        "undetermined": number(float(np.mean(~determined))),
        "correct_of_all": number(float(np.mean(correct))),
        "by_class": {
            str(name): {
                "n": int(np.sum(truth == name)),
                "precision": _share_of(correct, classes == name),
                "recall": _share_of(correct, truth == name),
            }
            for name in np.unique(truth)
        },
    }


def _share_of(correct: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> float | None:
    return number(float(correct[among].mean())) if among.any() else None


def severity_table(figures: dict[str, Any]) -> str:
    """Format the classes of :func:`known_width_figures` as a Markdown table."""
    head = ("preset", "estimator", "classified", "correct", "interval", "undetermined", "correct of all")
    rows = [
        (preset, name, *row["correct"].values(), row["undetermined"], row["correct_of_all"])
        for preset in TABLED_PRESETS
        for name, row in figures["classes"].get(preset, {}).items()
    ]
    return markdown_table(head, rows)


def width_error_table(figures: dict[str, dict[str, Any]]) -> str:
    """Format results of :func:`width_errors` by name as a Markdown table."""
    keys = ("n", "mae_px", "median_ratio", "median_relative_error", "within_1_sigma", "within_2_sigma")
    head = ("widths", "n", "MAE, px", "median ratio", "median relative error", "within 1 sigma", "within 2 sigma")
    return markdown_table(head, [(name, *(row[key] for key in keys)) for name, row in figures.items()])
