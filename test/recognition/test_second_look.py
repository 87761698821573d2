# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Second look: choice of doubtful tiles, averaging, and the detector that uses both."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.recognition.backends.protocol import TileScores
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel, load_model
from crack_perception.recognition.second_look import MOST_SHARE, VIEWS, averaged, doubtful_tiles, mirrored
from crack_perception.vision.tiling import plan_tiles

GRID = plan_tiles(80, 50, 10)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


class HalfBlindBackend:
    """A real model that finds cracks only in the left half of a tile, so that mirror images differ."""

    def __init__(self, model: LoadedModel) -> None:
        self._backend = open_backend("onnxruntime", model, 1)
        self.description, self.batch, self.tolerance = "half blind", 4, 1e-3
        self.tiles = 0

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        self.tiles += len(tiles)
        seen = tiles.copy()
        seen[:, :, TILE_PX // 2 :] = 170
        return self._backend.run(seen)

    def close(self) -> None:
        self._backend.close()


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def scores(logits: dict[int, float], rest: float = -4.0) -> npt.NDArray[np.float32]:
    """Return scores of the tiles of ``GRID`` from logits of some of them."""
    return np.array([sigmoid(logits.get(tile, rest)) for tile in range(GRID.count)], np.float32)


def test_doubtful_tiles_nearest_to_threshold_first() -> None:
    assert doubtful_tiles(GRID, scores({3: -0.5, 9: -0.1, 30: -0.7}), 0.5).tolist() == [9, 3]


def test_doubtful_tiles_other_threshold_moves_the_band() -> None:
    assert doubtful_tiles(GRID, scores({3: -0.5, 9: 1.9}), sigmoid(2.0)).tolist() == [9]


def test_doubtful_tiles_beside_crack_wider_band() -> None:
    # Tile 11 is cracked; 12 is its neighbour, 14 is not.
    assert doubtful_tiles(GRID, scores({11: 5.0, 12: -1.2, 14: -1.2}), 0.5).tolist() == [12]


def test_doubtful_tiles_certain_crack_alone_is_not_doubtful() -> None:
    assert doubtful_tiles(GRID, scores({11: 1.2}), 0.5).tolist() == []


def test_doubtful_tiles_frame_without_crack_costs_at_most_a_share() -> None:
    chosen = doubtful_tiles(GRID, scores({}, rest=-0.3), 0.5)
    assert 0 < len(chosen) * VIEWS <= MOST_SHARE * GRID.count


def test_doubtful_tiles_skipped_tiles_never_chosen() -> None:
    values = scores({3: -0.1, 9: -0.2})
    values[3] = np.nan
    assert doubtful_tiles(GRID, values, 0.5).tolist() == [9]


def test_averaged_mean_of_logits_not_maximum() -> None:
    first = np.array([sigmoid(1.0), sigmoid(-2.0)], np.float32)
    further = np.array([sigmoid(x) for x in (-3.0, 2.0, -1.0, 3.0)], np.float32)
    assert averaged(first, further) == pytest.approx([sigmoid(-1.0), sigmoid(1.0)], abs=1e-6)


def test_averaged_certain_scores_stay_finite() -> None:
    assert np.isfinite(averaged(np.array([1.0], np.float32), np.array([0.0, 1.0], np.float32))).all()


def test_mirrored_both_directions() -> None:
    tiles = np.arange(2 * 3 * 3 * 1, dtype=np.uint8).reshape(2, 3, 3, 1)
    views = mirrored(tiles)
    assert np.array_equal(views[:2], tiles[:, :, ::-1])
    assert np.array_equal(views[2:], tiles[:, ::-1])


def frame_with_doubtful_tile() -> npt.NDArray[np.uint8]:
    """Return 6 x 5 tiles, one of which has a faint spot in its left half and a black one in its right half."""
    frame = np.full((5 * TILE_PX, 6 * TILE_PX, 3), 170, np.uint8)
    frame[TILE_PX + 5, TILE_PX + 5] = 66
    frame[TILE_PX + 9, 2 * TILE_PX - 5] = 0
    return frame


def test_detect_second_look_finds_crack_that_only_a_mirror_image_shows(model: LoadedModel) -> None:
    backend = HalfBlindBackend(model)
    detector = FrameDetector(model, backend)
    once = detector.detect(frame_with_doubtful_tile())
    assert (once.regions, once.second_looks, backend.tiles) == ([], 0, once.grid.count)
    detector.second_look = True
    twice = detector.detect(frame_with_doubtful_tile())
    (crack,) = twice.regions
    assert crack.region.tiles.tolist() == [7]
    assert twice.second_looks == 1
    assert backend.tiles == 2 * once.grid.count + VIEWS
    others = np.arange(once.grid.count) != 7
    assert np.array_equal(once.scores.crack_score[others], twice.scores.crack_score[others])


@pytest.mark.parametrize("busy", ["is_busy", "is_time_over"])
def test_detect_second_look_under_load_is_omitted(model: LoadedModel, busy: str) -> None:
    detector = FrameDetector(model, HalfBlindBackend(model), second_look=True)
    calls = {"is_busy": 0, "is_time_over": 0}

    def answer() -> bool:
        calls[busy] += 1
        # The tiles themselves are all processed before time is over.
        return busy == "is_busy" or calls[busy] > 30 // 4

    found = detector.detect(frame_with_doubtful_tile(), **{busy: answer})  # type: ignore[arg-type]
    assert found.looked.all()
    assert (found.regions, found.second_looks) == ([], 0)
    assert calls[busy]


def test_detect_second_look_single_tile_unchanged(model: LoadedModel) -> None:
    tile = frame_with_doubtful_tile()[TILE_PX : 2 * TILE_PX, TILE_PX : 2 * TILE_PX]
    detector = FrameDetector(model, HalfBlindBackend(model), second_look=True)
    assert detector.detect(tile).second_looks == 0
