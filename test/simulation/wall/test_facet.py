# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Walls: concrete, photographs, labels, and the cracks that are drawn on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.simulation.camera.rendering import TexturePyramid
from crack_perception.simulation.wall.crack_rendering import crack_coverage
from crack_perception.simulation.wall.cracks import ImageScale, draw_cracks, plan_cracks
from crack_perception.simulation.wall.facet import Wall, concrete_wall, photograph_wall

PATH_M = np.column_stack([np.linspace(0.5, 3.5, 200), np.full(200, 0.7)])
SIZE_M = np.array([4.0, 1.4])
SCALE = ImageScale(gsd_mm_per_px=0.72, width_m=1.4, height_m=0.8)


def test_concrete_wall_is_grey_uneven_and_reproducible() -> None:
    first, again, other = (
        concrete_wall(np.random.default_rng(seed), np.array([0.5, 0.3]), 0.5).texture for seed in (4, 4, 5)
    )
    assert first.shape == (600, 1000, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
    assert 110 < first.mean() < 190
    assert np.abs(first[..., 2].mean() - first[..., 0].mean()) < 15
    # Texture at every scale, as real surfaces have.
    grey = first[..., 1].astype(np.float32)
    for sigma_px in (1.0, 4.0, 16.0):
        band = cv2.GaussianBlur(grey, (0, 0), sigma_px) - cv2.GaussianBlur(grey, (0, 0), 2 * sigma_px)
        assert band.std() > 0.7


def write_picture(folder: Path, width: int, height: int) -> Path:
    path = folder / "wall.png"
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
    return path


def test_photograph_wall_labels_become_cells(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("0,0,1\n0,1,0\n")
    wall = photograph_wall(write_picture(tmp_path, 800, 520), 0.5, labels)
    assert [cell.cracked for cell in wall.cells] == [False, False, True, False, True, False]
    np.testing.assert_allclose(wall.size_m, [0.4, 0.26])
    # The third tile of the first row spans columns 512 to 768 and rows 0 to 256.
    corners_m = wall.surface.to_surface(wall.cells[2].corners_m)
    np.testing.assert_allclose(corners_m, np.array([[512, 0], [768, 0], [768, 256], [512, 256]]) * 0.0005, atol=1e-9)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("0,0\n0,0\n", "do not fit"),
        ("0,0,2\n0,0,0\n", "neither 0 nor 1"),
        ("0,0,1\n", "do not fit"),
        ("", "do not fit"),
    ],
)
def test_photograph_wall_invalid_labels_are_refused(tmp_path: Path, table: str, message: str) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(table)
    with pytest.raises(UserError, match=message):
        photograph_wall(write_picture(tmp_path, 800, 520), 0.5, labels)


def test_photograph_wall_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        photograph_wall(tmp_path / "none.jpg", 0.5, None)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UserError, match="is not a picture"):
        photograph_wall(tmp_path / "text.jpg", 0.5, None)
    with pytest.raises(UserError, match="labels cannot be read"):
        photograph_wall(write_picture(tmp_path, 800, 520), 0.5, tmp_path / "none.csv")


def test_wall_axes_are_right_handed_and_upright() -> None:
    surface = Wall(np.zeros((10, 20, 3), np.uint8), 1.0, None, None).surface
    np.testing.assert_allclose(np.cross(surface.u_axis, surface.v_axis), -surface.normal)
    np.testing.assert_allclose(surface.v_axis, [0, 0, -1])
    assert surface.origin_m[2] - surface.size_m[1] > 0


def test_plan_cracks_covers_widths_and_leaves_intact_strip() -> None:
    cracks = plan_cracks(np.random.default_rng(6), 12, PATH_M, SCALE, SIZE_M)
    surface = Wall(np.zeros((14, 40, 3), np.uint8), 100.0, None, None).surface
    assert len(cracks) > 12
    assert [crack.id for crack in cracks] == list(range(len(cracks)))
    widths_mm = np.array([crack.truth_on(surface).width_mean_mm for crack in cracks])
    assert widths_mm.min() < 0.5 and widths_mm.max() > 4.0
    points_m = np.concatenate([crack.line_m for crack in cracks])
    assert (points_m > 0).all() and (points_m < SIZE_M).all()
    gaps_m = np.diff(np.sort(points_m[:, 0]))
    assert gaps_m.max() > 0.3 * SIZE_M[0]
    assert plan_cracks(np.random.default_rng(6), 0, PATH_M, SCALE, SIZE_M) == ()


def test_truth_on_mean_width_is_weighted_by_length() -> None:
    crack = plan_cracks(np.random.default_rng(7), 1, PATH_M, SCALE, SIZE_M)[0]
    truth = crack.truth_on(Wall(np.zeros((14, 40, 3), np.uint8), 100.0, None, None).surface)
    steps_m = np.linalg.norm(np.diff(truth.polyline_m, axis=0), axis=1)
    area_m_mm = float((steps_m * (truth.width_mm[1:] + truth.width_mm[:-1]) / 2).sum())
    assert truth.width_mean_mm * truth.length_m == pytest.approx(area_m_mm)


def test_draw_cracks_long_crack_has_exact_area() -> None:
    mm_per_px = 1.0
    texture = np.full((1400, 4000, 3), 200, np.uint8)
    crack = max(plan_cracks(np.random.default_rng(8), 6, PATH_M, SCALE, SIZE_M), key=lambda crack: len(crack.line_m))
    draw_cracks(np.random.default_rng(9), texture, mm_per_px, (crack,))
    drawn_px = (200.0 - texture.mean(axis=2)).sum() / 200 / crack.contrast
    whole_px = crack_coverage((1400, 4000), crack.line_m * 1000 - 0.5, crack.width_mm, supersample=2).sum()
    assert drawn_px == pytest.approx(float(whole_px), rel=0.06)


def test_texture_pyramid_levels_keep_brightness_and_position() -> None:
    texture = np.full((300, 500, 3), 200, np.uint8)
    texture[120:140, 300:330] = 20
    pyramid = TexturePyramid(texture, 0.5)
    for gsd_mm in (0.4, 0.75, 1.1, 2.1):
        picture, pixels_of_surface = pyramid.at(gsd_mm)
        dark = 200.0 - picture[..., 1]
        scale_x, scale_y = pixels_of_surface[0, 0], pixels_of_surface[1, 1]
        assert 1000 / scale_x <= max(gsd_mm, 0.5) * 1.01
        assert dark.sum() / (scale_x * scale_y) == pytest.approx(180 * 20 * 30 * 0.25e-6, rel=0.02)
        centre_px = np.array(
            [
                (dark.sum(axis=0) * np.arange(dark.shape[1])).sum() / dark.sum(),
                (dark.sum(axis=1) * np.arange(dark.shape[0])).sum() / dark.sum(),
            ]
        )
        expected_px = pixels_of_surface @ [0.1575, 0.065, 1.0]
        np.testing.assert_allclose(centre_px, expected_px[:2], atol=0.05)
