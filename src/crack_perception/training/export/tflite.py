# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Export to TensorFlow Lite (LiteRT) for Android, by LiteRT Torch and AI Edge Quantizer.

The converter starts from PyTorch. The module that it converts is built from the verified ONNX file instead of a
training checkpoint, so that the exported file matches the evaluated model.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from crack_perception.errors import UserError
from crack_perception.training.export.onnx_graph import with_float_weights

Value = float | int | list[int]
Attributes = dict[str, Any]
Operator = Callable[[list[Any], Attributes], torch.Tensor]


def tflite_model(graph: bytes, tile_shape: tuple[int, int, int], int8_weights: bool) -> bytes:
    """Convert a model's ONNX graph to a TensorFlow Lite file.

    The signature of the file has the input ``tiles``, uint8 ``(1, *tile_shape)``, and the outputs of the graph, float32
    ``(1,)``.

    Args:
        graph: Bytes of the ONNX graph.
        tile_shape: Rows, columns and channels of a tile.
        int8_weights: Store int8 weights with one scale per output channel and compute in float, with the scales of the
            graph itself. Otherwise store float32 weights.

    Returns:
        Content of the file.

    Raises:
        UserError: The converter is not installed, or the graph has an unsupported operator.
    """
    try:
        import litert_torch  # type: ignore[import-not-found]
        from ai_edge_quantizer import quantizer, recipe  # type: ignore[import-not-found]
    except ImportError as error:
        raise UserError(
            f"the TensorFlow Lite converter is not installed ({error})",
            "Install it with: pip install 'crack_perception[tflite]'",
        ) from error
    tiles = torch.zeros((1, *tile_shape), dtype=torch.uint8)
    # Both packages print progress to stdout.
    with contextlib.redirect_stdout(sys.stderr):
        converted = litert_torch.convert(GraphModule(graph).eval(), sample_kwargs={"tiles": tiles})
        content = bytes(converted.model_content())
        if not int8_weights:
            return content
        rounding = quantizer.Quantizer(content)
        rounding.load_quantization_recipe(recipe.weight_only_wi8_afp32())
        return bytes(rounding.quantize().quantized_model)


class GraphModule(nn.Module):
    """An exported ONNX graph as a PyTorch module.

    Args:
        graph: Bytes of an ONNX graph with the input ``tiles``.

    Raises:
        UserError: The graph has an operator that the exporter does not write.
    """

    def __init__(self, graph: bytes) -> None:
        super().__init__()
        model = with_float_weights(ModelProto.FromString(graph))
        self.outputs = [output.name for output in model.graph.output]
        self._numbers: dict[str, Value] = {}
        self._buffer_names: dict[str, str] = {}
        for tensor in model.graph.initializer:
            self._add_constant(tensor.name, numpy_helper.to_array(tensor))
        self._steps = []
        for node in model.graph.node:
            if node.op_type not in _OPERATORS:
                raise UserError(
                    f"the graph has the unsupported operator {node.op_type}", f"Use only {', '.join(_OPERATORS)}"
                )
            attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            self._steps.append((_OPERATORS[node.op_type], list(node.input), node.output[0], attributes))

    def _add_constant(self, name: str, values: npt.NDArray[Any]) -> None:
        # Shapes, indices and limits must be plain numbers, because tracing cannot depend on the value of a tensor.
        if values.ndim == 0 or values.dtype == np.int64:
            self._numbers[name] = values.tolist()
            return
        self._buffer_names[name] = f"constant_{len(self._buffer_names)}"
        self.register_buffer(self._buffer_names[name], torch.from_numpy(values.copy()))

    def forward(self, tiles: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the outputs of the graph for uint8 tiles ``(N, T, T, C)``."""
        values: dict[str, Any] = {**self._numbers, "tiles": tiles}
        values.update((name, self.get_buffer(buffer)) for name, buffer in self._buffer_names.items())
        for operator, inputs, output, attributes in self._steps:
            values[output] = operator([values[name] for name in inputs], attributes)
        return {name: values[name] for name in self.outputs}


def _convolution(inputs: list[Any], attributes: Attributes) -> torch.Tensor:
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    assert (top, left) == (bottom, right), "exported convolutions are padded symmetrically"
    stride = attributes.get("strides", (1, 1))
    return functional.conv2d(*inputs, stride=stride, padding=(top, left), groups=attributes.get("group", 1))


def _hard_sigmoid(inputs: list[Any], attributes: Attributes) -> torch.Tensor:
    return torch.clamp(inputs[0] * attributes["alpha"] + attributes["beta"], 0.0, 1.0)


def _reshape(inputs: list[Any], _attributes: Attributes) -> torch.Tensor:
    features, shape = inputs
    return torch.reshape(features, [features.shape[i] if size == 0 else size for i, size in enumerate(shape)])


_OPERATORS: dict[str, Operator] = {
    "Add": lambda x, _: x[0] + x[1],
    "Cast": lambda x, _: x[0].float(),
    "Clip": lambda x, _: torch.clamp(x[0], x[1], x[2]),
    "Concat": lambda x, a: torch.cat(x, a["axis"]),
    "Conv": _convolution,
    "Cos": lambda x, _: torch.cos(x[0]),
    "Exp": lambda x, _: torch.exp(x[0]),
    "Flatten": lambda x, _: torch.flatten(x[0], 1),
    "Gather": lambda x, a: torch.select(x[0], a["axis"], x[1]),
    "Gemm": lambda x, _: torch.matmul(x[0], x[1]) + x[2],
    "GlobalAveragePool": lambda x, _: torch.mean(x[0], (2, 3), keepdim=True),
    "GlobalMaxPool": lambda x, _: torch.amax(x[0], (2, 3), keepdim=True),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x, _: functional.hardswish(x[0]),
    "Identity": lambda x, _: x[0],
    "Mul": lambda x, _: x[0] * x[1],
    "Relu": lambda x, _: functional.relu(x[0]),
    "Reshape": _reshape,
    "Sigmoid": lambda x, _: torch.sigmoid(x[0]),
    "Sqrt": lambda x, _: torch.sqrt(x[0]),
    "Sub": lambda x, _: x[0] - x[1],
    "Transpose": lambda x, a: torch.permute(x[0], a["perm"]),
}
