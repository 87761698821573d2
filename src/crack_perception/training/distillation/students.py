# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Student architectures, with heads: most have 75,000 parameters and 12 million multiply-accumulates per 256 px tile.

A student is defined by a table: a stem, MobileNetV3 blocks and a final 1x1 convolution. Parameters and operations
follow from the table alone, so that candidates can be compared without building them. Design rules at 256 px:

* A 3x3 stem of eight channels on three colours costs 3.5 million operations, a third of the budget. Cracks differ from
  their surroundings in brightness, not in colour, so students take luminance: 1.2 million, and training on grey views.
* A weight costs 256 multiply-accumulates at 16x16 and 64 at 8x8: operations limit the former, file size the latter.
  An expansion before a stride is computed at the finer resolution, so the early strides have none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from crack_perception.errors import UserError
from crack_perception.training.backbones.mobilenet_v3 import (
    LAST_EXPANSION,
    SMALL_BLOCKS,
    SMALL_STEM_CHANNELS,
    Block,
    ConvNormActivation,
    InvertedResidual,
    MobileNetV3Trunk,
    divisible_by_8,
)
from crack_perception.training.backbones.network import CrackNetwork, pool_mean_std_max
from crack_perception.training.backbones.preprocessing import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB

STEM_KERNEL, STEM_STRIDE = 3, 2
POOLINGS = 3
HEADS = 2
LUMINANCE_RGB = (0.299, 0.587, 0.114)
"""Luminance weights of ITU-R BT.601, as in OpenCV's BGR2GRAY."""
LUMINANCE_MEAN = sum(share * mean for share, mean in zip(LUMINANCE_RGB, IMAGENET_MEAN_RGB, strict=True)) * 255.0
LUMINANCE_STD = sum(share * std for share, std in zip(LUMINANCE_RGB, IMAGENET_STD_RGB, strict=True)) * 255.0
"""Mean and standard deviation that normalise luminance in 0..255."""


@dataclass(frozen=True)
class StudentTable:
    """Architecture of a student.

    Args:
        stem: Channels of the first 3x3 convolution, which has stride 2.
        blocks: MobileNetV3 blocks with final channel counts.
        out_channels: Channels of the last 1x1 convolution; pooling yields three times as many features.
        luminance: Whether the input is luminance; in training a fixed 1x1 convolution computes it from three colours.
        activation: Activation of the first and the last convolution, ``hard_swish`` or ``relu``.
    """

    stem: int
    blocks: tuple[Block, ...]
    out_channels: int
    luminance: bool = True
    activation: str = "hard_swish"

    def scaled(self, width: float, blocks: int, out_channels: int) -> StudentTable:
        """Return a table with scaled channel counts, rounded to multiples of eight, and fewer blocks.

        Args:
            width: Factor of the channels of the stem and the blocks.
            blocks: Number of blocks that are kept.
            out_channels: Channels of the last convolution.
        """
        scaled = (
            replace(b, expanded=divisible_by_8(b.expanded * width), out=divisible_by_8(b.out * width))
            for b in self.blocks[:blocks]
        )
        return replace(self, stem=divisible_by_8(self.stem * width), blocks=tuple(scaled), out_channels=out_channels)

    def with_relu(self) -> StudentTable:
        """Return the same table with ReLU in place of every hard swish."""
        return replace(self, blocks=tuple(replace(b, hard_swish=False) for b in self.blocks), activation="relu")


SMALL_TABLE = StudentTable(SMALL_STEM_CHANNELS, SMALL_BLOCKS, LAST_EXPANSION * SMALL_BLOCKS[-1].out)
"""MobileNetV3-Small on luminance."""

# Without squeeze-and-excitation, which depends on the tile, it can process a whole frame at once.
_PLAIN = StudentTable(
    8,
    (
        Block(3, 8, 16, False, False, 2),
        Block(3, 16, 24, False, False, 2),
        Block(3, 24, 24, False, False, 1),
        Block(5, 40, 32, False, True, 2),
        Block(5, 72, 32, False, True, 1),
        Block(5, 72, 32, False, True, 1),
        Block(5, 96, 48, False, True, 2),
        Block(5, 128, 48, False, True, 1),
        Block(5, 128, 48, False, True, 1),
    ),
    96,
)

STUDENTS: dict[str, StudentTable] = {
    # MobileNetV3-Small at width 0.5 with nine blocks takes 16.5 million operations: hence fewer and narrower blocks.
    "w050_b8_slim": StudentTable(
        8,
        (
            Block(3, 8, 8, True, False, 2),
            Block(3, 24, 16, False, False, 2),
            Block(3, 32, 16, False, False, 1),
            Block(5, 48, 24, True, True, 2),
            Block(5, 72, 24, True, True, 1),
            Block(5, 72, 24, True, True, 1),
            Block(5, 96, 40, True, True, 2),
            Block(5, 120, 40, True, True, 1),
        ),
        96,
    ),
    "w035_b9": SMALL_TABLE.scaled(0.35, 9, 96),
    "plain": _PLAIN,
    # ONNX Runtime fuses a ReLU into the convolution, but computes hard swish in a separate pass, a third of the time.
    "swift": _PLAIN.with_relu(),
    # 233,000 parameters and 40 million operations, which take 0.4 of the time of MobileNetV3-Small.
    "swift_wide": _PLAIN.with_relu().scaled(2.0, 9, 192),
    "late_attention": StudentTable(
        8,
        (
            Block(3, 8, 16, False, False, 2),
            Block(3, 16, 24, False, False, 2),
            Block(3, 24, 24, False, False, 1),
            Block(5, 40, 32, False, True, 2),
            Block(5, 72, 32, False, True, 1),
            Block(5, 72, 32, False, True, 1),
            Block(5, 96, 40, True, True, 2),
            Block(5, 96, 40, True, True, 1),
            Block(5, 96, 40, True, True, 1),
        ),
        80,
    ),
}


