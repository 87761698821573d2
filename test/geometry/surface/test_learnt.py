# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Surfaces learnt from a rangefinder: accuracy, consistency of the covariance, and robustness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.learnt import LearntSurface
from crack_perception.geometry.surface.plane import SurfacePlane, assumed_plane
from crack_perception.geometry.surface.range import RangeBuffer

NOISE = NoiseModel(pixel_px=1.0, attitude_rad=np.deg2rad(1.0), position_m=0.02)
RANGE_SHARE = 0.02
NORMAL_SIGMA_RAD = np.deg2rad(5.0)
FRAME_S = 0.25
READINGS_A_FRAME = 5
DRIFT_S = 8.0
WALL = (np.array([-1.0, 0.0, 0.0]), -5.0)
"""Normal and offset of a wall at x = 5, seen from smaller x."""

Surface = Callable[[np.ndarray, np.ndarray], float]
"""Function from position (3,) and direction (3,) to the distance of the surface."""


def flat(normal: np.ndarray, offset_m: float) -> Surface:
    return lambda position, direction: (offset_m - float(normal @ position)) / float(normal @ direction)


def pier(radius_m: float) -> Surface:
    """A round pier around the map's z axis."""

    def range_m(position: np.ndarray, direction: np.ndarray) -> float:
        flat_m = direction[:2] @ direction[:2]
        half = direction[:2] @ position[:2]
        return (-half - np.sqrt(half**2 - flat_m * (position[:2] @ position[:2] - radius_m**2))) / flat_m

    return range_m


@dataclass(frozen=True)
class View:
    """A frame: true and estimated camera pose, true range, learnt and assumed plane."""

    true: Pose
    believed: Pose
    true_m: float
    plane: SurfacePlane | None
    assumed: SurfacePlane

    def depth_error_m(self, surface: Surface, plane: SurfacePlane | None) -> float:
        """Error of the surface point on the optical axis, along that axis."""
        axis = self.believed.rotation[:, 2]
        at = (plane or self.assumed).meet([[0.0, 0.0, 1.0]])[0, 2]
        return float(at - surface(self.believed.position_m, axis))

    @property
    def depth_sigma_m(self) -> float:
        """Standard deviation reported for it."""
        assert self.plane is not None and self.plane.map_offset_sigma_m is not None
        directions, sigmas_rad = self.plane.tilts()
        lever_m = self.plane.meet([[0.0, 0.0, 1.0]])[0] - self.plane.point_m
        return float(np.hypot(self.plane.map_offset_sigma_m, np.linalg.norm(sigmas_rad * (directions @ lever_m))))


class Drone:
    """Fly in front of a surface with drifting errors, and learn it."""

    def __init__(self, surface: Surface, seed: int = 0, noise: float = 1.0) -> None:
        self.surface, self.noise = surface, noise
        self.rng = np.random.default_rng(seed)
        self.learnt, self.ranges = LearntSurface(), RangeBuffer(0.2, RANGE_SHARE, 0.0)
        self.now_s = 0.0
        self._shift, self._turn = self.rng.standard_normal((2, 3))

    def look(self, position_m: tuple[float, float, float], yaw_deg: float = 0.0, jitter_m: float = 0.0) -> View:
        body = rotations.from_euler(0.0, 0.0, np.deg2rad(yaw_deg))
        true = Pose.of(position_m, rotations.multiply(body, rotations.FORWARD_LOOKING_OPTICAL))
        memory = np.exp(-FRAME_S / DRIFT_S)
        fresh = np.sqrt(1 - memory**2) * self.rng.standard_normal((2, 3))
        self._shift, self._turn = memory * self._shift + fresh[0], memory * self._turn + fresh[1]
        believed = Pose.of(
            true.position_m + self.noise * NOISE.position_m * self._shift + [jitter_m, 0.0, 0.0],
            rotations.multiply(
                rotations.from_rotation_vector(self.noise * NOISE.attitude_rad * self._turn), true.quaternion
            ),
        )
        exact_m = self.surface(true.position_m, true.rotation[:, 2])
        self.now_s += FRAME_S
        stamp_ns = round(self.now_s * 1e9)
        for back in reversed(range(READINGS_A_FRAME)):
            read_m = exact_m * (1 + self.noise * RANGE_SHARE * self.rng.standard_normal())
            self.ranges.push(stamp_ns - back * 50_000_000, read_m, 0.1, 100.0)
        reading = self.ranges.at(stamp_ns)
        # From two estimates 20 ms apart.
        motion = MovingPose(believed, np.array([jitter_m / 0.02, 0.0, 0.0]), np.zeros(3))
        assumed = assumed_plane(reading, "vertical", believed, NORMAL_SIGMA_RAD)
        plane = self.learnt.learn(stamp_ns, motion, reading, self.ranges, assumed, NOISE)
        return View(true, believed, exact_m, plane, assumed)

    def fly_along(self, frames: int, yaw_deg: float = 0.0, wobble_deg: float = 1.5, start_m: float = 0.0) -> list[View]:
        """Along y at 0.5 m/s, two metres from x = 5."""
        return [
            self.look((3.0, start_m + 0.125 * index, 1.5), yaw_deg + wobble_deg * np.sin(0.7 * index))
            for index in range(frames)
        ]


