# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Paths and poses of the simulated drone."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.simulation.flight.place import FRONT, place_of
from crack_perception.simulation.flight.route import HoverPath, Leg, Route, SerpentinePath
from crack_perception.simulation.flight.trajectory import Trajectory
from crack_perception.simulation.wall.facet import Wall
from crack_perception.simulation.wall.noise_fields import SmoothSignal, correlated_noise, fractal_field

SURFACE = Wall(np.zeros((10, 10, 3), np.uint8), 100.0, None, None).surface
MOUNT = Pose.of((0.1, 0.0, 0.05), FORWARD_LOOKING_OPTICAL)
HOVER = Leg(0, FRONT, SURFACE, HoverPath(0.4, 0.6), 2.0, 0.0, 60.0)


def hovering(attitude_rad: float) -> Trajectory:
    """A flight that hovers in front of one point of the wall."""
    return Trajectory(np.random.default_rng(0), Route([HOVER]), 2.0, attitude_rad, MOUNT.position_m)


def test_serpentine_path_has_constant_speed() -> None:
    path = SerpentinePath(left_m=1.0, top_m=0.5, row_m=2.0, spacing_m=0.4, rows=3, speed_m_s=0.5)
    times_s = np.arange(0, path.length_m / 0.5, 0.01)
    points_m = path.at(times_s)
    steps_m = np.linalg.norm(np.diff(points_m, axis=0), axis=1)
    np.testing.assert_allclose(steps_m, 0.005, rtol=1e-3)
    np.testing.assert_allclose(points_m[0], [1.0, 0.5])
    np.testing.assert_allclose(points_m.max(axis=0), [3.2, 1.3], atol=1e-3)
    np.testing.assert_allclose(points_m.min(axis=0), [0.8, 0.5], atol=1e-3)
    np.testing.assert_allclose(path.at(np.array([path.length_m / 0.5]))[0], [3.0, 1.3], atol=1e-9)


def test_serpentine_path_reverses_at_its_end() -> None:
    path = SerpentinePath(left_m=0.0, top_m=0.0, row_m=1.0, spacing_m=0.0, rows=1, speed_m_s=0.5)
    np.testing.assert_allclose(path.at(np.array([0.5, 2.5, 3.5, 4.5]))[:, 0], [0.25, 0.75, 0.25, 0.25])


def test_serpentine_path_without_length_hovers() -> None:
    path = SerpentinePath(left_m=0.3, top_m=0.2, row_m=0.0, spacing_m=0.0, rows=1, speed_m_s=0.5)
    np.testing.assert_allclose(path.at(np.array([0.0, 1.0])), [[0.3, 0.2], [0.3, 0.2]])


def test_trajectory_camera_faces_wall_at_standoff() -> None:
    trajectory = hovering(0.0)
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


def test_trajectory_camera_is_rigid_on_drone() -> None:
    trajectory = hovering(0.05)
    times_s = np.linspace(0, 30, 200)
    tilts_rad = []
    for base, camera in zip(trajectory.base_poses(times_s), trajectory.camera_poses(times_s), strict=True):
        mount = base.inverse().compose(camera)
        np.testing.assert_allclose(mount.position_m, MOUNT.position_m, atol=1e-12)
        np.testing.assert_allclose(mount.rotation, MOUNT.rotation, atol=1e-12)
        tilts_rad.append(np.arccos(-camera.rotation[:, 2] @ SURFACE.normal))
    assert 0.02 < np.mean(tilts_rad) < 0.12


def test_smooth_signal_has_sigma_and_no_jumps() -> None:
    signal = SmoothSignal(np.random.default_rng(1), np.array([0.5, 2.0]), 0.1, 1.0)
    values = signal.at(np.arange(0, 400, 0.05))
    np.testing.assert_allclose(values.std(axis=0), [0.5, 2.0], rtol=0.05)
    assert np.abs(np.diff(values, axis=0)).max() < 0.05 * 2 * np.pi * 1.0 * 2.0 * 2.5


def test_correlated_noise_has_correlation_time() -> None:
    noise = correlated_noise(np.random.default_rng(2), 40_000, 1, 0.1, 1.0)[:, 0]
    assert noise.std() == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(noise[:-10], noise[10:])[0, 1] == pytest.approx(np.exp(-1), abs=0.06)


