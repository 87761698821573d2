# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The editor of ONNX files writes what the onnx package reads, and copies all that it does not edit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx, which checks the edited files, is not installed")

from crack_perception.recognition.models import load_model, shipped_models  # noqa: E402
from crack_perception.training.adaptation.onnx_file import (  # noqa: E402
    MalformedOnnx,
    OnnxFile,
    make_constant,
    make_node,
    renamed_input,
)


@pytest.fixture(params=shipped_models())
def graph(request: pytest.FixtureRequest) -> bytes:
    """Graph of a shipped model."""
    return load_model(request.param).graph


def test_decoded_nodes_are_those_of_onnx(graph: bytes) -> None:
    expected = onnx.load_from_string(graph).graph
    file = OnnxFile.decode(graph)
    assert [(n.operator, list(n.inputs), list(n.outputs)) for n in file.nodes] == [
        (n.op_type, list(n.input), list(n.output)) for n in expected.node
    ]
    assert list(file.constants) == [tensor.name for tensor in expected.initializer]
    assert list(file.outputs) == [value.name for value in expected.output]


def test_encoded_file_has_the_same_content(graph: bytes) -> None:
    encoded = OnnxFile.decode(graph).encode()
    assert onnx.load_from_string(encoded) == onnx.load_from_string(graph)


def test_added_nodes_constants_and_outputs_are_valid(graph: bytes) -> None:
    file = OnnxFile.decode(graph)
    score = file.producer("crack_score")
    assert score is not None
    values = {"half": np.array(0.5, np.float32), "which": np.array(0, np.int64)}
    nodes = [
        *(node for node in file.nodes if node is not score),
        make_node("Mul", [score.inputs[0], "half"], "halved"),
        renamed_input(score, score.inputs[0], "halved"),
    ]
    constants = {**file.constants, **{name: make_constant(name, value) for name, value in values.items()}}
    edited = replace(file, nodes=tuple(nodes), constants=constants)
    model = onnx.load_from_string(edited.encode())
    onnx.checker.check_model(model, full_check=True)
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert stored["half"] == np.float32(0.5)
    # No node reads it.
    assert "which" not in stored
    extended = onnx.load_from_string(edited.with_outputs("halved").encode())
    assert [value.name for value in extended.graph.output] == [*file.outputs, "halved"]


def test_attribute_is_an_integer_of_onnx() -> None:
    node = onnx.NodeProto.FromString(make_node("Gather", ["a", "b"], "c", axis=1).encoded)
    assert node == onnx.helper.make_node("Gather", ["a", "b"], ["c"], axis=1)


@pytest.mark.parametrize("values", [np.arange(300, dtype=np.float32).reshape(3, 100), np.array([-5, 7], np.int64)])
def test_constant_is_read_back_by_onnx(values: np.ndarray) -> None:
    tensor = onnx.TensorProto.FromString(make_constant("name", values))
    assert tensor.name == "name"
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), values)


def test_unused_name_differs_from_all_tensors(graph: bytes) -> None:
    file = OnnxFile.decode(graph)
    name = file.unused_name("")
    assert name not in {tensor for node in file.nodes for tensor in (*node.inputs, *node.outputs)} | {*file.constants}


@pytest.mark.parametrize("damage", [b"", b"\xff" * 20, b"\x3a\xff\x01abc", b"\x0b", b"PK\x03\x04 a zip file"])
def test_bytes_that_are_no_onnx_file_are_refused(damage: bytes) -> None:
    with pytest.raises(MalformedOnnx):
        OnnxFile.decode(damage)


def test_truncated_file_is_refused_or_decoded_without_another_error(graph: bytes) -> None:
    for size in range(1, len(graph), len(graph) // 97):
        try:
            OnnxFile.decode(graph[:size])
        except MalformedOnnx:
            continue
