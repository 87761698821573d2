# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Weights of a trained model as the start of another training, in place of random or ImageNet weights."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.backbones.network import CrackNetwork
from crack_perception.training.distillation.students import LUMINANCE_STD, Luminance
from crack_perception.training.export.onnx_graph import with_float_weights
from crack_perception.vision.tiling import GREY


def start_from(network: CrackNetwork, model: LoadedModel) -> None:
    """Copy the weights of a model's trunk into a network of the same architecture.

    In a graph, every batch normalisation is folded into its convolution. The network gets these weights and biases, and
    normalisations with mean 0 and variance 1, which change nothing. Their mean and variance must stay fixed while the
    network is trained (:func:`fix_statistics`). Its heads keep their weights.

    Args:
        network: Network whose trunk is changed.
        model: Model whose graph was exported from a network of this architecture.

    Raises:
        UserError: The graph belongs to another architecture.
    """
    graph = with_float_weights(onnx.load_model_from_string(model.graph)).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored = [[tensors[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    layers = _convolutions(network)
    same = len(stored) == len(layers) and all(
        weights.shape == tuple(convolution.weight.shape)
        for (weights, _), (convolution, _) in zip(stored, layers, strict=True)
    )
    if not same:
        raise UserError(
            f"the model {model.name} has another architecture than the network to train",
            "Start from a model that was trained with the same --student or --backbone",
        )
    stored[0][0] = _of_normalised_pixels(stored[0][0], network)
    with torch.no_grad():
        for (weights, bias), (convolution, norm) in zip(stored, layers, strict=True):
            convolution.weight.copy_(torch.tensor(weights))
            if norm is None:
                assert convolution.bias is not None
                convolution.bias.copy_(torch.tensor(bias))
                continue
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)
            norm.weight.fill_(1.0)
            norm.bias.copy_(torch.tensor(bias))


def mix_with_start(network: CrackNetwork, model: LoadedModel, share: float) -> None:
    """Move the weights of a trained trunk a share of the way back to the model that the training started from.

    The mean of both is often more accurate than either on pictures unlike those of the training (Wortsman et al. 2022).

    Args:
        network: Network that was trained after :func:`start_from`, with fixed statistics; its trunk is changed.
        model: Model of the start.
        share: Weight of the start, 0 to 1.
    """
    start = copy.deepcopy(network)
    start_from(start, model)
    with torch.no_grad():
        for trained, first in zip(network.trunk.parameters(), start.trunk.parameters(), strict=True):
            trained.lerp_(first, share)


def fix_statistics(network: nn.Module) -> None:
    """Set all batch normalisations to evaluation mode, until ``train`` is called again."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def _of_normalised_pixels(weights: npt.NDArray[np.float32], network: CrackNetwork) -> npt.NDArray[np.float32]:
    """Turn the first weights of a graph, which include the division of BGR pixels, into those of the network."""
    if weights.shape[1] == GREY:
        return weights * np.float32(LUMINANCE_STD)
    std_rgb = np.array(network.trunk.preprocessing.std, np.float32).reshape(1, 3, 1, 1)
    return weights[:, ::-1] * std_rgb


def _convolutions(network: CrackNetwork) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """List the convolutions in the order of the graph, each with the normalisation that follows it."""
    luminance = {part for layer in network.modules() if isinstance(layer, Luminance) for part in layer.modules()}
    layers = [
        layer
        for layer in network.trunk.modules()
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d) and layer not in luminance
    ]
    following = [*layers[1:], None]
    return [
        (layer, after if isinstance(after, nn.BatchNorm2d) else None)
        for layer, after in zip(layers, following, strict=True)
        if isinstance(layer, nn.Conv2d)
    ]