def test_fractal_field_equal_octaves_give_falling_spectrum() -> None:
    field = fractal_field(np.random.default_rng(3), (256, 256), 1.0, lambda wavelength_mm: 1.0)
    power = np.abs(np.fft.rfft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
    bands = [power[(frequency > low) & (frequency <= 2 * low)].mean() for low in (1 / 64, 1 / 32, 1 / 16, 1 / 8)]
    np.testing.assert_allclose(np.diff(np.log2(bands)), -2.0, atol=0.8)


def wall_at(facet: int, width_m: float, height_m: float) -> Wall:
    """A facet of that size; the front wall is 4 m wide and the soffit 5 m high."""
    return Wall(np.zeros((10, 10, 3), np.uint8), 100.0, None, None, place_of(facet, 4.0, 5.0))


def test_place_facets_meet_at_corner_and_soffit() -> None:
    front, side, soffit = (wall_at(facet, 4.0, 3.0).surface for facet in range(3))
    for surface in (front, side, soffit):
        np.testing.assert_allclose(np.cross(surface.u_axis, surface.v_axis), -surface.normal, atol=1e-12)
    edge_m = front.origin_m + 4.0 * front.u_axis
    np.testing.assert_allclose(edge_m, side.origin_m, atol=1e-12)
    assert front.normal @ side.normal == pytest.approx(0.0, abs=1e-12)
    # Convex: each wall lies behind the other one's plane.
    assert (side.origin_m + side.u_axis - front.origin_m) @ front.normal < 0
    assert (front.origin_m - side.origin_m) @ side.normal < 0
    np.testing.assert_allclose(soffit.normal, [0, 0, -1], atol=1e-12)
    corners_m = soffit.to_map(np.array([[0.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_allclose(corners_m[:, 2], 5.0)
    # It projects over the ground in front of the side wall.
    assert ((corners_m - side.origin_m) @ side.normal > -1e-9).all()


def rounds() -> Route:
    """A wall, the one around its corner and the soffit, one second each with three seconds between."""
    path = SerpentinePath(0.2, 0.3, 0.6, 0.0, 1, 0.6)
    legs = [
        Leg(facet, place_of(facet, 4.0, 5.0), wall_at(facet, 1, 1).surface, path, 2.0, 4.0 * facet, 1.0)
        for facet in range(3)
    ]
    return Route(legs)


def test_route_leg_faces_facet_with_level_drone() -> None:
    route = rounds()
    trajectory = Trajectory(np.random.default_rng(0), route, 0.0, 0.0, MOUNT.position_m)
    for leg in route.legs:
        times_s = leg.start_s + np.array([0.0, 0.5, 1.0])
        np.testing.assert_array_equal(route.leg_of(times_s), leg.facet)
        for base, camera, along_s in zip(
            trajectory.base_poses(times_s), trajectory.camera_poses(times_s), times_s - leg.start_s, strict=True
        ):
            np.testing.assert_allclose(base.rotation[:, 2], [0, 0, 1], atol=1e-9)
            np.testing.assert_allclose(camera.rotation[:, 0], leg.surface.u_axis, atol=1e-9)
            np.testing.assert_allclose(camera.rotation[:, 2], -leg.surface.normal, atol=1e-9)
            looked_at_m = leg.surface.to_map(np.array([[0.2 + 0.6 * along_s, 0.3]]))[0]
            np.testing.assert_allclose(camera.position_m, looked_at_m + 2.0 * leg.surface.normal, atol=1e-9)


def test_route_transits_are_smooth_and_clear_the_corner() -> None:
    route = rounds()
    times_s = np.arange(0.0, 8.99, 0.01)
    motion = route.motion_at(times_s)
    assert route.leg_of(np.array([1.5, 3.9, 5.5])).tolist() == [-1, -1, -1]
    velocities_m_s = np.diff(motion.cameras_m, axis=0) / 0.01
    # No jump of the velocity anywhere.
    assert np.linalg.norm(np.diff(velocities_m_s, axis=0), axis=1).max() < 0.25
    assert np.abs(np.diff(motion.headings_rad)).max() < 0.02
    assert motion.elevations_rad[-1] == pytest.approx(np.pi / 2)
    front, side = route.legs[0].surface, route.legs[1].surface
    cameras_m = motion.cameras_m[times_s < 5.0]
    ahead_m = (cameras_m - front.origin_m) @ front.normal
    beside_m = (cameras_m - side.origin_m) @ side.normal
    assert np.maximum(ahead_m, beside_m).min() > 1.0
