# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cached pooled features of any registered backbone, and its cost (section 3.1.1 of the paper)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from crack_perception.training.backbones.features import FeatureCache
from crack_perception.training.backbones.network import pool_mean_std_max
from crack_perception.training.backbones.registry import LoadedBackbone, load_backbone
from crack_perception.training.export.model_graph import multiply_accumulates

_BATCH = 16

Tile = npt.NDArray[np.uint8]


class BackboneFeatures:
    """A frozen backbone as feature extractor.

    Args:
        name: Name of the backbone (``backbones.registry.get_backbone``).
        weights: File with its weights; random weights when ``None``.
        cache: Folder of the features, which are identified by backbone, weights, list and count.
        threads: Number of threads of torch.
        seed: Seed of random weights.

    Raises:
        UserError: There is no such backbone, or the file does not fit it.
    """

    def __init__(self, name: str, weights: Path | None, cache: Path, threads: int, seed: int = 0) -> None:
        self._loaded = load_backbone(name, weights, seed)
        self._loaded.trunk.to(memory_format=torch.channels_last)
        self._threads = threads
        self._cache = FeatureCache(cache / "features", f"{name}_{_digest(self._loaded)}")

    @property
    def initialisation(self) -> str:
        """Origin of the weights, in one sentence."""
        return self._loaded.initialisation

    @property
    def parameters(self) -> int:
        """Number of parameters up to the last feature map."""
        return sum(parameter.numel() for parameter in self._loaded.trunk.parameters())

    @property
    def bytes_fp32(self) -> int:
        """Size of the parameters in float32 [bytes]."""
        return 4 * self.parameters

    @property
    def macs_per_tile(self) -> int:
        """Multiply-accumulate operations of the convolutions for one tile at the backbone's input size."""
        return multiply_accumulates(self._loaded.trunk, None, self._loaded.backbone.input_px)

    def features(self, list_name: str, count: int, tile: Callable[[int], Tile]) -> npt.NDArray[np.float32]:
        """Return mean, standard deviation and maximum of the last feature map, ``(count, 3 C)`` float32.

        Args:
            list_name: Name of the list of tiles; the same name means the same tiles.
            count: Number of tiles, at least one.
            tile: Returns tile i, square uint8 BGR of any size.
        """

        def compute(indices: range) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
            with _threads(self._threads):
                batches = [indices[i : i + _BATCH] for i in range(0, len(indices), _BATCH)]
                parts = [self._pooled([tile(i) for i in batch]) for batch in batches]
            return np.concatenate(parts), np.zeros(len(indices))

        return self._cache.labelled_features(list_name, count, compute)[0]

    def _pooled(self, tiles: Sequence[Tile]) -> npt.NDArray[np.float32]:
        side = self._loaded.backbone.input_px
        resized = np.stack([cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA) for tile in tiles])
        with torch.inference_mode():
            images = self._loaded.preprocessing.apply(torch.from_numpy(resized))
            return np.asarray(pool_mean_std_max(self._loaded.trunk(images)).numpy(), np.float32)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Set the number of threads of torch, and restore it at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _digest(loaded: LoadedBackbone) -> str:
    """Hash everything that determines the features: weights, batch statistics, preprocessing and input size."""
    digest = hashlib.sha256(f"{loaded.preprocessing} {loaded.backbone.input_px}".encode())
    for name, value in loaded.trunk.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
