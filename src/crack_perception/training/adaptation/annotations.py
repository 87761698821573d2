# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pictures with outlined cracks: COCO and labelme files, and which tiles of such a picture show a crack."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.vision.marks import crack_names, means_crack, outlines_of, run_length_mask
from crack_perception.vision.tiling import TileGrid

Points = npt.NDArray[np.float64]

MIN_LENGTH_PX = 64
"""A tile with an outlined crack of this length (diagonal of its bounding box) is a crack tile."""
MARGIN_PX = 16
"""An intact tile has no outline within this distance; tiles between both cases are skipped."""
_MOST_JSON_BYTES = 512 << 20
BOX, LINE, RING = "box", "line", "ring"
"""Kinds of an outline: two corners, an open line of vertices, a closed polygon."""
_NO_CATEGORY = "Name that of cracks with --crack-label"


@dataclass(frozen=True)
class Outline:
    """One annotated crack: vertices ``(M, 2)`` in pixels, and whether they are a ``BOX``, ``LINE`` or ``RING``."""

    points_px: Points
    kind: str


@dataclass(frozen=True)
class AnnotatedPicture:
    """A picture and its cracks; ``size_px`` (width, height) as annotated, None where the file does not state it."""

    path: Path
    cracks: tuple[Outline, ...]
    size_px: tuple[int, int] | None


@dataclass(frozen=True)
class Annotations:
    """Content of an annotation file.

    Attributes:
        pictures: Pictures and their cracks.
        names: Names of all labels in the file.
        crack_names: Those among them that are cracks.
    """

    pictures: list[AnnotatedPicture]
    names: frozenset[str]
    crack_names: frozenset[str]


def read_annotations(path: Path, folder: Path, crack_label: str | None) -> Annotations | None:
    """Read a COCO or labelme file.

    Args:
        path: JSON file.
        folder: Folder that was given; pictures are searched beside the file and here.
        crack_label: Name of the category of cracks; None takes all names that contain ``crack``, or the only name.

    Returns:
        Its content; None if it is a JSON file of another kind.

    Raises:
        UserError: It cannot be read, its entries are malformed, a picture is missing, an annotation is
            of a picture that is not listed, or no category of a COCO file is one of cracks.
    """
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise UserError(f"{path}: has more than {_MOST_JSON_BYTES >> 20} MiB", "Split the annotations")
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path") from error
    except ValueError as error:
        raise UserError(
            f"{path}: is not a JSON file ({error})", "Export the annotations again, or remove it"
        ) from error
    if not isinstance(content, dict):
        return None
    try:
        if isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list):
            return _read_coco(content, path, folder, crack_label)
        if isinstance(content.get("shapes"), list) and "imagePath" in content:
            return _read_labelme(content, path, folder, crack_label)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: an annotation is malformed ({type(error).__name__}: {error})", "Export the annotations again"
        ) from error
    return None


def _read_coco(content: dict[str, Any], path: Path, folder: Path, crack_label: str | None) -> Annotations:
    annotations = content["annotations"]
    names = {category["id"]: str(category["name"]) for category in content.get("categories", [])}
    used = {names[entry["category_id"]] for entry in annotations}
    available = set(names.values()) if crack_label is not None else used or set(names.values())
    chosen = crack_names(available, crack_label, path, _NO_CATEGORY)
    cracks: dict[Any, list[Outline]] = {image["id"]: [] for image in content["images"]}
    if len(cracks) < len(content["images"]):
        raise UserError(f"{path}: two pictures have one id", "Export the annotations again")
    for entry in annotations:
        if entry["image_id"] not in cracks:
            raise UserError(
                f"{path}: an annotation is of the picture {entry['image_id']!r}, which is not listed",
                "Export the pictures and the annotations together",
            )
        if names[entry["category_id"]] in chosen:
            cracks[entry["image_id"]].extend(_coco_outlines(entry))
    pictures = [
        AnnotatedPicture(
            _find_picture(str(image["file_name"]), path, folder),
            tuple(cracks[image["id"]]),
            (int(image["width"]), int(image["height"])) if "width" in image and "height" in image else None,
        )
        for image in content["images"]
    ]
    return Annotations(pictures, frozenset(available), frozenset(chosen))


def _coco_outlines(entry: dict[str, Any]) -> Iterator[Outline]:
    """Yield the polygons of an annotation or the outlines of its mask, or else its box."""
    shapes = entry.get("segmentation")
    if isinstance(shapes, dict) and shapes:
        shapes = outlines_of(run_length_mask(shapes))
    if shapes:
        yield from (Outline(_points(np.reshape(shape, (-1, 2))), RING) for shape in shapes)
        return
    left, top, width, height = entry["bbox"]
    yield Outline(_points([[left, top], [left + width, top + height]]), BOX)


def _read_labelme(content: dict[str, Any], path: Path, folder: Path, crack_label: str | None) -> Annotations:
    shapes = content["shapes"]
    # One file shows few names: whether any of them is one of cracks shows in all files together.
    names = {str(shape["label"]) for shape in shapes}
    chosen = {name for name in names if (name == crack_label if crack_label is not None else means_crack(name))}
    cracks = [outline for shape in shapes if str(shape["label"]) in chosen for outline in _labelme_outlines(shape)]
    width, height = content.get("imageWidth"), content.get("imageHeight")
    picture = AnnotatedPicture(
        _find_picture(str(content["imagePath"]).replace("\\", "/"), path, folder),
        tuple(cracks),
        (int(width), int(height)) if width and height else None,
    )
    return Annotations([picture], frozenset(names), frozenset(chosen))


