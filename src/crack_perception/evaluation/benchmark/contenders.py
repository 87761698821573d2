# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Models timed on tiles: the shipped models, and uncompressed networks with an SVM as in the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.recognition.backends.protocol import TileScores
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.models import LoadedModel
from crack_perception.vision.tiling import in_channels

Tiles = npt.NDArray[np.uint8]

SVM_SUFFIX = "_svm"

BATCH = 4
"""Tiles per call in comparisons where all models get the same number."""


class Reference(Protocol):
    """Uncompressed model: a network with an SVM on its features."""

    @property
    def name(self) -> str:
        """Name of the network."""
        ...

    @property
    def graph(self) -> bytes:
        """ONNX graph from ``tiles`` (N, input_px, input_px, 3) uint8 to features (N, F)."""
        ...

    @property
    def input_px(self) -> int:
        """Side length of its tiles [px]."""
        ...

    @property
    def decide(self) -> Callable[[Any], object]:
        """Function from features (N, F) float32 to decision values (N,)."""
        ...

    @property
    def support_vectors(self) -> int:
        """Number of support vectors of the SVM."""
        ...


@dataclass(frozen=True)
class Contender:
    """Model that runs on a fixed number of threads.

    Attributes:
        name: Name in the report.
        tile_px: Side length of its tiles [px].
        batch: Tiles per call at which it is fastest on this number of threads.
        run: Scores BGR tiles (N, tile_px, tile_px, 3); colour conversion is part of the time.
        network: The same without the SVM; None for models without one.
        about: Properties for the report.
    """

    name: str
    tile_px: int
    batch: int
    run: Callable[[Tiles], object]
    network: Callable[[Tiles], object] | None
    about: Mapping[str, Any]


def shipped_contender(model: LoadedModel, threads: int) -> Contender:
    """Return a shipped model as the node runs it by default.

    Raises:
        UserError: ONNX Runtime cannot load the model.
    """
    backend = open_backend("onnxruntime", model, threads)
    about = {"parameters": model.card.get("parameters"), "macs_per_tile": model.card.get("macs_per_tile")}

    def run(tiles: Tiles) -> TileScores:
        return backend.run(in_channels(tiles, model.channels))

    return Contender(model.name, model.tile_px, backend.batch, run, None, {"tile_px": model.tile_px, **about})


def reference_contender(reference: Reference, threads: int) -> Contender:
    """Return an uncompressed model: network in ONNX Runtime with the shipped models' settings, SVM in scikit-learn."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(reference.graph, options, providers=["CPUExecutionProvider"])

    def network(tiles: Tiles) -> Any:
        return session.run(None, {"tiles": tiles})[0]

    return Contender(
        f"{reference.name}{SVM_SUFFIX}",
        reference.input_px,
        BATCH,
        lambda tiles: reference.decide(network(tiles)),
        network,
        {"tile_px": reference.input_px, "support_vectors": reference.support_vectors},
    )


def resized(tiles: Tiles, tile_px: int) -> Tiles:
    """Resize tiles (N, T, T, 3) to another side length."""
    if tiles.shape[1] == tile_px:
        return tiles
    return np.stack([cv2.resize(tile, (tile_px, tile_px), interpolation=cv2.INTER_AREA) for tile in tiles])


def contenders_of(models: Sequence[LoadedModel], references: Sequence[Reference], threads: int) -> dict[str, Contender]:
    """Return all models by name, each on this number of threads."""
    ours = [shipped_contender(model, threads) for model in models]
    return {one.name: one for one in [*ours, *(reference_contender(one, threads) for one in references)]}
