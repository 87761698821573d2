# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evaluation of all detections of a replay against the truth of its flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crack_perception.evaluation.metrics.cell_recall import CellOutcome, CellRecall
from crack_perception.evaluation.metrics.crack_recall import DEFAULT_MIN_WIDTH_PX, CrackOutcome, CrackRecall
from crack_perception.evaluation.metrics.detections import FrameDetections
from crack_perception.evaluation.metrics.flagged_area import FlaggedArea
from crack_perception.evaluation.metrics.frame_view import FrameView, camera_model
from crack_perception.evaluation.metrics.line_pieces import sample_crack
from crack_perception.evaluation.metrics.regions import RegionMetrics
from crack_perception.recognition.severity import SeverityScale
from crack_perception.simulation.flight.truth import Truth

KIND_LENGTH = "crack length"
KIND_CELLS = "labelled cells"


@dataclass(frozen=True)
class FrameScore:
    """Score of one processed frame.

    Attributes:
        stamp_ns: Stamp of the image.
        visible: Crack length [m], or number of cracked squares, visible in the frame.
        found: Detected part of ``visible``.
        on_crack: For every region, whether it lies on a crack or a cracked square.
    """

    stamp_ns: int
    visible: float
    found: float
    on_crack: tuple[bool, ...]

    @property
    def false_regions(self) -> int:
        """Number of regions that lie on no known crack."""
        return self.on_crack.count(False)


@dataclass(frozen=True)
class Accuracy:
    """Accuracy figures as in ``report.json``, and the data of the plots.

    ``complete`` is true when the truth lists all cracks, so that any other region is false.
    """

    figures: dict[str, Any]
    complete: bool
    cracks: tuple[CrackOutcome, ...]
    cells: tuple[CellOutcome, ...]
    frames: tuple[FrameScore, ...]


def measure_accuracy(
    truth: Truth,
    frames: Sequence[FrameDetections],
    scale: SeverityScale,
    min_width_px: float = DEFAULT_MIN_WIDTH_PX,
) -> Accuracy | None:
    """Evaluate every processed frame; None when the truth contains none of the stamps.

    A region is false when no piece of a crack, of any width, lies inside its box and it does not cover a tenth of a
    cracked square. Figures that are not defined are None: false regions of an incomplete truth, widths and severities
    without cracks of known width, and recall of cracks that were never visible.
    """
    by_stamp = {frame.stamp_ns: frame for frame in truth.frames}
    evaluated = [frame for frame in frames if frame.stamp_ns in by_stamp]
    if not evaluated:
        return None
    camera = camera_model(truth)
    samples = [sample_crack(crack) for crack in truth.cracks]
    recall = CrackRecall(samples, min_width_px)
    cells = CellRecall(truth)
    regions = RegionMetrics(samples, scale, min_width_px)
    area = FlaggedArea(truth, samples)
    scores: list[FrameScore] = []
    area_m2 = 0.0
    for detections in evaluated:
        view = FrameView(truth, camera, by_stamp[detections.stamp_ns])
        before = _progress(truth, recall, cells)
        recall.add(view, detections)
        on_crack = np.logical_or(regions.add(view, detections), cells.add(view, detections))
        area.add(view, detections)
        area_m2 += view.visible_area_m2()
        visible, found = np.subtract(_progress(truth, recall, cells), before)
        scores.append(FrameScore(detections.stamp_ns, float(visible), float(found), tuple(map(bool, on_crack))))
    figures = {
        "kind": KIND_LENGTH if truth.cracks else KIND_CELLS,
        "frames_judged": len(evaluated),
        "min_width_px": min_width_px,
        "crack_recall": recall.recall if truth.cracks else cells.recall,
        "cell_recall": cells.recall,
        "cracks_found": _cracks_found(recall.outcomes) if truth.cracks else None,
        "recall_by_width_px": recall.by_width() if truth.cracks else None,
        **_false_figures(scores if truth.complete else [], area_m2),
        "flagged_share": area.share,
        "sound_flagged_share": area.background_share if truth.complete else None,
        **_region_figures(regions),
    }
    return Accuracy(figures, truth.complete, tuple(recall.outcomes), tuple(cells.outcomes), tuple(scores))


def _progress(truth: Truth, recall: CrackRecall, cells: CellRecall) -> tuple[float, float]:
    """Return the visible and the detected amount so far, by crack length if known, else by labelled squares."""
    return (recall.visible_m, recall.flagged_m) if truth.cracks else (float(cells.visible), float(cells.found))


def _cracks_found(outcomes: Sequence[CrackOutcome]) -> dict[str, int]:
    visible = [outcome for outcome in outcomes if outcome.seen_in > 0]
    return {"n": len(visible), "found": sum(outcome.found for outcome in visible)}


def _false_figures(scores: Sequence[FrameScore], area_m2: float) -> dict[str, float | None]:
    count = sum(score.false_regions for score in scores)
    return {
        "false_regions_per_frame": count / len(scores) if scores else None,
        "false_regions_per_m2": count / area_m2 if scores and area_m2 > 0 else None,
        "seen_area_m2": round(area_m2, 3),
    }


def _region_figures(regions: RegionMetrics) -> dict[str, Any]:
    errors = regions.position_errors_m
    return {
        "position_error_m": {"median": float(np.median(errors)), "p95": float(np.percentile(errors, 95))}
        if errors
        else None,
        "position_inside_95": _mean(regions.inside_95),
        "length_error": float(np.median(regions.length_errors)) if regions.length_errors else None,
        "width_mae_px": _mean(regions.width_errors_px),
        "width_mae_mm": _mean(regions.width_errors_mm),
        "severity_accuracy": _mean(regions.severities_correct),
        "undetermined_rate": _mean(regions.undetermined),
        "regions_with_known_width": len(regions.undetermined),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
