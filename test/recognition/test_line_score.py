# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the line score, which depends on strength and straightness of a line."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray
from rendered_cracks import SHAPE, WHOLE, concrete, measure_crack_lines, photographed

from crack_perception.recognition.measurement import joint_likeness, line_score
from crack_perception.simulation.wall.crack_rendering import crack_coverage, darken, random_crack_polyline
from crack_perception.vision.lines.line import CrackLine

KEPT = 0.5
"""Minimum score of a published line."""


def line(points_px: NDArray[np.float64], strength: float = 12.0) -> CrackLine:
    known = np.ones(len(points_px))
    return CrackLine(points_px, known, known, strength)


def path(
    length_px: float, sideways_px: NDArray[np.float64] | float = 0.0, turn_rad: float = 0.4
) -> NDArray[np.float64]:
    """Return vertices four pixels apart along a straight line, displaced sideways."""
    along = np.arange(0.0, length_px + 1.0, 4.0)
    turn = np.array([[np.cos(turn_rad), np.sin(turn_rad)], [-np.sin(turn_rad), np.cos(turn_rad)]])
    return np.column_stack([along, np.broadcast_to(sideways_px, along.shape)]) @ turn + [200.0, 100.0]


def winding(rng: np.random.Generator, length_px: float, roughness: float) -> NDArray[np.float64]:
    return random_crack_polyline(rng, [50.0, 60.0], [50.0 + length_px, 90.0], roughness, 4.0)


@functools.cache
def surface() -> NDArray[np.uint8]:
    return concrete(37)


def seen(picture: NDArray[np.uint8], width_px: float) -> list[CrackLine]:
    """Return the measured lines that cross most of an image."""
    found = measure_crack_lines(photographed(picture, np.random.default_rng(6)), WHOLE, width_px)
    return [each for each in found if each.length_px > 100]


def test_line_score_strong_line_higher() -> None:
    crack = winding(np.random.default_rng(1), 300.0, 0.08)
    scores = [line_score(line(crack, strength)) for strength in (0.0, 4.0, 7.5, 15.0, 40.0)]
    assert scores == sorted(scores)
    assert scores[0] == pytest.approx(0.0, abs=1e-9)
    assert scores[2] == pytest.approx(0.5)
    assert scores[3] == pytest.approx(8 / 9)
    assert scores[4] > 0.99


@pytest.mark.parametrize("length_px", [60.0, 150.0, 600.0])
def test_line_score_straight_line_any_pose_reduced(length_px: float) -> None:
    rng = np.random.default_rng(2)
    for turn_rad in (0.0, 0.3, np.pi / 2):
        points = path(length_px, turn_rad=turn_rad)
        noisy = points + rng.normal(0, 0.08, points.shape)
        assert joint_likeness(line(noisy)) > 0.85
        assert joint_likeness(line(noisy + 500.0)) == pytest.approx(joint_likeness(line(noisy)))
    assert line_score(line(points, 12.0)) < KEPT < line_score(line(points, 30.0))
    assert line_score(line(path(150.0), 20.0)) > KEPT > line_score(line(path(300.0), 20.0)), "for longer, rarer"


def test_line_score_straight_line_through_lens_is_straight() -> None:
    along = np.arange(0.0, 401.0, 4.0)
    assert joint_likeness(line(path(400.0, 6.0 * (along / 400.0) * (1 - along / 400.0)))) > 0.85


@pytest.mark.parametrize("length_px", [40.0, 100.0, 400.0])
@pytest.mark.parametrize("roughness", [0.05, 0.1])
def test_line_score_crack_shape_any_length_kept(length_px: float, roughness: float) -> None:
    rng = np.random.default_rng(3)
    likeness = [joint_likeness(line(winding(rng, length_px, roughness))) for _ in range(50)]
    assert np.mean(likeness) < 0.2
    assert np.mean(np.array(likeness) > 0.5) <= 0.1


@pytest.mark.parametrize("points_px", [np.zeros((2, 2)), np.zeros((9, 2)), path(8.0)])
def test_line_score_short_line_unchanged(points_px: NDArray[np.float64]) -> None:
    assert joint_likeness(line(points_px)) == 0.0


@pytest.mark.parametrize("width_px", [1.5, 4.0])
@pytest.mark.parametrize("roughness", [0.01, 0.03])
def test_line_score_nearly_straight_crack_kept(width_px: float, roughness: float) -> None:
    """Such as along an edge of formwork: five times straighter than cracks of the simulated walls."""
    for seed in range(3):
        rng = np.random.default_rng([9, seed])
        crack = random_crack_polyline(rng, [180.0, 120.0], [590.0, 380.0], roughness, 5.5)
        found = seen(darken(surface(), crack_coverage(SHAPE, crack, width_px), 0.5, rng), width_px)
        assert found and all(line_score(each) >= KEPT for each in found)


@pytest.mark.parametrize("tilt_rad", [0.0, 0.05, 0.6])
@pytest.mark.parametrize("width_px", [1.5, 3.0, 6.0])
def test_line_score_joint_any_width_and_tilt_rejected(width_px: float, tilt_rad: float) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] - np.array([256.0, 384.0])[:, None, None]
    across = y * np.cos(tilt_rad) - x * np.sin(tilt_rad)
    fading = 0.7 + 0.3 * np.sin(0.02 * (x * np.cos(tilt_rad) + y * np.sin(tilt_rad)))
    dark = 45.0 * fading * np.exp(-0.5 * (across / (0.5 * width_px)) ** 2)
    joint = np.clip(surface() - dark[:, :, None], 0, 255).astype(np.uint8)
    found = seen(joint, width_px)
    assert found, "there is something to be told from a crack"
    assert all(line_score(each) < KEPT for each in found)
