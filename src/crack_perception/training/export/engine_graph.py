"""A model's graph as TensorRT takes it: float weights, and where it does no harm half precision.

TensorRT 11 computes with the types that the graph has. Rounding to halves moves a score the more, the earlier in the
trunk it happens; coarse feature maps hold most of the multiplications and can take it (docs/backends.md).
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper, shape_inference

from crack_perception.training.export.onnx_graph import with_float_weights

_FINEST_HALF = 16
"""Feature maps are halves from this share of the tile's side on: 1/16, which is 63 % of the multiplications."""


def engine_graph(graph: bytes, tile_px: int, precision: str) -> bytes:
    """The graph to build an engine of; its inputs and outputs stay as they are.

    Args:
        graph: Of a model file, with int8 or float weights.
        tile_px: Side of a tile.
        precision: ``fp32``, or ``fp16`` for halves in the coarse part of the trunk; the pooling and all behind it stay
            in float32.
    """
    model = with_float_weights(ModelProto.FromString(graph))
    if precision == "fp16":
        begin, end = _coarse_trunk(model, tile_px)
        _to_half(model, begin, end)
        checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _coarse_trunk(model: ModelProto, tile_px: int) -> tuple[int, int]:
    """Nodes from the first convolution onto a coarse feature map to the last feature map; empty if there are none."""
    nodes = model.graph.node
    inferred = shape_inference.infer_shapes(model, strict_mode=True)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.graph.value_info}

    def is_coarse(node: NodeProto) -> bool:
        return node.op_type == "Conv" and shapes[node.output[0]][2].dim_value * _FINEST_HALF <= tile_px

    # The convolutions of a squeeze-and-excitation, onto one pixel, are coarse wherever they stand.
    begin = next((i for i, node in enumerate(nodes) if is_coarse(node) and shapes[node.output[0]][2].dim_value > 1), 0)
    pooled = [node.input[0] for node in nodes if node.op_type == "GlobalMaxPool"]
    end = next((i + 1 for i, node in enumerate(nodes) if node.output[0] in pooled), 0)
    return begin, max(begin, end)


def _to_half(model: ModelProto, begin: int, end: int) -> None:
    """Compute these nodes in half precision, with casts where values come in and go out."""
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
