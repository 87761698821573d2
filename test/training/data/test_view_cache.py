# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cache of views with teacher outputs, its resumption, and light changes of stored views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn")
torch = pytest.importorskip("torch")

from crack_perception.errors import UserError  # noqa: E402
from crack_perception.training.data.view_cache import (  # noqa: E402
    TeacherOutputs,
    View,
    ViewCache,
    ViewPlan,
    light_views,
    render_views,
    symmetry,
)

torch.set_num_threads(1)

PLAN = ViewPlan("noise", (70, 50), 16, components=3, chunk=48)


def view(epoch: int, place: int) -> View:
    rng = np.random.default_rng([epoch, place])
    tile = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    log_width_px = float(rng.normal()) if place % 2 else float("nan")
    return View(tile, place % 2, log_width_px, 100 * epoch + place, place % 5 == 0)


def teacher(tiles: np.ndarray) -> TeacherOutputs:
    """Return the mean brightness of the rows of a tile as features."""
    features = tiles.mean(axis=(2, 3)).astype(np.float32)
    return TeacherOutputs(features[:, 0], features[:, 1], features)


def assert_equal_caches(a: ViewCache, b: ViewCache) -> None:
    for name in PLAN.columns():
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_render_views_stores_views_and_teacher_outputs_in_order(tmp_path: Path) -> None:
    cache = render_views(tmp_path, PLAN, view, teacher, workers=2)
    assert len(cache) == 120
    for row, (epoch, place) in ((0, (0, 0)), (69, (0, 69)), (70, (1, 0)), (119, (1, 49))):
        expected = view(epoch, place)
        np.testing.assert_array_equal(cache.views[row], cv2.cvtColor(expected.tile, cv2.COLOR_BGR2GRAY))
        assert (cache.labels[row], cache.groups[row]) == (expected.label, expected.group)
        assert cache.others[row] == expected.other
        np.testing.assert_allclose(cache.log_widths[row], expected.log_width_px, rtol=1e-6)
        output = teacher(expected.tile[None])
        assert cache.teacher_logits[row] == output.logits[0]
        assert cache.teacher_log_widths[row] == output.log_widths[0]


def test_render_views_not_grey_stores_colour(tmp_path: Path) -> None:
    cache = render_views(tmp_path, replace(PLAN, grey=False), view, teacher)
    np.testing.assert_array_equal(cache.views[75], view(1, 5).tile)


def test_render_views_teacher_features_keep_distances(tmp_path: Path) -> None:
    plan = replace(PLAN, epoch_lengths=(200,), components=16, chunk=200)
    features = np.asarray(render_views(tmp_path, plan, view, teacher).teacher_features, np.float64)
    assert np.mean(features**2) == pytest.approx(1.0, abs=1e-3)
    raw = np.stack([teacher(view(0, k).tile[None]).features[0] for k in range(200)])
    standardised = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    wanted = np.linalg.norm(standardised[:100] - standardised[100:], axis=1)
    np.testing.assert_allclose(np.linalg.norm(features[:100] - features[100:], axis=1), wanted, rtol=5e-3)


def test_render_views_interrupted_resumes_after_last_chunk(tmp_path: Path) -> None:
    requested: list[tuple[int, int]] = []

    def stopping(epoch: int, place: int) -> View:
        requested.append((epoch, place))
        if (epoch, place) == (1, 10):
            raise KeyboardInterrupt
        return view(epoch, place)

    with pytest.raises(KeyboardInterrupt):
        render_views(tmp_path / "stopped", PLAN, stopping, teacher)
    requested.clear()

    def recording(epoch: int, place: int) -> View:
        requested.append((epoch, place))
        return view(epoch, place)

    resumed = render_views(tmp_path / "stopped", PLAN, recording, teacher)
    assert requested == PLAN.places()[48:]
    assert_equal_caches(resumed, render_views(tmp_path / "straight", PLAN, view, teacher))


def test_render_views_finished_plan_renders_nothing(tmp_path: Path) -> None:
    def fail(*_: object) -> View:
        raise AssertionError("a view was rendered again")

    first = render_views(tmp_path, PLAN, view, teacher)
    assert_equal_caches(first, render_views(tmp_path, PLAN, fail, teacher))
    with pytest.raises(AssertionError):
        render_views(tmp_path, replace(PLAN, name="other"), fail, teacher)


def test_render_views_fewer_views_than_components_raises(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="components"):
        render_views(tmp_path, replace(PLAN, components=49), view, teacher)


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 3, 3, 3)])
def test_symmetry_eight_indices_differ(shape: tuple[int, ...]) -> None:
    views = torch.arange(torch.Size(shape).numel()).reshape(shape)
    seen = {tuple(symmetry(views, i).flatten().tolist()) for i in range(8)}
    assert len(seen) == 8
    assert all(sorted(pixels) == sorted(views.flatten().tolist()) for pixels in seen)


def test_light_views_are_symmetries_with_changed_light() -> None:
    views = torch.randint(0, 256, (20, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    changed = light_views(views, torch.Generator().manual_seed(2))
    used = set()
    for view, result in zip(views, changed, strict=True):
        fits = []
        for i in range(8):
            turned = symmetry(view[None], i)[0].double().flatten()
            design = torch.stack([turned, torch.ones_like(turned)], dim=1)
            solution = torch.linalg.lstsq(design, result.double().flatten()[:, None]).solution[:, 0]
            fits.append((float((design @ solution - result.double().flatten()).abs().max()), i, float(solution[0])))
        error, index, gain = min(fits)
        assert error < 1e-3
        assert 0.6 < gain < 1.6
        used.add(index)
    assert used == set(range(8))


def test_light_views_same_seed_is_equal() -> None:
    views = torch.randint(0, 256, (9, 4, 4, 3), dtype=torch.uint8)
    first, again, other = (light_views(views, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)
