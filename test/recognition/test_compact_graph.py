# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of compressed graphs: exact round trip, and refusal of malicious files."""

from __future__ import annotations

import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.errors import UserError
from crack_perception.recognition.compact_graph import MOST_GRAPH_BYTES, compress_graph, decompress_graph

GRAPH = bytes(np.random.default_rng(0).normal(0.0, 40.0, 20_000).clip(-127, 127).astype(np.int8)) + bytes(3000)


def refusal(data: bytes) -> UserError:
    with pytest.raises(UserError) as caught:
        decompress_graph(data, "model.onnx.xz", "Restore it")
    assert caught.value.remedy == "Restore it"
    return caught.value


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_compress_round_trip(graph: bytes) -> None:
    assert decompress_graph(compress_graph(graph), "", "") == graph


def test_compress_same_graph_same_file() -> None:
    assert compress_graph(GRAPH) == compress_graph(bytes(bytearray(GRAPH)))


def test_compress_size_near_entropy_of_weights() -> None:
    levels = np.frombuffer(GRAPH[:20_000], np.uint8)
    shares = np.bincount(levels)[np.bincount(levels) > 0] / len(levels)
    entropy_bytes = -(shares * np.log2(shares)).sum() / 8 * len(levels)
    assert len(compress_graph(GRAPH)) < 1.02 * entropy_bytes + 200


def test_compress_gives_standard_xz_file() -> None:
    assert lzma.decompress(compress_graph(GRAPH), lzma.FORMAT_XZ) == GRAPH
    assert decompress_graph(lzma.compress(GRAPH, preset=9), "", "") == GRAPH


@pytest.mark.parametrize("data", [b"", b"not packed at all", GRAPH])
def test_decompress_other_content_refused(data: bytes) -> None:
    assert "model.onnx.xz" in refusal(data).problem


def test_decompress_truncated_file_refused() -> None:
    assert "truncated" in refusal(compress_graph(GRAPH)[:-1]).problem


def test_decompress_trailing_data_refused() -> None:
    assert "more than one" in refusal(compress_graph(GRAPH) * 2).problem


def test_decompress_damaged_file_refused() -> None:
    data = bytearray(compress_graph(GRAPH))
    data[len(data) // 2] ^= 1
    assert "cannot be unpacked" in refusal(bytes(data)).problem


def test_decompress_bomb_refused() -> None:
    bomb = lzma.compress(bytes(MOST_GRAPH_BYTES + 1), preset=0)
    assert len(bomb) < 20_000
    assert "unpacks to more than" in refusal(bomb).problem


def test_decompress_memory_limit_exceeded_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    assert "memory" in refusal(lzma.compress(b"x", filters=filters)).problem.lower()


def test_compress_graph_above_limit_refused() -> None:
    with pytest.raises(ValueError, match="above the limit"):
        compress_graph(bytes(MOST_GRAPH_BYTES + 1))
