"""The TensorFlow Lite file computes what the ONNX graph computes."""

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
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend  # noqa: E402
from crack_perception.recognition.backends.protocol import OUTPUT_NAMES  # noqa: E402
from crack_perception.recognition.models import LoadedModel, load_model  # noqa: E402

CONVERTERS = ("litert_torch", "ai_edge_quantizer")
INSTALLED = all(importlib.util.find_spec(name) for name in CONVERTERS)
needs_converter = pytest.mark.skipif(not INSTALLED, reason="the extra 'tflite' (litert-torch) is not installed")


@pytest.mark.skipif(INSTALLED, reason="the converter is installed")
def test_missing_converter_says_what_to_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
def test_shipped_model_is_the_same(
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
    for output in OUTPUT_NAMES:
        values = np.concatenate([result[output] for result in results])
        np.testing.assert_allclose(values, getattr(expected, output), atol=1e-4, err_msg=output)
