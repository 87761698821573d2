# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Preprocessing of tiles for a trunk: colour order, mean and standard deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Triple = tuple[float, float, float]

IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGENET_STD_RGB = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """Normalisation ``(pixel - mean) / std`` of each channel.

    Args:
        channels: Colour order that the trunk expects.
        mean: Mean of each channel in that order, in grey levels (0-255).
        std: Standard deviation of each channel in that order, in grey levels (0-255).
    """

    channels: Literal["RGB", "BGR"]
    mean: Triple
    std: Triple

    def apply(self, tiles: torch.Tensor) -> torch.Tensor:
        """Convert uint8 BGR ``(N, H, W, 3)`` to float32 ``(N, 3, H, W)`` in channels_last memory format."""
        planar = tiles.permute(0, 3, 1, 2)
        ordered = planar.flip(1) if self.channels == "RGB" else planar
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return ((ordered.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def _of_255(shares: Triple) -> Triple:
    return (shares[0] * 255.0, shares[1] * 255.0, shares[2] * 255.0)


TORCHVISION = Preprocessing("RGB", _of_255(IMAGENET_MEAN_RGB), _of_255(IMAGENET_STD_RGB))
"""ImageNet statistics: used by all torchvision weights here except ``IMAGENET1K_FEATURES`` of VGG16."""

EFFICIENTNET_LITE = Preprocessing("RGB", (127.0,) * 3, (128.0,) * 3)
"""https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"""

CAFFE_VGG = Preprocessing("BGR", (103.939, 116.779, 123.68), (1.0,) * 3)
"""The original weights of Simonyan and Zisserman, as distributed by Keras: https://keras.io/api/applications/vgg/"""

TORCHVISION_VGG_FEATURES = Preprocessing("RGB", _of_255((0.48235, 0.45882, 0.40784)), (1.0,) * 3)
"""torchvision's ``VGG16_Weights.IMAGENET1K_FEATURES``."""
