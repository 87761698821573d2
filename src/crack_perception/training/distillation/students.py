"""Small trunks that fit, heads included, into 75,000 parameters and 12 million multiply-accumulates a 256-px tile.

A student is a table: a stem, blocks of MobileNetV3 and a last 1x1 convolution. Counting needs only the table, so that
many can be weighed before one is built. What the counts taught at 256 px:

* A 3x3 stem of eight channels on three colours costs 3.5 million, a third of everything. Cracks are darker, not of
  another colour: students see luminance, which brings that down to 1.2 million and lets them train on grey views.
* A weight at 16x16 costs 256 multiply-accumulates, one at 8x8 costs 64: the first are short, the second are what fills
  the file. Expansions before a stride are paid for at the finer side, so the early strides go without.
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
"""Of ITU-R BT.601, as OpenCV's BGR2GRAY."""
LUMINANCE_MEAN = sum(share * mean for share, mean in zip(LUMINANCE_RGB, IMAGENET_MEAN_RGB, strict=True)) * 255.0
LUMINANCE_STD = sum(share * std for share, std in zip(LUMINANCE_RGB, IMAGENET_STD_RGB, strict=True)) * 255.0
"""What luminance in 0..255 is normalised by."""


@dataclass(frozen=True)
class StudentTable:
    """Everything that decides the shape of a student.

    Args:
        stem: Channels of the first 3x3 convolution, which halves the side.
        blocks: With channel counts as they are, none of them scaled or rounded.
        out_channels: Channels of the last 1x1 convolution; the heads see three times as many.
        luminance: Whether it sees one channel, which in training a fixed 1x1 convolution makes of three colours.
        activation: Of the first and the last convolution, ``hard_swish`` or ``relu``.
    """

    stem: int
    blocks: tuple[Block, ...]
    out_channels: int
    luminance: bool = True
    activation: str = "hard_swish"

    def scaled(self, width: float, blocks: int, out_channels: int) -> StudentTable:
        """The first ``blocks`` blocks with all channel counts times ``width``, rounded to eights as MobileNetV3 does.

        Args:
            width: Factor of the stem and the blocks.
            blocks: How many of them are kept.
            out_channels: Of the last convolution, as it is.
        """
        scaled = (
            replace(b, expanded=divisible_by_8(b.expanded * width), out=divisible_by_8(b.out * width))
            for b in self.blocks[:blocks]
        )
        return replace(self, stem=divisible_by_8(self.stem * width), blocks=tuple(scaled), out_channels=out_channels)

    def with_relu(self) -> StudentTable:
        """The same table with ReLU in place of every hard swish."""
        return replace(self, blocks=tuple(replace(b, hard_swish=False) for b in self.blocks), activation="relu")


SMALL_TABLE = StudentTable(SMALL_STEM_CHANNELS, SMALL_BLOCKS, LAST_EXPANSION * SMALL_BLOCKS[-1].out)
"""MobileNetV3-Small on luminance."""

# Early strides without expansion, no squeeze-excitation: can be run over a whole frame at once.
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
    # MobileNetV3-Small at width 0.5 with nine blocks is 16.5 million at 256 px: smaller expansions, one block less.
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
    # ONNX Runtime computes a ReLU inside a convolution, and hard swish in a pass of its own over the map, which made a
    # third of the time.
    "swift": _PLAIN.with_relu(),
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
    """The table of that name.

    Raises:
        UserError: There is none.
    """
    if name not in STUDENTS:
        raise UserError(f"there is no student {name!r}", f"Choose one of {', '.join(STUDENTS)}")
    return STUDENTS[name]


class Luminance(ConvNormActivation):
    """Normalised RGB ``(N, 3, H, W)`` to normalised luminance ``(N, 1, H, W)``; never learns.

    It is a convolution with a batch normalisation that does nothing, and no part of the exported graph, whose tiles are
    grey already.
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
        """Stay in evaluation mode: batches must not move the normalisation."""
        super().train(False)
        return self


class StudentTrunk(MobileNetV3Trunk):
    """A trunk built from a table of its own."""

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
    """A student with its heads; one that works on luminance also takes grey tiles ``(N, T, T)``, uint8 or float32.

    Both kinds of tiles give the same features, but grey ones spare a third of the time of a training step.
    """

    def __init__(self, table: StudentTable, dropout: float = 0.0) -> None:
        super().__init__(StudentTrunk(table), dropout)
        self.table = table

    def pooled(self, tiles: torch.Tensor) -> torch.Tensor:
        """Pooled features ``(N, 3 C)`` float32 of BGR tiles ``(N, T, T, 3)`` or grey tiles ``(N, T, T)``."""
        if tiles.ndim == 4:
            return super().pooled(tiles)
        assert self.table.luminance, "a student of three colours cannot see grey tiles"
        luminance = ((tiles.float() - LUMINANCE_MEAN) / LUMINANCE_STD)[:, None]
        return pool_mean_std_max(self.trunk.features[1:](luminance.contiguous(memory_format=torch.channels_last)))


@dataclass(frozen=True)
class Cost:
    """What a student takes: parameters of trunk and heads, and multiply-accumulates a tile."""

    parameters: int
    multiply_accumulates: int


def cost(table: StudentTable, tile_px: int = 256) -> Cost:
    """Count a table: convolutions, batch normalisations (weight and bias) and the two linear heads.

    The luminance counts for nothing: tiles are grey before they come to the exported graph.

    Args:
        table: What to count.
        tile_px: Side of the input, a multiple of the product of all strides.
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
    """Adds up layers while it follows side and channels through them."""

    def __init__(self, side: int, channels: int) -> None:
        self.side = side
        self.channels = channels
        self.parameters = 0
        self.multiply_accumulates = 0

    def convolution(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        """A convolution where every output channel sees ``inputs`` channels, and its batch normalisation."""
        self.side //= stride
        self.channels = outputs
        weights = inputs * outputs * kernel**2
        self.parameters += weights + 2 * outputs
        self.multiply_accumulates += weights * self.side**2

    def dense(self, inputs: int, outputs: int) -> None:
        """A linear layer with bias on pooled channels."""
        self.parameters += (inputs + 1) * outputs
        self.multiply_accumulates += inputs * outputs
