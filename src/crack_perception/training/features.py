"""Pooled features of tiles and of views made from them, computed by the int8 trunk that will fly, and cached."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import ModelProto

_LOGGER = logging.getLogger(__name__)

_BATCH = 16

Features = npt.NDArray[np.float32]


class FeatureExtractor:
    """Runs a feature graph (``export.feature_model``) and keeps what it computed.

    Args:
        model: Graph with input ``tiles`` and output ``pooled``.
        cache: Folder for the arrays; they are found again by graph and by name.
        threads: Of ONNX Runtime.
    """

    def __init__(self, model: ModelProto, cache: Path, threads: int) -> None:
        graph = model.SerializeToString()
        self._digest = hashlib.sha256(graph).hexdigest()[:12]
        self._cache = cache / "features"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def features(self, name: str, count: int, tile: Callable[[int], npt.NDArray[np.uint8]]) -> Features:
        """Pooled features ``(count, F)`` float32.

        Args:
            name: Of this list of tiles; the same name means the same tiles.
            count: Number of tiles.
            tile: Makes tile i, ``(T, T, 3)`` uint8 BGR.
        """
        path = self._cache / f"{name}_{count}_{self._digest}.npy"
        if path.is_file():
            return np.asarray(np.load(path), np.float32)
        _LOGGER.info("computing the features of %d tiles (%s)", count, name)
        parts = []
        for first in range(0, count, _BATCH):
            batch = np.stack([tile(i) for i in range(first, min(first + _BATCH, count))])
            parts.append(self._session.run(["pooled"], {"tiles": batch})[0])
        features = np.concatenate(parts)
        self._cache.mkdir(parents=True, exist_ok=True)
        np.save(path, features)
        return np.asarray(features, np.float32)


def chosen_indices(candidates: npt.NDArray[np.bool_], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """``count`` indices of candidates, each used as evenly as possible."""
    pool = np.nonzero(candidates)[0]
    rounds = -(-count // len(pool))
    return np.concatenate([rng.permutation(pool) for _ in range(rounds)])[:count]
