# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rendered cracks are at the projected truth and as dark as their width."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.camera.rendering import CameraRenderer, blur_kernel, undistorted_grid
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.flight.presets import LENSES
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.wall.cracks import WallCrack, draw_cracks
from crack_perception.simulation.wall.facet import Wall

MM_PER_PX = 0.5
LEVEL = 180
CONTRAST = 0.8


def wall_with(line_m: NDArray[np.float64], width_mm: float) -> Wall:
    """An even grey wall of 0.7 x 0.5 m with one crack."""
    wall = Wall(np.full((1000, 1400, 3), LEVEL, np.uint8), MM_PER_PX, None, None)
    crack = WallCrack(0, line_m, np.full(len(line_m), width_mm), CONTRAST)
    draw_cracks(np.random.default_rng(3), wall.texture, MM_PER_PX, (crack,))
    return wall


def pose_before(wall: Wall, distance_m: float, tilt_rad: tuple[float, float, float]) -> Pose:
    surface = wall.surface
    square = np.stack([surface.u_axis, surface.v_axis, -surface.normal], axis=1)
    quaternion = rotations.multiply(rotations.from_matrix(square), rotations.from_rotation_vector(tilt_rad))
    return Pose.of(surface.to_map(wall.size_m[None] / 2)[0] + distance_m * surface.normal, quaternion)


def darkness(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of the light that is missing, (H, W)."""
    return 1 - image.mean(axis=2) / LEVEL


@pytest.mark.parametrize("distortion", list(LENSES))
def test_render_crack_is_at_projected_truth(distortion: str) -> None:
    line_m = np.array([[0.20, 0.12], [0.30, 0.22], [0.34, 0.33], [0.47, 0.38]])
    wall = wall_with(line_m, 2.0)
    pose = pose_before(wall, 0.35, (0.06, -0.05, 0.3))
    camera = FlightSettings(width=400, height=300, distortion=distortion).camera
    image = CameraRenderer(camera, wall.surface, wall.texture).render(pose, pose, pose)
    view = SurfaceView(camera, wall.surface, pose)
    missing = darkness(image)
    for start_m, end_m in pairwise(line_m):
        for share in (0.2, 0.5, 0.8):
            truth_m = start_m + share * (end_m - start_m)
            pixel, ahead = view.pixels_of(np.array([truth_m, truth_m + 0.01 * (end_m - start_m)]))
            across = np.array([ahead[1] - pixel[1], pixel[0] - ahead[0]]) / np.linalg.norm(ahead - pixel)
            x0, y0 = np.rint(pixel).astype(int)
            rows, columns = np.mgrid[y0 - 6 : y0 + 7, x0 - 6 : x0 + 7]
            weight = missing[rows, columns] * (np.hypot(rows - pixel[1], columns - pixel[0]) < 6)
            offset_px = ((columns - pixel[0]) * across[0] + (rows - pixel[1]) * across[1]) * weight
            assert weight.sum() > 3
            assert abs(offset_px.sum() / weight.sum()) < 0.35


@pytest.mark.parametrize("width_mm", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("distance_m", [0.35, 0.62])
def test_render_integrated_darkness_equals_width(width_mm: float, distance_m: float) -> None:
    wall = wall_with(np.array([[0.35, 0.02], [0.35, 0.48]]), width_mm)
    pose = pose_before(wall, distance_m, (0.0, 0.0, 0.05))
    camera = FlightSettings(width=400, height=300, distortion="none").camera
    moved = Pose.of(pose.position_m + 0.002 * wall.surface.u_axis, pose.quaternion)
    image = CameraRenderer(camera, wall.surface, wall.texture).render(pose, pose, moved)
    gsd_mm = SurfaceView(camera, wall.surface, pose).gsd_mm_per_px
    # The crack crosses the rows at 0.05 rad; the tint's and the edges' randomness is that of the drawing.
    measured_mm = darkness(image)[100:200].sum(axis=1).mean() * gsd_mm * np.cos(0.05) / CONTRAST
    assert gsd_mm > MM_PER_PX
    assert measured_mm == pytest.approx(width_mm, rel=0.02, abs=0.01)


def test_blur_kernel_matches_motion_and_keeps_brightness() -> None:
    still, moving = blur_kernel(np.zeros(2)), blur_kernel(np.array([6.0, 0.0]))
    for kernel in (still, moving):
        assert kernel.sum() == pytest.approx(1.0, abs=1e-5)

    def variance(profile: NDArray[np.float32]) -> float:
        offsets = np.arange(len(profile)) - len(profile) // 2
        return float((profile * offsets**2).sum())

    across_variance, along_variance = variance(moving.sum(axis=1)), variance(moving.sum(axis=0))
    # A uniform motion over 6 px has the variance 6^2 / 12 on top of the lens's.
    assert along_variance - across_variance == pytest.approx(3.0, rel=0.2)
    np.testing.assert_allclose(still, still.T)


@pytest.mark.parametrize(
    ("distortion", "hfov_deg"), [("plumb_bob", 50), ("rational_polynomial", 90), ("equidistant", 110)]
)
def test_undistorted_grid_matches_exact_undistortion(distortion: str, hfov_deg: float) -> None:
    camera = FlightSettings(width=1920, height=1080, distortion=distortion, hfov_deg=hfov_deg).camera
    grid = undistorted_grid(camera)
    pixels = np.random.default_rng(0).integers(0, [1920, 1080], (200, 2))
    pixels[:4] = [[0, 0], [1919, 0], [0, 1079], [1919, 1079]]
    error_px = (grid[pixels[:, 1], pixels[:, 0]] - camera.normalised(pixels)) * camera.focal_px
    assert np.abs(error_px).max() < 1e-3


def test_render_distortion_bends_straight_lines() -> None:
    wall = wall_with(np.array([[0.12, 0.02], [0.12, 0.48]]), 3.0)
    pose = pose_before(wall, 0.55, (0.0, 0.0, 0.0))

    def columns(distortion: str) -> NDArray[np.float64]:
        camera = FlightSettings(width=400, height=300, distortion=distortion).camera
        missing = darkness(CameraRenderer(camera, wall.surface, wall.texture).render(pose, pose, pose))
        missing = np.where(missing > 0.05, missing, 0.0)
        return np.asarray((missing * np.arange(400)).sum(axis=1) / missing.sum(axis=1))

    def sagitta(values: NDArray[np.float64]) -> float:
        return float(values[150] - (values[30] + values[270]) / 2)

    assert abs(sagitta(columns("none"))) < 0.1
    assert abs(sagitta(columns("plumb_bob"))) > 0.5
