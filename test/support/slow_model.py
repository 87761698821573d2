# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The tiny model with an additional slow convolution, to simulate a machine that is slower than its camera."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_model import write_tiny_model

pytest.importorskip("onnx", reason="onnx, which writes the model of these tests, is not installed")

import onnx
from onnx import helper, numpy_helper

_CHANNELS = 64


def write_slow_model(directory: Path, tile_px: int, name: str = "slow") -> Path:
    """Write the tiny model with additional 1.7 kMAC per pixel and return the folder."""
    write_tiny_model(directory, tile_px, name)
    model = onnx.load(str(directory / "model.onnx"))
    graph = model.graph
    nodes = [
        helper.make_node("Transpose", ["grey"], ["heavy_in"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["heavy_in", "widen"], ["heavy_out"], pads=[1, 1, 1, 1]),
    ]
    nodes += [
        helper.make_node("ReduceMax", ["heavy_out"], ["heavy_max"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["heavy_max", "zero"], ["nothing"]),
        helper.make_node("Add", ["edge", "nothing"], ["slow_edge"]),
    ]
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.01, (_CHANNELS, 3, 3, 3)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(weights, "widen"))
    cast = next(node for node in graph.node if node.op_type == "Cast")
    rest = [node for node in graph.node if node is not cast]
    for node in rest:
        for index, source in enumerate(node.input):
            if source == "edge":
                node.input[index] = "slow_edge"
    ordered = [cast, *nodes, *rest]
    del graph.node[:]
    graph.node.extend(ordered)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    (directory / "model.onnx").write_bytes(data)
    card = json.loads((directory / "card.json").read_text())
    card["files"] = {"model.onnx": hashlib.sha256(data).hexdigest()}
    (directory / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return directory
