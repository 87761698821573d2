# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The network that is fine-tuned: normalisation, trunk, pooling and linear heads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from crack_perception.training.backbones.mobilenet_v3 import MobileNetV3Trunk
from crack_perception.training.backbones.preprocessing import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB
from crack_perception.training.export.onnx_graph import quantise_per_channel

POOLING_EPSILON = 1e-5


def pool_mean_std_max(feature_map: torch.Tensor) -> torch.Tensor:
    """Pool features ``(N, C, H, W)`` to mean, standard deviation and maximum over space, ``(N, 3 C)``."""
    mean = feature_map.mean(dim=(2, 3))
    variance = ((feature_map - mean[:, :, None, None]) ** 2).mean(dim=(2, 3))
    return torch.cat([mean, torch.sqrt(variance + POOLING_EPSILON), feature_map.amax(dim=(2, 3))], dim=1)


class CrackNetwork(nn.Module):
    """Trunk with pooled features and two linear heads: crack logit and log width.

    Args:
        trunk: Feature extractor.
        dropout: Share of the pooled features that is dropped during training.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trunk: MobileNetV3Trunk, dropout: float = 0.2) -> None:
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(3 * trunk.out_channels, 2)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN_RGB).view(1, 3, 1, 1) * 255.0, persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD_RGB).view(1, 3, 1, 1) * 255.0, persistent=False)

    def pooled(self, tiles: torch.Tensor) -> torch.Tensor:
        """Compute pooled features ``(N, 3 C)`` float32 of uint8 BGR tiles ``(N, T, T, 3)``."""
        rgb = tiles.permute(0, 3, 1, 2).flip(1).float()
        normalised = ((rgb - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return pool_mean_std_max(self.trunk(normalised).float())

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Map uint8 BGR tiles ``(N, T, T, 3)`` to ``(N, 2)``: crack logit, natural logarithm of the width in pixels."""
        return cast(torch.Tensor, self.head(self.dropout(self.pooled(tiles))))


@contextmanager
def rounded_weights(network: nn.Module) -> Iterator[None]:
    """Context in which all convolutions and linear layers use weights rounded to int8, one scale per output channel.

    Folding batch normalisation into a convolution later scales whole output channels. It therefore does not change the
    rounded values, except for the limited precision of a stored scale.

    Gradients computed inside the context belong to the rounded weights. Applied to the exact weights outside, they form
    the straight-through estimator (Bengio et al. 2013).
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    exact = [layer.weight.detach().clone() for layer in layers]
    try:
        for layer in layers:
            levels, scales = quantise_per_channel(layer.weight.detach().numpy(), 0)
            shape = (-1, *[1] * (layer.weight.ndim - 1))
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(levels) * torch.from_numpy(scales).view(shape))
        yield
    finally:
        with torch.no_grad():
            for layer, weights in zip(layers, exact, strict=True):
                layer.weight.copy_(weights)
