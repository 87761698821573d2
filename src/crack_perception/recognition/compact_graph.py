# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""An ONNX graph in an xz file, which ``xz -d`` turns back into the graph, bit for bit.

int8 weights of a trained network hold about 7 bits, and a graph's structure, scales and zero bytes nearly nothing: a
model takes 2 to 7 % more bytes than it has parameters.
"""

from __future__ import annotations

from crack_perception.errors import UserError

MOST_GRAPH_BYTES = 64 << 20
"""Limit of the unpacked size; larger graphs are refused, however small the file."""
_MOST_MEMORY_BYTES = 160 << 20
"""Enough for the 64 MiB dictionary of ``xz -9``, should somebody pack a graph by hand."""
_SMALLEST_DICTIONARY = 4096


def compress_graph(graph: bytes) -> bytes:
    """Pack a graph; the same graph gives the same bytes with the same liblzma.

    Args:
        graph: An ONNX file of at most ``MOST_GRAPH_BYTES``.

    Raises:
        ValueError: It is larger.
    """
    import lzma

    if len(graph) > MOST_GRAPH_BYTES:
        raise ValueError(f"a graph of {len(graph)} bytes is above the limit of {MOST_GRAPH_BYTES}")
    # Neighbouring weights are uncorrelated: literals need no context. The dictionary fits the graph, so
    # that unpacking takes no more memory than the graph does.
    filters = [
        {
            "id": lzma.FILTER_LZMA2,
            "preset": 9 | lzma.PRESET_EXTREME,
            "lc": 0,
            "lp": 0,
            "pb": 0,
            "dict_size": max(len(graph), _SMALLEST_DICTIONARY),
        }
    ]
    return lzma.compress(graph, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)


def decompress_graph(data: bytes, where: str, remedy: str) -> bytes:
    """Unpack what ``compress_graph`` or ``xz`` packed, within bounds of memory and size.

    Args:
        data: Content of the file.
        where: Names the file in errors.
        remedy: What to do about a broken one.

    Raises:
        UserError: It is no single whole xz stream, unpacks to more than ``MOST_GRAPH_BYTES``, or this Python cannot
            unpack xz.
    """
    # A Python built without liblzma can still run models that are not packed.
    try:
        import lzma
    except ImportError as error:
        raise UserError(f"{where}: this Python was built without lzma", "Use a model.onnx or another Python") from error
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY_BYTES)
    try:
        graph = unpacker.decompress(data, MOST_GRAPH_BYTES + 1)
    except lzma.LZMAError as error:
        raise UserError(f"{where}: cannot be unpacked ({error})", remedy) from error
    if len(graph) > MOST_GRAPH_BYTES:
        raise UserError(f"{where}: unpacks to more than {MOST_GRAPH_BYTES:,} bytes", remedy)
    if not unpacker.eof or unpacker.unused_data:
        raise UserError(f"{where}: is truncated or holds more than one graph", remedy)
    return graph
