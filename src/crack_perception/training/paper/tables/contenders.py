"""What the tables compare: frozen backbones, and the trunks of finished models."""

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

_LEAVE_OUT = "Name the models to compare with --model"


@dataclass(frozen=True)
class Contender:
    """A feature extractor and what it costs.

    Args:
        name: In tables.
        initialisation: Where the weights come from.
        parameters: Up to the last feature map; of a model, all.
        macs_per_tile: Likewise.
        bytes_shipped: Size of the model's file; ``None`` for what is not shipped.
        learned: Whether it was trained on the tiles that classifiers are fitted on, which it then knows by heart.
        extract: ``(list name, count, tile)`` to pooled features ``(count, F)``, cached on disk.
        graph: Makes the ONNX graph that is timed.
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
        """Size of the parameters in float32."""
        return 4 * self.parameters

    def features(self, name: str, tiles: Sequence[Tile]) -> Features:
        """Pooled features ``(N, F)``.

        Args:
            name: Of the list, for the names of cached files.
            tiles: ``(T, T, 3)`` uint8 BGR each, at least one.
        """
        return self.extract(list_name(name, tiles), len(tiles), lambda i: tiles[i])


def frozen_backbone(name: str, weights_directory: Path | None, cache: Path, threads: int) -> Contender:
    """A registered backbone as it was trained on ImageNet, or with random weights where there are none.

    Raises:
        UserError: Unknown backbone, or weights that do not fit it.
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
    """The trunk of a finished model; its cost is that of the whole model, heads included.

    Raises:
        UserError: The model's tiles have another size than those of the tables.
    """
    if model.tile_px != TILE_PX:
        raise UserError(
            f"model {model.name} looks at tiles of {model.tile_px} px, the tables at {TILE_PX} px",
            _LEAVE_OUT,
        )
    graph = pooled_features_of(model)
    if graph is None:
        raise UserError(f"model {model.name} has no dense layer behind its features", _LEAVE_OUT)
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
