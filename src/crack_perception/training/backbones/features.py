# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pooled features of tiles and views, computed with the exported graph (the one that is deployed) and cached."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import ModelProto

from crack_perception.vision.tiling import in_channels

_LOGGER = logging.getLogger(__name__)

CHUNK = 500
_BATCH = 16

Features = npt.NDArray[np.float32]

Labelled = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]
"""Features ``(N, F)`` and one number for each tile ``(N,)``."""


class FeatureCache:
    """Cache of feature arrays, identified by the name and length of their list and by a digest of the extractor.

    Args:
        folder: Folder of the files; created when needed.
        computed_by: Digest of everything that determines the features of a tile; part of the file names.
        chunk: Number of tiles between two writes.
    """

    def __init__(self, folder: Path, computed_by: str, chunk: int = CHUNK) -> None:
        self._folder = folder
        self._computed_by = computed_by
        self._chunk = chunk

    def labelled_features(self, name: str, count: int, compute: Callable[[range], Labelled]) -> Labelled:
        """Return features ``(count, F)`` float32 and numbers ``(count,)`` float64; only missing chunks are computed.

        Args:
            name: Name of the list of tiles; the same name means the same tiles.
            count: Number of tiles, at least one.
            compute: Computes both for consecutive tiles of the list.
        """
        whole = self._folder / f"{name}_{count}_{self._computed_by}.npz"
        if whole.is_file():
            return _read(whole)
        _LOGGER.info("Computing the features of %d tiles (%s)", count, name)
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
    """Write the file atomically, so that an interrupted run leaves no partial file."""
    partial = path.with_suffix(f".partial{os.getpid()}")
    with partial.open("wb") as file:
        np.savez(file, features=labelled[0], labels=labelled[1])
    os.replace(partial, path)


class FeatureExtractor:
    """Runs a feature graph (``export.feature_model``) and caches its outputs.

    Args:
        model: Graph with input ``tiles`` and output ``pooled``.
        cache: Folder of the arrays, which are identified by graph and name.
        threads: Number of threads of ONNX Runtime.
    """

    def __init__(self, model: ModelProto, cache: Path, threads: int) -> None:
        graph = model.SerializeToString()
        self.digest = hashlib.sha256(graph).hexdigest()[:12]
        self._cache = FeatureCache(cache / "features", self.digest)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._channels = int(self._session.get_inputs()[0].shape[-1])

    def run(self, tiles: npt.NDArray[np.uint8]) -> Features:
        """Compute pooled features ``(N, F)`` of tiles ``(N, T, T, 3)`` uint8 BGR without the cache."""
        seen = in_channels(tiles, self._channels)
        return np.asarray(self._session.run(["pooled"], {"tiles": seen})[0], np.float32)

    def features(self, name: str, count: int, tile: Callable[[int], npt.NDArray[np.uint8]]) -> Features:
        """Return pooled features ``(count, F)`` float32.

        Args:
            name: Name of the list of tiles; the same name means the same tiles.
            count: Number of tiles.
            tile: Returns tile i, ``(T, T, 3)`` uint8 BGR.
        """
        return self.labelled_features(name, count, lambda i: (tile(i), 0.0))[0]

    def labelled_features(
        self, name: str, count: int, view: Callable[[int], tuple[npt.NDArray[np.uint8], float]]
    ) -> tuple[Features, npt.NDArray[np.float64]]:
        """Return pooled features ``(count, F)`` and the number ``(count,)`` that ``view`` returns with each tile."""

        def compute(indices: range) -> tuple[Features, npt.NDArray[np.float64]]:
            parts, labels = [], []
            for first in range(0, len(indices), _BATCH):
                views = [view(i) for i in indices[first : first + _BATCH]]
                parts.append(self.run(np.stack([tile for tile, _ in views])))
                labels += [label for _, label in views]
            return np.concatenate(parts), np.array(labels, np.float64)

        return self._cache.labelled_features(name, count, compute)


def chosen_indices(candidates: npt.NDArray[np.bool_], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Choose ``count`` candidates at random; each is used equally often, give or take one."""
    pool = np.nonzero(candidates)[0]
    rounds = -(-count // len(pool))
    return np.concatenate([rng.permutation(pool) for _ in range(rounds)])[:count]
