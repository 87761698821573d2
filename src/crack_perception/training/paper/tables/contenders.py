# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Contenders of the tables: frozen backbones, and the trunks of finished models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.backbones.features import FeatureExtractor
from crack_perception.training.backbones.frozen_features import BackboneFeatures
from crack_perception.training.backbones.registry import find_weights, load_backbone
from crack_perception.training.data.rows import TILE_PX
from crack_perception.training.evaluation.left_out_sources import pooled_features_of
from crack_perception.training.paper.tables.samples import list_name
from crack_perception.training.paper.tables.timing import backbone_graph

Tile = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

_REMEDY = "Choose other models with --model"


@dataclass(frozen=True)
class Contender:
    """A feature extractor with its cost.

    Args:
        name: Name in the tables.
        initialisation: Origin of the weights.
        parameters: Number of parameters up to the last feature map; of a finished model, of the whole model.
        macs_per_tile: Multiply-accumulates of the same part.
        bytes_shipped: Size of the model file; ``None`` for a backbone.
        learned: Whether it was trained on the tiles that classifiers are fitted on.
        extract: Function from ``(list name, count, tile)`` to pooled features ``(count, F)``, cached on disk.
        graph: Function that builds the ONNX graph to time.
    """

    name: str
    initialisation: str
    parameters: int
    macs_per_tile: int
    bytes_shipped: int | None
    learned: bool
    extract: Callable[[str, int, Callable[[int], Tile]], Features]
    graph: Callable[[], bytes]

    @property
    def bytes_fp32(self) -> int:
        """Size of the parameters in float32 [bytes]."""
        return 4 * self.parameters

    def features(self, name: str, tiles: Sequence[Tile]) -> Features:
        """Compute pooled features ``(N, F)``.

        Args:
            name: Name of the list of tiles, used in the names of cached files.
            tiles: ``(T, T, 3)`` uint8 BGR each, at least one.
        """
        return self.extract(list_name(name, tiles), len(tiles), lambda i: tiles[i])


def frozen_backbone(name: str, weights_directory: Path | None, cache: Path, threads: int) -> Contender:
    """Load a registered backbone with ImageNet weights, or with random weights if there are none.

    Raises:
        UserError: The backbone is unknown, or the weights do not match it.
    """
    weights = find_weights(name, weights_directory) if weights_directory else None
    frozen = BackboneFeatures(name, weights, cache, threads)
    return Contender(
        name if weights else f"{name} (random)",
        frozen.initialisation,
        frozen.parameters,
        frozen.macs_per_tile,
        None,
        False,
        frozen.features,
        lambda: backbone_graph(load_backbone(name, weights, 0)),
    )


def finished_model(model: LoadedModel, cache: Path, threads: int) -> Contender:
    """Use the trunk of a finished model; its cost is that of the whole model including heads.

    Raises:
        UserError: The tile size differs from that of the tables, or the model has no dense layer.
    """
    if model.tile_px != TILE_PX:
        raise UserError(
            f"model {model.name} takes tiles of {model.tile_px} px, but the tables need {TILE_PX} px",
            _REMEDY,
        )
    graph = pooled_features_of(model)
    if graph is None:
        raise UserError(f"model {model.name} has no dense layer behind its features", _REMEDY)
    extractor = FeatureExtractor(graph, cache, threads)
    return Contender(
        f"models/{model.name}",
        f"trained on cracks; initialisation: {model.card['initialisation']}",
        int(model.card["parameters"]),
        int(model.card["macs_per_tile"]),
        int(model.card["bytes_total"]),
        True,
        extractor.features,
        lambda: model.graph,
    )
