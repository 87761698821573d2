# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack lines projected onto the surface: lines on a plane are recovered from their image."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.line_lifting import (
    LiftedLine,
    largest_gsd_mm_per_px,
    lift_lines,
    moved,
    outline_on_surface,
)
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import PlaneStack, SurfacePlane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.vision.lines.line import CrackLine

PINHOLE = CameraModel.of(1920, 1080, [1000.0, 0, 959.5, 0, 1000.0, 539.5, 0, 0, 1], [], "")
WIDE_LENS = CameraModel.of(1920, 1080, [900.0, 0, 950.0, 0, 905.0, 545.0, 0, 0, 1], [-0.2, 0.05, 0, 0, 0], "plumb_bob")
FISHEYE = CameraModel.of(
    1600, 1600, [520.0, 0, 799.5, 0, 520.0, 799.5, 0, 0, 1], [0.05, -0.01, 0.002, 0], "equidistant"
)

STRENGTH = 20.0


def plane(
    normal: tuple[float, float, float] = (0, 0, -1),
    range_m: float = 2.0,
    range_sigma_m: float = 0.0,
    normal_sigma_rad: float = 0.0,
) -> SurfacePlane:
    unit = np.array(normal, dtype=float) / np.linalg.norm(normal)
    return SurfacePlane(RangeReading(range_m, range_sigma_m, "range"), unit, normal_sigma_rad, normal_in_map=False)


def lift(
    camera: CameraModel, surface: SurfacePlane, points_px: np.ndarray, width_px: float = 2.0, sigma_px: float = 0.1
) -> LiftedLine:
    widths, sigmas = np.full(len(points_px), width_px), np.full(len(points_px), sigma_px)
    (line,) = lifted_on(camera, surface, CrackLine(points_px, widths, sigmas, STRENGTH))
    return line


def lifted_on(camera: CameraModel, surface: SurfacePlane, *lines: CrackLine) -> tuple[LiftedLine, ...]:
    """The lines of a single region."""
    (lifted,) = lift_lines(camera, PlaneStack.of([surface]), [lines])
    return lifted


def straight(start: tuple[float, float], end: tuple[float, float], count: int = 21) -> np.ndarray:
    return np.linspace(start, end, count)


def test_lift_lines_facing_wall_scales_by_range_over_focal_length() -> None:
    # 2 m / 1000 px is 2 mm a pixel.
    line = lift(PINHOLE, plane(), straight((459.5, 539.5), (1459.5, 539.5)))
    assert line.length_m == pytest.approx(2.0)
    assert line.points_m[[0, -1]] == pytest.approx(np.array([[-1, 0, 2], [1, 0, 2]]))
    assert line.gsd_mm_per_px == pytest.approx(2.0)
    assert line.width_mm == pytest.approx(4.0)
    assert line.width_sigma_mm == pytest.approx(0.2)
    assert line.vertex_lengths_m.sum() == pytest.approx(2.0)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 60.0])
def test_lift_lines_oblique_wall_scales_across_the_line(angle_deg: float) -> None:
    angle = np.deg2rad(angle_deg)
    turned = plane((np.sin(angle), 0.0, -np.cos(angle)))
    middle = np.array([959.5, 539.5])
    # Turned about the image's vertical: pixels are stretched along the image's x only, by 1 / cos.
    vertical = lift(PINHOLE, turned, straight(tuple(middle - [0, 1]), tuple(middle + [0, 1]), 3))
    level = lift(PINHOLE, turned, straight(tuple(middle - [1, 0]), tuple(middle + [1, 0]), 3))
    assert vertical.gsd_mm_per_px[1] == pytest.approx(2.0 / np.cos(angle), rel=1e-4)
    assert level.gsd_mm_per_px[1] == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize("camera", [PINHOLE, WIDE_LENS, FISHEYE], ids=["pinhole", "wide", "fisheye"])