def get_student(name: str) -> StudentTable:
    """Look up a student architecture.

    Raises:
        UserError: The name is unknown.
    """
    if name not in STUDENTS:
        raise UserError(f"student {name!r} does not exist", f"Choose one of {', '.join(STUDENTS)}")
    return STUDENTS[name]


class Luminance(ConvNormActivation):
    """Fixed conversion of normalised RGB ``(N, 3, H, W)`` to normalised luminance ``(N, 1, H, W)``.

    A convolution with an identity batch normalisation, both frozen. The exported graph omits it, because its input
    tiles are already grey.
    """

    def __init__(self) -> None:
        super().__init__(3, 1, 1)
        convolution, norm = self[0], self[1]
        shares = torch.tensor(LUMINANCE_RGB) * torch.tensor(IMAGENET_STD_RGB) * 255.0 / LUMINANCE_STD
        with torch.no_grad():
            convolution.weight.copy_(shares.view(1, 3, 1, 1))
            norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> Luminance:
        """Stay in evaluation mode, so that batches do not change the normalisation."""
        super().train(False)
        return self


class StudentTrunk(MobileNetV3Trunk):
    """Trunk built from a student table."""

    def __init__(self, table: StudentTable) -> None:
        nn.Module.__init__(self)
        layers: list[nn.Module] = [Luminance()] if table.luminance else []
        colours = 1 if table.luminance else 3
        layers.append(ConvNormActivation(colours, table.stem, STEM_KERNEL, STEM_STRIDE, activation=table.activation))
        channels = table.stem
        for block in table.blocks:
            layers.append(InvertedResidual(channels, block))
            channels = block.out
        layers.append(ConvNormActivation(channels, table.out_channels, 1, activation=table.activation))
        self.out_channels = table.out_channels
        self.features = nn.Sequential(*layers)


class StudentNetwork(CrackNetwork):
    """A student with its heads; with luminance input it also accepts grey tiles ``(N, T, T)``, uint8 or float32.

    Grey and colour tiles give the same features, but grey tiles reduce the time of a training step by a third.
    """

    def __init__(self, table: StudentTable, dropout: float = 0.0, heads: int = 2) -> None:
        super().__init__(StudentTrunk(table), dropout, heads)
        self.table = table

    def pooled(self, tiles: torch.Tensor) -> torch.Tensor:
        """Compute pooled features ``(N, 3 C)`` float32 of BGR tiles ``(N, T, T, 3)`` or grey tiles ``(N, T, T)``."""
        if tiles.ndim == 4:
            return super().pooled(tiles)
        assert self.table.luminance, "a student with colour input cannot process grey tiles"
        luminance = ((tiles.float() - LUMINANCE_MEAN) / LUMINANCE_STD)[:, None]
        return pool_mean_std_max(self.trunk.features[1:](luminance.contiguous(memory_format=torch.channels_last)))


@dataclass(frozen=True)
class Cost:
    """Parameters of trunk and heads, and multiply-accumulate operations per tile."""

    parameters: int
    multiply_accumulates: int


def cost(table: StudentTable, tile_px: int = 256) -> Cost:
    """Count convolutions, batch normalisations (weight and bias) and the two linear heads of a student.

    The conversion to luminance is not counted, because the exported graph takes grey tiles.

    Args:
        table: Architecture.
        tile_px: Side of the input [px], a multiple of the product of all strides.
    """
    tally = _Tally(tile_px, 1 if table.luminance else 3)
    tally.convolution(tally.channels, table.stem, STEM_KERNEL, STEM_STRIDE)
    for block in table.blocks:
        if block.expanded != tally.channels:
            tally.convolution(tally.channels, block.expanded, 1)
        tally.convolution(1, block.expanded, block.kernel, block.stride)
        if block.squeeze_excitation:
            tally.dense(block.expanded, divisible_by_8(block.expanded / 4))
            tally.dense(divisible_by_8(block.expanded / 4), block.expanded)
        tally.convolution(block.expanded, block.out, 1)
    tally.convolution(tally.channels, table.out_channels, 1)
    tally.dense(POOLINGS * table.out_channels, HEADS)
    return Cost(tally.parameters, tally.multiply_accumulates)


class _Tally:
    """Running totals of parameters and operations, with the current resolution and channel count."""

    def __init__(self, side: int, channels: int) -> None:
        self.side = side
        self.channels = channels
        self.parameters = 0
        self.multiply_accumulates = 0

    def convolution(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        """Add a convolution with ``inputs`` channels per output channel, and its batch normalisation."""
        self.side //= stride
        self.channels = outputs
        weights = inputs * outputs * kernel**2
        self.parameters += weights + 2 * outputs
        self.multiply_accumulates += weights * self.side**2

    def dense(self, inputs: int, outputs: int) -> None:
        """Add a linear layer with bias on pooled channels."""
        self.parameters += (inputs + 1) * outputs
        self.multiply_accumulates += inputs * outputs