def check_crack_names(names: set[str], cracks: set[str], crack_label: str | None, folder: Path) -> None:
    """Check that the annotation files of a folder, of which one alone may show few names, name cracks somewhere.

    Args:
        names: Names of all labels in the files.
        cracks: Those among them that are cracks.
        crack_label: Name that the user gave.
        folder: The folder, for the message.

    Raises:
        UserError: Outlines have names, and none of them is one of cracks.
    """
    if names and not cracks:
        what = f"no outline is named '{crack_label}'" if crack_label is not None else "no outline is named like a crack"
        raise UserError(f"{folder}: {what}; the names are {', '.join(sorted(names))}", _NO_CATEGORY)


def _labelme_outlines(shape: dict[str, Any]) -> list[Outline]:
    """Return the outlines of a shape: of a mask one for each part that is connected."""
    points, kind = _points(shape["points"]), str(shape.get("shape_type", "polygon"))
    if kind == "mask":  # the corners of a box, and a PNG of its pixels
        packed = np.frombuffer(base64.b64decode(str(shape["mask"])), np.uint8)
        mask = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE) if len(packed) else None
        if mask is None:
            raise ValueError("a mask is no PNG picture")
        return [Outline(_points(outline + np.rint(points.min(axis=0))), RING) for outline in outlines_of(mask)]
    if kind == "circle":  # centre and a point of its edge
        radius = float(np.hypot(*(points[-1] - points[0])))
        return [Outline(points[0] + [[-radius, -radius], [radius, radius]], BOX)]
    kinds = {"rectangle": BOX, "line": LINE, "linestrip": LINE, "points": LINE, "point": LINE}
    return [Outline(points, kinds.get(kind, RING))]


def _points(values: Any) -> Points:
    points = np.asarray(values, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"an outline is no list of points: {str(values)[:60]}")
    # Far outside of any picture, and still safe for OpenCV's fixed-point coordinates.
    return np.clip(points, -1e5, 1e5)


def _find_picture(name: str, path: Path, folder: Path) -> Path:
    bases = (path.parent, path.parent / "images", folder, folder / "images")
    candidates = [base / name for base in bases] + [path.parent / Path(name).name]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise UserError(
        f"{path}: its picture '{name}' was not found", f"Put it beside the file or into {folder / 'images'}"
    )


def tile_labels(grid: TileGrid, cracks: tuple[Outline, ...]) -> npt.NDArray[np.int64]:
    """Return the label ``(grid.count,)`` of every tile: 1 = crack, 0 = intact, -1 = skipped.

    An outlined crack must run through the tile for ``MIN_LENGTH_PX`` or with half of its length. A box says less than
    an outline: a tile shows its crack for sure only if it holds half of the box or its centre.
    """
    labels = np.zeros(grid.count, np.int64)
    boxes = grid.boxes()
    for crack in cracks:
        for index, (left, top, right, bottom) in enumerate(boxes):
            if labels[index] == 1:
                continue
            near = _drawn(crack, left - MARGIN_PX, top - MARGIN_PX, right + MARGIN_PX, bottom + MARGIN_PX)
            if near is None:
                continue
            inside = near[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
            labels[index] = 1 if _shows(crack, inside, left, top) else -1
    return labels


def _drawn(crack: Outline, left: int, top: int, right: int, bottom: int) -> npt.NDArray[np.uint8] | None:
    """Draw a crack into a window of the picture; None where it does not reach the window."""
    low, high = crack.points_px.min(axis=0), crack.points_px.max(axis=0)
    if high[0] < left or high[1] < top or low[0] >= right or low[1] >= bottom:
        return None
    window = np.zeros((bottom - top, right - left), np.uint8)
    points = np.rint(crack.points_px - (left, top)).astype(np.int32)
    if crack.kind == BOX:
        corner, opposite = points.min(axis=0), points.max(axis=0)
        cv2.rectangle(window, corner.tolist(), opposite.tolist(), 1, cv2.FILLED)
    else:
        if crack.kind == RING:
            cv2.fillPoly(window, [points], 1)
        cv2.polylines(window, [points], crack.kind == RING, 1)
    return window if window.any() else None


def _shows(crack: Outline, inside: npt.NDArray[np.uint8], left: int, top: int) -> bool:
    rows, columns = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
    if not len(rows):
        return False
    extent_px = np.ptp(crack.points_px, axis=0) + 1.0
    if crack.kind == BOX:
        x, y = crack.points_px.mean(axis=0) - (left, top)
        holds_centre = 0 <= x < inside.shape[1] and 0 <= y < inside.shape[0]
        return bool(holds_centre or np.count_nonzero(inside) >= 0.5 * extent_px.prod())
    length_px = float(np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1))
    return length_px >= min(MIN_LENGTH_PX, 0.5 * float(np.hypot(*extent_px)))