def test_lift_lines_any_plane_recovers_length_and_width(camera: CameraModel) -> None:
    rng = np.random.default_rng(5)
    lifted = 0
    while lifted < 20:
        surface = plane((*rng.uniform(-0.8, 0.8, 2), -1.0), range_m=rng.uniform(1.0, 4.0))
        right = np.cross(surface.normal, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        down = np.cross(right, surface.normal)
        heading, offset_m = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5, 2)
        along = np.cos(heading) * right + np.sin(heading) * down
        across = np.cross(surface.normal, along)
        centre = [0, 0, surface.range.range_m] + offset_m[0] * right + offset_m[1] * down
        line_m = centre + np.linspace(-0.3, 0.3, 61)[:, None] * along
        # The two edges of a crack of 4 mm; its width in the image is their distance across the line.
        edges = [camera.project(line_m + side * 0.002 * across) for side in (-1, 1)]
        points_px = camera.project(line_m)
        inside = (points_px >= 0) & (points_px < [camera.width_px, camera.height_px])
        if not inside.all():
            continue
        tangents = np.gradient(points_px, axis=0)
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        width_px = np.abs(
            np.cross(
                np.column_stack([tangents, 0 * heading + np.zeros(61)]),
                np.column_stack([edges[1] - edges[0], np.zeros(61)]),
            )[:, 2]
        )
        (line,) = lifted_on(camera, surface, CrackLine(points_px, width_px, np.zeros(61), STRENGTH))
        assert line.points_m == pytest.approx(line_m, abs=1e-6)
        assert line.length_m == pytest.approx(0.6, rel=1e-6)
        assert line.width_mm[1:-1] == pytest.approx(4.0, rel=2e-3)
        lifted += 1


def test_lift_lines_width_sigma_includes_range_tilt_and_measurement() -> None:
    beside = straight((1459.5, 439.5), (1459.5, 639.5))
    measured = lift(PINHOLE, plane(range_sigma_m=0.06, normal_sigma_rad=0.0), beside, sigma_px=0.0)
    assert measured.scale_sigma == pytest.approx(0.03)
    assert measured.width_sigma_mm == pytest.approx(0.03 * measured.width_mm)
    # Monte Carlo over planes: half a radian off the axis, a tilt of the wall changes the scale in first order.
    surface = plane(range_sigma_m=0.04, normal_sigma_rad=0.03)
    line = lift(PINHOLE, surface, beside, sigma_px=0.0)
    rng = np.random.default_rng(11)
    widths = []
    for _ in range(500):
        tilted = surface.normal + np.append(rng.normal(0, 0.03, 2), 0.0)
        truth = plane(tuple(tilted), range_m=2.0 + rng.normal(0, 0.04))
        widths.append(lift(PINHOLE, truth, beside[9:12], sigma_px=0.0).width_mm[1])
    assert line.width_sigma_mm[10] == pytest.approx(np.std(widths), rel=0.1)


def test_lift_lines_unknown_width_stays_nan() -> None:
    points = straight((500, 500), (700, 600), 5)
    widths = np.array([2, np.nan, 2, 2, np.nan])
    (line,) = lifted_on(PINHOLE, plane(), CrackLine(points, widths, np.full(5, 0.1), STRENGTH))
    assert np.isnan(line.width_mm).tolist() == [False, True, False, False, True]
    assert np.isfinite(line.points_m).all() and np.isfinite(line.gsd_mm_per_px).all()


def test_lift_lines_beyond_horizon_is_cut_off() -> None:
    steep = np.deg2rad(75.0)
    surface = plane((np.sin(steep), 0.0, -np.cos(steep)))
    line = lift(PINHOLE, surface, straight((0, 540), (1919, 540), 201))
    cosines = -(line.points_m / np.linalg.norm(line.points_m, axis=1, keepdims=True)) @ surface.normal
    assert 2 <= len(line.points_m) < 201
    assert cosines.min() >= np.cos(np.deg2rad(80.0))


