# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recall on crack tiles and false alarms on background tiles of images with a crack mask.

The sources that no shipped model is trained on show cracks on nearly every image, so that image labels yield no
false-alarm rate. Their masks do: a tile without mask pixels is a background tile of the same surface.

Images are not resized; those larger than a tile are cut on a grid that covers every pixel. *Crack tiles* are tiles of
the detector's own grid in which the longest component of the mask spans at least ``MIN_LENGTH_PX`` (diagonal of its
bounding box). *Background tiles* come from a grid with half the stride and hold no mask pixel within ``MARGIN_PX``;
cracks that the annotators missed count as false alarms.

An image that is no larger than a tile has no such background tile. Squares of ``SMALL_PX`` free of mask are cut from it
and mirrored to a full tile. Mirroring creates patterns that no camera records, so these results are reported
separately, under the name of the stratum with ``/padded``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.classification import roc_auc
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.manifest import Row
from crack_perception.training.evaluation.figures import markdown_table, number, share
from crack_perception.training.evaluation.labelled_tiles import score_tiles
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, pad_to_tile, plan_tiles

Mask = npt.NDArray[np.bool_]

MIN_LENGTH_PX = 64
MARGIN_PX = 16
SMALL_PX = 96
PADDED = "/padded"
# The masks of uav75 mark joints of planks, which are not cracks, with 128.
_CRACK_LEVEL = 192
_JOINING_PX = 5


@dataclass(frozen=True)
class Crops:
    """Scored crack and background tiles: stratum, photograph, ground truth and score, ``(N,)`` each."""

    strata: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    cracked: npt.NDArray[np.bool_]
    crack_score: npt.NDArray[np.float64]


def read_mask(path: Path, shape: tuple[int, int]) -> Mask:
    """Read the crack pixels ``(H, W)`` of an annotation.

    Raises:
        UserError: The mask cannot be read or does not have the size of the image.
    """
    stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if stored is None:
        raise UserError(f"{path}: OpenCV cannot decode the mask", "Store it as 8-bit PNG")
    if stored.shape != shape:
        raise UserError(
            f"{path}: the size {stored.shape} differs from its image {shape}", "Store it at the image's size"
        )
    return np.asarray(stored >= _CRACK_LEVEL)


def crack_length_px(mask: Mask) -> float:
    """Measure the bounding-box diagonal of the longest component of a mask [px], small gaps closed; 0 if empty."""
    # The border keeps the closing from shortening components at the edge.
    framed = np.pad(mask.astype(np.uint8), _JOINING_PX)
    joined = cv2.dilate(framed, np.ones((_JOINING_PX, _JOINING_PX), np.uint8))
    _, _, pieces, _ = cv2.connectedComponentsWithStats(joined)
    sides = pieces[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]] - (_JOINING_PX - 1)
    return float(np.hypot(sides[:, 0], sides[:, 1]).max(initial=0.0))


def background_tiles(image: Image, mask: Mask, tile_px: int) -> Iterator[tuple[Image, bool]]:
    """Yield the background tiles of an image, each with whether it is padded (images no larger than a tile)."""
    small = max(image.shape[:2]) <= tile_px
    side_px = min(SMALL_PX, *image.shape[:2]) if small else tile_px
    side = 2 * MARGIN_PX + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    height, width = mask.shape
    for left, top, right, bottom in plan_tiles(width, height, side_px, 0.5).boxes():
        if not near[top:bottom, left:right].any():
            yield pad_to_tile(image[top:bottom, left:right], tile_px), small


def score_crops(
    detector: FrameDetector, directory: Path, rows: Sequence[Row], tile_scores: Sequence[npt.NDArray[np.floating]]
) -> Crops:
    """Score the crack and background tiles of all rows that have a mask.

    Args:
        detector: Detector that computed ``tile_scores``.
        directory: Folder of the manifest.
        rows: Rows of the manifest; those without a mask are skipped.
        tile_scores: Crack scores of the detector's own grid, one array per row.

    Raises:
        UserError: An image or mask cannot be read, or their sizes differ.
    """
    tile_px = detector.model.tile_px
    tiles: list[tuple[str, str, bool, float]] = []
    for row, scores in zip(rows, tile_scores, strict=True):
        if not row.mask_path:
            continue
        image = read_picture(directory / row.path)
        height, width = image.shape[:2]
        mask = read_mask(directory / row.mask_path, (height, width))
        boxes = plan_tiles(width, height, tile_px, detector.overlap).boxes()
        for (left, top, right, bottom), score in zip(boxes, scores, strict=True):
            if crack_length_px(mask[top:bottom, left:right]) >= MIN_LENGTH_PX:
                tiles.append((row.stratum, row.group_id, True, float(score)))
        for tile, padded in background_tiles(image, mask, tile_px):
            stratum = row.stratum + PADDED if padded else row.stratum
            score = score_tiles(detector, [tile]).crack_score[0]
            tiles.append((stratum, row.group_id, False, float(score)))
    strata, groups, cracked, scored = zip(*tiles, strict=True) if tiles else ((), (), (), ())
    return Crops(
        np.array(strata, np.str_), np.array(groups, np.str_), np.array(cracked, np.bool_), np.array(scored, np.float64)
    )


def crop_figures(crops: Crops, threshold: float) -> dict[str, dict[str, Any]]:
    """Compute ``recall`` on crack tiles, ``far`` on background tiles (with n and interval) and ``auc``, by stratum."""
    return {
        str(name): _figures(crops, crops.strata == name, crops.crack_score >= threshold)
        for name in np.unique(crops.strata)
    }


def _figures(crops: Crops, here: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> dict[str, Any]:
    cracked, background = here & crops.cracked, here & ~crops.cracked
    return {
        "recall": share(called[cracked], crops.groups[cracked]),
        "far": share(called[background], crops.groups[background]),
        "auc": number(roc_auc(crops.cracked[here].astype(np.int64), crops.crack_score[here])),
    }


def mean_figures(unseen: dict[str, dict[str, Any]], crops: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Average image recall, tile recall and tile false-alarm rate over the unseen sources, with equal weights.

    Args:
        unseen: Metrics of whole images by stratum
            (:func:`~crack_perception.training.evaluation.images.figures_by_stratum`).
        crops: Metrics of tiles by stratum (:func:`crop_figures`); padded tiles are skipped.
    """
    whole = [figure for name, figure in crops.items() if not name.endswith(PADDED)]
    return {
        "image_recall": _mean([figure["recall"] for figure in unseen.values()]),
        "crop_recall": _mean([figure["recall"]["share"] for figure in whole]),
        "crop_far": _mean([figure["far"]["share"] for figure in whole]),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return number(float(np.mean(known))) if known else None


def crop_table(figures: dict[str, dict[str, Any]]) -> str:
    """Format the result of :func:`crop_figures` as a Markdown table."""
    head = ("source", "crack tiles", "recall", "interval", "background tiles", "far", "interval", "auc")
    rows = [
        (name, *(figure[kind][key] for kind in ("recall", "far") for key in ("n", "share", "interval")), figure["auc"])
        for name, figure in figures.items()
    ]
    return markdown_table(head, rows)
