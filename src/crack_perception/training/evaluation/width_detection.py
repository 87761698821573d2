# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Probability of detection by crack width and contrast.

Anti-aliased cracks of known width are rendered on background tiles without a detection, and a logistic curve in the
logarithm of the width is fitted to the detections (probability of detection, MIL-HDBK-1823A, appendix G).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import grouped_bootstrap_interval
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.known_cracks import KnownCrack, draw_known_crack
from crack_perception.training.evaluation.figures import markdown_table, number
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles, score_tiles

WIDTHS_PX = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
CONTRASTS = (0.05, 0.1, 0.2, 0.4)
BLURS_PX = (0.0, 1.0, 2.0)
PROBABILITIES = {"w50_px": 0.5, "w90_px": 0.9}
NEVER_PX = 1e4
_RIDGE = 1e-2
_STEPS = 30
_CONVERGED = 1e-4
_DRAWS = 100

Array = npt.NDArray[np.float64]


def width_detection_figures(
    detector: FrameDetector, background: LabelledTiles, tiles_per_width: int, seed: int
) -> dict[str, Any]:
    """Measure the probability of detection by width and contrast, with every blur of ``BLURS_PX`` equally often.

    Args:
        detector: Detector with the model.
        background: Background tiles without a detection.
        tiles_per_width: Number of cracks per width, each rendered at all contrasts.
        seed: Seed of tiles and paths.

    Returns:
        ``tiles`` and, by contrast (``0.2``): ``found``, the share detected at every width; ``w50_px`` and ``w90_px``,
        the widths detected with probabilities of 50 % and 90 %, with intervals over photographs; and ``w90_sharp_px``
        without blur. A width outside 0.25-8 px is ``None``.
    """
    if not len(background.pixels):
        return {"tiles": 0, "contrasts": {}}
    rng = np.random.default_rng(seed)
    order = np.resize(rng.permutation(len(background.pixels)), len(WIDTHS_PX) * tiles_per_width)
    widths = np.tile(np.array(WIDTHS_PX), tiles_per_width)
    blurs = np.repeat(np.resize(BLURS_PX, tiles_per_width), len(WIDTHS_PX))
    rendered = (
        view
        for index, (tile, width, blur) in enumerate(zip(order.tolist(), widths.tolist(), blurs.tolist(), strict=True))
        for view in draw_known_crack(
            background.pixels[tile],
            KnownCrack(width, blur, CONTRASTS),
            np.random.default_rng([seed, index]),
        )
    )
    found = (score_tiles(detector, rendered).crack_score >= detector.threshold).reshape(-1, len(CONTRASTS))
    groups = background.groups[order]
    return {
        "tiles": len(background.pixels),
        "widths_px": list(WIDTHS_PX),
        "blurs_px": list(BLURS_PX),
        "contrasts": {
            str(contrast): _figures(widths, blurs, found[:, column], groups)
            for column, contrast in enumerate(CONTRASTS)
        },
    }


def _figures(widths: Array, blurs: Array, found: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_]) -> dict[str, Any]:
    figures: dict[str, Any] = {"found": [number(float(found[widths == width].mean())) for width in WIDTHS_PX]}
    for name, probability in PROBABILITIES.items():
        figures[name] = _in_range(width_found_with(widths, found, probability))
        ends = grouped_bootstrap_interval(
            lambda rows, p=probability: width_found_with(widths[rows], found[rows], p),  # type: ignore[misc]
            groups,
            _DRAWS,
        )
        figures[f"{name}_interval"] = [_in_range(end) for end in ends]
    sharp = blurs == 0.0
    figures["w90_sharp_px"] = _in_range(width_found_with(widths[sharp], found[sharp], 0.9))
    return figures


def width_found_with(widths_px: Array, found: npt.NDArray[np.bool_], probability: float) -> float:
    """Fit the detection curve and return the width that it detects with the given probability.

    Args:
        widths_px: ``(N,)`` crack widths.
        found: ``(N,)`` True where the crack was detected.
        probability: Probability of detection, between 0 and 1.

    Returns:
        Width [px]; ``NEVER_PX`` if the probability does not increase with the width.
    """
    if found.all():
        return 0.0
    x, offset, slope = np.log(widths_px), 0.0, 0.0
    design = np.column_stack([np.ones_like(x), x])
    # A small penalty keeps the slope finite when detected and missed widths are perfectly separated.
    penalty = np.diag([1e-9, _RIDGE])
    for _ in range(_STEPS):
        expected = 1.0 / (1.0 + np.exp(-np.clip(offset + slope * x, -30, 30)))
        gradient = design.T @ (found - expected) - penalty @ [offset, slope]
        curvature = (design * (expected * (1.0 - expected))[:, None]).T @ design + penalty
        step = np.clip(np.linalg.solve(curvature, gradient), -2.0, 2.0)
        offset, slope = offset + float(step[0]), slope + float(step[1])
        if np.abs(step).max() < _CONVERGED:
            break
    if slope <= 1e-3:
        return NEVER_PX
    return min(float(np.exp(np.clip((np.log(probability / (1.0 - probability)) - offset) / slope, -10, 10))), NEVER_PX)


def _in_range(width_px: float) -> float | None:
    return number(width_px) if WIDTHS_PX[0] <= width_px <= WIDTHS_PX[-1] else None


def width_detection_table(figures: dict[str, Any]) -> str:
    """Format the result of :func:`width_detection_figures` as a Markdown table; a dash marks a width out of range."""
    head = ("contrast", "w50, px", "w90, px", "interval", "w90 without blur, px", *(f"{w:g} px" for w in WIDTHS_PX))
    rows = [
        (
            f"{float(contrast):.0%}",
            *(row[key] for key in ("w50_px", "w90_px", "w90_px_interval", "w90_sharp_px")),
            *row["found"],
        )
        for contrast, row in figures["contrasts"].items()
    ]
    return markdown_table(head, rows)
