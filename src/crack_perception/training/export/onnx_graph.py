"""A small builder of ONNX graphs whose weights may be int8 with one scale an output channel.

What it stores compresses well: short names, no zero points (they are all 0), numbers of one kind side by side, and no
more digits in scales and biases than the rounding of the weights leaves meaningful.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""Readable by ONNX Runtime 1.16, the oldest supported."""
_INT8_MAX = 127
_SCALE_BITS = 8
"""Rounding to the nearest keeps every channel's largest level at 127, so that others find the same scales again."""
_BIAS_BITS = 9
"""Moves the logits of the standard model, which spread by 3.2 over test tiles, by 0.01 (root mean square)."""

Weights = npt.NDArray[np.float32]


def quantise_per_channel(weights: Weights, axis: int) -> tuple[npt.NDArray[np.int8], Weights]:
    """Symmetric int8 weights.

    Args:
        weights: Any shape.
        axis: The output channel; each of its slices gets its own scale.

    Returns:
        int8 weights of the same shape, and float32 scales ``(weights.shape[axis],)`` so that weights = int8 * scale.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    scales = _significant_bits(np.maximum(np.abs(weights).max(axis=others), 1e-12) / _INT8_MAX, _SCALE_BITS)
    shape = [1] * weights.ndim
    shape[axis] = -1
    levels = np.clip(np.rint(weights / scales.reshape(shape)), -_INT8_MAX, _INT8_MAX)
    return levels.astype(np.int8), scales


def _significant_bits(values: npt.NDArray[Any], bits: int) -> Weights:
    """Float32 values rounded to so many significant bits; the bytes below are zero."""
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.rint(fractions * 2.0**bits) / 2.0**bits, exponents).astype(np.float32)


class GraphBuilder:
    """Collects nodes and initialisers; every method returns the name of the tensor that it made.

    Args:
        int8_weights: Store weights as int8 and dequantise them inside the graph.
    """

    def __init__(self, int8_weights: bool) -> None:
        self.int8_weights = int8_weights
        self._names = 0
        self._nodes: list[Any] = []
        self._levels: list[TensorProto] = []
        self._scales: list[TensorProto] = []
        self._constants: list[TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: object) -> str:
        """Append an operator with one output, which is numbered unless a name is given."""
        name = output or self._next_name()
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Append an initialiser as it is."""
        return self._append(self._constants, values)

    def bias(self, values: Weights) -> str:
        """Append the bias of a convolution, beside int8 weights with no more digits than they deserve."""
        return self.constant(_significant_bits(values, _BIAS_BITS) if self.int8_weights else values)

    def weights(self, values: Weights, axis: int) -> str:
        """Append weights with ``axis`` as output channel, int8 if the builder was told so."""
        if not self.int8_weights:
            return self.constant(values.astype(np.float32))
        levels, scales = quantise_per_channel(values, axis)
        stored = [self._append(self._levels, levels), self._append(self._scales, scales)]
        return self.node("DequantizeLinear", stored, axis=axis)

    def dense(self, features: str, matrix: Weights, bias: Weights) -> str:
        """``features @ matrix + bias`` with matrix ``(inputs, outputs)``."""
        return self.node("Gemm", [features, self.weights(matrix, 1), self.constant(bias.astype(np.float32))])

    def model(self, name: str, tile_shape: tuple[int, int, int], outputs: dict[str, tuple[int, ...]]) -> ModelProto:
        """The checked model: input ``tiles`` ``(N, *tile_shape)`` uint8, float32 outputs.

        Args:
            name: Of the graph.
            tile_shape: Rows, columns and channels of a tile.
            outputs: Tensor names and their shapes after the batch dimension.
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
    """The same model with float32 weights: what ``DequantizeLinear`` makes of constants is computed now.

    For runtimes that take such nodes for a quantised computation.
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
