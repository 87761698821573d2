# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests that the PyTorch module and the TensorFlow Lite file of a graph match ONNX Runtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tiny_model import write_tiny_model  # noqa: E402

from crack_perception.cli.main import main  # noqa: E402
from crack_perception.errors import UserError  # noqa: E402
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend  # noqa: E402
from crack_perception.recognition.backends.protocol import output_sizes  # noqa: E402
from crack_perception.recognition.models import LoadedModel, load_model, shipped_models  # noqa: E402
from crack_perception.training.backbones.mobilenet_v3 import Block  # noqa: E402
from crack_perception.training.backbones.network import CrackNetwork  # noqa: E402
from crack_perception.training.distillation.students import StudentTable, StudentTrunk  # noqa: E402
from crack_perception.training.export.model_graph import channels_of, feature_model  # noqa: E402
from crack_perception.training.export.tflite import GraphModule  # noqa: E402
from crack_perception.vision.tiling import in_channels  # noqa: E402

torch.set_num_threads(1)

CONVERTERS = ("litert_torch", "ai_edge_quantizer")
INSTALLED = all(importlib.util.find_spec(name) for name in CONVERTERS)
needs_converter = pytest.mark.skipif(not INSTALLED, reason="the extra 'tflite' (litert-torch) is not installed")


def compute(graph: bytes, tiles: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {name: values.numpy() for name, values in GraphModule(graph).eval()(torch.from_numpy(tiles)).items()}


@pytest.mark.parametrize("name", shipped_models())
def test_graph_module_shipped_model_matches_onnxruntime(name: str) -> None:
    model = load_model(name)
    tiles = np.random.default_rng(6).integers(0, 256, (2, *model.tile_shape)).astype(np.uint8)
    tiles[1, :, 100:104] //= 4
    expected = OnnxRuntimeBackend(model, threads=1).run(tiles)
    results = compute(model.graph, tiles)
    assert set(results) == set(output_sizes(model))
    for output in output_sizes(model):
        np.testing.assert_allclose(results[output], getattr(expected, output), atol=1e-4, err_msg=output)


def test_graph_module_student_matches_network() -> None:
    """From network to graph and back, with strides and every kind of block."""
    torch.manual_seed(2)
    blocks = (Block(3, 16, 16, False, False, 2), Block(5, 24, 16, True, True, 1))
    network = CrackNetwork(StudentTrunk(StudentTable(8, blocks, 24)), 0.0).eval()
    tiles = np.random.default_rng(6).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    graph = feature_model(network.trunk, 32, int8_weights=False).SerializeToString()
    grey = in_channels(tiles, channels_of(network.trunk))
    with torch.no_grad():
        expected = network.pooled(torch.from_numpy(np.repeat(grey, 3, axis=-1))).numpy()
    np.testing.assert_allclose(compute(graph, grey)["pooled"], expected, atol=1e-5)


def test_graph_module_unknown_operator_is_reported(tmp_path: Path) -> None:
    graph = (write_tiny_model(tmp_path / "tiny") / "model.onnx").read_bytes()
    with pytest.raises(UserError, match="unsupported operator ReduceMin"):
        GraphModule(graph)


@pytest.mark.skipif(INSTALLED, reason="the converter is installed")
def test_export_converter_missing_states_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.tflite"
    folder = write_tiny_model(tmp_path / "tiny")
    assert main(["export", "--model", str(folder), "--out", str(out)]) == 1
    assert "pip install 'crack_perception[tflite]'" in capsys.readouterr().err
    assert not out.exists()


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model("standard")


@pytest.fixture(scope="module")
def tiles(model: LoadedModel) -> np.ndarray:
    shape = (3, model.tile_px, model.tile_px, 3)
    tiles = np.random.default_rng(6).integers(0, 256, shape).astype(np.uint8)
    tiles[1:] = np.arange(model.tile_px, dtype=np.uint8)[:, None] // 4 + 120
    tiles[2, :, 100:104] //= 4
    return tiles


@needs_converter
@pytest.mark.slow
@pytest.mark.parametrize(("options", "most_bytes"), [([], 1_300_000), (["--float-weights"], 4_400_000)])
def test_export_shipped_model_matches_onnxruntime(
    model: LoadedModel, tiles: np.ndarray, options: list[str], most_bytes: int, tmp_path: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "model.tflite"
    assert main(["export", "--model", model.name, "--out", str(path), *options]) == 0
    assert path.stat().st_size <= most_bytes
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    results = [runner(tiles=tile[None]) for tile in tiles]
    expected = OnnxRuntimeBackend(model, threads=1).run(tiles)
    for output in output_sizes(model):
        values = np.concatenate([result[output] for result in results])
        np.testing.assert_allclose(values, getattr(expected, output), atol=1e-4, err_msg=output)