def normal_of(view: View) -> np.ndarray:
    assert view.plane is not None
    return view.believed.rotation @ view.plane.normal


def angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip(first @ second, -1.0, 1.0))))


def test_learn_exact_inputs_give_exact_wall() -> None:
    drone = Drone(flat(*WALL), noise=0.0)
    first, *others = drone.fly_along(30, wobble_deg=4.0)
    assert first.plane is None
    for view in others[10:]:
        assert view.plane is not None and view.plane.range.source == "range+surface"
        assert angle_deg(normal_of(view), WALL[0]) < 0.3
        assert view.depth_error_m(drone.surface, view.plane) == pytest.approx(0.0, abs=3e-3)


def test_learn_oblique_wall_gives_its_direction() -> None:
    drone = Drone(flat(*WALL), seed=4)
    view = drone.fly_along(40, yaw_deg=15.0)[-1]
    assert angle_deg(normal_of(view), WALL[0]) < 3.0
    assert angle_deg(view.believed.rotation @ view.assumed.normal, WALL[0]) > 12.0


def test_learn_many_ranges_improve_plane_within_claimed_covariance() -> None:
    """Normalised errors of point and normal over many flights, against their covariances."""
    offsets, tilts, ranges, learnt_m, assumed_m = [], [], [], [], []
    for seed in range(60):
        for view in Drone(flat(*WALL), seed).fly_along(24)[7::8]:
            assert view.plane is not None and view.plane.tilt_covariance is not None
            anchor_m = view.believed.transform(view.plane.point_m)
            error_m = float(WALL[0] @ anchor_m) - WALL[1]
            offsets.append(error_m / view.plane.map_offset_sigma_m)
            directions, sigmas_rad = view.plane.tilts()
            true = view.believed.rotation.T @ WALL[0]
            tilts.append(directions @ (true - view.plane.normal) / sigmas_rad)
            ranges.append((view.plane.range.range_m - view.true_m) / view.plane.range.sigma_m)
            learnt_m.append(view.depth_error_m(flat(*WALL), view.plane))
            assumed_m.append(view.depth_error_m(flat(*WALL), None))
    # Slightly conservative, because the assumed drift time is longer than the true one.
    assert 0.5 < np.mean(np.square(offsets)) < 1.1
    assert 0.1 < np.mean(np.square(tilts)) < 1.1
    assert 0.4 < np.mean(np.square(ranges)) < 1.1
    assert np.std(learnt_m) < 0.7 * np.std(assumed_m)


