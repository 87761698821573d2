"""Widths and severity classes of cracks whose truth is known: drawn cracks, and masks of unseen sources.

Drawn cracks are 2-12 px wide, and each gets a ground sampling distance (GSD), so that their widths in millimetres and
their classes are known exactly; the class is judged from the model's width and spread as the node judges it. Two
baselines judge the same tiles in the same way: the width of the longest dark component and the mean darkness of the
tile, each turned into a width by a straight line in logarithms fitted on the other half of the photographs.
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
from crack_perception.training.evaluation.judged_tiles import JudgedTiles, score_tiles
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
    """Drawn cracks that the model found: logarithm of the true width in px, GSD, photograph, estimates by judge.

    ``estimates`` maps a judge's name to log width and log spread, ``(N,)`` each.
    """

    log_width_px: Array
    gsd_mm: Array
    groups: npt.NDArray[np.str_]
    estimates: dict[str, tuple[Array, Array]]
    drawn: int


def judge_known_widths(detector: FrameDetector, quiet: JudgedTiles, count: int, seed: int) -> KnownWidths:
    """Draw one crack on each of ``count`` tiles (repeated where there are fewer) and estimate its width.

    Args:
        detector: With the model.
        quiet: Sound tiles that the model calls sound.
        count: Number of cracks.
        seed: Chooses tiles, paths, widths, contrasts and GSDs.
    """
    if not len(quiet.pixels):
        return KnownWidths(np.empty(0), np.empty(0), quiet.groups, {}, 0)
    rng = np.random.default_rng(seed)
    order = np.resize(rng.permutation(len(quiet.pixels)), count)
    widths = np.exp(rng.uniform(math.log(WIDTH_RANGE_PX[0]), math.log(WIDTH_RANGE_PX[1]), count))
    gsd_mm = np.exp(rng.uniform(math.log(GSD_EDGES_MM[0]), math.log(GSD_EDGES_MM[-1]), count))
    tiles = []
    for index, width in zip(order.tolist(), widths.tolist(), strict=True):
        crack = KnownCrack(width, float(rng.uniform(*BLUR_RANGE_PX)), (float(rng.uniform(*CONTRAST_RANGE)),))
        tiles += draw_known_crack(quiet.pixels[index], crack, rng)
    scores = score_tiles(detector, tiles)
    found = scores.crack_score >= detector.threshold
    log_width, groups = np.log(widths)[found], quiet.groups[order][found]
    measures = [dark_measures(tile) for tile, kept in zip(tiles, found, strict=True) if kept]
    estimates = {
        MODEL: (scores.log_width_px[found].astype(np.float64), scores.log_width_sigma[found].astype(np.float64))
    }
    for column, name in enumerate(("longest dark component", "mean darkness")):
        values = np.array([measure[column] for measure in measures])
        estimates[name] = _fitted_on_other_photographs(values, log_width, groups)
    return KnownWidths(log_width, gsd_mm[found], groups, estimates, count)


def dark_measures(tile: Image) -> tuple[float, float]:
    """Logarithms of two things that a tile's darkness says of its crack's width, without any learning.

    Returns:
        Of the width (area by length) of the longest component darker than its surroundings by 6 %, and of the mean
        share of brightness missing against the surroundings.
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
    """Straight line through the other half of the photographs, and the spread of its residuals there."""
    names = np.unique(groups)
    first = np.isin(groups, names[::2])
    estimate, spread = np.full(len(values), float(log_width.mean() if len(values) else 0.0)), np.ones(len(values))
    for judged, fitting in ((first, ~first), (~first, first)):
        if len(np.unique(values[fitting])) > 1:
            line = np.polyfit(values[fitting], log_width[fitting], 1)
            estimate[judged] = np.polyval(line, values[judged])
            spread[judged] = max(float(np.std(log_width[fitting] - np.polyval(line, values[fitting]))), 0.05)
    return estimate, spread


