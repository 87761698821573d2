# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evaluation against cracks that were marked in pictures: boxes (COCO) or masks, without poses.

A box is found if a published region covers a third of it, or lies in it by a third: the box of a diagonal crack is
mostly background. Of masks, the share of the marked pixels inside published regions counts. A region is false if
it touches nothing that was marked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.accuracy import Accuracy, FrameScore
from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections, PublishedRegion
from crack_perception.vision.marks import MOST_PIXELS, crack_names

KIND_BOXES = "marked boxes"
KIND_PIXELS = "marked pixels"

_FOUND_SHARE = 1.0 / 3.0
_GRID = 12
# Stamps in names of files are rounded to microseconds by some programs.
_NEAR_NS = 5_000_000
_LEAST_STAMP = 10**15
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
_MOST_MARKED = 20_000
_SECONDS = re.compile(r"(\d{9,10})[._](\d{1,9})")


@dataclass(frozen=True, eq=False)
class MarkedPicture:
    """Cracks that were marked in one picture.

    Attributes:
        boxes: (N, 4) x, y, width and height in pixels.
        points_px: (M, 2) marked pixels, a sample where they are very many; (0, 2) for boxes.
        pixels: Number of all marked pixels.
        size_px: Width and height of the picture; None where the file does not state it.
    """

    boxes: FloatArray
    points_px: FloatArray
    pixels: int = 0
    size_px: tuple[int, int] | None = None


@dataclass(frozen=True)
class MarkedPictures:
    """Marked pictures by key: a stamp [ns] from 10^15 on, else the number of the image in the recording, from 0.

    Attributes:
        kind: ``KIND_BOXES`` or ``KIND_PIXELS``.
        pictures: The pictures.
    """

    kind: str
    pictures: Mapping[int, MarkedPicture]

    def by_stamp(self, stamps_ns: Sequence[int]) -> dict[int, MarkedPicture]:
        """Return the pictures by the stamps of the images of a recording."""
        found: dict[int, MarkedPicture] = {}
        stamps = np.array(stamps_ns, np.int64)
        for key, picture in self.pictures.items():
            if not len(stamps):
                break
            if key < _LEAST_STAMP:
                if key < len(stamps):
                    found[int(stamps[key])] = picture
                continue
            nearest = int(np.argmin(np.abs(stamps - key)))
            if abs(int(stamps[nearest]) - key) <= _NEAR_NS:
                found[int(stamps[nearest])] = picture
        return found

    def check_size(self, size_px: tuple[int, int], path: Path) -> None:
        """Check that pictures were marked in the size [px] in which they were recorded.

        Raises:
            UserError: One was not.
        """
        for key, picture in self.pictures.items():
            if picture.size_px is not None and picture.size_px != size_px:
                raise UserError(
                    f"{path}: picture {key} was marked with {picture.size_px[0]}x{picture.size_px[1]} px, the images "
                    f"of the recording have {size_px[0]}x{size_px[1]} px",
                    "Mark the pictures as they were recorded",
                )


def read_coco(path: Path, document: Mapping[str, Any]) -> MarkedPictures:
    """Read the boxes of the cracks in a COCO document: of categories named like a crack, or of the only category.

    Raises:
        UserError: A field is missing or wrong, or none of several categories is named like a crack.
    """
    pictures: dict[int, list[list[float]]] = {}
    sizes: dict[int, tuple[int, int]] = {}
    keys: dict[Any, int] = {}
    try:
        for image in document["images"]:
            key = keys[image["id"]] = _key(str(image.get("file_name", "")), image.get("stamp_ns"))
            pictures.setdefault(key, [])
            if "width" in image and "height" in image:
                sizes[key] = int(image["width"]), int(image["height"])
        names = {category["id"]: str(category["name"]) for category in document.get("categories") or ()}
        chosen = crack_names(set(names.values()), None, path, "Give the category of cracks a name with 'crack' in it")
        for annotation in document["annotations"]:
            if names and names[annotation["category_id"]] not in chosen:
                continue
            box = [float(value) for value in annotation["bbox"]]
            if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) <= 0:
                raise ValueError(f"the bbox {annotation['bbox']} is none")
            pictures[keys[annotation["image_id"]]].append(box)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no COCO document ({error!r})", "Export the boxes again") from error
    if not pictures:
        raise UserError(f"{path}: holds no images", "Export the boxes again")
    nothing = np.empty((0, 2))
    return MarkedPictures(
        KIND_BOXES,
        {
            key: MarkedPicture(np.array(boxes).reshape(-1, 4), nothing, size_px=sizes.get(key))
            for key, boxes in pictures.items()
        },
    )


