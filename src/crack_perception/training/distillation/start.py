# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Weights of a trained model as the start of a student, in place of random ones."""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.distillation.students import LUMINANCE_STD, Luminance, StudentNetwork
from crack_perception.training.export.onnx_graph import with_float_weights


def start_from(student: StudentNetwork, model: LoadedModel) -> None:
    """Copy the weights of a model's trunk into a student of the same architecture.

    In a graph, every batch normalisation is folded into its convolution. The student gets these weights and biases, and
    normalisations with mean 0 and variance 1, which change nothing. Their mean and variance must stay fixed while the
    student is trained (``DistillationSettings.fixed_statistics``). The heads of the student keep their weights.

    Args:
        student: Student with luminance input; its trunk is changed.
        model: Model whose graph was exported from a student of the same table.

    Raises:
        UserError: The graph belongs to another architecture.
    """
    graph = with_float_weights(onnx.load_model_from_string(model.graph)).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored = [[tensors[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    layers = _convolutions(student)
    same = len(stored) == len(layers) and all(
        weights.shape == tuple(convolution.weight.shape)
        for (weights, _), (convolution, _) in zip(stored, layers, strict=True)
    )
    if not same:
        raise UserError(
            f"the model {model.name} has another architecture than the student",
            "Start from a model that was trained with the same --student",
        )
    with torch.no_grad():
        for index, ((weights, bias), (convolution, norm)) in enumerate(zip(stored, layers, strict=True)):
            # The first convolution of a graph includes the division of the pixels by their standard deviation.
            convolution.weight.copy_(torch.tensor(weights * LUMINANCE_STD if index == 0 else weights))
            if norm is None:
                assert convolution.bias is not None
                convolution.bias.copy_(torch.tensor(bias))
                continue
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)
            norm.weight.fill_(1.0)
            norm.bias.copy_(torch.tensor(bias))


def _convolutions(student: StudentNetwork) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """List the convolutions in the order of the graph, each with the normalisation that follows it."""
    luminance = {part for layer in student.modules() if isinstance(layer, Luminance) for part in layer.modules()}
    layers = [
        layer
        for layer in student.trunk.modules()
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d) and layer not in luminance
    ]
    following = [*layers[1:], None]
    return [
        (layer, after if isinstance(after, nn.BatchNorm2d) else None)
        for layer, after in zip(layers, following, strict=True)
        if isinstance(layer, nn.Conv2d)
    ]
