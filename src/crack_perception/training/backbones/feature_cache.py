"""Features of lists of tiles on disk: computed once, in chunks, so that a stopped run goes on where it was."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

_LOGGER = logging.getLogger(__name__)

CHUNK = 500

Labelled = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]
"""Features ``(N, F)`` and one number a tile ``(N,)``."""


class FeatureCache:
    """Arrays found again by the name and length of their list and by what computed them.

    Args:
        folder: For the files; made when needed.
        computed_by: Digest of everything that decides a tile's features; part of the file names.
        chunk: Tiles between two writes.
    """

    def __init__(self, folder: Path, computed_by: str, chunk: int = CHUNK) -> None:
        self._folder = folder
        self._computed_by = computed_by
        self._chunk = chunk

    def labelled_features(self, name: str, count: int, compute: Callable[[range], Labelled]) -> Labelled:
        """Features ``(count, F)`` float32 and numbers ``(count,)`` float64, from disk as far as they lie there.

        Args:
            name: Of this list of tiles; the same name means the same tiles.
            count: Number of tiles, at least one.
            compute: Makes both for some consecutive tiles of the list.
        """
        whole = self._folder / f"{name}_{count}_{self._computed_by}.npz"
        if whole.is_file():
            return _read(whole)
        _LOGGER.info("computing the features of %d tiles (%s)", count, name)
        parts = whole.with_suffix(".parts")
        parts.mkdir(parents=True, exist_ok=True)
        chunks = []
        for first in range(0, count, self._chunk):
            tiles = range(first, min(first + self._chunk, count))
            part = parts / f"{tiles.start}_{tiles.stop}.npz"
            if not part.is_file():
                _write(part, compute(tiles))
            chunks.append(_read(part))
        result = np.concatenate([features for features, _ in chunks]), np.concatenate([labels for _, labels in chunks])
        _write(whole, result)
        shutil.rmtree(parts)
        return result


def _read(path: Path) -> Labelled:
    with np.load(path) as stored:
        return stored["features"], stored["labels"]


def _write(path: Path, labelled: Labelled) -> None:
    """All of the file or none of it, however the run ends."""
    partial = path.with_suffix(f".partial{os.getpid()}")
    with partial.open("wb") as file:
        np.savez(file, features=labelled[0], labels=labelled[1])
    os.replace(partial, path)
