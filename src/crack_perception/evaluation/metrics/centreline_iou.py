# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Overlap of mapped and true centrelines, as ENSTRECT evaluates cracks in space (Benz and Rodehorst 2024).

The lines are compared as points: true ones within a tolerance of a mapped one are true positives, the other true ones
are false negatives, and mapped ones beyond the tolerance of all true ones are false positives. An object is correct if
its overlap with one true crack is at least a half.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.detections import FloatArray
from crack_perception.evaluation.metrics.line_pieces import cut_line

TOLERANCE_M = 0.04
_SPACING_M = 0.01
_LEAST_IOU = 0.5


def _points(line_m: FloatArray) -> FloatArray:
    return cut_line(line_m, _SPACING_M).points_m


def _near(points_m: FloatArray, others_m: FloatArray, tolerance_m: float) -> npt.NDArray[np.bool_]:
    """Return which points (N, 3) are within the tolerance of one of the others (M, 3), as a mask (N,)."""
    near = np.zeros(len(points_m), bool)
    low, high = points_m.min(axis=0) - tolerance_m, points_m.max(axis=0) + tolerance_m
    others_m = others_m[((others_m >= low) & (others_m <= high)).all(axis=1)]
    if len(others_m):
        for start in range(0, len(points_m), 200):
            part = slice(start, start + 200)
            gaps_m = np.linalg.norm(points_m[part, None] - others_m, axis=2)
            near[part] = gaps_m.min(axis=1) <= tolerance_m
    return near


def centreline_iou(
    mapped_m: Sequence[FloatArray],
    true_m: Sequence[FloatArray],
    ignored_m: Sequence[FloatArray] = (),
    tolerance_m: float = TOLERANCE_M,
) -> float | None:
    """Return the overlap of all mapped lines with all true ones, 0 to 1; None where there are neither.

    Args:
        mapped_m, true_m: Lines (N, 3), N >= 2.
        ignored_m: True lines that need not be mapped; mapped ones along them are no error.
        tolerance_m: Distance within which points belong together.
    """
    mapped = np.concatenate([np.empty((0, 3)), *map(_points, mapped_m)])
    true = np.concatenate([np.empty((0, 3)), *map(_points, true_m)])
    if not len(mapped) and not len(true):
        return None
    everything = np.concatenate([true, *map(_points, ignored_m)])
    hits = int(_near(true, mapped, tolerance_m).sum()) if len(true) else 0
    false = len(mapped) - int(_near(mapped, everything, tolerance_m).sum()) if len(mapped) else 0
    return hits / (len(true) + false) if len(true) + false else None


def average_precision_50(
    mapped_m: Sequence[FloatArray],
    scores: Sequence[float],
    true_m: Sequence[FloatArray],
    ignored_m: Sequence[FloatArray] = (),
    tolerance_m: float = TOLERANCE_M,
) -> float | None:
    """Return the area under precision over recall of the objects, best scores first; None without true lines.

    Each true line can be found once. Objects that mostly lie along ignored lines do not count.

    Args:
        mapped_m: Lines (N, 3) of the objects.
        scores: Their scores.
        true_m, ignored_m, tolerance_m: As of ``centreline_iou``.
    """
    if not true_m:
        return None
    true = [_points(line_m) for line_m in true_m]
    ignored = np.concatenate([np.empty((0, 3)), *map(_points, ignored_m)])
    found = [False] * len(true)
    correct: list[bool] = []
    for index in sorted(range(len(mapped_m)), key=lambda number: -scores[number]):
        points = _points(mapped_m[index])
        overlaps = [
            0.0 if is_found else _iou(points, line, tolerance_m) for line, is_found in zip(true, found, strict=True)
        ]
        best = int(np.argmax(overlaps))
        if overlaps[best] >= _LEAST_IOU:
            found[best] = True
            correct.append(True)
        elif not (len(ignored) and 2 * _near(points, ignored, tolerance_m).sum() >= len(points)):
            correct.append(False)
    hits = np.cumsum(np.array(correct, dtype=np.float64))
    precision = hits / np.arange(1, len(hits) + 1)
    # Precision at a recall is the best at that recall or above.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[np.array(correct, bool)].sum() / len(true))


def _iou(points_m: FloatArray, true_m: FloatArray, tolerance_m: float) -> float:
    hits = int(_near(true_m, points_m, tolerance_m).sum())
    if not hits:
        return 0.0
    false = len(points_m) - int(_near(points_m, true_m, tolerance_m).sum())
    return hits / (len(true_m) + false)
