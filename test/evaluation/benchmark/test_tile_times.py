# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Times of the models on tiles: input format and batch size."""

from __future__ import annotations

import numpy as np
import pytest
from backend_models import crack_score_of, tiles_with
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.evaluation.benchmark.contenders import BATCH, shipped_contender
from crack_perception.evaluation.benchmark.tile_times import measure_tiles
from crack_perception.recognition.models import LoadedModel, load_model


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", channels=request.param)))


@pytest.mark.parametrize("threads", [1, 2])
def test_contender_accepts_colour_tiles(model: LoadedModel, threads: int) -> None:
    contender = shipped_contender(model, threads)
    darkest = np.array([20, 60, 90])
    assert contender.run(tiles_with(*darkest)).crack_score == pytest.approx(crack_score_of(darkest), abs=1e-5)


def test_contender_two_threads_batch_occupies_both(model: LoadedModel) -> None:
    one, two = shipped_contender(model, 1), shipped_contender(model, 2)
    assert one.batch == BATCH
    assert two.batch >= 4 * BATCH
    rounds: list[str] = []
    times = measure_tiles([model], [], np.full((1080, 1920, 3), 150, np.uint8), 3, rounds.append)
    assert times.about["tiny"]["tiles_a_call_two_threads"] == two.batch
    assert times.about["tiny"]["tile_px"] == TILE_PX
    for kind in (times.batched, times.single, times.two_threads):
        assert kind["tiny"].shape == (3,)
        assert np.all(kind["tiny"] > 0)
    assert times.networks == {}
    assert len(rounds) == 3
