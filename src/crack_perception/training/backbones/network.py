# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The network that is fine-tuned: normalisation, trunk, pooling and linear heads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from crack_perception.training.backbones.efficientnet_lite import EfficientNetLiteTrunk
from crack_perception.training.backbones.mobilenet_v3 import MobileNetV3Trunk
from crack_perception.training.export.onnx_graph import quantise_per_channel

POOLING_EPSILON = 1e-5
Trunk = MobileNetV3Trunk | EfficientNetLiteTrunk


def pool_mean_std_max(feature_map: torch.Tensor) -> torch.Tensor:
    """Pool features ``(N, C, H, W)`` to mean, standard deviation and maximum over space, ``(N, 3 C)``."""
    mean = feature_map.mean(dim=(2, 3))
    variance = ((feature_map - mean[:, :, None, None]) ** 2).mean(dim=(2, 3))
    return torch.cat([mean, torch.sqrt(variance + POOLING_EPSILON), feature_map.amax(dim=(2, 3))], dim=1)


class CrackNetwork(nn.Module):
    """Trunk with pooled features and linear heads: crack logit, log width, and sometimes the logit of no structure.

    Args:
        trunk: Feature extractor.
        dropout: Share of the pooled features that is dropped during training.
        heads: 2, or 3 for a network that also distinguishes structures from other pictures.
    """

    def __init__(self, trunk: Trunk, dropout: float = 0.2, heads: int = 2) -> None:
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(3 * trunk.out_channels, heads)

    def pooled(self, tiles: torch.Tensor) -> torch.Tensor:
        """Compute pooled features ``(N, 3 C)`` float32 of uint8 BGR tiles ``(N, T, T, 3)``."""
        return pool_mean_std_max(self.trunk(self.trunk.preprocessing.apply(tiles)).float())

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Map uint8 BGR tiles ``(N, T, T, 3)`` to one column per head.

        They are the crack logit, the natural logarithm of the width in pixels, and the logit of no structure.
        """
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
