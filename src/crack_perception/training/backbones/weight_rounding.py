"""Networks that compute with the int8 weights they will be stored with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from crack_perception.training.export.onnx_graph import quantise_per_channel


@contextmanager
def rounded_weights(network: nn.Module) -> Iterator[None]:
    """Inside, all convolutions and linear layers have weights rounded to int8 with one scale an output channel.

    A batch normalisation that is folded into a convolution later scales whole output channels. What they are rounded to
    stays the same, but for the few digits that are kept of a scale.

    Gradients that are computed inside belong to the rounded weights; applied to the exact ones outside, they are those
    of the straight-through estimator (Bengio et al. 2013).
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