def test_lift_lines_off_surface_is_skipped_without_side_effect() -> None:
    steep = np.deg2rad(75.0)
    surface = plane((np.sin(steep), 0.0, -np.cos(steep)))
    lines = [
        CrackLine(straight((x, 100), (x, 300), count), np.full(count, 2.0), np.full(count, 0.1), STRENGTH)
        for x, count in ((100, 5), (1900, 7), (300, 9))
    ]
    together = lifted_on(WIDE_LENS, surface, *lines)
    alone = [lifted_on(WIDE_LENS, surface, line) for line in lines]
    assert [len(found) for found in alone] == [1, 0, 1]
    assert [(line.rank, len(line.points_m)) for line in together] == [(0, 5), (2, 9)]
    for found, (single,) in zip(together, [alone[0], alone[2]], strict=True):
        assert found.points_m == pytest.approx(single.points_m)
        assert found.width_mm == pytest.approx(single.width_mm)
        assert found.width_sigma_mm == pytest.approx(single.width_sigma_mm)


def test_lift_lines_batch_equals_single_regions() -> None:
    rng = np.random.default_rng(2)
    steep = np.deg2rad(75.0)
    surfaces = [
        plane((0.3, -0.2, -1.0), 2.0, 0.04, 0.05),
        plane((np.sin(steep), 0.0, -np.cos(steep)), 3.0, 0.05, 0.01),
        plane((0.0, 0.0, -1.0), 5.0, 0.1, 0.02),
    ]
    lines = [
        [
            CrackLine(rng.uniform((100, 100), (1800, 980), (n, 2)), rng.uniform(1, 4, n), np.full(n, 0.2), STRENGTH)
            for n in counts
        ]
        for counts in ((2, 9, 5), (12, 30), ())
    ]
    together = lift_lines(WIDE_LENS, PlaneStack.of(surfaces), lines)
    assert lift_lines(WIDE_LENS, PlaneStack.of(surfaces), [[], [], []]) == [(), (), ()]
    assert [len(of_region) for of_region in together] == [3, 2, 0]
    for found, surface, of_region in zip(together, surfaces, lines, strict=True):
        alone = [single for line in of_region for single in lifted_on(WIDE_LENS, surface, line)]
        assert [line.rank for line in found] == list(range(len(of_region)))
        for line, single in zip(found, alone, strict=True):
            assert line.normal == pytest.approx(surface.normal)
            for name in ("points_m", "width_mm", "width_sigma_mm", "gsd_mm_per_px", "scale_sigma", "vertex_lengths_m"):
                assert getattr(line, name) == pytest.approx(getattr(single, name), rel=1e-9), name
            steps_m = np.linalg.norm(np.diff(line.points_m, axis=0), axis=1)
            assert line.vertex_lengths_m == pytest.approx(np.convolve(steps_m, [0.5, 0.5]))


def test_lift_lines_coinciding_vertices_have_no_width() -> None:
    points = np.array([[500.0, 500], [500, 500], [500, 500], [540, 500]])
    line = lift(PINHOLE, plane(), points)
    assert np.isnan(line.width_mm).tolist() == [True, True, False, False]
    assert line.length_m == pytest.approx(0.08)


def test_moved_keeps_sizes_and_rotates_normal() -> None:
    line = lift(PINHOLE, plane(), straight((459.5, 539.5), (1459.5, 639.5)))
    short = lift(PINHOLE, plane(), straight((959.5, 539.5), (969.5, 539.5), 2))
    far, near = moved([line, short], Pose.of((1, 2, 3), rotations.FORWARD_LOOKING_OPTICAL))
    assert far.normal == pytest.approx([-1, 0, 0])
    assert far.points_m[0] == pytest.approx([3, 3, 3])
    assert near.points_m == pytest.approx(np.array([[3, 2, 3], [3, 1.98, 3]]))
    assert far.length_m == pytest.approx(line.length_m)
    assert far.width_mm is line.width_mm
    assert moved([], Pose.identity()) == ()


