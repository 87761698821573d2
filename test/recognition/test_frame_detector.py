# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the detection in whole frames with a real model: cracked tiles and widths of regions."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.errors import UserError
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel, load_model

DARK = 10


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.fixture
def detector(model: LoadedModel) -> FrameDetector:
    return FrameDetector(model, open_backend("auto", model, 1))


def wall(width: int, height: int, *dark: tuple[int, int]) -> np.ndarray:
    """Return a grey frame with dark pixels at (x, y)."""
    frame = np.full((height, width, 3), 180, np.uint8)
    for x, y in dark:
        frame[y, x] = DARK
    return frame


def model_of_varying_width(folder: Path) -> LoadedModel:
    """Return the tiny model with a width that depends on the darkest pixel: log width = log 2 + 0.1 grey."""
    write_tiny_model(folder)
    proto = onnx.load(str(folder / "model.onnx"))
    (zero,) = [constant for constant in proto.graph.initializer if constant.name == "zero"]
    zero.CopyFrom(numpy_helper.from_array(np.float32(0.1), "zero"))
    # The standard deviation has the same slope, which is compensated here.
    for node in proto.graph.node:
        if node.output[0] == "log_width_sigma":
            node.input[0] = "flat"
    graph = proto.graph
    graph.initializer.append(numpy_helper.from_array(np.float32(0.0), "none"))
    flat = onnx.helper.make_node("Mul", ["darkest", "none"], ["flat"])
    graph.node.insert(len(graph.node) - 1, flat)
    data = proto.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["files"]["model.onnx"] = hashlib.sha256(data).hexdigest()
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return load_model(str(folder))


def test_detect_dark_spot_located(detector: FrameDetector) -> None:
    found = detector.detect(wall(640, 384, (330, 200)))
    assert found.grid.count == 60
    assert found.scores.crack_score.shape == (60,)
    (crack,) = found.regions
    assert crack.region.box.contains([[330, 200]]).all()
    assert crack.region.score == pytest.approx(1 / (1 + math.exp(-(64 - DARK) / 8)), abs=1e-5)


def test_detect_intact_wall_no_region(detector: FrameDetector) -> None:
    found = detector.detect(wall(640, 384))
    assert found.regions == []
    assert found.scores.crack_score.max() < 0.01


def test_detect_scores_in_tile_order(detector: FrameDetector) -> None:
    rng = np.random.default_rng(6)
    frame = rng.integers(30, 220, (300, 500, 3), dtype=np.uint8)
    found = detector.detect(frame)
    assert found.grid.count > 8, "more than one batch"
    for score, (left, top, right, bottom) in zip(found.scores.crack_score, found.grid.boxes(), strict=True):
        darkest = int(frame[top:bottom, left:right].min())
        assert score == pytest.approx(1 / (1 + math.exp(-(64 - darkest) / 8)), abs=1e-5)


def test_detect_one_channel_model_gets_luminance(tmp_path: Path) -> None:
    grey = load_model(str(write_tiny_model(tmp_path / "grey", channels=1)))
    detector = FrameDetector(grey, open_backend("auto", grey, 1))
    frame = wall(640, 384)
    frame[200, 330] = (255, 40, 10)
    # 0.114 x 255 + 0.587 x 40 + 0.299 x 10 = 55.54
    found = detector.detect(frame)
    assert found.scores.crack_score.max() == pytest.approx(1 / (1 + math.exp(-(64 - 56) / 8)), abs=1e-5)
    (crack,) = found.regions
    assert crack.region.box.contains([[330, 200]]).all()
    detector.warm_up()
    assert detector.detect(np.ascontiguousarray(frame[::-1])[::-1]).scores.crack_score.max() == (
        found.scores.crack_score.max()
    )


def test_detect_distant_spots_separate_regions(detector: FrameDetector) -> None:
    regions = detector.detect(wall(640, 384, (10, 10), (600, 370))).regions
    assert len(regions) == 2


def test_detect_changing_frame_sizes_independent(detector: FrameDetector) -> None:
    sizes = [(640, 384), (100, 90), (640, 384), (64, 64), (900, 500), (30, 20)]
    fresh = [FrameDetector(detector.model, detector.backend).detect(wall(*size, (9, 9))) for size in sizes]
    for size, expected in zip(sizes, fresh, strict=True):
        # Every second frame is full of dark spots, so that stale tiles would be detected.
        detector.detect(np.zeros((500, 900, 3), np.uint8))
        found = detector.detect(wall(*size, (9, 9)))
        assert found.grid == expected.grid
        assert np.array_equal(found.scores.crack_score, expected.scores.crack_score)


