# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labelled tiles of a site on disk: folders named by class, or pictures with outlined cracks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crack_perception.errors import UserError
from crack_perception.training.adaptation.annotations import (
    AnnotatedPicture,
    check_crack_names,
    read_annotations,
    tile_labels,
)
from crack_perception.training.adaptation.repeated_pictures import with_one_label
from crack_perception.vision.images.files import PICTURE_SUFFIXES, RAW_SUFFIXES, Picture, read_masked_picture
from crack_perception.vision.tiling import Image, pad_to_tile, plan_tiles

_CRACK_FOLDERS = {"crack", "cracks", "cracked", "positive", "positives", "pos", "1", "cd", "cw", "cp"}
_INTACT_FOLDERS = {
    *("intact", "none", "no_crack", "no_cracks", "nocrack", "non_crack", "noncrack", "not_cracked", "non_cracked"),
    *("uncracked", "negative", "negatives", "neg", "background", "sound", "clean", "normal", "0", "ud", "uw", "up"),
}
_TILE_OF_PHOTOGRAPH = (
    re.compile(r"(.+?)[_-]?x\d+[_-]?y\d+", re.IGNORECASE),
    re.compile(r"(.+?)[_-](?:tile|crop|patch|part)[_-]?\d+(?:[_-]\d+)?", re.IGNORECASE),
    re.compile(r"(\d+)-\d+"),
)
"""Names of tiles that start with the name of their photograph: by position, by number, and those of SDNET2018."""
_LEAST_DATA_SHARE = 0.5
_MOST_NAMED = 10
"""Number of unusable pictures that an error names."""


@dataclass(frozen=True)
class LabelledTile:
    """One tile with its label.

    Attributes:
        pixels: ``(T, T, 3)`` BGR.
        label: 1 = crack, 0 = intact.
        group: Photograph that it was cut from.
        picture: File that it was read from.
        is_candidate: The label is that of a larger picture: only the highest-scoring of its tiles shows the crack.
    """

    pixels: Image
    label: int
    group: str
    picture: str
    is_candidate: bool


@dataclass(frozen=True)
class TileSources:
    """What a folder of labelled tiles holds.

    Attributes:
        pictures: Picture, label and photograph.
        annotated: Pictures with outlined cracks.
        unlabelled: Number of pictures without a label.
        repeated: Number of pictures that are there once more with the same label, and are left out.
        intact_names: Names of outlines that are no cracks.
    """

    pictures: list[tuple[Path, int, str]]
    annotated: list[AnnotatedPicture]
    unlabelled: int
    repeated: int = 0
    intact_names: tuple[str, ...] = ()


def find_sources(folder: Path, crack_label: str | None = None) -> TileSources:
    """List the labelled pictures of a folder and its subfolders, linked ones included, each picture once.

    Args:
        folder: Holds folders named by class (``crack`` and ``intact``, or usual other names) at any depth, COCO files
            or labelme files.
        crack_label: Category of cracks in COCO and labelme files; None takes names that contain ``crack``.

    Raises:
        UserError: It is no folder, holds no labels, an annotation file cannot be used, or a picture has two labels.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is not a folder", "Give a folder with the subfolders crack and intact")
    pictures: list[tuple[Path, int, str]] = []
    annotated: list[AnnotatedPicture] = []
    others: set[Path] = set()
    outlined: set[str] = set()
    cracks: set[str] = set()
    entered = {folder.resolve()}
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and _is_new(Path(parent) / name, entered)
        )
        place = Path(parent).relative_to(folder)
        label, inner = _label_of(place)
        for name in sorted(names):
            path = Path(parent) / name
            if name.startswith("."):
                continue
            if path.suffix.lower() == ".json":
                annotations = read_annotations(path, folder, crack_label)
                if annotations is not None:
                    annotated += annotations.pictures
                    outlined |= annotations.names
                    cracks |= annotations.crack_names
            elif path.suffix.lower() in {*PICTURE_SUFFIXES, *RAW_SUFFIXES}:
                if label is None:
                    others.add(path.resolve())
                else:
                    pictures.append((path, label, "/".join(inner) or photograph_of(path.stem)))
    if not pictures and not annotated:
        raise UserError(
            f"{folder}: holds no labelled pictures",
            "Put tiles into the subfolders crack and intact, or add COCO or labelme files",
        )
    check_crack_names(outlined, cracks, crack_label, folder)
    others -= {picture.path.resolve() for picture in annotated}
    pictures, annotated, repeated = with_one_label(pictures, annotated)
    return TileSources(pictures, annotated, len(others), repeated, tuple(sorted(outlined - cracks)))


def _is_new(folder: Path, entered: set[Path]) -> bool:
    """Return whether a folder has not been entered, also not by another link, and note it."""
    place = folder.resolve()
    is_new = place not in entered
    entered.add(place)
    return is_new


def _label_of(place: Path) -> tuple[int | None, tuple[str, ...]]:
    """Return the label that a path's innermost class folder gives, and the folders inside that one."""
    for index in range(len(place.parts) - 1, -1, -1):
        name = place.parts[index].lower().replace(" ", "_").replace("-", "_")
        if name in _CRACK_FOLDERS or name in _INTACT_FOLDERS:
            return int(name in _CRACK_FOLDERS), place.parts[index + 1 :]
    return None, ()


