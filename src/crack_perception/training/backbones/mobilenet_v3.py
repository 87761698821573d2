# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""MobileNetV3 trunks (Howard et al. 2019, https://arxiv.org/abs/1905.02244) with torchvision's parameter names.

The block tables are data: narrower and shorter variants need no further code, and the exporter iterates over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from crack_perception.training.backbones.preprocessing import TORCHVISION

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.01


@dataclass(frozen=True)
class Block:
    """One inverted residual block: 1x1 expansion, depthwise convolution, squeeze-excitation, 1x1 projection."""

    kernel: int
    expanded: int
    out: int
    squeeze_excitation: bool
    hard_swish: bool
    stride: int


SMALL_BLOCKS = (
    Block(3, 16, 16, True, False, 2),
    Block(3, 72, 24, False, False, 2),
    Block(3, 88, 24, False, False, 1),
    Block(5, 96, 40, True, True, 2),
    Block(5, 240, 40, True, True, 1),
    Block(5, 240, 40, True, True, 1),
    Block(5, 120, 48, True, True, 1),
    Block(5, 144, 48, True, True, 1),
    Block(5, 288, 96, True, True, 2),
    Block(5, 576, 96, True, True, 1),
    Block(5, 576, 96, True, True, 1),
)
LARGE_BLOCKS = (
    Block(3, 16, 16, False, False, 1),
    Block(3, 64, 24, False, False, 2),
    Block(3, 72, 24, False, False, 1),
    Block(5, 72, 40, True, False, 2),
    Block(5, 120, 40, True, False, 1),
    Block(5, 120, 40, True, False, 1),
    Block(3, 240, 80, False, True, 2),
    Block(3, 200, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 480, 112, True, True, 1),
    Block(3, 672, 112, True, True, 1),
    Block(5, 672, 160, True, True, 2),
    Block(5, 960, 160, True, True, 1),
    Block(5, 960, 160, True, True, 1),
)
SMALL_STEM_CHANNELS = 16
"""Channels of the stem, also in MobileNetV3-Large."""
LAST_EXPANSION = 6


def divisible_by_8(channels: float) -> int:
    """Round to a multiple of 8, at least 8 and at most 10 % below the value (as in the reference implementation)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class ConvNormActivation(nn.Sequential):
    """Convolution without bias, batch normalisation and an optional activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: str | None = None
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM),
        ]
        if activation is not None:
            layers.append(nn.Hardswish(inplace=True) if activation == "hard_swish" else nn.ReLU(inplace=True))
        super().__init__(*layers)
        self.activation = activation


class SqueezeExcitation(nn.Module):
    """Channel attention: global mean, two 1x1 convolutions, hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = divisible_by_8(channels / 4)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scale each channel of features ``(N, C, H, W)``."""
        pooled = features.mean(dim=(2, 3), keepdim=True)
        scale = nn.functional.hardsigmoid(self.fc2(nn.functional.relu(self.fc1(pooled))))
        return features * scale


class InvertedResidual(nn.Module):
    """Block of MobileNetV3, with a skip connection where the shape stays the same."""

    def __init__(self, inputs: int, block: Block) -> None:
        super().__init__()
        activation = "hard_swish" if block.hard_swish else "relu"
        layers: list[nn.Module] = []
        if block.expanded != inputs:
            layers.append(ConvNormActivation(inputs, block.expanded, 1, activation=activation))
        layers.append(
            ConvNormActivation(
                block.expanded, block.expanded, block.kernel, block.stride, block.expanded, activation=activation
            )
        )
        if block.squeeze_excitation:
            layers.append(SqueezeExcitation(block.expanded))
        layers.append(ConvNormActivation(block.expanded, block.out, 1))
        self.block = nn.Sequential(*layers)
        self.residual = block.stride == 1 and inputs == block.out

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, H, W)`` to ``(N, block.out, H / stride, W / stride)``."""
        result = self.block(features)
        return cast(torch.Tensor, features + result if self.residual else result)


class MobileNetV3Trunk(nn.Module):
    """MobileNetV3 up to the last feature map.

    Args:
        blocks: Block table; a prefix of it gives a truncated trunk.
        width: Factor on every channel count (rounded to multiples of 8).
        out_channels: Channels of the last 1x1 convolution; None for 6 times those of the last block.
    """

    preprocessing = TORCHVISION

    def __init__(
        self, blocks: tuple[Block, ...] = SMALL_BLOCKS, width: float = 1.0, out_channels: int | None = None
    ) -> None:
        super().__init__()
        channels = divisible_by_8(SMALL_STEM_CHANNELS * width)
        layers: list[nn.Module] = [ConvNormActivation(3, channels, 3, 2, activation="hard_swish")]
        for block in blocks:
            scaled = Block(
                block.kernel,
                divisible_by_8(block.expanded * width),
                divisible_by_8(block.out * width),
                block.squeeze_excitation,
                block.hard_swish,
                block.stride,
            )
            layers.append(InvertedResidual(channels, scaled))
            channels = scaled.out
        self.out_channels = out_channels or LAST_EXPANSION * channels
        layers.append(ConvNormActivation(channels, self.out_channels, 1, activation="hard_swish"))
        self.features = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised RGB images ``(N, 3, H, W)`` to the last feature map ``(N, out_channels, H / 32, W / 32)``."""
        return cast(torch.Tensor, self.features(images))
