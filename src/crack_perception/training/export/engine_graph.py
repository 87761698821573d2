# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Model graph for TensorRT: float weights, and optionally half precision in the coarse part of the trunk.

TensorRT 11 computes in the types of the graph. Half precision changes the scores more, the earlier in the trunk it
starts; coarse feature maps hold most of the multiplications and tolerate it (``docs/backends.md``).
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper, shape_inference

from crack_perception.training.export.onnx_graph import with_float_weights

_FINEST_HALF = 16
"""Half precision starts at feature maps of 1/16 of the tile's side; this covers 63 % of the multiplications."""


def engine_graph(graph: bytes, tile_px: int, precision: str) -> bytes:
    """Convert a graph for the engine builder; its inputs and outputs do not change.

    Args:
        graph: Graph of a model file, with int8 or float weights.
        tile_px: Side of a tile [px].
        precision: ``fp32``, or ``fp16`` for half precision in the coarse part of the trunk; pooling and head stay in
            float32.
    """
    model = with_float_weights(ModelProto.FromString(graph))
    if precision == "fp16":
        begin, end = _coarse_trunk(model, tile_px)
        _to_half(model, begin, end)
        checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _coarse_trunk(model: ModelProto, tile_px: int) -> tuple[int, int]:
    """Find the range of nodes from the first coarse feature map to the last one; empty if there are none."""
    nodes = model.graph.node
    inferred = shape_inference.infer_shapes(model, strict_mode=True)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.graph.value_info}

    def is_coarse(node: NodeProto) -> bool:
        return node.op_type == "Conv" and shapes[node.output[0]][2].dim_value * _FINEST_HALF <= tile_px

    # Convolutions of squeeze-and-excitation have one pixel at every resolution and are therefore ignored.
    begin = next((i for i, node in enumerate(nodes) if is_coarse(node) and shapes[node.output[0]][2].dim_value > 1), 0)
    pooled = [node.input[0] for node in nodes if node.op_type == "GlobalMaxPool"]
    end = next((i + 1 for i, node in enumerate(nodes) if node.output[0] in pooled), 0)
    return begin, max(begin, end)


def _to_half(model: ModelProto, begin: int, end: int) -> None:
    """Convert a range of nodes to half precision, with casts at its inputs and outputs."""
    graph = model.graph
    before, inside, after = list(graph.node[:begin]), list(graph.node[begin:end]), list(graph.node[end:])
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made = {name for node in inside for name in node.output}
    read = {name for node in inside for name in node.input} - made
    needed = {name for node in (*before, *after) for name in node.input} | {output.name for output in graph.output}

    halves = {name: f"{name}_half" for name in made | read}
    for name in read & set(constants):
        values = numpy_helper.to_array(constants[name])
        graph.initializer.append(numpy_helper.from_array(values.astype("float16"), halves[name]))
        if name not in needed:
            graph.initializer.remove(constants[name])
    for node in inside:
        node.input[:] = [halves[name] for name in node.input]
        node.output[:] = [halves[name] for name in node.output]
    entering = [_cast(name, halves[name], TensorProto.FLOAT16) for name in sorted(read - set(constants))]
    leaving = [_cast(halves[name], name, TensorProto.FLOAT) for name in sorted(made & needed)]
    del graph.node[:]
    graph.node.extend([*before, *entering, *inside, *leaving, *after])


def _cast(source: str, target: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], to=kind)
