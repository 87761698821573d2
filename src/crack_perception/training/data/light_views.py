"""Changes to stored views that cost next to nothing, so that later passes do not see the same picture again."""

from __future__ import annotations

import torch

_SYMMETRIES = 8
_LOG_GAIN_SIGMA = 0.08
_OFFSET_SIGMA = 5.0


def light_views(views: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turned and mirrored views of slightly other brightness and contrast.

    Each of the eight symmetries of the square is given to an eighth of the batch, whose order is random anyway.

    Args:
        views: ``(B, S, S)`` or ``(B, S, S, 3)`` uint8.
        generator: Source of randomness.

    Returns:
        float32 of the same shape, in grey levels, not clipped.
    """
    first = int(torch.randint(_SYMMETRIES, (1,), generator=generator))
    parts = torch.tensor_split(views, _SYMMETRIES)
    turned = torch.cat([symmetry(part, (first + i) % _SYMMETRIES) for i, part in enumerate(parts)]).float()
    shape = (len(views), *[1] * (views.ndim - 1))
    gain = torch.exp(_LOG_GAIN_SIGMA * torch.randn(shape, generator=generator))
    return turned.mul_(gain).add_(_OFFSET_SIGMA * torch.randn(shape, generator=generator))


def symmetry(views: torch.Tensor, index: int) -> torch.Tensor:
    """Views ``(B, S, S, ...)`` under one of the eight symmetries: ``index % 4`` quarter turns, mirrored from 4 on."""
    turned = torch.rot90(views, index % 4, (1, 2))
    return turned.flip(2) if index >= 4 else turned
