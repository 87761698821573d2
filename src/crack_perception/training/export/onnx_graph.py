# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Builder of ONNX graphs with float32 or per-channel int8 weights.

The stored graph compresses well: short names, no zero points (all are 0), tensors grouped by kind, and no more
significant bits in scales and biases than the rounding of the weights justifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""Supported by ONNX Runtime 1.16, the oldest supported version."""
_INT8_MAX = 127
_SCALE_BITS = 8
"""Keeps the largest level of every channel at 127, so that other quantisers recover the same scales."""
_BIAS_BITS = 9
"""Changes the logits of the standard model by 0.01 RMS; their standard deviation over test tiles is 3.2."""

Weights = npt.NDArray[np.float32]


def quantise_per_channel(weights: Weights, axis: int) -> tuple[npt.NDArray[np.int8], Weights]:
    """Quantise weights to symmetric int8 with one scale per output channel.

    Args:
        weights: Weights of any shape.
        axis: Axis of the output channels.

    Returns:
        int8 weights of the same shape, and float32 scales ``(weights.shape[axis],)`` with weights = int8 * scale.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    scales = _significant_bits(np.maximum(np.abs(weights).max(axis=others), 1e-12) / _INT8_MAX, _SCALE_BITS)
    shape = [1] * weights.ndim
    shape[axis] = -1
    levels = np.clip(np.rint(weights / scales.reshape(shape)), -_INT8_MAX, _INT8_MAX)
    return levels.astype(np.int8), scales


def _significant_bits(values: npt.NDArray[Any], bits: int) -> Weights:
    """Round values to a number of significant bits, as float32."""
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.rint(fractions * 2.0**bits) / 2.0**bits, exponents).astype(np.float32)


class GraphBuilder:
    """Collector of nodes and initialisers; its methods return the name of the tensor that they create.

    Args:
        int8_weights: Whether to store weights as int8 and dequantise them inside the graph.
    """

    def __init__(self, int8_weights: bool) -> None:
        self.int8_weights = int8_weights
        self._names = 0
        self._nodes: list[Any] = []
        self._levels: list[TensorProto] = []
        self._scales: list[TensorProto] = []
        self._constants: list[TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: object) -> str:
        """Add an operator with one output; without a name the output is numbered."""
        name = output or self._next_name()
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Add an initialiser without quantisation."""
        return self._append(self._constants, values)

    def bias(self, values: Weights) -> str:
        """Add the bias of a convolution; with int8 weights its significant bits are reduced too."""
        return self.constant(_significant_bits(values, _BIAS_BITS) if self.int8_weights else values)

    def weights(self, values: Weights, axis: int) -> str:
        """Add weights with the output channels on ``axis``, as int8 if the builder is set to it."""
        if not self.int8_weights:
            return self.constant(values.astype(np.float32))
        levels, scales = quantise_per_channel(values, axis)
        stored = [self._append(self._levels, levels), self._append(self._scales, scales)]
        return self.node("DequantizeLinear", stored, axis=axis)

    def dense(self, features: str, matrix: Weights, bias: Weights) -> str:
        """Add ``features @ matrix + bias`` with matrix ``(inputs, outputs)``."""
        return self.node("Gemm", [features, self.weights(matrix, 1), self.constant(bias.astype(np.float32))])

    def model(self, name: str, tile_shape: tuple[int, int, int], outputs: dict[str, tuple[int, ...]]) -> ModelProto:
        """Assemble and check the model: input ``tiles`` ``(N, *tile_shape)`` uint8, float32 outputs.

        Args:
            name: Name of the graph.
            tile_shape: Rows, columns and channels of a tile.
            outputs: Shape after the batch dimension by tensor name.
        """
        tiles = helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["N", *tile_shape])
        made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *shape]) for n, shape in outputs.items()]
        initialisers = [*self._levels, *self._scales, *self._constants]
        graph = helper.make_graph(self._nodes, name, [tiles], made, initialisers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="crack_perception",
        )
        checker.check_model(model, full_check=True)
        return model

    def _append(self, store: list[TensorProto], values: npt.NDArray[Any]) -> str:
        name = self._next_name()
        store.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def _next_name(self) -> str:
        self._names += 1
        return str(self._names)


def with_float_weights(model: ModelProto) -> ModelProto:
    """Replace dequantised int8 constants by float32 weights; the argument is not changed.

    Some runtimes interpret ``DequantizeLinear`` nodes as a request for quantised computation.
    """
    plain = ModelProto()
    plain.CopyFrom(model)
    graph = plain.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type != "DequantizeLinear":
            kept.append(node)
            continue
        levels, scales = (numpy_helper.to_array(constants[name]) for name in node.input[:2])
        (axis,) = (attribute.i for attribute in node.attribute if attribute.name == "axis")
        shape = [1] * levels.ndim
        shape[axis] = -1
        weights = levels.astype(np.float32) * scales.reshape(shape)
        for name in node.input:
            del constants[name]
        constants[node.output[0]] = numpy_helper.from_array(weights, node.output[0])
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(constants.values())
    return plain
