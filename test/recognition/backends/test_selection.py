# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the selection of a backend: by name, fallback with a reason, and the fastest equivalent one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import fake_nvidia
import numpy as np
import pytest
from backend_models import tiles_with

from crack_perception.cli.main import main
from crack_perception.errors import UserError
from crack_perception.recognition.backends import selection as backends
from crack_perception.recognition.backends import trial as backend_trial
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.backends.protocol import PARITY, InferenceBackend, InferenceFailed, TileScores
from crack_perception.recognition.backends.selection import BACKENDS, open_backend
from crack_perception.recognition.backends.trial import find_error, trial_tiles
from crack_perception.recognition.models import LoadedModel, load_model

_NOW_S = [0.0]


@pytest.fixture(autouse=True)
def simulated_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the clock of the trial, so that time passes only by calls of ``pass_time``."""
    monkeypatch.setattr(backend_trial, "time", SimpleNamespace(perf_counter=lambda: _NOW_S[0]))


def pass_time(seconds: float) -> None:
    _NOW_S[0] += seconds


class Other:
    """ONNX Runtime with an additional delay and error."""

    batch, tolerance = 8, PARITY

    def __init__(self, model: LoadedModel, delay_s: float = 0.0, error: float = 0.0) -> None:
        self._inner = OnnxRuntimeBackend(model, 1)
        self._delay_s, self._error = delay_s, error
        self.description = "other 1.0"
        self.is_open = True

    def run(self, tiles: np.ndarray) -> TileScores:
        pass_time(self._delay_s)
        scores = self._inner.run(tiles)
        return TileScores(scores.crack_score + np.float32(self._error), *list(vars(scores).values())[1:])

    def close(self) -> None:
        self.is_open = False


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> LoadedModel:
    return load_model(str(tiny_model))


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Other]]:
    """Install a backend under the name 'openvino'; opened backends are added to the list."""

    def offered(**how: float) -> list[Other]:
        opened: list[Other] = []

        def open_other(model: LoadedModel, _threads: int) -> InferenceBackend:
            opened.append(Other(model, **how))
            return opened[-1]

        monkeypatch.setitem(backends._OPTIONAL, "openvino", open_other)
        monkeypatch.setattr(backends, "_NEEDED", {"openvino": ()})
        return opened

    return offered


def slow_default(monkeypatch: pytest.MonkeyPatch, delay_s: float) -> None:
    run = OnnxRuntimeBackend.run

    def slowly(self: OnnxRuntimeBackend, tiles: np.ndarray) -> TileScores:
        pass_time(delay_s)
        return run(self, tiles)

    monkeypatch.setattr(OnnxRuntimeBackend, "run", slowly)


def test_open_backend_unknown_name_lists_known(model: LoadedModel) -> None:
    with pytest.raises(UserError, match=r"no backend 'abacus'.*auto, onnxruntime, openvino, tensorrt"):
        open_backend("abacus", model)


@pytest.mark.parametrize("name", BACKENDS)
def test_open_backend_every_name_runs(name: str, model: LoadedModel, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    backend = open_backend(name, model, 1, told.append)
    assert backend.run(tiles_with(0)).crack_score[0] > 0.9
    assert bool(told) == (not backend.description.startswith(name) and name != "auto")
    for note in told:
        assert f"The backend {name} cannot be used, onnxruntime runs instead: " in note
    backend.close()


def test_open_backend_without_callback_logs_reason(model: LoadedModel, caplog: pytest.LogCaptureFixture) -> None:
    # The logger class of launch does not propagate: the handler is attached to the logger itself.
    logger = logging.getLogger(backends.__name__)
    logger.addHandler(caplog.handler)
    try:
        open_backend("tensorrt", model, 1)
    finally:
        logger.removeHandler(caplog.handler)
    assert "The backend tensorrt cannot be used" in caplog.text


def test_auto_missing_package_no_note(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_NEEDED", {"openvino": ("no_such_module",)})
    told: list[str] = []
    assert open_backend("auto", model, 1, told.append).description.startswith("onnxruntime")
    assert told == []


def test_open_backend_wrong_scores_falls_back(model: LoadedModel, offer: Callable[..., list[Other]]) -> None:
    told: list[str] = []
    opened = offer(error=3 * PARITY)
    for name in ("openvino", "auto"):
        assert open_backend(name, model, 1, told.append).description.startswith("onnxruntime")
    assert [other.is_open for other in opened] == [False, False]
    assert len(told) == 2
    assert "its outputs differ from those of onnxruntime" in told[0]
    assert "by 0.003" in told[0]


def test_open_backend_failure_falls_back(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_model: LoadedModel, _threads: int) -> InferenceBackend:
        raise OSError("libsomething.so: cannot open shared object file")

    monkeypatch.setitem(backends._OPTIONAL, "openvino", break_down)
    told: list[str] = []
    assert open_backend("openvino", model, 1, told.append).run(tiles_with(0)).crack_score[0] > 0.9
    assert "OSError: libsomething.so" in told[0]


def test_auto_clearly_faster_selected(
    model: LoadedModel, offer: Callable[..., list[Other]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = offer()
    slow_default(monkeypatch, 0.005)
    # The other backend is ONNX Runtime as well and equally slow; it wins because it needs fewer calls.
    monkeypatch.setattr(Other, "batch", 24)
    backend = open_backend("auto", model, 1)
    assert backend is opened[0]
    assert backend.run(tiles_with(0)).crack_score[0] > 0.9


def test_auto_slower_keeps_default(model: LoadedModel, offer: Callable[..., list[Other]]) -> None:
    opened = offer(delay_s=0.005)
    assert open_backend("auto", model, 1).description.startswith("onnxruntime")
    assert not opened[0].is_open


def test_open_backend_slower_by_name_runs(model: LoadedModel, offer: Callable[..., list[Other]]) -> None:
    opened = offer(delay_s=0.002)
    assert open_backend("openvino", model, 1) is opened[0]
    assert opened[0].is_open


@pytest.mark.parametrize(
    ("times_s", "chosen"),
    [([1.0, 0.95], 0), ([1.0, 1.2], 0), ([1.0, 0.85], 1), ([1.0, 0.8, 0.7], 2), ([1.0, 0.7, 0.8], 1)],
)
def test_auto_slightly_faster_keeps_default(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, times_s: list[float], chosen: int
) -> None:
    monkeypatch.setattr(backend_trial, "median_times_s", lambda _backends, _model: times_s)
    assert backend_trial.clearly_fastest([Other(model)] * len(times_s), model) == chosen


def test_auto_times_use_preferred_batch(model: LoadedModel) -> None:
    few, many = Other(model, delay_s=0.01), Other(model, delay_s=0.01)
    few.batch, many.batch = 24, 4
    times_s = backend_trial.median_times_s([few, many], model)
    assert times_s[0] >= 0.01
    assert times_s[1] >= 0.06
    assert times_s[0] < times_s[1]


def test_auto_incomparable_keeps_default(
    model: LoadedModel, offer: Callable[..., list[Other]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_backends: object, _model: LoadedModel) -> list[float]:
        raise InferenceFailed("the GPU was lost")

    opened = offer()
    monkeypatch.setattr(backend_trial, "median_times_s", fail)
    told: list[str] = []
    assert open_backend("auto", model, 1, told.append).description.startswith("onnxruntime")
    assert told == ["The backends could not be compared, onnxruntime runs: the GPU was lost"]
    assert not opened[0].is_open


def test_auto_failure_in_trial_noted(model: LoadedModel) -> None:
    class Failing(Other):
        def run(self, tiles: np.ndarray) -> TileScores:
            raise InferenceFailed("out of memory")

    assert find_error(Failing(model), OnnxRuntimeBackend(model, 1), model) == "out of memory"
    assert find_error(Other(model), OnnxRuntimeBackend(model, 1), model) == ""


def test_trial_tiles_distinguish_models() -> None:
    for name in ("nano", "standard"):
        model = load_model(name)
        tiles = trial_tiles(model)
        assert np.array_equal(tiles, trial_tiles(model)), "the same every time"
        scores = OnnxRuntimeBackend(model, 1).run(tiles).crack_score
        assert scores.min() < model.threshold < scores.max()


def test_auto_gpu_without_engine_noted(model: LoadedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_nvidia.install(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[str] = []
    contexts = fake_nvidia.Context.alive
    assert open_backend("auto", model, 1, told.append).description.startswith("onnxruntime")
    assert any("crack_perception build-engine --model tiny" in note for note in told)
    assert fake_nvidia.Context.alive == contexts

    assert main(["build-engine", "--model", str(model.directory)]) == 0
    backend = open_backend("tensorrt", model)
    assert backend.description == "tensorrt 10.3.0 fp32 Fake GPU"
    backend.close()


def test_optional_library_imported_by_one_file() -> None:
    package = Path(backends.__file__).parents[1]
    for library in ("openvino", "tensorrt", "pycuda"):
        files = [
            path.name
            for path in package.rglob("*.py")
            if any(
                line.strip().startswith((f"import {library}", f"from {library}"))
                for line in path.read_text(encoding="utf-8").splitlines()
            )
        ]
        assert len(files) == 1, files
