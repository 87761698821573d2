# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Uncertain tiles are chosen near the threshold, not too often and not twice at one place."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.recognition.uncertain_tiles import TileSpread, most_uncertain_tile

SQUARE_M = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 2.0], [0.0, 0.0, 2.0]])
NOWHERE = np.empty((0, 3))


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [
        ([0.01, 0.6, 0.99], 0.7, 1),
        ([0.01, 0.999], 0.5, None),
        ([np.nan, 0.4, 0.45], 0.5, 2),
        ([np.nan, np.nan], 0.5, None),
        ([0.0, 1.0], 0.5, None),
        ([0.88, 0.2], 0.695, 0),
    ],
)
def test_most_uncertain_tile_is_nearest_to_the_threshold(
    scores: list[float], threshold: float, expected: int | None
) -> None:
    assert most_uncertain_tile(np.array(scores, np.float32), threshold) == expected


def test_spread_waits_for_its_interval_and_survives_time_that_jumps_back() -> None:
    spread = TileSpread(2.0)
    assert spread.is_due(100.0)
    spread.note(100.0, NOWHERE)
    assert not spread.is_due(101.9)
    assert spread.is_due(102.0)
    assert spread.is_due(50.0)


def test_spread_refuses_a_place_within_half_a_view() -> None:
    spread = TileSpread(2.0)
    assert spread.is_new_place(SQUARE_M)
    spread.note(0.0, SQUARE_M)
    assert not spread.is_new_place(SQUARE_M + [0.5, 0.0, 0.0])
    assert spread.is_new_place(SQUARE_M + [1.5, 0.0, 0.0])
    assert spread.is_new_place(NOWHERE)
