# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Effect of the scale at which tiles are read, on resampled photographs with labelled squares."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import (
    false_alarm_rate,
    grouped_bootstrap_interval,
    precision_recall_f1,
    roc_auc,
)
from crack_perception.recognition.backends.protocol import InferenceBackend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.data.manifest import WHOLE_PHOTOGRAPHS, Row
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, TileGrid

PHOTOGRAPH_GSD_MM = 0.25
"""Ground sampling distance of the whole photographs of SDNET2018 [mm/px], from their labelled 256-px squares."""
SQUARE_PX = 256
_HALF = 0.5


@dataclass(frozen=True)
class ScoredTiles:
    """Tiles of one photograph: ground truth and score, ``(N,)`` each, and the number of tiles of the frame."""

    photograph: str
    cracked: npt.NDArray[np.bool_]
    crack_score: npt.NDArray[np.float64]


def whole_photographs(data: Path, rows: Sequence[Row]) -> Iterator[tuple[str, Image, npt.NDArray[np.bool_]]]:
    """Yield name, pixels (BGR) and labels of the squares (rows, columns) of every whole photograph.

    Raises:
        UserError: A photograph cannot be read.
    """
    for row in rows:
        if row.source == WHOLE_PHOTOGRAPHS:
            path = data / row.path
            labels = path.parent.parent / "tile_labels" / f"{path.stem}.csv"
            with labels.open(newline="", encoding="utf-8") as stream:
                table = np.array([[int(field) for field in line] for line in csv.reader(stream) if line])
            yield path.stem, read_picture(path), table == 1


def resampled(photograph: Image, zoom: float) -> Image:
    """Return a photograph as it would be with ``zoom`` times as many pixels per length on the surface."""
    if zoom == 1.0:
        return photograph
    method = cv2.INTER_AREA if zoom < 1.0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photograph, None, fx=zoom, fy=zoom, interpolation=method), np.uint8)


def is_cracked(grid: TileGrid, labels: npt.NDArray[np.bool_], square_px: float) -> npt.NDArray[np.bool_]:
    """Return which tiles (count,) hold at least half of a cracked square, or lie by at least half in one."""
    cracked = np.argwhere(labels) * square_px
    boxes = grid.boxes().astype(np.float64)
    rows, columns = cracked[:, :1].T, cracked[:, 1:].T
    across = np.minimum(boxes[:, 2:3], columns + square_px) - np.maximum(boxes[:, 0:1], columns)
    down = np.minimum(boxes[:, 3:4], rows + square_px) - np.maximum(boxes[:, 1:2], rows)
    shared = np.clip(across, 0.0, None) * np.clip(down, 0.0, None)
    smaller = min(square_px, float(grid.tile_px)) ** 2
    return np.asarray((shared >= _HALF * smaller - 1e-6).any(axis=1))


def photograph_figures(tiles: Sequence[ScoredTiles], threshold: float) -> dict[str, Any]:
    """Compute the figures of one way to read the photographs, with intervals over photographs."""
    cracked = np.concatenate([part.cracked for part in tiles]).astype(np.int64)
    scores = np.concatenate([part.crack_score for part in tiles])
    groups = np.concatenate([np.full(len(part.cracked), part.photograph) for part in tiles])
    called = scores >= threshold
    ends = grouped_bootstrap_interval(lambda at: precision_recall_f1(cracked[at], called[at])[2], groups)
    return {
        "tiles": len(cracked),
        "auc": number(roc_auc(cracked, scores)),
        "f1": number(precision_recall_f1(cracked, called)[2]),
        "interval": interval(ends),
        "recall": number(precision_recall_f1(cracked, called)[1]),
        "far": number(false_alarm_rate(cracked, called)),
    }


def read_photographs(
    model: LoadedModel,
    backend: InferenceBackend,
    photographs: Sequence[tuple[str, Image, npt.NDArray[np.bool_]]],
    zoom: float,
    reduction: int,
) -> list[ScoredTiles]:
    """Score the tiles of resampled photographs at one reduction."""
    gsd_mm = PHOTOGRAPH_GSD_MM / zoom
    detector = FrameDetector(model, backend, tile_gsd_mm=gsd_mm * reduction)
    scored = []
    for name, pixels, labels in photographs:
        output = detector.detect(resampled(pixels, zoom), gsd_mm_per_px=gsd_mm)
        truth = is_cracked(output.grid, labels, SQUARE_PX * zoom)
        scored.append(ScoredTiles(name, truth, output.scores.crack_score.astype(np.float64)))
    return scored
