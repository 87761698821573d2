# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Access to the crack readout of an exported model, the linear map from its Fourier features to the crack logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.export.onnx_graph import quantise_per_channel
from crack_perception.training.heads.compression import LinearReadout

_CRACK = 0
"""Column of the readout that is the crack logit."""


@dataclass(frozen=True)
class _Readout:
    """Nodes and constants of the readout: ``fourier @ (levels * scales) + bias``."""

    fourier: str
    levels: onnx.TensorProto
    scales: onnx.TensorProto
    bias: onnx.TensorProto


def fourier_model(model: LoadedModel) -> onnx.ModelProto:
    """Extract the graph from ``tiles`` to the Fourier features, which it calls ``pooled`` as every feature graph.

    Raises:
        UserError: The graph has no such head.
    """
    part = onnx.load_model_from_string(model.graph)
    graph = part.graph
    last = _readout(part, model).fourier
    end = next(i for i, node in enumerate(graph.node) if last in node.output)
    nodes = [*graph.node[: end + 1], onnx.helper.make_node("Identity", [last], ["pooled"])]
    used = {name for node in nodes for name in node.input}
    constants = [constant for constant in graph.initializer if constant.name in used]
    del graph.node[:], graph.output[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    graph.output.append(onnx.helper.make_tensor_value_info("pooled", onnx.TensorProto.FLOAT, ["N", None]))
    return part


def crack_readout(model: LoadedModel) -> LinearReadout:
    """Return the linear map from Fourier features to the crack logit.

    Raises:
        UserError: The graph has no such head.
    """
    parts = _readout(onnx.load_model_from_string(model.graph), model)
    levels, scales, bias = (numpy_helper.to_array(tensor) for tensor in (parts.levels, parts.scales, parts.bias))
    coefficients = levels[:, _CRACK].astype(np.float64) * float(scales[_CRACK])
    return LinearReadout(coefficients, float(bias[_CRACK]))


def with_crack_readout(model: LoadedModel, readout: LinearReadout) -> bytes:
    """Return the graph of a model with another crack readout, rounded to int8 as it was; all else is unchanged.

    Raises:
        UserError: The graph has no such head.
    """
    changed = onnx.load_model_from_string(model.graph)
    parts = _readout(changed, model)
    levels, scales, bias = (numpy_helper.to_array(tensor).copy() for tensor in (parts.levels, parts.scales, parts.bias))
    rounded, scale = quantise_per_channel(readout.coefficients.astype(np.float32)[:, None], 1)
    levels[:, _CRACK], scales[_CRACK] = rounded[:, 0], scale[0]
    bias[_CRACK] = np.float32(readout.intercept)
    _replace(parts.levels, levels)
    _replace(parts.scales, scales)
    _replace(parts.bias, bias)
    return changed.SerializeToString()


def _readout(whole: onnx.ModelProto, model: LoadedModel) -> _Readout:
    """Find the readout behind the crack score."""
    made = {name: node for node in whole.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in whole.graph.initializer}
    try:
        logit = made[made["crack_score"].input[0]]
        # A gate subtracts from the crack logit.
        gather = made[logit.input[0]] if logit.op_type == "Sub" else logit
        dense = made[gather.input[0]]
        weights = made[dense.input[1]]
        if (gather.op_type, dense.op_type, weights.op_type) != ("Gather", "Gemm", "DequantizeLinear"):
            raise KeyError(dense.op_type)
        fourier = made[dense.input[0]]
        if fourier.op_type != "Cos" or int(numpy_helper.to_array(constants[gather.input[1]])) != _CRACK:
            raise KeyError(fourier.op_type)
        stored = [constants[name] for name in (*weights.input[:2], dense.input[2])]
    except (KeyError, IndexError) as error:
        raise UserError(
            f"{model.directory}: the crack score is not read from Fourier features by one int8 layer ({error})",
            "Give a model that 'crack_perception train' wrote and 'adapt' did not change",
        ) from error
    return _Readout(fourier.output[0], *stored)


def _replace(tensor: onnx.TensorProto, values: npt.NDArray[Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
