# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception build-engine`` with a fake TensorRT and GPU that compute real results."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import fake_nvidia
import numpy as np
import pytest

from crack_perception.cli.main import main
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.backends.protocol import OUTPUT_NAMES
from crack_perception.recognition.backends.tensorrt import engine_builder
from crack_perception.recognition.backends.tensorrt.backend import TensorRtBackend
from crack_perception.recognition.backends.tensorrt.engine_builder import PRECISIONS
from crack_perception.recognition.backends.trial import trial_tiles
from crack_perception.recognition.models import load_model

pytest.importorskip("onnx")


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia.install(monkeypatch)


def build(folder: Path, *arguments: str) -> int:
    return main(["build-engine", "--cache", str(folder), *arguments])


def engines(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.engine"))


def test_build_engine_builds_once_and_prints_path(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, "--model", str(tiny_model)) == 0
    (path,) = engines(tmp_path)
    printed = capsys.readouterr().out
    assert "TensorRT 10.3.0 for Fake GPU" in printed
    assert str(path) in printed.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"

    built = fake_nvidia.Builder.built
    assert build(tmp_path, "--model", str(tiny_model)) == 0
    assert "already exists" in capsys.readouterr().out
    assert fake_nvidia.Builder.built == built


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"junk" + b, lambda b: b[:-1] + b"\0", lambda b: b""])
def test_build_engine_broken_engine_is_rebuilt_without_loading(
    tmp_path: Path, tiny_model: Path, damage: types.FunctionType, capsys: pytest.CaptureFixture[str]
) -> None:
    build(tmp_path, "--model", str(tiny_model))
    (path,) = engines(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    deserialised = fake_nvidia.Runtime.deserialised
    capsys.readouterr()
    assert build(tmp_path, "--model", str(tiny_model)) == 0
    assert "rebuilding it" in capsys.readouterr().out
    assert path.read_bytes() == whole
    assert fake_nvidia.Runtime.deserialised == deserialised


def test_build_engine_other_tensorrt_version_builds_another(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build(tmp_path, "--model", str(tiny_model))
    fake_nvidia.install(monkeypatch, version="11.4.0")
    with pytest.raises(Exception, match=r"built for tensorrt 10.3.0, here is 11.4.0.*build-engine --model tiny"):
        TensorRtBackend(load_model(str(tiny_model)), tmp_path)
    assert build(tmp_path, "--model", str(tiny_model)) == 0
    assert len(engines(tmp_path)) == 2
    TensorRtBackend(load_model(str(tiny_model)), tmp_path).close()


@pytest.mark.parametrize("precision", sorted(PRECISIONS))
@pytest.mark.parametrize("name", ["nano", "standard"])
def test_build_engine_scores_are_within_precision(tmp_path: Path, name: str, precision: str) -> None:
    assert build(tmp_path, "--model", name, "--precision", precision, "--batch", "16") == 0
    model = load_model(name)
    backend = TensorRtBackend(model, tmp_path)
    assert f" {precision} " in backend.description
    tiles = trial_tiles(model, 20)
    expected, scores = OnnxRuntimeBackend(model, 1).run(tiles), backend.run(tiles)
    backend.close()
    for output in OUTPUT_NAMES:
        difference = np.abs(getattr(scores, output) - getattr(expected, output)).max()
        assert difference <= PRECISIONS[precision] / 2
        if precision == "fp16":
            assert difference > 0, "half precision was used"


def test_build_engine_releases_gpu(tmp_path: Path, tiny_model: Path) -> None:
    contexts, pieces = fake_nvidia.Context.alive, fake_nvidia.allocated()
    build(tmp_path, "--model", str(tiny_model))
    assert fake_nvidia.Context.alive == contexts
    backend = TensorRtBackend(load_model(str(tiny_model)), tmp_path)
    assert (fake_nvidia.Context.alive, fake_nvidia.allocated()) == (contexts + 1, pieces + 5)
    backend.close()
    assert (fake_nvidia.Context.alive, fake_nvidia.allocated()) == (contexts, pieces)


def test_build_engine_prints_progress_per_phase(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine_builder, "_SAY_EVERY_S", 0.0)
    build(tmp_path, "--model", str(tiny_model))
    printed = capsys.readouterr().out
    assert "Building Engine: step 1 of 2" in printed
    assert "Tactics" not in printed


@pytest.mark.parametrize("batch", ["0", "-3", "100000"])
def test_build_engine_batch_out_of_range_is_usage_error(
    tmp_path: Path, batch: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, "--batch", batch) == 2
    assert "--batch" in capsys.readouterr().err


def test_build_engine_unwritable_folder_fails(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert build(tmp_path / "file", "--model", str(tiny_model)) == 1


@pytest.mark.parametrize(
    ("module", "printed"),
    [("tensorrt", "tensorrt cannot be imported"), ("pycuda.driver", "pycuda cannot be imported")],
)
def test_build_engine_missing_library_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(sys.modules["pycuda"], "driver")
    monkeypatch.setitem(sys.modules, module, None)
    assert build(tmp_path) == 1
    assert printed in capsys.readouterr().err
    assert engines(tmp_path) == []


def test_build_engine_stub_package_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", types.ModuleType("tensorrt"))
    assert build(tmp_path) == 1
    assert "holds no TensorRT" in capsys.readouterr().err


def test_build_engine_without_gpu_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fake_nvidia.Device, "number", 0)
    assert build(tmp_path) == 1
    assert "CUDA finds no GPU" in capsys.readouterr().err


def test_build_engine_unparsable_graph_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = "crack_perception.training.export.engine_graph"
    monkeypatch.setattr(f"{module}.engine_graph", lambda graph, _px, _precision: graph)
    assert build(tmp_path, "--model", "nano") == 1
    assert "cannot parse the graph: error 0 of the fake parser" in capsys.readouterr().err
