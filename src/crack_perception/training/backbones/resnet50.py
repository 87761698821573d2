# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ResNet50 (He et al. 2016, https://arxiv.org/abs/1512.03385) with torchvision's names.

As in torchvision ("v1.5"), the 3x3 convolution of a block has the stride, not its first 1x1 convolution.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

STEM_CHANNELS = 64
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, blocks and stride of each stage."""
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * inner
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, H, W)`` to ``(N, 4 inner, H / stride, W / stride)``."""
        shortcut = features if self.downsample is None else self.downsample(features)
        result = nn.functional.relu(self.bn1(self.conv1(features)))
        result = nn.functional.relu(self.bn2(self.conv2(result)))
        return nn.functional.relu(self.bn3(self.conv3(result)) + shortcut)


class ResNet50Trunk(nn.Module):
    """ResNet50 up to the last block."""

    out_channels = EXPANSION * STAGES[-1][0]

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        channels = STEM_CHANNELS
        for number, (inner, blocks, stride) in enumerate(STAGES, start=1):
            stage = [Bottleneck(channels, inner, stride)]
            channels = EXPANSION * inner
            stage += [Bottleneck(channels, inner, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images ``(N, 3, H, W)`` to the last feature map ``(N, 2048, H / 32, W / 32)``."""
        features = nn.functional.relu(self.bn1(self.conv1(images)))
        features = nn.functional.max_pool2d(features, 3, 2, 1)
        for number in range(1, len(STAGES) + 1):
            features = self.get_submodule(f"layer{number}")(features)
        return cast(torch.Tensor, features)
