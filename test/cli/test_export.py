# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception export``: one file for another runtime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import write_tiny_model

from crack_perception.cli.main import main
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.backends.protocol import OUTPUT_NAMES
from crack_perception.recognition.models import load_model, write_graph


@pytest.fixture
def compact(tmp_path: Path) -> Path:
    """A folder whose graph is packed."""
    folder = write_tiny_model(tmp_path / "tiny")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card.update(write_graph(folder, load_model(str(folder)).graph, compact=True))
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def test_export_packed_graph_is_unpacked_unchanged(
    compact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "model.onnx"
    assert main(["export", "--model", str(compact), "--out", str(out)]) == 0
    model = load_model(str(compact))
    assert out.read_bytes() == model.graph
    assert capsys.readouterr().out == f"{out}: tiny {model.sha256[:12]}, {len(model.graph):,} bytes\n"


def test_export_float_weights_give_same_scores(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    out = tmp_path / "standard.onnx"
    assert main(["export", "--model", "standard", "--float-weights", "--out", str(out)]) == 0
    assert "DequantizeLinear" not in {node.op_type for node in onnx.load(out).graph.node}
    model = load_model("standard")
    tiles = np.random.default_rng(1).integers(0, 256, (1, model.tile_px, model.tile_px, 3)).astype(np.uint8)
    stored, plain = (
        OnnxRuntimeBackend(replace(model, graph=graph), threads=1).run(tiles)
        for graph in (model.graph, out.read_bytes())
    )
    for name in OUTPUT_NAMES:
        np.testing.assert_allclose(getattr(plain, name), getattr(stored, name), atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["model", "model.pb", "model.onnx.xz"])
def test_export_unknown_suffix_is_usage_error(
    compact: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--model", str(compact), "--out", str(tmp_path / name)]) == 2
    assert ".onnx" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_export_broken_model_is_refused(compact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (compact / "model.onnx.xz").write_bytes(b"something else")
    assert main(["export", "--model", str(compact), "--out", str(tmp_path / "model.onnx")]) == 1
    assert "SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()