def photograph_of(stem: str) -> str:
    """Return the photograph that a tile's file name speaks of; the name itself where it follows no known form."""
    for form in _TILE_OF_PHOTOGRAPH:
        if match := form.fullmatch(stem):
            return match[1]
    return stem


def read_tiles(sources: TileSources, tile_px: int) -> Iterator[LabelledTile]:
    """Read all labelled tiles, one picture in memory at a time.

    Pictures of up to one tile are padded to it. A larger one is cut into tiles: all of an intact picture are intact, of
    a picture labelled as cracked only the highest-scoring one is a crack, and outlines label tiles one by one.

    Args:
        sources: Pictures to read.
        tile_px: Side of a tile [px].

    Raises:
        UserError: A picture cannot be read, or does not have the size that its annotation states. It is raised after
            all pictures were read, and names the first of the unusable ones.
    """
    unusable: list[UserError] = []
    for path, label, group in sources.pictures:
        try:
            tiles = [tile for _, tile in _cut(read_masked_picture(path), tile_px)]
        except UserError as error:
            unusable.append(error)
            continue
        for tile in tiles:
            yield LabelledTile(tile, label, group, str(path), label == 1 and len(tiles) > 1)
    for annotated in sources.annotated:
        try:
            yield from _annotated_tiles(annotated, tile_px)
        except UserError as error:
            unusable.append(error)
    if len(unusable) == 1:
        raise unusable[0]
    if unusable:
        shown = [error.problem for error in unusable[:_MOST_NAMED]]
        if len(unusable) > _MOST_NAMED:
            shown.append(f"and {len(unusable) - _MOST_NAMED} more")
        raise UserError(f"{len(unusable)} pictures cannot be used: {'; '.join(shown)}", "Replace or remove them")


def _annotated_tiles(annotated: AnnotatedPicture, tile_px: int) -> Iterator[LabelledTile]:
    """Read the tiles of a picture with outlined cracks; those that an outline only touches have no label."""
    picture = read_masked_picture(annotated.path)
    height, width = picture.pixels.shape[:2]
    stated_px = annotated.size_px
    if stated_px is not None and stated_px != (width, height):
        raise UserError(
            f"{annotated.path}: has {width}x{height} px, its annotation states {stated_px[0]}x{stated_px[1]} px",
            "Annotate the picture as it is, with its orientation tag applied",
        )
    labels = tile_labels(plan_tiles(width, height, tile_px), annotated.cracks)
    for index, tile in _cut(picture, tile_px):
        if labels[index] >= 0:
            group = photograph_of(annotated.path.stem)
            yield LabelledTile(tile, int(labels[index]), group, str(annotated.path), False)


def _cut(picture: Picture, tile_px: int) -> Iterator[tuple[int, Image]]:
    """Yield the tiles of a picture that hold data, with their index in the grid of the detector."""
    height, width = picture.pixels.shape[:2]
    for index, (left, top, right, bottom) in enumerate(plan_tiles(width, height, tile_px).boxes()):
        has_data = picture.has_data
        if has_data is None or np.mean(has_data[top:bottom, left:right]) >= _LEAST_DATA_SHARE:
            yield index, pad_to_tile(picture.pixels[top:bottom, left:right], tile_px)
