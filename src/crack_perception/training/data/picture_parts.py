# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Square parts of pictures at random places and scales, cut once and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.images.files import read_picture

Tile = npt.NDArray[np.uint8]

SIDE_SHARES = (0.3, 1.0)
"""Smallest and largest side of a part as a share of the shorter side of its picture."""


def load_parts(files: Sequence[Path], count: int, size: int, seed: int, cache: Path, name: str) -> Tile:
    """Cut parts of pictures once; later calls map them into memory.

    Args:
        files: Pictures.
        count: Number of parts of each picture.
        size: Side of the parts [px].
        seed: Seed of places and sides.
        cache: Folder of the array; its file name depends on the arguments and on the names and sizes of the files.
        name: First word of the file name.

    Returns:
        ``(len(files) * count, T, T, 3)`` uint8 BGR, the parts of a picture one after the other; read-only memory map.

    Raises:
        UserError: A picture cannot be read.
    """
    facts = [f"{count} {size} {seed}", *(f"{file} {file.stat().st_size}" for file in files)]
    path = cache / f"{name}_{hashlib.sha256(chr(10).join(facts).encode()).hexdigest()[:12]}.npy"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        parts = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(files) * count, size, size, 3))
        for index, file in enumerate(files):
            picture, rng = read_picture(file), np.random.default_rng([seed, index])
            for number in range(index * count, (index + 1) * count):
                parts[number] = random_part(picture, size, rng)
        parts.flush()
        partial.rename(path)
    return np.asarray(np.load(path, mmap_mode="r"))


def random_part(picture: Tile, size: int, rng: np.random.Generator) -> Tile:
    """Cut a square of a random side at a random place, and resize it.

    Args:
        picture: ``(H, W, 3)`` uint8 BGR.
        size: Side of the result [px].
        rng: Random number generator.
    """
    height, width = picture.shape[:2]
    side = max(1, round(min(height, width) * float(rng.uniform(*SIDE_SHARES))))
    left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    part = picture[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (size, size), interpolation=how), np.uint8)
