# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reader and editor of ONNX files without the ``onnx`` package, which the core installation does not have.

An ONNX file is a protocol buffer: a sequence of (field number, value). Only the fields that an edit needs are decoded;
all others are copied byte for byte. The format allows fields of one number to be separated, so that appended nodes,
constants and outputs are valid wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10

# Field numbers of onnx.proto3.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALISER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGER, _ATTRIBUTE_TYPE, _TYPE_INTEGER = 1, 3, 20, 2
_TENSOR_DIMENSION, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT = 1, 2, 1, 1
_TENSOR_SHAPE, _SHAPE_DIMENSION, _DIMENSION_SIZE, _DIMENSION_NAME = 2, 1, 1, 2
_ELEMENT_TYPES = {np.dtype(np.float32): 1, np.dtype(np.int64): 7}


class MalformedOnnx(Exception):
    """The bytes are not a protocol buffer, or hold no graph; the message says where reading failed."""


@dataclass(frozen=True)
class Node:
    """One operator of a graph.

    Attributes:
        operator: For example ``Gemm``.
        inputs, outputs: Names of tensors.
        encoded: The whole node as it is stored.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    encoded: bytes


@dataclass(frozen=True)
class OnnxFile:
    """A decoded ONNX file.

    Attributes:
        nodes: Operators in the order of execution.
        constants: Encoded initialisers by name.
        inputs, outputs: Encoded descriptions of the graph's inputs and outputs by name.
        graph_rest: All other fields of the graph, encoded.
        model_rest: All other fields of the file, encoded.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, bytes]
    inputs: dict[str, bytes]
    outputs: dict[str, bytes]
    graph_rest: bytes
    model_rest: bytes

    @classmethod
    def decode(cls, data: bytes) -> OnnxFile:
        """Decode the bytes of an ONNX file.

        Raises:
            MalformedOnnx: It is no ONNX file with one graph.
        """
        graphs, model_rest = _parted(data, (_MODEL_GRAPH,))
        if len(graphs[_MODEL_GRAPH]) != 1:
            raise MalformedOnnx(f"the file holds {len(graphs[_MODEL_GRAPH])} graphs instead of one")
        known = (_GRAPH_NODE, _GRAPH_INITIALISER, _GRAPH_INPUT, _GRAPH_OUTPUT)
        parts, graph_rest = _parted(graphs[_MODEL_GRAPH][0], known)
        return cls(
            tuple(_decoded_node(node) for node in parts[_GRAPH_NODE]),
            {_text(tensor, _TENSOR_NAME): tensor for tensor in parts[_GRAPH_INITIALISER]},
            {_text(value, _VALUE_NAME): value for value in parts[_GRAPH_INPUT]},
            {_text(value, _VALUE_NAME): value for value in parts[_GRAPH_OUTPUT]},
            graph_rest,
            model_rest,
        )

    def encode(self) -> bytes:
        """Encode the file; unused constants are left out."""
        used = {name for node in self.nodes for name in node.inputs} | set(self.outputs)
        graph = b"".join(
            [
                *(_bytes_field(_GRAPH_NODE, node.encoded) for node in self.nodes),
                self.graph_rest,
                *(_bytes_field(_GRAPH_INITIALISER, tensor) for name, tensor in self.constants.items() if name in used),
                *(_bytes_field(_GRAPH_INPUT, value) for value in self.inputs.values()),
                *(_bytes_field(_GRAPH_OUTPUT, value) for value in self.outputs.values()),
            ]
        )
        return self.model_rest + _bytes_field(_MODEL_GRAPH, graph)

    def producer(self, tensor: str) -> Node | None:
        """Return the node that computes a tensor; None for inputs, constants and unknown names."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def part(self, begin: str, size: int, end: str) -> OnnxFile:
        """Return the part of the graph from one float tensor ``(N, size)``, its new input, to another, its output."""
        needed, kept = {end}, []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs) and begin not in node.outputs:
                kept.append(node)
                needed.update(node.inputs)
        return replace(
            self,
            nodes=tuple(reversed(kept)),
            inputs={begin: _float_value(begin, size)},
            outputs={end: _float_value(end, None)},
        )

    def with_outputs(self, *names: str, size: int | None = None) -> OnnxFile:
        """Return the graph with float tensors of it as additional outputs, ``(N, size)`` or of unstated shape."""
        return replace(self, outputs={**self.outputs, **{name: _float_value(name, size) for name in names}})

    def without_output(self, name: str) -> OnnxFile:
        """Return the graph without an output and the operators that only this output needs."""
        outputs = {output: value for output, value in self.outputs.items() if output != name}
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        constants = {constant: tensor for constant, tensor in self.constants.items() if constant in needed}
        return replace(self, nodes=tuple(reversed(kept)), constants=constants, outputs=outputs)

    def unused_name(self, stem: str) -> str:
        """Return a name that no tensor of the graph has."""
        taken = {name for node in self.nodes for name in (*node.inputs, *node.outputs)}
        taken |= {*self.constants, *self.inputs, *self.outputs}
        names = (f"{stem}{number}" for number in range(len(taken) + 1))
        return next(name for name in names if name not in taken)


def make_node(operator: str, inputs: Sequence[str], output: str, **attributes: int) -> Node:
    """Create an operator with one output and integer attributes."""
    encoded = [
        *(_bytes_field(_NODE_INPUT, name.encode()) for name in inputs),
        _bytes_field(_NODE_OUTPUT, output.encode()),
        _bytes_field(_NODE_OPERATOR, operator.encode()),
    ]
    for name, value in attributes.items():
        attribute = (
            _bytes_field(_ATTRIBUTE_NAME, name.encode())
            + _varint_field(_ATTRIBUTE_INTEGER, value)
            + _varint_field(_ATTRIBUTE_TYPE, _TYPE_INTEGER)
        )
        encoded.append(_bytes_field(_NODE_ATTRIBUTE, attribute))
    return Node(operator, tuple(inputs), (output,), b"".join(encoded))


def renamed_input(node: Node, old: str, new: str) -> Node:
    """Return a node that reads another tensor in place of ``old``."""
    encoded = []
    for number, kind, value, raw in _fields(node.encoded):
        is_old = number == _NODE_INPUT and kind == _BYTES and value == old.encode()
        encoded.append(_bytes_field(_NODE_INPUT, new.encode()) if is_old else raw)
    return replace(node, inputs=tuple(new if name == old else name for name in node.inputs), encoded=b"".join(encoded))


def make_constant(name: str, values: npt.NDArray[np.generic]) -> bytes:
    """Encode an initialiser of float32 or int64 values."""
    little_endian = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return b"".join(
        [
            *(_varint_field(_TENSOR_DIMENSION, size) for size in values.shape),
            _varint_field(_TENSOR_TYPE, _ELEMENT_TYPES[values.dtype]),
            _bytes_field(_TENSOR_NAME, name.encode()),
            _bytes_field(_TENSOR_RAW, little_endian.tobytes()),
        ]
    )


def _float_value(name: str, size: int | None) -> bytes:
    """Describe a float tensor ``(N, size)``, or of unstated shape."""
    tensor = _varint_field(_TENSOR_ELEMENT, _ELEMENT_TYPES[np.dtype(np.float32)])
    if size is not None:
        dimensions = (_bytes_field(_DIMENSION_NAME, b"N"), _varint_field(_DIMENSION_SIZE, size))
        shape = b"".join(_bytes_field(_SHAPE_DIMENSION, dimension) for dimension in dimensions)
        tensor += _bytes_field(_TENSOR_SHAPE, shape)
    return _bytes_field(_VALUE_NAME, name.encode()) + _bytes_field(_VALUE_TYPE, _bytes_field(_TYPE_TENSOR, tensor))


def _decoded_node(encoded: bytes) -> Node:
    parts, _ = _parted(encoded, (_NODE_INPUT, _NODE_OUTPUT))
    inputs, outputs = (tuple(_decoded(name) for name in parts[key]) for key in (_NODE_INPUT, _NODE_OUTPUT))
    return Node(_text(encoded, _NODE_OPERATOR), inputs, outputs, encoded)


def _text(message: bytes, number: int) -> str:
    """Return a text field of a message; empty if it is not there."""
    values = _parted(message, (number,))[0][number]
    return _decoded(values[-1]) if values else ""


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise MalformedOnnx(f"a name is not UTF-8 ({error})") from error


def _parted(message: bytes, numbers: Sequence[int]) -> tuple[dict[int, list[bytes]], bytes]:
    """Return the values of some fields of bytes, by number, and all other fields encoded."""
    parts: dict[int, list[bytes]] = {number: [] for number in numbers}
    rest = []
    for number, kind, value, raw in _fields(message):
        if number in parts and kind == _BYTES:
            parts[number].append(value)
        else:
            rest.append(raw)
    return parts, b"".join(rest)


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yield number, wire type, content (of bytes fields) and whole encoding of every field."""
    position = 0
    while position < len(message):
        begin = position
        key, position = _read_varint(message, position)
        kind, content = key & 7, b""
        if kind == _VARINT:
            _, position = _read_varint(message, position)
        elif kind == _BYTES:
            size, position = _read_varint(message, position)
            content = message[position : position + size]
            position += size
        elif kind in (_FIXED32, _FIXED64):
            position += 4 if kind == _FIXED32 else 8
        else:
            raise MalformedOnnx(f"unknown wire type {kind} at byte {begin}")
        if position > len(message):
            raise MalformedOnnx(f"the field at byte {begin} is truncated")
        yield key >> 3, kind, content, message[begin:position]


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(_LONGEST_VARINT):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, position
    raise MalformedOnnx(f"a number before byte {position} has no end")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _bytes_field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content
