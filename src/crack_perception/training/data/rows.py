# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Checks, validation split and decoded tiles of the rows of a manifest."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.training.data.manifest import LABELS, WHOLE_PHOTOGRAPHS, Row, raise_for
from crack_perception.vision.images.files import read_stored_picture
from crack_perception.vision.tiling import pad_to_tile

TILE_PX = 256


def trainable_rows(rows: Iterable[Row]) -> list[Row]:
    """Select the tiles of the train split whose licence allows training of a shipped model; no whole photographs."""
    return [row for row in rows if row.role == "ship" and row.split == "train" and row.source != WHOLE_PHOTOGRAPHS]


def check_rows(rows: Sequence[Row], directory: Path) -> None:
    """Check the rows of a manifest and report all problems at once.

    Args:
        rows: The ``ship`` rows of both splits.
        directory: Folder that their paths are relative to.

    Raises:
        UserError: A file is missing, a label is unknown, a class is empty, or a photograph is in both splits.
    """
    problems = [f"{row.path}: no such file" for row in rows if not (directory / row.path).is_file()]
    problems += [f"{row.path}: unknown label {row.label!r}" for row in rows if row.label not in LABELS]
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        splits[row.group_id].add(row.split)
    problems += [f"{group}: photograph in {' and '.join(sorted(s))}" for group, s in splits.items() if len(s) > 1]
    for label in LABELS:
        if not any(row.label == label and row.split == "train" for row in rows):
            problems.append(f"no train row is labelled {label}")
    raise_for(problems, directory)


def validation_groups(rows: Sequence[Row], share: float, seed: int) -> frozenset[str]:
    """Choose the validation photographs, which the backbone is not trained on: the same share of each surface.

    Args:
        rows: Train rows.
        share: Share of the photographs of each (origin, surface), rounded up.
        seed: Seed of the choice.

    Returns:
        The ``group_id`` values of the validation photographs; sources cut from the same photographs share them.
    """
    strata: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        strata[(row.group_id.split(":")[0], row.surface)].add(row.group_id)
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    for _, groups in sorted(strata.items()):
        ordered = sorted(groups)
        count = int(np.ceil(share * len(ordered)))
        chosen.update(ordered[i] for i in rng.permutation(len(ordered))[:count])
    return frozenset(chosen)


def load_tiles(rows: Sequence[Row], directory: Path, cache: Path) -> npt.NDArray[np.uint8]:
    """Decode all rows once; later calls map the cached array into memory.

    Args:
        rows: Images to decode.
        directory: Folder that their paths are relative to.
        cache: Folder of the array; its file name depends on the list of rows and on folder, size and time of the files.

    Returns:
        ``(N, 256, 256, 3)`` uint8 BGR, read-only memory map.

    Raises:
        UserError: Images cannot be decoded; all of them are listed.
    """
    files = (f"{row.path} {_stamp(directory / row.path)}" for row in rows)
    digest = hashlib.sha256("\n".join([str(directory.resolve()), *files]).encode()).hexdigest()[:12]
    path = cache / f"tiles_{digest}.npy"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        tiles = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(rows), TILE_PX, TILE_PX, 3))
        problems = []
        for index, row in enumerate(rows):
            try:
                image = read_stored_picture(directory / row.path).pixels
            except UserError as error:
                problems.append(error.problem)
            else:
                tiles[index] = pad_to_tile(image, TILE_PX)[:TILE_PX, :TILE_PX]
        raise_for(problems, directory)
        tiles.flush()
        partial.rename(path)
    return np.asarray(np.load(path, mmap_mode="r"))


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file; zeros where there is none, which is reported when it is read."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
