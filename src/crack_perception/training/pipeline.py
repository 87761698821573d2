"""The whole of ``crack_perception train``: from a manifest to everything that a model folder holds."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crack_perception.training.backbones.features import FeatureExtractor
from crack_perception.training.backbones.finetune import FinetuneSettings, finetune
from crack_perception.training.backbones.mobilenet_v3 import MobileNetV3Trunk, load_trunk_weights
from crack_perception.training.backbones.network import CrackNetwork
from crack_perception.training.data.rows import TILE_PX
from crack_perception.training.data.training_tiles import TrainingTiles, load_training_tiles
from crack_perception.training.export.model_graph import (
    channels_of,
    feature_model,
    multiply_accumulates,
    parameters,
    tile_model,
)
from crack_perception.training.heads.decision import Decision, HeadSettings, fit_decision
from crack_perception.training.heads.rows import crack_rows, width_rows

PRETRAINED = (
    "ImageNet weights of torchvision (MobileNet_V3_Small_Weights.IMAGENET1K_V1, code BSD-3-Clause), all fine-tuned"
)


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides what ``train`` produces besides its data.

    Args:
        data: Folder with ``manifest.csv``.
        weights: Initial trunk weights (torchvision names); random initialisation when ``None``.
        cache: Folder for decoded tiles, checkpoints and features; may be deleted afterwards.
        threads: Of torch and ONNX Runtime.
        validation_share: Share of the train photographs that the backbone never sees.
        surfaces: Drawn surfaces without cracks that tiles are made from.
        drawn_tiles: Examples with something drawn among the rows of the SVM, half of them cracked.
        drawn_widths: Rendered cracks that the width heads are fitted on; a third as many calibrate and judge them.
        finetune: Schedule of the backbone.
        head: Size of the head.
    """

    data: Path
    weights: Path | None
    cache: Path
    threads: int = 2
    validation_share: float = 0.12
    surfaces: int = 3000
    drawn_tiles: int = 4800
    drawn_widths: int = 4500
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    head: HeadSettings = field(default_factory=HeadSettings)

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.finetune.seed


@dataclass(frozen=True)
class TrainedModel:
    """The graph, the channels of its tiles, what it was made from, and what was found on the way."""

    graph: bytes
    channels: int
    decision: Decision
    backbone: str
    initialisation: str
    parameters: int
    macs_per_tile: int
    training_report: dict[str, Any]


def train_model(settings: TrainSettings) -> TrainedModel:
    """Fine-tune, fit, compress and export; every finished step is found again in the cache.

    Raises:
        UserError: Unusable data or weights.
    """
    tiles = training_tiles(settings)
    network = finetuned(settings, tiles)
    initialisation = PRETRAINED if settings.weights else "random"
    return with_head(settings, tiles, network.trunk, "MobileNetV3-Small, fine-tuned on cracks", initialisation, {})


def training_tiles(settings: TrainSettings) -> TrainingTiles:
    """Everything that is learned from.

    Raises:
        UserError: Unusable data.
    """
    torch.set_num_threads(settings.threads)
    return load_training_tiles(
        settings.data, settings.cache, settings.validation_share, settings.surfaces, settings.seed
    )


def initial_network(settings: TrainSettings) -> CrackNetwork:
    """The network that every fine-tune starts from.

    Raises:
        UserError: Unusable weights.
    """
    torch.manual_seed(settings.seed)
    trunk = MobileNetV3Trunk()
    if settings.weights is not None:
        load_trunk_weights(trunk, settings.weights)
    return CrackNetwork(trunk)


def finetuned(settings: TrainSettings, tiles: TrainingTiles) -> CrackNetwork:
    """The fine-tuned network, from its checkpoint where it is finished.

    Raises:
        UserError: Unusable weights.
    """
    return finetune(initial_network(settings), tiles.materials, ~tiles.unseen, settings.cache, settings.finetune)


def with_head(
    settings: TrainSettings,
    tiles: TrainingTiles,
    trunk: MobileNetV3Trunk,
    backbone: str,
    initialisation: str,
    report: dict[str, Any],
) -> TrainedModel:
    """Fit the heads on the features of a trained trunk and export both as one graph.

    Args:
        settings: Of the training.
        tiles: What the trunk was trained on.
        trunk: Trained.
        backbone: What to call it in the card.
        initialisation: What its training started from.
        report: What else the card says of its training.
    """
    trunk = trunk.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    rounded = FeatureExtractor(feature_model(trunk, TILE_PX, True), settings.cache, settings.threads)
    exact = FeatureExtractor(feature_model(trunk, TILE_PX, False), settings.cache, settings.threads)
    unseen, seed, widths = np.nonzero(tiles.unseen)[0], settings.seed, settings.drawn_widths
    decision = fit_decision(
        crack_rows(tiles, rounded, settings.drawn_tiles, seed),
        exact.features("unseen", len(unseen), lambda i: tiles.materials.tiles[unseen[i]]),
        width_rows(tiles, rounded, widths, False, seed),
        width_rows(tiles, rounded, widths // 3, True, seed),
        seed,
        settings.head,
    )
    head = decision.head
    head_parameters = sum(getattr(head, name).size for name in head.__dataclass_fields__)
    return TrainedModel(
        graph=tile_model(trunk, head, TILE_PX, int8_weights=True).SerializeToString(),
        decision=decision,
        backbone=backbone,
        initialisation=initialisation,
        parameters=parameters(trunk) + head_parameters,
        channels=channels_of(trunk),
        macs_per_tile=multiply_accumulates(trunk, head, TILE_PX),
        training_report={
            **tiles.report(),
            "drawn_svm_examples": settings.drawn_tiles,
            "finetune": asdict(settings.finetune),
            **report,
        },
    )


def default_cache() -> Path:
    """Where intermediate results go unless the user says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "crack_perception" / "train"
