"""Paths and poses of the simulated drone."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.simulation.noise_fields import SmoothSignal, correlated_noise, fractal_field
from crack_perception.simulation.trajectory import HoverPath, SerpentinePath, Trajectory
from crack_perception.simulation.wall import Wall

SURFACE = Wall(np.zeros((10, 10, 3), np.uint8), 100.0, None, None).surface
MOUNT = Pose.of((0.1, 0.0, 0.05), FORWARD_LOOKING_OPTICAL)


def test_rows_are_flown_to_and_fro_at_constant_speed() -> None:
    path = SerpentinePath(left_m=1.0, top_m=0.5, row_m=2.0, spacing_m=0.4, rows=3, speed_m_s=0.5)
    times_s = np.arange(0, path.length_m / 0.5, 0.01)
    points_m = path.at(times_s)
    steps_m = np.linalg.norm(np.diff(points_m, axis=0), axis=1)
    np.testing.assert_allclose(steps_m, 0.005, rtol=1e-3)
    np.testing.assert_allclose(points_m[0], [1.0, 0.5])
    np.testing.assert_allclose(points_m.max(axis=0), [3.2, 1.3], atol=1e-3)
    np.testing.assert_allclose(points_m.min(axis=0), [0.8, 0.5], atol=1e-3)
    np.testing.assert_allclose(path.at(np.array([path.length_m / 0.5]))[0], [3.0, 1.3], atol=1e-9)


def test_a_path_at_its_end_is_flown_back() -> None:
    path = SerpentinePath(left_m=0.0, top_m=0.0, row_m=1.0, spacing_m=0.0, rows=1, speed_m_s=0.5)
    np.testing.assert_allclose(path.at(np.array([0.5, 2.5, 3.5, 4.5]))[:, 0], [0.25, 0.75, 0.25, 0.25])


def test_a_path_without_room_hovers() -> None:
    path = SerpentinePath(left_m=0.3, top_m=0.2, row_m=0.0, spacing_m=0.0, rows=1, speed_m_s=0.5)
    np.testing.assert_allclose(path.at(np.array([0.0, 1.0])), [[0.3, 0.2], [0.3, 0.2]])


def test_the_camera_looks_at_the_wall_from_its_standoff() -> None:
    trajectory = Trajectory(np.random.default_rng(0), HoverPath(0.4, 0.6), SURFACE, 2.0, 0.0, MOUNT)
    times_s = np.arange(0, 60, 0.1)
    cameras = trajectory.camera_poses(times_s)
    positions_m = np.array([pose.position_m for pose in cameras])
    heights_m = (positions_m - SURFACE.origin_m) @ SURFACE.normal
    assert heights_m.mean() == pytest.approx(2.0, abs=0.02)
    assert heights_m.std() == pytest.approx(0.04, rel=0.3)
    looked_at_m = SURFACE.to_surface(positions_m).mean(axis=0)
    np.testing.assert_allclose(looked_at_m, [0.4, 0.6], atol=0.02)
    rotation = cameras[0].rotation
    np.testing.assert_allclose(rotation[:, 2], -SURFACE.normal, atol=1e-9)
    np.testing.assert_allclose(rotation[:, 0], SURFACE.u_axis, atol=1e-9)
    np.testing.assert_allclose(rotation[:, 1], SURFACE.v_axis, atol=1e-9)


def test_the_camera_is_fixed_to_the_drone_while_both_turn() -> None:
    trajectory = Trajectory(np.random.default_rng(0), HoverPath(0.4, 0.6), SURFACE, 2.0, 0.05, MOUNT)
    times_s = np.linspace(0, 30, 200)
    tilts_rad = []
    for base, camera in zip(trajectory.base_poses(times_s), trajectory.camera_poses(times_s), strict=True):
        mount = base.inverse().compose(camera)
        np.testing.assert_allclose(mount.position_m, MOUNT.position_m, atol=1e-12)
        np.testing.assert_allclose(mount.rotation, MOUNT.rotation, atol=1e-12)
        tilts_rad.append(np.arccos(-camera.rotation[:, 2] @ SURFACE.normal))
    assert 0.02 < np.mean(tilts_rad) < 0.12


def test_smooth_signals_have_their_deviation_and_no_jumps() -> None:
    signal = SmoothSignal(np.random.default_rng(1), np.array([0.5, 2.0]), 0.1, 1.0)
    values = signal.at(np.arange(0, 400, 0.05))
    np.testing.assert_allclose(values.std(axis=0), [0.5, 2.0], rtol=0.05)
    assert np.abs(np.diff(values, axis=0)).max() < 0.05 * 2 * np.pi * 1.0 * 2.0 * 2.5


def test_correlated_noise_remembers_for_its_time() -> None:
    noise = correlated_noise(np.random.default_rng(2), 40_000, 1, 0.1, 1.0)[:, 0]
    assert noise.std() == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(noise[:-10], noise[10:])[0, 1] == pytest.approx(np.exp(-1), abs=0.06)


def test_octaves_of_equal_deviation_give_a_falling_spectrum() -> None:
    field = fractal_field(np.random.default_rng(3), (256, 256), 1.0, lambda wavelength_mm: 1.0)
    power = np.abs(np.fft.rfft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
    bands = [power[(frequency > low) & (frequency <= 2 * low)].mean() for low in (1 / 64, 1 / 32, 1 / 16, 1 / 8)]
    np.testing.assert_allclose(np.diff(np.log2(bands)), -2.0, atol=0.8)