def read_masks(folder: Path) -> MarkedPictures:
    """Read a folder of masks, one a picture; pixels above 0 are cracked.

    Raises:
        UserError: There are none, or one is no picture.
    """
    pictures: dict[int, MarkedPicture] = {}
    for path in sorted(each for each in folder.iterdir() if each.suffix.lower() in _MASK_SUFFIXES):
        mask = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE) if path.stat().st_size else None
        if mask is None or mask.size > MOST_PIXELS:
            raise UserError(f"{path}: is no mask", "Save it as an 8-bit PNG")
        rows, columns = np.nonzero(mask)
        step = max(1, -(-len(rows) // _MOST_MARKED))
        points = np.column_stack([columns, rows])[::step].astype(np.float64)
        size_px = mask.shape[1], mask.shape[0]
        pictures[_key(path.name, None)] = MarkedPicture(np.empty((0, 4)), points, len(rows), size_px)
    if not pictures:
        raise UserError(f"{folder}: holds no masks", "Give PNG files named by stamp or number of the image")
    return MarkedPictures(KIND_PIXELS, pictures)


def _key(name: str, stamp_ns: Any) -> int:
    """Return the key of a picture: its stamp, else that in its name, else the last number in its name.

    Raises:
        ValueError: There is no number.
    """
    if isinstance(stamp_ns, int):
        return stamp_ns
    stem = Path(name).stem
    seconds = _SECONDS.search(stem)
    if seconds:
        return int(seconds[1]) * 1_000_000_000 + int(seconds[2].ljust(9, "0"))
    numbers = re.findall(r"\d+", stem)
    if not numbers:
        raise ValueError(f"the name '{name}' holds neither a stamp nor a number of the image")
    return int(numbers[-1])


def measure_marked(
    marked: MarkedPictures, stamps_ns: Sequence[int], frames: Sequence[FrameDetections]
) -> Accuracy | None:
    """Evaluate the processed frames that were marked; None if there are none.

    Args:
        marked: Marked pictures, in which every crack is marked.
        stamps_ns: Stamps of all images of the recording, in order.
        frames: Detections of the processed frames.
    """
    by_stamp = marked.by_stamp(stamps_ns)
    scores = [_score(by_stamp[frame.stamp_ns], frame) for frame in frames if frame.stamp_ns in by_stamp]
    if not scores:
        return None
    visible, found = sum(score.visible for score in scores), sum(score.found for score in scores)
    false = sum(score.false_regions for score in scores)
    unknown = (
        *("cell_recall", "recall_by_width_px", "false_regions_per_m2", "seen_area_m2", "flagged_share"),
        *("sound_flagged_share", "position_error_m", "position_inside_95", "length_error", "width_mae_px"),
        *("width_mae_mm", "severity_accuracy", "undetermined_rate"),
    )
    figures: dict[str, Any] = {
        "kind": marked.kind,
        "frames_judged": len(scores),
        "min_width_px": 0.0,
        "crack_recall": found / visible if visible > 0 else None,
        "cracks_found": {"n": round(visible), "found": round(found)} if marked.kind == KIND_BOXES else None,
        "false_regions_per_frame": false / len(scores),
        "regions_with_known_width": 0,
        **dict.fromkeys(unknown),
    }
    return Accuracy(figures, True, (), (), tuple(scores))


def _score(picture: MarkedPicture, frame: FrameDetections) -> FrameScore:
    if len(picture.boxes):
        shares = [_overlap(box, frame.regions) for box in picture.boxes]
        found = sum(bool(share.max(initial=0.0) >= _FOUND_SHARE) for share in shares)
        touched = np.max(shares, axis=0, initial=0.0) > 0
        return FrameScore(frame.stamp_ns, float(len(picture.boxes)), float(found), tuple(map(bool, touched)))
    on_crack = tuple(bool(region.box.contains(picture.points_px).any()) for region in frame.regions)
    share = float(frame.cover(picture.points_px).mean()) if len(picture.points_px) else 0.0
    return FrameScore(frame.stamp_ns, float(picture.pixels), share * picture.pixels, on_crack)


def _overlap(box: FloatArray, regions: Sequence[PublishedRegion]) -> npt.NDArray[np.float64]:
    """Return the overlap (R,) of a box with regions: the larger share of either."""
    x, y, width, height = box
    steps = (np.arange(_GRID) + 0.5) / _GRID
    grid = np.stack(np.meshgrid(x + width * steps, y + height * steps), axis=-1).reshape(-1, 2)
    shares = []
    for region in regions:
        corners = region.box.corners()
        u, v = (each.reshape(-1, 1) for each in np.meshgrid(steps, steps))
        inner = corners[0] + u * (corners[1] - corners[0]) + v * (corners[3] - corners[0])
        inside = ((inner >= [x, y]) & (inner <= [x + width, y + height])).all(axis=1)
        shares.append(max(float(region.box.contains(grid).mean()), float(inside.mean())))
    return np.array(shares)