def known_width_figures(known: KnownWidths) -> dict[str, Any]:
    """Errors of the width and severity classes, of the model and of both baselines.

    Returns:
        ``drawn``, ``found``, ``widths`` (by judge: ``mae_px``, ``median_relative_error``, ``within_1_sigma``,
        ``within_2_sigma``) and ``classes`` (by preset and judge: ``correct``, share of the determined verdicts that are
        right with its interval; ``undetermined``; ``correct_of_all``; ``gsd``, the same by GSD bin, with ``mae_mm``).
    """
    if not len(known.groups):
        return {"drawn": known.drawn, "found": 0, "widths": {}, "classes": {}}
    return {
        "drawn": known.drawn,
        "found": len(known.groups),
        "widths": {name: width_errors(known.log_width_px, *judged) for name, judged in known.estimates.items()},
        "classes": {
            preset: {name: _class_figures(known, judged, preset) for name, judged in known.estimates.items()}
            for preset in PRESETS_MM
        },
    }


def width_errors(log_truth: Array, log_width: Array, log_sigma: Array) -> dict[str, Any]:
    """Errors of widths in pixels and how often they lie within the published spread; arrays are ``(N,)``, N >= 1."""
    errors = log_width - log_truth
    return {
        "n": len(errors),
        "mae_px": number(float(np.mean(np.abs(np.exp(log_width) - np.exp(log_truth))))),
        "median_ratio": number(float(np.exp(np.median(errors)))),
        "median_relative_error": number(float(np.median(np.expm1(np.abs(errors))))),
        "within_1_sigma": number(float(np.mean(np.abs(errors) <= log_sigma))),
        "within_2_sigma": number(float(np.mean(np.abs(errors) <= 2 * log_sigma))),
    }


def _class_figures(known: KnownWidths, judged: tuple[Array, Array], preset: str) -> dict[str, Any]:
    scale = SeverityScale.of_preset(preset)
    verdicts = np.array(
        [
            scale.classify(WidthEstimate(float(width), float(sigma)).scaled(float(gsd), 0.0)).verdict
            for width, sigma, gsd in zip(*judged, known.gsd_mm, strict=True)
        ]
    )
    width_mm = np.exp(known.log_width_px) * known.gsd_mm
    truth = np.array([scale.labels[scale.index_of(float(width))] for width in width_mm])
    error_mm = np.abs(np.exp(judged[0]) * known.gsd_mm - width_mm)
    bins = np.digitize(known.gsd_mm, GSD_EDGES_MM[1:-1])
    figures = _verdict_figures(verdicts, truth, known.groups)
    figures["gsd"] = {
        f"{low:g}-{high:g} mm/px": {
            **_verdict_figures(verdicts[here], truth[here], known.groups[here]),
            "mae_mm": number(float(error_mm[here].mean())),
        }
        for index, (low, high) in enumerate(pairwise(GSD_EDGES_MM))
        if (here := bins == index).any()
    }
    return figures


def _verdict_figures(
    verdicts: npt.NDArray[np.str_], truth: npt.NDArray[np.str_], groups: npt.NDArray[np.str_]
) -> dict[str, Any]:
    determined, right = verdicts != UNDETERMINED, verdicts == truth
    return {
        "correct": share(right[determined], groups[determined]),
        "undetermined": number(float(np.mean(~determined))),
        "correct_of_all": number(float(np.mean(right))),
        "by_class": {
            str(name): {
                "n": int(np.sum(truth == name)),
                "precision": _share_of(right, verdicts == name),
                "recall": _share_of(right, truth == name),
            }
            for name in np.unique(truth)
        },
    }


def _share_of(right: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> float | None:
    return number(float(right[among].mean())) if among.any() else None


def severity_table(figures: dict[str, Any]) -> str:
    """Classes of :func:`known_width_figures` as a Markdown table."""
    head = ("preset", "judged by", "verdicts", "correct", "interval", "undetermined", "correct of all")
    rows = [
        (preset, name, *row["correct"].values(), row["undetermined"], row["correct_of_all"])
        for preset in TABLED_PRESETS
        for name, row in figures["classes"].get(preset, {}).items()
    ]
    return markdown_table(head, rows)


def width_error_table(figures: dict[str, dict[str, Any]]) -> str:
    """Rows of :func:`width_errors` by name as a Markdown table."""
    keys = ("n", "mae_px", "median_ratio", "median_relative_error", "within_1_sigma", "within_2_sigma")
    head = ("widths", "n", "MAE, px", "median ratio", "median relative error", "within 1 sigma", "within 2 sigma")
    return markdown_table(head, [(name, *(row[key] for key in keys)) for name, row in figures.items()])
