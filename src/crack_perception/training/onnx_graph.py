"""A small builder of ONNX graphs whose weights may be int8 with one scale an output channel."""

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


def quantise_per_channel(
    weights: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric int8 weights.

    Args:
        weights: Any shape.
        axis: The output channel; each of its slices gets its own scale.

    Returns:
        int8 weights of the same shape, and float32 scales ``(weights.shape[axis],)`` so that weights = int8 * scale.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    scales = np.maximum(np.abs(weights).max(axis=others), 1e-12) / _INT8_MAX
    shape = [1] * weights.ndim
    shape[axis] = -1
    levels = np.clip(np.rint(weights / scales.reshape(shape)), -_INT8_MAX, _INT8_MAX)
    return levels.astype(np.int8), scales.astype(np.float32)


class GraphBuilder:
    """Collects nodes and initialisers; every method returns the name of the tensor that it made.

    Args:
        int8_weights: Store weights as int8 and dequantise them inside the graph.
    """

    def __init__(self, int8_weights: bool) -> None:
        self.int8_weights = int8_weights
        self._nodes: list[Any] = []
        self._initialisers: list[Any] = []

    def node(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: object) -> str:
        """Append an operator with one output."""
        name = output or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: npt.NDArray[Any], name: str) -> str:
        """Append an initialiser as it is."""
        self._initialisers.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def weights(self, values: npt.NDArray[np.float32], axis: int, name: str) -> str:
        """Append weights with ``axis`` as output channel, int8 if the builder was told so."""
        if not self.int8_weights:
            return self.constant(values.astype(np.float32), name)
        levels, scales = quantise_per_channel(values, axis)
        quantised = self.constant(levels, f"{name}_int8")
        scale = self.constant(scales, f"{name}_scale")
        zero = self.constant(np.zeros(len(scales), np.int8), f"{name}_zero")
        return self.node("DequantizeLinear", [quantised, scale, zero], name, axis=axis)

    def dense(self, features: str, matrix: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], name: str) -> str:
        """``features @ matrix + bias`` with matrix ``(inputs, outputs)``."""
        weights = self.weights(matrix, 1, f"{name}_weights")
        return self.node("Gemm", [features, weights, self.constant(bias.astype(np.float32), f"{name}_bias")])

    def model(self, name: str, tile_px: int, outputs: dict[str, tuple[int, ...]]) -> ModelProto:
        """The checked model: input ``tiles`` ``(N, tile_px, tile_px, 3)`` uint8, float32 outputs.

        Args:
            name: Of the graph.
            tile_px: Side of a tile.
            outputs: Tensor names and their shapes after the batch dimension.
        """
        tiles = helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["N", tile_px, tile_px, 3])
        made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *shape]) for n, shape in outputs.items()]
        graph = helper.make_graph(self._nodes, name, [tiles], made, self._initialisers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="crack_perception",
        )
        checker.check_model(model, full_check=True)
        return model