def test_detect_earlier_results_unchanged(detector: FrameDetector) -> None:
    first = detector.detect(wall(640, 384, (330, 200)))
    kept = first.scores.crack_score.copy()
    detector.detect(np.zeros((384, 640, 3), np.uint8))
    assert np.array_equal(first.scores.crack_score, kept)


@pytest.mark.parametrize("size", [(TILE_PX, TILE_PX), (40, 30), (1, 1), (200, 20)])
def test_detect_frame_smaller_than_tile_scored(detector: FrameDetector, size: tuple[int, int]) -> None:
    assert detector.detect(wall(*size)).regions == []
    dark = detector.detect(wall(*size, (size[0] - 1, size[1] - 1)))
    assert dark.regions
    box = dark.regions[0].region.box
    assert box.centre_px[0] < size[0]
    assert box.centre_px[1] < size[1]


def test_detect_overlap_more_tiles(model: LoadedModel) -> None:
    backend = open_backend("auto", model, 1)
    plain = FrameDetector(model, backend).detect(wall(640, 384))
    overlapping = FrameDetector(model, backend, overlap=0.5).detect(wall(640, 384))
    assert overlapping.grid.count == 19 * 11
    assert plain.grid.count == 60


def test_detect_threshold_overrides_model(model: LoadedModel) -> None:
    backend = open_backend("auto", model, 1)
    frame = wall(64, 64)
    frame[5, 5] = 60  # score 0.62
    assert FrameDetector(model, backend).threshold == 0.5
    assert len(FrameDetector(model, backend).detect(frame).regions) == 1
    assert FrameDetector(model, backend, threshold=0.7).detect(frame).regions == []


def test_detect_agreeing_tiles_keep_width(detector: FrameDetector) -> None:
    (crack,) = detector.detect(wall(640, 64, (60, 30), (70, 30), (140, 30))).regions
    assert len(crack.region.tiles) == 3
    assert crack.width_px.width == pytest.approx(2.0, rel=1e-5)
    assert crack.width_px.log_sigma == pytest.approx(0.1, rel=1e-4)
    assert crack.wide_score == pytest.approx(crack.region.score, rel=1e-4)


def test_detect_disagreeing_tiles_weighted_with_larger_sigma(tmp_path: Path) -> None:
    model = model_of_varying_width(tmp_path / "varying")
    frame = wall(128, 64)
    frame[10, 10], frame[10, 100] = 20, 60
    (crack,) = FrameDetector(model, open_backend("auto", model, 1)).detect(frame).regions
    scores = 1 / (1 + np.exp(-(64 - np.array([20.0, 60.0])) / 8))
    logs = np.log(2) + np.array([2.0, 6.0])
    mean = (scores @ logs) / scores.sum()
    variance = 0.1**2 + (scores @ (logs - mean) ** 2) / scores.sum()
    assert crack.width_px.log_width == pytest.approx(mean, abs=1e-4)
    assert crack.width_px.log_sigma == pytest.approx(np.sqrt(variance), abs=1e-4)


def test_detect_deadline_reached_skips_tiles(detector: FrameDetector) -> None:
    frame = wall(640, 384, (10, 10), (600, 370))
    whole = detector.detect(frame).scores
    fresh = FrameDetector(detector.model, detector.backend)
    asked = iter([False, False, True])
    found = fresh.detect(frame, lambda: next(asked))
    assert np.flatnonzero(found.looked).tolist() == list(range(12)), "three batches"
    assert np.allclose(found.scores.crack_score[:12], whole.crack_score[:12], atol=1e-6)
    for values in (found.scores.crack_score, found.scores.wide_score, found.scores.log_width_px):
        assert np.all(np.isnan(values[12:]))
    (crack,) = found.regions
    assert crack.region.tiles.tolist() == [0]


def test_detect_deadline_before_start_one_batch(detector: FrameDetector) -> None:
    found = FrameDetector(detector.model, detector.backend).detect(wall(640, 384), lambda: True)
    assert found.looked.sum() == 4


def test_detect_without_deadline_all_tiles_processed(detector: FrameDetector) -> None:
    assert detector.detect(wall(640, 384)).looked.all()
    assert detector.detect(wall(640, 384), lambda: False).looked.all()


