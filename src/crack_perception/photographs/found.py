# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Picture files of a folder with their tags."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np

from crack_perception.errors import UserError
from crack_perception.photographs.dji import check_visible
from crack_perception.photographs.table import Unusable
from crack_perception.photographs.tags import PhotographTags, read_tags
from crack_perception.vision.images.files import PICTURE_SUFFIXES
from crack_perception.vision.images.headers import read_picture_header

_MOST_PIXELS = 400_000_000
_MOST_BYTES = 1 << 30
# EXIF orientation -> degrees by which the picture is turned clockwise to be upright; others are mirrored.
_TURNS_DEG = {1: 0, 3: 180, 6: 90, 8: 270}


class FoundPicture:
    """A picture file with its tags.

    Args:
        path: The file.
        name: Path relative to the folder.

    Attributes:
        problem: Why it cannot be used; None if it can.
        tags: Its tags.
        size_px: Stored width and height.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.problem: Unusable | None = None
        self.tags = PhotographTags()
        self.size_px = (0, 0)
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                self.problem = Unusable("damaged", "it is no file")
                return
            if status.st_size > _MOST_BYTES:
                self.problem = Unusable("too_large", f"it has {status.st_size >> 20} MiB")
                return
            self.tags = read_tags(path)
            self.size_px = self.tags.size_px or _header_size(path)
        except (UserError, OSError, ValueError) as error:
            self.problem = Unusable("damaged", getattr(error, "problem", str(error)))
            return
        if min(self.size_px) <= 0:
            self.problem = Unusable("damaged", "its header is damaged")
        elif self.size_px[0] * self.size_px[1] > _MOST_PIXELS:
            self.problem = Unusable("too_large", f"it has {self.size_px[0]}x{self.size_px[1]} px")
        elif self.tags.orientation not in _TURNS_DEG:
            self.problem = Unusable("mirrored", f"its orientation is {self.tags.orientation}")
        else:
            try:
                check_visible(self.tags)
            except Unusable as problem:
                self.problem = problem

    @property
    def turned_deg(self) -> int:
        """Clockwise turn that the orientation tag asks for."""
        return _TURNS_DEG.get(self.tags.orientation, 0)


def _header_size(path: Path) -> tuple[int, int]:
    if not path.stat().st_size:
        return 0, 0
    header = read_picture_header(np.memmap(path, np.uint8, "r"))
    return header.width_px, header.height_px


def pictures_in(folder: Path, recursive: bool, excluded: Path | None) -> dict[str, Path]:
    """Return the pictures of a folder by their relative path, sorted.

    Raises:
        UserError: There are none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder", "Give the folder of the photographs")
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        if not recursive:
            folders.clear()
        if excluded is not None and Path(parent).resolve() == excluded.resolve():
            folders.clear()
            continue
        for name in sorted(names):
            path = Path(parent) / name
            # Names in "._" are the resource forks of macOS.
            if path.suffix.lower() in PICTURE_SUFFIXES and not name.startswith("._"):
                found[path.relative_to(folder).as_posix()] = path
    if not found:
        raise UserError(
            f"{folder}: holds no pictures",
            "Check the path" + ("" if recursive else "; --recursive includes subfolders"),
        )
    return found