def test_outline_facing_wall_is_field_of_view() -> None:
    outline = outline_on_surface(PINHOLE, plane()).points_m
    assert outline[:, 2] == pytest.approx(2.0)
    assert np.abs(outline[:, 0]).max() == pytest.approx(1.919)
    assert np.abs(outline[:, 1]).max() == pytest.approx(1.079)
    shifted = np.roll(outline, -1, axis=0)
    area_m2 = 0.5 * np.abs(np.sum(outline[:, 0] * shifted[:, 1] - shifted[:, 0] * outline[:, 1]))
    assert area_m2 == pytest.approx(2 * 1.919 * 2 * 1.079)


@pytest.mark.parametrize("camera", [PINHOLE, WIDE_LENS, FISHEYE], ids=["pinhole", "wide", "fisheye"])
def test_outline_is_on_plane_and_in_image(camera: CameraModel) -> None:
    surface = plane((0.4, -0.2, -1.0), range_m=3.0)
    outline = outline_on_surface(camera, surface).points_m
    assert len(outline) >= 8
    assert outline @ surface.normal == pytest.approx(3.0 * surface.normal[2])
    pixels = camera.project(outline)
    edges = [camera.width_px - 1, camera.height_px - 1]
    assert np.abs(pixels - np.clip(pixels, 0, edges)).max() < 1e-3


def test_outline_flat_incidence_is_excluded() -> None:
    steep = np.deg2rad(70.0)
    surface = plane((np.sin(steep), 0.0, -np.cos(steep)))
    outline = outline_on_surface(PINHOLE, surface).points_m
    assert len(outline) == 16
    cosines = -(outline / np.linalg.norm(outline, axis=1, keepdims=True)) @ surface.normal
    assert cosines.min() >= np.cos(np.deg2rad(80.0))
    # The outline reaches nearly the limit of the incidence, and the image's edge on the near side.
    assert cosines.min() < np.cos(np.deg2rad(77.0))
    assert PINHOLE.project(outline)[:, 0].min() == pytest.approx(0, abs=1e-6)
    away = SurfacePlane(RangeReading(2.0, 0.0, "range"), np.array([0.0, 0.0, 1.0]), 0.0, normal_in_map=False)
    assert outline_on_surface(PINHOLE, away).points_m.shape == (0, 3)


def test_outline_window_is_that_part_of_the_image() -> None:
    window = (448, 64, 960, 832)
    outline = outline_on_surface(PINHOLE, plane(), window).points_m
    pixels = PINHOLE.project(outline)
    assert [*pixels.min(axis=0), *pixels.max(axis=0)] == pytest.approx([448, 64, 959, 831])
    whole = (0, 0, PINHOLE.width_px, PINHOLE.height_px)
    of_whole, of_image = outline_on_surface(PINHOLE, plane(), whole), outline_on_surface(PINHOLE, plane())
    assert np.array_equal(of_whole.points_m, of_image.points_m)


@pytest.mark.parametrize("camera", [PINHOLE, WIDE_LENS, FISHEYE], ids=["pinhole", "wide", "fisheye"])
def test_largest_gsd_is_the_longest_step_of_a_pixel(camera: CameraModel) -> None:
    surface = plane((0.4, -0.2, -1.0), range_m=3.0)
    pixels = np.array([[300.0, 250.0], [900.0, 500.0], [1200.0, 650.0]])
    angles = np.linspace(0.0, np.pi, 181)
    half_steps = 0.05 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for pixel, gsd in zip(pixels, largest_gsd_mm_per_px(camera, surface, pixels), strict=True):
        ends = [surface.meet(camera.rays(pixel + sign * half_steps)) for sign in (1.0, -1.0)]
        assert gsd == pytest.approx(1e4 * np.linalg.norm(ends[0] - ends[1], axis=1).max(), rel=1e-3)


def test_outline_pixels_are_those_of_its_corners() -> None:
    steep = np.deg2rad(70.0)
    for surface in (plane(), plane((np.sin(steep), 0.0, -np.cos(steep)))):
        outline = outline_on_surface(PINHOLE, surface)
        assert outline.pixels == pytest.approx(PINHOLE.project(outline.points_m))