def test_learn_second_pass_reuses_facet() -> None:
    first, second = [], []
    for seed in range(20):
        drone = Drone(flat(*WALL), seed)
        first += [view.plane for view in drone.fly_along(24)[4:12]]
        drone.now_s += 40.0
        second += [view.plane for view in drone.fly_along(24)[4:12]]
    sigmas_m = [[plane.map_offset_sigma_m for plane in planes if plane is not None] for planes in (first, second)]
    assert np.mean(sigmas_m[1]) < 0.85 * np.mean(sigmas_m[0])


def test_learn_opening_returns_none_and_keeps_wall() -> None:
    wall = flat(*WALL)
    drone = Drone(lambda position, axis: wall(position, axis) + (1.0 if 2.0 < position[1] < 2.3 else 0.0), seed=2)
    views = drone.fly_along(32)
    for view in views:
        y_m = view.true.position_m[1]
        if 2.0 < y_m < 2.3:
            assert view.plane is None or view.plane.range.range_m == pytest.approx(3.0, abs=0.15)
        elif y_m > 1.0:
            assert view.plane is not None
            assert view.plane.range.range_m == pytest.approx(2.0, abs=0.1)
            assert angle_deg(normal_of(view), WALL[0]) < 4.0


def test_learn_corner_starts_a_new_facet() -> None:
    side = (np.array([0.0, -1.0, 0.0]), -4.0)
    drone = Drone(flat(*WALL), seed=5)
    drone.fly_along(30)
    drone.surface, drone.now_s = flat(*side), drone.now_s + 5.0
    views = [drone.look((4.5 - 0.125 * index, 2.0, 1.5), 90.0) for index in range(20)]
    assert views[0].plane is None
    for view in views[8:]:
        assert angle_deg(normal_of(view), side[0]) < 4.0
    # Back at the first wall, its facet is still known.
    drone.surface, drone.now_s = flat(*WALL), drone.now_s + 5.0
    back = drone.look((3.0, 2.0, 1.5))
    assert back.plane is not None and back.plane.map_offset_sigma_m < 0.025


def test_learn_step_in_wall_is_not_smoothed() -> None:
    front, behind = flat(*WALL), flat(WALL[0], -5.4)
    drone = Drone(lambda position, axis: (front if position[1] < 2.0 else behind)(position, axis), seed=7)
    views = drone.fly_along(36)
    errors_m = [view.depth_error_m(drone.surface, view.plane) for view in views if view.true.position_m[1] > 2.0]
    assert max(np.abs(errors_m)) < 0.2
    assert np.mean(np.abs(errors_m[-8:])) < 0.06


@pytest.mark.parametrize("radius_m", [1.0, 4.0])
def test_learn_round_pier_is_no_worse_than_readings(radius_m: float) -> None:
    surface = pier(radius_m)
    learnt_m, assumed_m, angles_deg = [], [], []
    for seed in range(6):
        drone = Drone(surface, seed)
        for index in range(60):
            # Around it at half a metre a second, the camera towards its axis.
            angle = 0.125 * index / (radius_m + 2.0)
            position = (radius_m + 2.0) * np.array([np.cos(angle), np.sin(angle), 0.0])
            view = drone.look((position[0], position[1], 1.5), np.rad2deg(angle) + 180.0)
            learnt_m.append(view.depth_error_m(surface, view.plane))
            assumed_m.append(view.depth_error_m(surface, None))
            if view.plane is not None:
                angles_deg.append(angle_deg(normal_of(view), np.array([np.cos(angle), np.sin(angle), 0.0])))
    assert np.sqrt(np.mean(np.square(learnt_m))) < np.sqrt(np.mean(np.square(assumed_m)))
    assert np.median(angles_deg) < 6.0


