# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A real model that is small enough for quick tests: its score depends on the darkest pixel of a tile.

``crack_score`` falls from 1 to 0 around grey level 64; the width is always 2 px with a standard deviation of 10 %.
With cells, ``cell_score`` is the same function of the darkest pixel of every square of the tile. If the model tells
structures, ``no_structure_score`` rises from 0 to 1 around grey level 230 of the brightest pixel.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx, which writes the model of these tests, is not installed")

import onnx
from onnx import TensorProto, helper, numpy_helper

TILE_PX = 64


def write_tiny_model(
    directory: Path,
    tile_px: int = TILE_PX,
    name: str = "tiny",
    channels: int = 3,
    cells_per_side: int = 0,
    has_structure_score: bool = False,
) -> Path:
    """Write ``model.onnx`` and ``card.json`` into a new folder and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    side_px = tile_px // max(cells_per_side, 1)
    squares = np.array([0, cells_per_side, side_px, cells_per_side, side_px, channels], np.int64)
    cell_nodes = [
        helper.make_node("Reshape", ["grey", "squares"], ["by_square"]),
        helper.make_node("ReduceMin", ["by_square"], ["darkest_of_square"], axes=[2, 4, 5], keepdims=0),
        helper.make_node("Sub", ["edge", "darkest_of_square"], ["darkness_of_square"]),
        helper.make_node("Div", ["darkness_of_square", "softness"], ["margin_of_square"]),
        helper.make_node("Flatten", ["margin_of_square"], ["margins_of_squares"]),
        helper.make_node("Sigmoid", ["margins_of_squares"], ["cell_score"]),
    ]
    structure_nodes = [
        helper.make_node("ReduceMax", ["grey"], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["brightest", "glare"], ["brightness"]),
        helper.make_node("Sigmoid", ["brightness"], ["no_structure_score"]),
    ]
    cell_output = helper.make_tensor_value_info("cell_score", TensorProto.FLOAT, ["N", cells_per_side**2])
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["tiles"], ["grey"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMin", ["grey"], ["darkest"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Sub", ["edge", "darkest"], ["darkness"]),
            helper.make_node("Div", ["darkness", "softness"], ["margin"]),
            helper.make_node("Sigmoid", ["margin"], ["crack_score"]),
            helper.make_node("Identity", ["crack_score"], ["wide_score"]),
            helper.make_node("Mul", ["darkest", "zero"], ["zeros"]),
            helper.make_node("Add", ["zeros", "log_two"], ["log_width_px"]),
            helper.make_node("Add", ["zeros", "spread"], ["log_width_sigma"]),
            *(cell_nodes if cells_per_side else ()),
            *(structure_nodes if has_structure_score else ()),
        ],
        name,
        [helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["N", tile_px, tile_px, channels])],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N"])
            for output in (
                *("crack_score", "wide_score", "log_width_px", "log_width_sigma"),
                *(("no_structure_score",) if has_structure_score else ()),
            )
        ]
        + [cell_output] * bool(cells_per_side),
        [
            *([numpy_helper.from_array(squares, "squares")] if cells_per_side else ()),
            *(
                numpy_helper.from_array(np.float32(value), constant)
                for constant, value in {
                    "edge": 64.0,
                    "softness": 8.0,
                    "zero": 0.0,
                    "log_two": np.log(2.0),
                    "spread": 0.1,
                    **({"glare": 230.0} if has_structure_score else {}),
                }.items()
            ),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    (directory / "model.onnx").write_bytes(data)
    card = {
        "name": name,
        "files": {"model.onnx": hashlib.sha256(data).hexdigest()},
        "tile_px": tile_px,
        "input": {"channels": channels},
        "threshold": 0.5,
        "severity": {"edge_px": 3.0},
        **({"cells": {"per_side": cells_per_side}} if cells_per_side else {}),
        **({"no_structure": {"threshold": 0.5}} if has_structure_score else {}),
    }
    (directory / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return directory
