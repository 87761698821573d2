# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the line measurement of regions: each region measures its tiles and keeps its score and box."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from rendered_cracks import measure_crack_lines

from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.measurement import RegionMeasurement, line_score
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.vision.regions import build_regions
from crack_perception.vision.tiling import plan_tiles

GRID = plan_tiles(768, 512, 256)


def frame() -> np.ndarray:
    """Render a long line of 4 px in the left column of tiles, a shorter one beside it, a third in the right column."""
    rng = np.random.default_rng(3)
    grey = np.full((512 * 4, 768 * 4), 170, np.uint8)
    for start, end, width_px in [((60, 20), (110, 490), 4), ((180, 300), (190, 480), 4), ((600, 30), (650, 470), 3)]:
        cv2.line(grey, [4 * x for x in start], [4 * x for x in end], 70, 4 * width_px)
    small = cv2.GaussianBlur(cv2.resize(grey, (768, 512), interpolation=cv2.INTER_AREA), (0, 0), 0.6)
    noisy = small[..., None] + rng.normal(0, 1.5, (512, 768, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def regions(read_width_px: float, log_sigma: float) -> list[CrackRegion]:
    scores = np.array([0.9, 0.0, 0.7, 0.9, 0.0, 0.7])
    read = WidthEstimate(math.log(read_width_px), log_sigma)
    return [CrackRegion(region, read, 0.5) for region in build_regions(GRID, scores, 0.5)]


def test_measure_regions_own_lines_longest_first() -> None:
    found = regions(4.0, 0.3)
    left, right = RegionMeasurement().measure(frame(), GRID, found)
    assert [left.crack.region, right.crack.region] == [region.region for region in found]
    assert [line.length_px for line in left.lines] == pytest.approx([473, 180], abs=12)
    assert [line.length_px for line in right.lines] == pytest.approx([443], abs=12)
    assert all(line.points_px[:, 0].max() < 256 for line in left.lines)
    assert all(line.points_px[:, 0].min() >= 512 for line in right.lines)


def test_measure_regions_replaces_model_width() -> None:
    left, right = RegionMeasurement().measure(frame(), GRID, regions(2.0, 0.4))
    # OpenCV draws a line one sample (a quarter of a pixel) wider than requested.
    for measured, width_px in ((left, 4.25), (right, 3.25)):
        assert measured.crack.width_px.width == pytest.approx(width_px, rel=0.03)
        assert measured.crack.width_px.log_sigma < 0.3


def test_measure_regions_without_line_keeps_model_width() -> None:
    read = regions(2.0, 0.4)
    sound = np.full((512, 768, 3), 170, np.uint8)
    for measured, region in zip(RegionMeasurement().measure(sound, GRID, read), read, strict=True):
        assert measured.lines == ()
        assert measured.crack.width_px == region.width_px


def test_measure_regions_low_line_score_skipped() -> None:
    rng = np.random.default_rng(8)
    faint = np.full((512, 768, 3), 170.0)
    faint[:, 100:102] -= 10.0
    noisy = (faint + rng.normal(0, 4.0, faint.shape)).clip(0, 255).astype(np.uint8)
    left, _ = RegionMeasurement().measure(noisy, GRID, regions(2.0, 0.4))
    assert all(line_score(line) >= 0.5 for line in left.lines)
    tiles = GRID.boxes()[left.crack.region.tiles]
    assert len(left.lines) < len(measure_crack_lines(noisy, tiles, 2.0))


def test_measure_regions_short_time_takes_turns() -> None:
    measurement, found = RegionMeasurement(), regions(4.0, 0.3)
    turns = [[m.is_measured for m in measurement.measure(frame(), GRID, found, 1e-6)] for _ in range(4)]
    assert turns == [[True, False], [False, True]] * 2
    assert measurement.skipped == 4
    assert all(m.is_measured for m in measurement.measure(frame(), GRID, found))
    assert measurement.skipped == 4
    unmeasured = measurement.measure(frame(), GRID, found, 1e-6)[1]
    assert (unmeasured.crack, unmeasured.lines) == (found[1], ())


def test_measure_regions_large_region_measured_over_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crack_perception.vision.lines.measurement._BATCH_PX", 1)
    measurement, found = RegionMeasurement(), regions(4.0, 0.3)[:1]
    first, second, third = (measurement.measure(frame(), GRID, found, 1e-6)[0] for _ in range(3))
    assert not first.is_measured and not second.is_measured
    assert [line.length_px for line in first.lines] == pytest.approx([473], abs=12)
    assert [line.length_px for line in second.lines] == pytest.approx([180], abs=12)
    assert third.lines[0].length_px == pytest.approx(first.lines[0].length_px)
    assert measurement.skipped == 3
    (whole,) = measurement.measure(frame(), GRID, found)
    assert whole.is_measured and len(whole.lines) == 2


def test_measure_regions_line_in_overlap_assigned_once() -> None:
    grid = plan_tiles(768, 512, 256, overlap=0.25)
    picture = np.full((512, 768, 3), 170, np.uint8)
    cv2.line(picture, (30, 140), (740, 150), (70, 70, 70), 3, cv2.LINE_AA)
    noisy = np.clip(picture + np.random.default_rng(4).normal(0, 1.5, (512, 768, 1)), 0, 255).astype(np.uint8)
    halves = [np.array([0, 1], np.int64), np.array([2, 3], np.int64)]
    whole = build_regions(grid, np.eye(1, grid.count)[0], 0.5)[0]
    read = WidthEstimate(math.log(3.0), 0.3)
    found = [CrackRegion(replace(whole, tiles=tiles), read, 0.5) for tiles in halves]
    left, right = RegionMeasurement().measure(noisy, grid, found)
    assert left.lines[0].points_px[:, 0].max() == pytest.approx(right.lines[0].points_px[:, 0].min(), abs=4)
    assert sum(line.length_px for line in left.lines + right.lines) == pytest.approx(710, abs=10)


def test_measure_regions_permanent_backlog_measures_sometimes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = 100.0
    monkeypatch.setattr("crack_perception.recognition.measurement.time.monotonic", lambda: clock_s)
    measurement, found, measured = RegionMeasurement(), regions(4.0, 0.3), []
    for _ in range(12):
        measured.append(sum(m.is_measured for m in measurement.measure(frame(), GRID, found, is_late=lambda: True)))
        clock_s += 0.125
    assert measured == [1, 0] * 6


def test_measure_regions_not_started_without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr("crack_perception.recognition.measurement.time.monotonic", lambda: float(next(ticks)))
    measurement, found = RegionMeasurement(), regions(4.0, 0.3)
    measurement.measure(frame(), GRID, found)
    begun = next(ticks)
    measurement.measure(frame(), GRID, found[:1])
    whole_s = next(ticks) - begun
    # After the first region, the remaining time is shorter than the detection of the second one's lines.
    assert [m.is_measured for m in measurement.measure(frame(), GRID, found, whole_s + 1.0)] == [True, False]
    assert all(m.is_measured for m in measurement.measure(frame(), GRID, found, 2.0 * whole_s))