def test_learn_slight_bend_stays_within_covariance() -> None:
    """A vault of 12 m radius is 0.1 m off its tangent a metre and a half away."""
    surface = pier(12.0)
    errors_m, claimed_m = [], []
    for seed in range(6):
        drone = Drone(surface, seed)
        for index in range(60):
            angle = 0.125 * index / 14.0
            view = drone.look((14 * np.cos(angle), 14 * np.sin(angle), 1.5), np.rad2deg(angle) + 180.0)
            if view.plane is not None:
                errors_m.append(view.depth_error_m(surface, view.plane))
                claimed_m.append(view.depth_sigma_m)
    assert np.mean(np.abs(np.divide(errors_m, claimed_m)) < 1.96) > 0.93


def test_learn_pose_jitter_does_not_degrade_asynchronous_ranges() -> None:
    """A velocity from two estimates 20 ms apart is off by decimetres a second; readings are up to 200 ms away."""
    drone = Drone(flat(*WALL), noise=0.0)
    jitter_m = 0.003 * np.random.default_rng(8).standard_normal(40)
    views = [drone.look((3.0, 0.125 * index, 1.5), jitter_m=off_m) for index, off_m in enumerate(jitter_m)]
    offsets_m = [WALL[0] @ view.believed.transform(view.plane.point_m) for view in views[8:] if view.plane is not None]
    assert len(offsets_m) == 32 and np.std(offsets_m) < 0.002


@pytest.mark.parametrize(
    ("noise", "range_m", "x_m"),
    [
        (NoiseModel(0.0, 0.0, 0.0, 0.0), 3.0, 0.0),
        (NoiseModel(1.0, 0.7, 1000.0, 1.0), 3.0, 0.0),
        (NOISE, 1e30, 0.0),
        (NOISE, 1e-9, 0.0),
        (NOISE, 3.0, 5e6),
        (NOISE, 3.0, 1e7),
    ],
)
def test_learn_extreme_inputs_give_finite_uncertain_plane(noise: NoiseModel, range_m: float, x_m: float) -> None:
    learnt, ranges = LearntSurface(), RangeBuffer(0.2, 0.0, 0.0)
    for index in range(8):
        stamp_ns = index * 250_000_000
        ranges.push(stamp_ns, range_m, 0.0, 0.0)
        pose = Pose.of((x_m, 0.1 * index, 0.0), rotations.FORWARD_LOOKING_OPTICAL)
        reading = ranges.at(stamp_ns)
        assumed = assumed_plane(reading, "vertical", pose, 0.0)
        motion = MovingPose(pose, np.zeros(3), np.zeros(3))
        plane = learnt.learn(stamp_ns, motion, reading, ranges, assumed, noise)
        if plane is not None:
            assert plane.range.range_m == pytest.approx(range_m) and plane.map_offset_sigma_m is not None
            assert np.inf > plane.map_offset_sigma_m > 0.5 * noise.position_m


def test_learn_clock_set_back_discards_facets() -> None:
    drone = Drone(flat(*WALL), seed=1)
    assert drone.fly_along(12)[-1].plane is not None
    drone.now_s = 0.0
    drone.surface = flat(WALL[0], -5.1)
    views = drone.fly_along(12)
    assert views[0].plane is None
    assert views[-1].plane is not None and views[-1].depth_error_m(drone.surface, views[-1].plane) < 0.08


def test_learn_long_hover_does_not_shrink_covariance() -> None:
    errors_m, claimed_m = [], []
    for seed in range(12):
        drone = Drone(flat(*WALL), seed)
        views = [drone.look((3.0, 0.0, 1.5)) for _ in range(40)]
        view = views[-1]
        assert view.plane is not None
        errors_m.append(float(WALL[0] @ view.believed.transform(view.plane.point_m)) - WALL[1])
        claimed_m.append(view.plane.map_offset_sigma_m)
    assert np.mean(np.square(np.divide(errors_m, claimed_m))) < 1.5
    assert min(claimed_m) > 0.4 * NOISE.position_m


def test_learn_more_hits_than_capacity_still_works() -> None:
    drone = Drone(flat(*WALL), seed=3)
    for index in range(1300):
        view = drone.look((3.0, 0.6 * index, 1.5))
    assert view.plane is not None and angle_deg(normal_of(view), WALL[0]) < 3.0
