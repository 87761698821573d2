"""Tiles cut on and away from annotated cracks: does a model find the crack, or does it flag the whole surface?

The sources that never train a shipped model show cracks on nearly every image, so that recall alone says nothing of
false alarms there. Their masks do: a tile without any mask is a sound tile of the same surface.

Nothing is resized. Images larger than a tile are cut on a grid that covers every pixel. The *crack* tiles are those of
the grid that the detector lays itself; one counts when the longest piece of mask in it spans at least
``LEAST_LENGTH_PX`` (diagonal of its bounding box). The *away* tiles come from a grid of half the stride and hold no
mask pixel, nor does a margin of ``MARGIN_PX`` around them; cracks that the annotators left out count as false alarms.

An image that is no larger than a tile has no tile away from its crack. Squares of ``SMALL_PX`` free of mask are cut
from it and mirrored to a whole tile. Mirroring makes patterns that no camera sees, so these figures stand apart, under
the stratum's name with ``/padded``.
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
from crack_perception.training.evaluation.judged_tiles import score_tiles
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, pad_to_tile, plan_tiles

Mask = npt.NDArray[np.bool_]

LEAST_LENGTH_PX = 64
MARGIN_PX = 16
SMALL_PX = 96
PADDED = "/padded"
# uav75 marks planking joints, which are no cracks, with 128.
_CRACK_LEVEL = 192
_JOINING_PX = 5


@dataclass(frozen=True)
class Crops:
    """Tiles of known truth: stratum, photograph, truth and score of each, ``(N,)``."""

    strata: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    cracked: npt.NDArray[np.bool_]
    crack_score: npt.NDArray[np.float64]


def read_mask(path: Path, shape: tuple[int, int]) -> Mask:
    """Crack pixels ``(H, W)`` of an annotation.

    Raises:
        UserError: It cannot be read or is not of the image's size.
    """
    stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if stored is None:
        raise UserError(f"{path}: is not a mask that OpenCV can decode", "Use 8-bit PNG")
    if stored.shape != shape:
        raise UserError(f"{path}: is {stored.shape}, its image {shape}", "Store the mask at the image's size")
    return np.asarray(stored >= _CRACK_LEVEL)


def crack_length_px(mask: Mask) -> float:
    """Diagonal of the bounding box of the longest piece of a mask, gaps of a few pixels closed; 0 without any."""
    # A border keeps pieces that touch the edge as long as the others.
    framed = np.pad(mask.astype(np.uint8), _JOINING_PX)
    joined = cv2.dilate(framed, np.ones((_JOINING_PX, _JOINING_PX), np.uint8))
    _, _, pieces, _ = cv2.connectedComponentsWithStats(joined)
    sides = pieces[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]] - (_JOINING_PX - 1)
    return float(np.hypot(sides[:, 0], sides[:, 1]).max(initial=0.0))


def away_tiles(image: Image, mask: Mask, tile_px: int) -> Iterator[tuple[Image, bool]]:
    """Tiles away from the crack, and whether each was padded, which depends on the image's size alone."""
    small = max(image.shape[:2]) <= tile_px
    side_px = min(SMALL_PX, *image.shape[:2]) if small else tile_px
    side = 2 * MARGIN_PX + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    height, width = mask.shape
    for left, top, right, bottom in plan_tiles(width, height, side_px, 0.5).boxes():
        if not near[top:bottom, left:right].any():
            yield pad_to_tile(image[top:bottom, left:right], tile_px), small


def judge_crops(
    detector: FrameDetector, directory: Path, rows: Sequence[Row], tile_scores: Sequence[npt.NDArray[np.floating]]
) -> Crops:
    """Score the tiles on and away from the cracks of all rows that have a mask.

    Args:
        detector: What gave ``tile_scores``.
        directory: Of the manifest.
        rows: Those without a mask are left out.
        tile_scores: Crack scores of the detector's own grid, one array a row.

    Raises:
        UserError: An image or mask cannot be read, or the two differ in size.
    """
    tile_px = detector.model.tile_px
    found: list[tuple[str, str, bool, float]] = []
    for row, scores in zip(rows, tile_scores, strict=True):
        if not row.mask_path:
            continue
        image = read_picture(directory / row.path)
        height, width = image.shape[:2]
        mask = read_mask(directory / row.mask_path, (height, width))
        boxes = plan_tiles(width, height, tile_px, detector.overlap).boxes()
        for (left, top, right, bottom), score in zip(boxes, scores, strict=True):
            if crack_length_px(mask[top:bottom, left:right]) >= LEAST_LENGTH_PX:
                found.append((row.stratum, row.group_id, True, float(score)))
        for tile, padded in away_tiles(image, mask, tile_px):
            stratum = row.stratum + PADDED if padded else row.stratum
            score = score_tiles(detector, [tile]).crack_score[0]
            found.append((stratum, row.group_id, False, float(score)))
    strata, groups, cracked, scored = zip(*found, strict=True) if found else ((), (), (), ())
    return Crops(
        np.array(strata, np.str_), np.array(groups, np.str_), np.array(cracked, np.bool_), np.array(scored, np.float64)
    )


def crop_figures(crops: Crops, threshold: float) -> dict[str, dict[str, Any]]:
    """Per stratum: ``recall`` on crack tiles and ``far`` on tiles away from cracks, each with n and interval; AUC."""
    return {
        str(name): _figures(crops, crops.strata == name, crops.crack_score >= threshold)
        for name in np.unique(crops.strata)
    }


def _figures(crops: Crops, here: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> dict[str, Any]:
    on, away = here & crops.cracked, here & ~crops.cracked
    return {
        "recall": share(called[on], crops.groups[on]),
        "far": share(called[away], crops.groups[away]),
        "auc": number(roc_auc(crops.cracked[here].astype(np.int64), crops.crack_score[here])),
    }


def mean_figures(unseen: dict[str, dict[str, Any]], crops: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Means over the unseen sources, each counting once: recall on images and crack tiles, alarms on tiles away.

    Args:
        unseen: Figures of the whole images by stratum, as ``tile_evaluation.figures_by_stratum`` makes them.
        crops: Those of :func:`crop_figures`; padded tiles are left out.
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
    """Figures of :func:`crop_figures` as a Markdown table."""
    head = ("source", "crack tiles", "recall", "interval", "tiles away", "far", "interval", "auc")
    rows = [
        (name, *(figure[kind][key] for kind in ("recall", "far") for key in ("n", "share", "interval")), figure["auc"])
        for name, figure in figures.items()
    ]
    return markdown_table(head, rows)
