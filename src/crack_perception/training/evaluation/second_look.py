# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Benefit and cost of the second look, on whole photographs and on single tiles of every source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import (
    false_alarm_rate,
    grouped_bootstrap_interval,
    precision_recall_f1,
)
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.second_look import BAND, VIEWS, averaged, mirrored
from crack_perception.training.data.manifest import HARD_NEGATIVES, LABELS, Row
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.labelled_tiles import score_tiles
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, pad_to_tile

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

_FRAME_TILES = (6, 7)
"""Columns and rows of the frames that photographs are cut into, about the tiles of a 1080p frame."""
_HARD_NEGATIVE_WEIGHT = 0.5
_OFFSETS = np.round(np.arange(-1.0, 1.01, 0.05), 2)


@dataclass(frozen=True)
class ScoredOnceAndTwice:
    """Tiles with their margins to the threshold in logits, with and without a second look; ``(N,)`` each.

    ``repeated`` marks the tiles that got a second look.
    """

    strata: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    labels: Labels
    once: Scores
    twice: Scores
    repeated: npt.NDArray[np.bool_]

    def part(self, chosen: npt.NDArray[np.bool_]) -> ScoredOnceAndTwice:
        """Select tiles by a mask ``(N,)``."""
        return ScoredOnceAndTwice(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def score_rows(detector: FrameDetector, data: Path, rows: Sequence[Row]) -> ScoredOnceAndTwice:
    """Score single tiles, those near the threshold twice; there is no limit to their number.

    Raises:
        UserError: An image cannot be read.
    """
    tile_px = detector.model.tile_px
    once, twice, repeated = [], [], []
    for row in rows:
        tile = pad_to_tile(read_picture(data / row.path), tile_px)[:tile_px, :tile_px]
        first = score_tiles(detector, [tile]).crack_score
        margin = _margins(first, detector.threshold)[0]
        is_doubtful = abs(margin) < BAND
        once.append(margin)
        repeated.append(is_doubtful)
        if is_doubtful:
            views: Iterable[Image] = mirrored(tile[None])
            mean = averaged(first, score_tiles(detector, views).crack_score)
            margin = _margins(mean, detector.threshold)[0]
        twice.append(margin)
    return ScoredOnceAndTwice(
        np.array([row.stratum for row in rows]),
        np.array([row.group_id for row in rows]),
        np.array([LABELS[row.label] for row in rows], np.int64),
        np.array(once),
        np.array(twice),
        np.array(repeated),
    )


def score_frames(
    detector: FrameDetector, photographs: Iterable[tuple[str, Image, npt.NDArray[np.bool_]]]
) -> tuple[ScoredOnceAndTwice, dict[str, Any]]:
    """Cut photographs into frames and detect in each with and without a second look, as the node does.

    Returns:
        All tiles, and the number of frames and of additional views per tile: of all frames, and of those without a
        cracked square.
    """
    columns: list[tuple[Any, ...]] = []
    costs: list[tuple[bool, float]] = []
    tile_px = detector.model.tile_px
    wide, high = _FRAME_TILES
    for name, pixels, squares in photographs:
        for top in range(0, squares.shape[0] - high + 1, high):
            for left in range(0, squares.shape[1] - wide + 1, wide):
                labels = squares[top : top + high, left : left + wide].ravel().astype(np.int64)
                frame = pixels[top * tile_px : (top + high) * tile_px, left * tile_px : (left + wide) * tile_px]
                margins = []
                for detector.second_look in (False, True):
                    output = detector.detect(frame)
                    margins.append(_margins(output.scores.crack_score, detector.threshold))
                once, twice = margins
                columns.append(([name] * len(labels), labels, once, twice, once != twice))
                costs.append((not labels.any(), output.second_looks * VIEWS / output.grid.count))
    names, truth, once, twice, repeated = (np.concatenate(column) for column in zip(*columns, strict=True))
    surfaces = np.array([str(name).split("_")[0] for name in names])
    tiles = ScoredOnceAndTwice(surfaces, names, truth, once, twice, repeated)
    clean = [cost for is_clean, cost in costs if is_clean]
    return tiles, {
        "frames": len(costs),
        "views_per_tile": number(float(np.mean([cost for _, cost in costs]))),
        "clean_frames": len(clean),
        "views_per_tile_clean": number(float(np.mean(clean))) if clean else None,
        "most_views_per_tile_clean": number(max(clean)) if clean else None,
    }


def figures_by_source(tiles: ScoredOnceAndTwice, offset: float = 0.0) -> list[dict[str, Any]]:
    """Compute recall, false alarms and F1 with and without a second look, by source.

    Args:
        offset: Logit that is subtracted from the averaged ones, that is the threshold of the second look.

    Returns:
        A row for each source, with the change of F1 and its paired interval over photographs.
    """
    report = []
    for stratum in np.unique(tiles.strata):
        part = tiles.part(tiles.strata == stratum)
        labels, once = part.labels, part.once >= 0
        twice = np.where(part.repeated, part.twice - offset, part.once) >= 0
        row: dict[str, Any] = {"source": str(stratum), "n": len(labels), "cracks": int(labels.sum())}
        for name, called in (("once", once), ("twice", twice)):
            row[f"recall_{name}"] = number(precision_recall_f1(labels, called)[1]) if labels.any() else None
            row[f"far_{name}"] = number(false_alarm_rate(labels, called)) if not labels.all() else None
        if 0 < labels.sum() < len(labels):
            change = _change_of_f1(labels, once, twice)
            everything = np.arange(len(labels))
            row["f1_once"] = number(precision_recall_f1(labels, once)[2])
            row["f1_twice"] = number(precision_recall_f1(labels, twice)[2])
            row["change"] = number(change(everything))
            row["interval"] = interval(grouped_bootstrap_interval(change, part.groups))
        else:
            row |= dict.fromkeys(("f1_once", "f1_twice", "change", "interval"))
        row["repeated"] = number(float(part.repeated.mean()))
        report.append(row)
    return report


def fitted_offset(tiles: ScoredOnceAndTwice) -> dict[str, Any]:
    """Fit the threshold of the second look on validation tiles by the rule of the model's own threshold.

    Returns:
        ``best``: logit offset with the highest mean F1 over sources less half of the share of false alarms on hard
        negatives; ``gain``: by how much it exceeds offset 0, with its ``interval`` over photographs; ``chosen``: the
        best offset if that interval excludes 0, otherwise 0.
    """
    everything = np.arange(len(tiles.labels))
    values = [_quality(tiles, everything, offset) for offset in _OFFSETS]
    best = float(_OFFSETS[int(np.argmax(values))])

    def gain(chosen: npt.NDArray[np.intp]) -> float:
        return _quality(tiles, chosen, best) - _quality(tiles, chosen, 0.0)

    ends = grouped_bootstrap_interval(gain, tiles.groups)
    return {
        "best": best,
        "gain": number(gain(everything)),
        "interval": interval(ends),
        "chosen": best if ends[0] > 0 else 0.0,
    }


def _quality(tiles: ScoredOnceAndTwice, chosen: npt.NDArray[np.intp], offset: float) -> float:
    margins = np.where(tiles.repeated, tiles.twice - offset, tiles.once)[chosen]
    labels, strata = tiles.labels[chosen], tiles.strata[chosen]
    is_hard = np.char.startswith(strata, HARD_NEGATIVES)
    means = [
        precision_recall_f1(labels[here], margins[here] >= 0)[2]
        for name in np.unique(strata)
        for here in [strata == name]
        if 0 < labels[here].sum() < here.sum()
    ]
    alarms = float((margins[is_hard] >= 0).mean()) if is_hard.any() else 0.0
    return float(np.mean(means)) - _HARD_NEGATIVE_WEIGHT * alarms if means else 0.0


def _change_of_f1(
    labels: Labels, once: npt.NDArray[np.bool_], twice: npt.NDArray[np.bool_]
) -> Callable[[npt.NDArray[np.intp]], float]:
    def change(chosen: npt.NDArray[np.intp]) -> float:
        before, after = (precision_recall_f1(labels[chosen], called[chosen])[2] for called in (once, twice))
        return after - before

    return change


def _margins(crack_score: npt.NDArray[np.float32], threshold: float) -> Scores:
    scores = np.clip(crack_score.astype(np.float64), 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(scores / (1.0 - scores)) - np.log(threshold / (1.0 - threshold)), np.float64)
