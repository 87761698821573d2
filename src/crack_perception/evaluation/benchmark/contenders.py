"""What is timed on tiles: the shipped models, and the uncompressed ones of the paper with an SVM behind a network."""

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
"""Tiles in one call, where all models get as many."""


class Reference(Protocol):
    """An uncompressed model; see ``training.speed_contenders``, which makes them."""

    @property
    def name(self) -> str:
        """Of the network."""
        ...

    @property
    def graph(self) -> bytes:
        """ONNX, from ``tiles`` (N, input_px, input_px, 3) uint8 to features (N, F)."""
        ...

    @property
    def input_px(self) -> int:
        """Side of its tiles."""
        ...

    @property
    def decide(self) -> Callable[[Any], object]:
        """Features (N, F) float32 to decision values (N,)."""
        ...

    @property
    def support_vectors(self) -> int:
        """Of the machine that decides."""
        ...


@dataclass(frozen=True)
class Contender:
    """A model on one number of threads.

    Attributes:
        name: In the report.
        tile_px: Side of the tiles that it takes.
        batch: Tiles a call that suit it on so many threads.
        run: Scores BGR tiles (N, tile_px, tile_px, 3); what a model makes of their colours is part of its time.
        network: The same without the SVM; None where there is none.
        about: What the reader should know about it.
    """

    name: str
    tile_px: int
    batch: int
    run: Callable[[Tiles], object]
    network: Callable[[Tiles], object] | None
    about: Mapping[str, Any]


def shipped_contender(model: LoadedModel, threads: int) -> Contender:
    """A shipped model as the node runs it by default.

    Raises:
        UserError: ONNX Runtime cannot load it.
    """
    backend = open_backend("onnxruntime", model, threads)
    about = {"parameters": model.card.get("parameters"), "macs_per_tile": model.card.get("macs_per_tile")}

    def run(tiles: Tiles) -> TileScores:
        return backend.run(in_channels(tiles, model.channels))

    return Contender(model.name, model.tile_px, backend.batch, run, None, {"tile_px": model.tile_px, **about})


def reference_contender(reference: Reference, threads: int) -> Contender:
    """An uncompressed model: its network in ONNX Runtime with the same settings as ours, its SVM in scikit-learn."""
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
    """The same tiles (N, T, T, 3) with another side."""
    if tiles.shape[1] == tile_px:
        return tiles
    return np.stack([cv2.resize(tile, (tile_px, tile_px), interpolation=cv2.INTER_AREA) for tile in tiles])


def contenders_of(models: Sequence[LoadedModel], references: Sequence[Reference], threads: int) -> dict[str, Contender]:
    """All of them, on so many threads, by name."""
    ours = [shipped_contender(model, threads) for model in models]
    return {one.name: one for one in [*ours, *(reference_contender(one, threads) for one in references)]}