def test_detect_truncated_frames_cover_wall_and_keep_crack(model: LoadedModel) -> None:
    detector = FrameDetector(model, open_backend("auto", model, 1))
    # A crack over two tiles in the last row; 60 tiles, eight per frame.
    frame = wall(640, 384, (470, 380), (490, 380))
    seen = np.zeros(60, np.bool_)
    found_in = []
    for _ in range(12):
        calls = iter([False, True])
        found = detector.detect(frame, lambda calls=calls: next(calls))
        seen |= found.looked
        found_in.append(bool(found.regions))
    assert seen.all()
    assert all(found_in[found_in.index(True) :]), "once seen, a crack is looked at in every frame"


def test_warm_up_batch_fits_model(detector: FrameDetector) -> None:
    detector.warm_up()
    assert detector.detect(wall(64, 64)).regions == []


def test_detector_card_with_other_tile_refused_on_open(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, "tile_px": 2 * TILE_PX}), encoding="utf-8")
    model = load_model(str(folder))
    with pytest.raises(UserError, match=r"takes tiles of .64, 64, 3., the card states .128, 128, 3."):
        open_backend("auto", model, 1)


def test_detect_fine_gsd_read_in_fewer_tiles_at_frame_coordinates(model: LoadedModel) -> None:
    detector = FrameDetector(model, open_backend("auto", model, 1), tile_gsd_mm=0.25)
    frame = wall(640, 384)
    frame[200:204, 330:334] = DARK
    whole = detector.detect(frame)
    found = detector.detect(frame, gsd_mm_per_px=0.12)
    assert (whole.grid.count, found.grid.count, found.grid.reduction) == (60, 15, 2)
    (crack,), (unscaled,) = found.regions, whole.regions
    assert crack.region.box.contains([[331, 201]]).all()
    assert crack.width_px.log_width == pytest.approx(unscaled.width_px.log_width + math.log(2), abs=1e-4)


@pytest.mark.parametrize("gsd_mm_per_px", [None, 0.25, 1.0])
def test_detect_coarse_or_unknown_gsd_read_at_full_resolution(
    detector: FrameDetector, gsd_mm_per_px: float | None
) -> None:
    frame = wall(640, 384, (330, 200))
    found = detector.detect(frame, gsd_mm_per_px=gsd_mm_per_px)
    assert found.grid.reduction == 1
    assert np.array_equal(found.scores.crack_score, detector.detect(frame).scores.crack_score)


def test_detect_fine_gsd_small_frame_still_fills_a_tile(detector: FrameDetector) -> None:
    found = detector.detect(wall(TILE_PX * 2, TILE_PX + 5), gsd_mm_per_px=0.01)
    assert found.grid.reduction == 1


def test_detect_model_with_cells_region_is_its_cells(tmp_path: Path) -> None:
    located = load_model(str(write_tiny_model(tmp_path / "located", 128, cells_per_side=4)))
    frame = wall(640, 384, (310, 200))
    (crack,) = FrameDetector(located, open_backend("auto", located, 1)).detect(frame).regions
    assert crack.region.box.contains([[310, 200]]).all()
    assert crack.region.areas is not None
    extent = np.concatenate([crack.region.areas[:, :2].min(axis=0), crack.region.areas[:, 2:].max(axis=0)])
    assert (np.abs(extent - [310, 200, 310, 200]) <= 80).all()
    assert (extent[2:] - extent[:2] <= 112).all()
    coarse = load_model(str(write_tiny_model(tmp_path / "coarse", 128)))
    (whole,) = FrameDetector(coarse, open_backend("auto", coarse, 1)).detect(frame).regions
    assert whole.region.areas is None
    assert whole.region.tiles.tolist() == crack.region.tiles.tolist()
    assert crack.width_px == whole.width_px


def test_detect_model_that_has_structure_scores_counts_tiles_without_one(tmp_path: Path) -> None:
    telling = load_model(str(write_tiny_model(tmp_path / "telling", has_structure_score=True)))
    frame = wall(4 * TILE_PX, 2 * TILE_PX, (10, 10))
    frame[5, TILE_PX + 5] = frame[TILE_PX + 5, 5] = 255
    detections = FrameDetector(telling, open_backend("auto", telling, 1)).detect(frame)
    assert detections.no_structure == 2
    assert detections.scores.no_structure_score is not None
    assert np.flatnonzero(detections.scores.no_structure_score >= 0.5).tolist() == [1, 4]
    (crack,) = detections.regions
    assert crack.no_structure_score == pytest.approx(0.0, abs=1e-6)


def test_detect_model_that_does_not_tell_structures_has_no_score(detector: FrameDetector) -> None:
    detections = detector.detect(wall(2 * TILE_PX, TILE_PX, (10, 10)))
    assert (detections.no_structure, detections.scores.no_structure_score) == (0, None)
    assert detections.regions[0].no_structure_score is None
