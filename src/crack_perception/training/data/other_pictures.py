# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tiles of pictures that show no structure: people, animals, plants, vehicles, furniture, landscapes.

A model that was trained on structures only reports many of these as cracked, because nothing says that they are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.training.data.picture_parts import load_parts
from crack_perception.vision.images.files import PICTURE_SUFFIXES

STRATUM = "other_pictures"
"""Stratum of these tiles, which are in no manifest."""
_TILES_PER_PICTURE = 8
_SOURCE_FILE = "source.json"


@dataclass(frozen=True)
class OtherPictures:
    """Tiles of pictures that show no structure.

    Attributes:
        pixels: ``(M, T, T, 3)`` uint8 BGR.
        groups: ``(M,)`` names of the pictures.
        unseen: ``(M,)`` True for tiles of the pictures that no backbone is trained on.
    """

    pixels: npt.NDArray[np.uint8]
    groups: npt.NDArray[np.str_]
    unseen: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def learned(self) -> npt.NDArray[np.intp]:
        """Indices of the tiles that a backbone is trained on."""
        return np.nonzero(~self.unseen)[0]


NO_OTHER_PICTURES = OtherPictures(np.empty((0, 1, 1, 3), np.uint8), np.empty(0, np.str_), np.empty(0, np.bool_))
"""For a training without such pictures."""


def source_of(folder: Path) -> dict[str, str]:
    """Return title, authors, URL and licence of the pictures of a folder from its ``source.json``.

    Raises:
        UserError: The file holds no JSON object of texts.
    """
    path = folder / _SOURCE_FILE
    if not path.is_file():
        return {"title": f"Pictures of the folder {folder.name}", "licence": "unknown"}
    try:
        source = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not readable JSON ({error})", "Write title, authors, url and licence") from error
    if not isinstance(source, dict) or not all(isinstance(value, str) for value in source.values()):
        raise UserError(f"{path}: is not an object of texts", "Write title, authors, url and licence")
    return {"licence": "unknown", **source}


def other_picture_files(folder: Path) -> list[Path]:
    """List the pictures of a folder and its subfolders, sorted.

    Raises:
        UserError: There are none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not files:
        raise UserError(f"{folder} has no pictures", "Give a folder of pictures that show no structure")
    return files


def load_other_pictures(folder: Path, size: int, seed: int, cache: Path, validation_share: float) -> OtherPictures:
    """Cut eight tiles from every picture of a folder and its subfolders.

    Args:
        folder: Folder with the pictures.
        size: Side of the tiles [px].
        seed: Seed of places, scales and of the choice of the validation pictures.
        cache: Folder for the tiles.
        validation_share: Share of the pictures that are kept for validation.

    Raises:
        UserError: The folder has no pictures, or one cannot be read.
    """
    files = other_picture_files(folder)
    names = [f"other:{path.relative_to(folder).as_posix()}" for path in files]
    held_out = np.random.default_rng([seed, len(files)]).permutation(len(files)) < validation_share * len(files)
    return OtherPictures(
        load_parts(files, _TILES_PER_PICTURE, size, seed, cache, "others"),
        np.repeat(np.array(names), _TILES_PER_PICTURE),
        np.repeat(held_out, _TILES_PER_PICTURE),
    )
