"""A cache holds what was asked for, and a run that was stopped ends in the same arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn")

from crack_perception.errors import UserError
from crack_perception.training.data.view_cache import (
    TeacherOutputs,
    View,
    ViewCache,
    ViewPlan,
    render_views,
)

PLAN = ViewPlan("drawn", (70, 50), 16, components=3, chunk=48)


def view(epoch: int, place: int) -> View:
    rng = np.random.default_rng([epoch, place])
    tile = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    return View(tile, place % 2, float(rng.normal()) if place % 2 else float("nan"), 100 * epoch + place)


def teacher(tiles: np.ndarray) -> TeacherOutputs:
    """Features are the brightness of the tile's rows."""
    features = tiles.mean(axis=(2, 3)).astype(np.float32)
    return TeacherOutputs(features[:, 0], features[:, 1], features)


def assert_equal_caches(a: ViewCache, b: ViewCache) -> None:
    for name in PLAN.columns():
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_rows_are_the_views_in_order_and_the_teachers_answers(tmp_path: Path) -> None:
    cache = render_views(tmp_path, PLAN, view, teacher, workers=2)
    assert len(cache) == 120
    for row, (epoch, place) in ((0, (0, 0)), (69, (0, 69)), (70, (1, 0)), (119, (1, 49))):
        made = view(epoch, place)
        np.testing.assert_array_equal(cache.views[row], cv2.cvtColor(made.tile, cv2.COLOR_BGR2GRAY))
        assert (cache.labels[row], cache.groups[row]) == (made.label, made.group)
        np.testing.assert_allclose(cache.log_widths[row], made.log_width_px, rtol=1e-6)
        answer = teacher(made.tile[None])
        assert cache.teacher_logits[row] == answer.logits[0]
        assert cache.teacher_log_widths[row] == answer.log_widths[0]


def test_colour_is_kept_on_request(tmp_path: Path) -> None:
    cache = render_views(tmp_path, replace(PLAN, grey=False), view, teacher)
    np.testing.assert_array_equal(cache.views[75], view(1, 5).tile)


def test_teacher_features_are_components_of_one_scale_with_the_distances_of_the_features(tmp_path: Path) -> None:
    plan = replace(PLAN, epoch_lengths=(200,), components=16, chunk=200)
    features = np.asarray(render_views(tmp_path, plan, view, teacher).teacher_features, np.float64)
    assert np.mean(features**2) == pytest.approx(1.0, abs=1e-3)
    raw = np.stack([teacher(view(0, k).tile[None]).features[0] for k in range(200)])
    standardised = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    wanted = np.linalg.norm(standardised[:100] - standardised[100:], axis=1)
    np.testing.assert_allclose(np.linalg.norm(features[:100] - features[100:], axis=1), wanted, rtol=5e-3)


def test_stopped_rendering_goes_on_after_the_last_chunk(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def stopping(epoch: int, place: int) -> View:
        asked.append((epoch, place))
        if (epoch, place) == (1, 10):
            raise KeyboardInterrupt
        return view(epoch, place)

    with pytest.raises(KeyboardInterrupt):
        render_views(tmp_path / "stopped", PLAN, stopping, teacher)
    asked.clear()

    def remembering(epoch: int, place: int) -> View:
        asked.append((epoch, place))
        return view(epoch, place)

    resumed = render_views(tmp_path / "stopped", PLAN, remembering, teacher)
    assert asked == PLAN.places()[48:]
    assert_equal_caches(resumed, render_views(tmp_path / "straight", PLAN, view, teacher))


def test_finished_cache_is_found_again_by_its_plan_alone(tmp_path: Path) -> None:
    def refuse(*_: object) -> View:
        raise AssertionError("nothing is left to make")

    first = render_views(tmp_path, PLAN, view, teacher)
    assert_equal_caches(first, render_views(tmp_path, PLAN, refuse, teacher))
    with pytest.raises(AssertionError):
        render_views(tmp_path, replace(PLAN, name="other"), refuse, teacher)


def test_too_few_views_for_the_components_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="components"):
        render_views(tmp_path, replace(PLAN, components=49), view, teacher)
