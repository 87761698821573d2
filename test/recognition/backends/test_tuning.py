# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the measured choice of threads and tiles per call, with a simulated clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from backend_models import tiles_with

from crack_perception.recognition.backends import onnxruntime as onnxruntime_backend
from crack_perception.recognition.backends import tuning
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.backends.protocol import PARITY, CallShape, TileScores, TunableBackend
from crack_perception.recognition.backends.tuning import BUDGET_S, tune
from crack_perception.recognition.models import LoadedModel, load_model

DEFAULT, SMALL, LARGE, ONE_THREAD = CallShape(2, 4), CallShape(2, 2), CallShape(2, 8), CallShape(1, 4)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> LoadedModel:
    return load_model(str(tiny_model))


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_backend, "thread_count", lambda threads: threads or 2)


class Timed(OnnxRuntimeBackend):
    """ONNX Runtime for which a simulated time passes: that of a tile, by shape, times the load of the machine."""

    def __init__(
        self,
        model: LoadedModel,
        tile_s: Callable[[CallShape], float],
        loads: tuple[float, ...] = (1.0,),
        threads: int = 0,
    ) -> None:
        super().__init__(model, threads)
        self.now_s = 0.0
        self._tile_s, self._loads = tile_s, cycle(loads)

    def run(self, tiles: np.ndarray) -> TileScores:
        assert self._shape is not None
        self.now_s += len(tiles) * self._tile_s(self._shape) * next(self._loads)
        return super().run(tiles)


@pytest.fixture
def tuned(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Timed, tuning.Tuning]]:
    def run(tile_s: Callable[[CallShape], float], **how: object) -> tuple[Timed, tuning.Tuning]:
        backend = Timed(model, tile_s, **how)  # type: ignore[arg-type]
        monkeypatch.setattr(tuning, "time", SimpleNamespace(perf_counter=lambda: backend.now_s))
        result = tune(backend, model)
        assert result is not None
        return backend, result

    return run


def by_shape(**times_s: float) -> Callable[[CallShape], float]:
    """Return the time of a tile by the name of the shape, 1 ms where nothing is given."""
    names = {DEFAULT: "default", SMALL: "small", LARGE: "large", ONE_THREAD: "one_thread"}
    return lambda shape: times_s.get(names[shape], 0.001)


@pytest.mark.parametrize(
    ("times_s", "chosen", "batch"),
    [
        ({}, DEFAULT, 24),
        ({"small": 0.0008}, SMALL, 24),
        ({"large": 0.0008}, LARGE, 32),
        ({"one_thread": 0.0008}, ONE_THREAD, 4),
        ({"one_thread": 0.002, "default": 0.0015}, SMALL, 24),
        ({"small": 0.00095, "one_thread": 0.00095}, DEFAULT, 24),
    ],
)
def test_tune_uses_the_shape_that_is_clearly_faster(
    tuned: Callable[..., tuple[Timed, tuning.Tuning]], times_s: dict[str, float], chosen: CallShape, batch: int
) -> None:
    backend, result = tuned(by_shape(**times_s))
    assert result.shape == backend._shape == chosen and backend.batch == batch
    assert result.figures()["backend_threads"] == str(chosen.threads)
    assert result.figures()["backend_tiles_per_call"] == str(chosen.tiles)
    assert list(result.tile_ms) == [DEFAULT, SMALL, LARGE, ONE_THREAD]
    assert result.tile_ms[chosen] == pytest.approx(1000 * by_shape(**times_s)(chosen))


@pytest.mark.parametrize("loads", [(1, 5, 3), (4, 1, 1, 9, 2), (8, 2, 1), (1, 1, 1, 1, 6)])
def test_tune_on_a_busy_machine_chooses_as_on_an_idle_one(
    tuned: Callable[..., tuple[Timed, tuning.Tuning]], loads: tuple[float, ...]
) -> None:
    for times_s, chosen in (({}, DEFAULT), ({"one_thread": 0.002}, DEFAULT), ({"large": 0.0005}, LARGE)):
        fast = {name: time_s / 10 for name, time_s in {"default": 0.001, **times_s}.items()}
        fast = {"small": 0.0001, "large": 0.0001, "one_thread": 0.0001} | fast
        assert tuned(by_shape(**fast), loads=loads)[1].shape == chosen


def test_tune_keeps_the_threads_that_are_requested(tuned: Callable[..., tuple[Timed, tuning.Tuning]]) -> None:
    backend, result = tuned(lambda shape: 0.001 if shape.threads == 2 else 1e-6, threads=2)
    assert {shape.threads for shape in backend.shapes()} == {2} and result.shape == DEFAULT
    backend, result = tuned(lambda shape: 0.001 / shape.tiles, threads=1)
    assert {shape.threads for shape in result.tile_ms} == {1} and result.shape == CallShape(1, 8)


def test_tune_with_many_requested_threads_measures_them(tuned: Callable[..., tuple[Timed, tuning.Tuning]]) -> None:
    _, result = tuned(lambda shape: 1e-4, threads=8)
    assert result.shape == CallShape(8, 4) and result.rounds >= 2


@pytest.mark.parametrize(("tile_s", "rounds"), [(1e-4, 7), (0.004, 3), (0.02, 0), (0.5, 0)])
def test_tune_is_bounded_and_measures_less_on_slow_machines(
    tuned: Callable[..., tuple[Timed, tuning.Tuning]], tile_s: float, rounds: int
) -> None:
    # One thread with few tiles is the fastest, but a machine that is too slow to measure that keeps the default.
    backend, result = tuned(lambda shape: tile_s / (4 if shape == SMALL else 1))
    assert result.rounds >= rounds and backend.now_s <= BUDGET_S + 2 * 8 * tile_s
    assert result.shape == (SMALL if result.rounds >= 2 else DEFAULT)
    assert ("not measured" in str(result)) == (rounds == 0)


def test_tune_backend_of_one_shape_measures_nothing(model: LoadedModel) -> None:
    class Fixed:
        batch, tolerance, description = 8, PARITY, "fixed"

        def run(self, tiles: np.ndarray) -> TileScores:
            raise AssertionError

        def close(self) -> None: ...

    assert tune(Fixed(), model) is None


def test_every_shape_gives_the_same_scores(model: LoadedModel) -> None:
    backend = OnnxRuntimeBackend(model)
    assert isinstance(backend, TunableBackend)
    for count in (1, 2, 3, 7, 17, 40):
        tiles = tiles_with(*range(5, 5 + 4 * count, 4))
        expected = OnnxRuntimeBackend(model, 1).run(tiles).crack_score
        for shape in backend.shapes():
            backend.use(shape)
            assert backend.run(tiles).crack_score == pytest.approx(expected, abs=1e-6)
    backend.close()
