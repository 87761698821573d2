# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Regions in the map: hand-calculated points, and covariances checked with noisy inputs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import pytest

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import (
    ImageAxes,
    LocatedRegion,
    NoiseModel,
    NotOnSurface,
    locate,
    patch_of,
    patches_of,
)
from crack_perception.geometry.surface.plane import PlaneStack, SurfacePlane
from crack_perception.geometry.surface.range import RangeReading

PINHOLE = CameraModel.of(1920, 1080, [1000.0, 0, 960.0, 0, 1000.0, 540.0, 0, 0, 1], [], "")
WIDE_LENS = CameraModel.of(1920, 1080, [900.0, 0, 950.0, 0, 905.0, 545.0, 0, 0, 1], [-0.2, 0.05, 0, 0, 0], "plumb_bob")

AHEAD = Pose.of((0, 0, 0), rotations.FORWARD_LOOKING_OPTICAL)
"""A camera at the map's origin, facing along the map's x axis."""

NO_NOISE = NoiseModel(pixel_px=0, attitude_rad=0, position_m=0, time_s=0)
CENTRE_PX = np.array([960.0, 540.0])
LEVEL_ENDS_PX = np.array([[910.0, 540.0], [1010.0, 540.0]])


def plane(
    range_m: float = 3.0,
    range_sigma_m: float = 0.0,
    normal: np.ndarray | None = None,
    normal_sigma_rad: float = 0.0,
    normal_in_map: bool = False,
) -> SurfacePlane:
    facing = np.array([0.0, 0.0, -1.0])
    reading = RangeReading(range_m, range_sigma_m, "range")
    return SurfacePlane(reading, facing if normal is None else normal, normal_sigma_rad, normal_in_map)


def still(pose: Pose) -> MovingPose:
    return MovingPose(pose, np.zeros(3), np.zeros(3))


def place(
    camera: CameraModel,
    surface: SurfacePlane,
    motion: MovingPose,
    centre_px: np.ndarray,
    ends_px: np.ndarray,
    direction_sigma_rad: float,
    noise: NoiseModel,
) -> LocatedRegion | None:
    """Locate a single region."""
    axes = ImageAxes(centre_px[None], ends_px[None], np.array([direction_sigma_rad]))
    (region,) = locate(camera, PlaneStack.of([surface]), motion, axes, noise)
    return region


def located(
    surface: SurfacePlane,
    noise: NoiseModel = NO_NOISE,
    motion: MovingPose | None = None,
    direction_sigma_rad: float = 0.0,
    centre_px: np.ndarray = CENTRE_PX,
    ends_px: np.ndarray = LEVEL_ENDS_PX,
) -> LocatedRegion:
    region = place(PINHOLE, surface, motion or still(AHEAD), centre_px, ends_px, direction_sigma_rad, noise)
    assert region is not None
    return region


def sigmas(region: LocatedRegion) -> np.ndarray:
    """Standard deviations (6,), after checking that the matrix is a covariance."""
    assert region.covariance == pytest.approx(region.covariance.T)
    assert np.linalg.eigvalsh(region.covariance).min() > -1e-12
    return np.sqrt(np.diag(region.covariance).clip(0))


def turn_of(vector: np.ndarray) -> np.ndarray:
    return cv2.Rodrigues(np.asarray(vector, np.float64))[0]


def vector_of(turn: np.ndarray) -> np.ndarray:
    return cv2.Rodrigues(turn)[0].ravel()


def test_locate_perpendicular_wall_at_three_metres() -> None:
    patch = patch_of(PINHOLE, plane(), CENTRE_PX, LEVEL_ENDS_PX)
    assert patch.point_m == pytest.approx([0, 0, 3])
    assert patch.gsd_mm_per_px == pytest.approx(3.0)
    assert patch.incidence_rad == pytest.approx(0)
    assert patch.length_m == pytest.approx(0.3)
    region = located(plane())
    assert region.pose.position_m == pytest.approx([3, 0, 0])
    # x along the crack (to the right in the image, which is the map's -y), z out of the wall.
    assert region.pose.rotation[:, 0] == pytest.approx([0, -1, 0], abs=1e-9)
    assert region.pose.rotation[:, 2] == pytest.approx([-1, 0, 0], abs=1e-9)


def test_locate_pixel_off_centre_is_offset_in_map() -> None:
    region = located(plane(), centre_px=np.array([1060.0, 740.0]), ends_px=np.array([[1060.0, 700], [1060, 780]]))
    assert region.pose.position_m == pytest.approx([3, -0.3, -0.6])
    assert region.pose.rotation[:, 0] == pytest.approx([0, 0, -1])


def test_locate_camera_pose_moves_the_point() -> None:
    # Ten metres up at (4, 5), heading along +y: a wall 2 m away, seen 0.2 m to the right of the axis.
    pose = Pose.of((4, 5, 10), rotations.multiply(rotations.from_euler(0, 0, np.pi / 2), AHEAD.quaternion))
    region = located(plane(2.0), motion=still(pose), centre_px=np.array([1060.0, 540.0]))
    assert region.pose.position_m == pytest.approx([4.2, 7, 10])


def test_patch_wall_at_45_degrees_has_its_incidence() -> None:
    # The plane z = 3 + x in camera axes: 100 px to the right the ray (0.1, 0, 1) meets it at z = 3 / 0.9.
    turned = plane(normal=np.array([1.0, 0.0, -1.0]) / np.sqrt(2))
    patch = patch_of(PINHOLE, turned, np.array([1060.0, 540.0]), np.array([[960.0, 540.0], [1060.0, 540.0]]))
    assert patch.point_m == pytest.approx([3 / 9, 0, 30 / 9])
    assert patch.length_m == pytest.approx(np.hypot(1 / 3, 1 / 3))
    ray = np.array([0.1, 0, 1]) / np.hypot(0.1, 1)
    assert np.cos(patch.incidence_rad) == pytest.approx(ray @ [-1, 0, 1] / np.sqrt(2))
    at_centre = patch_of(PINHOLE, turned, CENTRE_PX, LEVEL_ENDS_PX)
    assert at_centre.gsd_mm_per_px == pytest.approx(3.0 * 2**0.25, rel=1e-6)


def test_patch_gsd_is_pixel_footprint() -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        tilt = turn_of(rng.uniform(-0.6, 0.6, 3))
        surface = plane(rng.uniform(0.5, 8), normal=tilt @ np.array([0.0, 0.0, -1.0]))
        centre = rng.uniform([100, 100], [1820, 980])
        square = centre + [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]
        rays = WIDE_LENS.rays(square)
        corners = rays * (surface.range.range_m * surface.normal[2] / (rays @ surface.normal))[:, None]
        area = np.linalg.norm(np.cross(corners[2] - corners[0], corners[3] - corners[1])) / 2
        patch = patch_of(WIDE_LENS, surface, centre, square[:2])
        assert patch.gsd_mm_per_px == pytest.approx(1000 * np.sqrt(area), rel=1e-4)


def test_patch_flat_incidence_or_back_side_is_refused() -> None:
    for degrees in (79, 81, 95, 180):
        angle = np.deg2rad(degrees)
        surface = plane(normal=np.array([np.sin(angle), 0, -np.cos(angle)]))
        narrow = CENTRE_PX + [[0.0, -20.0], [0.0, 20.0]]
        if degrees < 80:
            assert patch_of(PINHOLE, surface, CENTRE_PX, narrow).incidence_rad == pytest.approx(angle)
            located(surface, ends_px=narrow)
            continue
        with pytest.raises(NotOnSurface, match="too flat"):
            patch_of(PINHOLE, surface, CENTRE_PX, narrow)
        assert place(PINHOLE, surface, still(AHEAD), CENTRE_PX, narrow, 0, NO_NOISE) is None


def test_locate_end_beyond_horizon_returns_none() -> None:
    # At 75 degrees the surface ends 268 px above the centre; a longer region has no end there.
    surface = plane(normal=np.array([0, -np.sin(np.deg2rad(75)), -np.cos(np.deg2rad(75))]))
    ends = CENTRE_PX + [[0.0, -300.0], [0.0, 300.0]]
    assert np.isnan(patch_of(PINHOLE, surface, CENTRE_PX, ends).length_m)
    assert place(PINHOLE, surface, still(AHEAD), CENTRE_PX, ends, 0, NO_NOISE) is None
    assert np.isfinite(located(surface, ends_px=CENTRE_PX + [[0.0, -20.0], [0.0, 20.0]]).covariance).all()


def test_patch_pixel_without_ray_is_refused() -> None:
    fisheye = CameraModel.of(1920, 1080, [300.0, 0, 960.0, 0, 300.0, 540.0, 0, 0, 1], [0.0] * 4, "equidistant")
    edge = np.array([1900.0, 540.0])
    with pytest.raises(NotOnSurface):
        patch_of(fisheye, plane(), edge, edge + [[-50.0, 0], [0, 0]])
    assert place(fisheye, plane(), still(AHEAD), edge, edge + [[-50.0, 0], [0, 0]], 0.1, NoiseModel()) is None


def test_locate_exact_inputs_have_zero_covariance() -> None:
    assert located(plane()).covariance == pytest.approx(np.zeros((6, 6)), abs=1e-12)


def test_locate_attitude_sigma_1_degree_is_52_mm_at_3_m() -> None:
    region = located(plane(), replace(NO_NOISE, attitude_rad=np.deg2rad(1)))
    assert sigmas(region)[:3] == pytest.approx([0, 0.0524, 0.0524], abs=1e-4)
    assert sigmas(region)[3:] == pytest.approx(np.full(3, np.deg2rad(1)), rel=1e-4)


def test_locate_attitude_error_does_not_rotate_map_plane() -> None:
    region = located(plane(normal_in_map=True), replace(NO_NOISE, attitude_rad=np.deg2rad(1)))
    # Only about its normal, with the camera's roll.
    assert sigmas(region)[3:] == pytest.approx([np.deg2rad(1), 0, 0], abs=1e-6)
    assert sigmas(region)[:3] == pytest.approx([0, 0.0524, 0.0524], abs=1e-4)


def test_locate_range_sigma_2_percent_is_60_mm_at_3_m() -> None:
    assert sigmas(located(plane(range_sigma_m=0.06))) == pytest.approx([0.06, 0, 0, 0, 0, 0], abs=1e-9)


def test_locate_pixel_sigma_2_px_is_6_mm() -> None:
    assert sigmas(located(plane(), replace(NO_NOISE, pixel_px=2)))[:3] == pytest.approx([0, 0.006, 0.006], abs=1e-9)


def test_locate_position_sigma_is_propagated() -> None:
    assert sigmas(located(plane(), replace(NO_NOISE, position_m=0.02)))[:3] == pytest.approx([0.02] * 3)


def test_locate_time_sigma_100_ms_at_1_m_s_is_100_mm() -> None:
    motion = MovingPose(AHEAD, np.array([0.0, 1.0, 0.0]), np.zeros(3))
    region = located(plane(), replace(NO_NOISE, time_s=0.1), motion)
    assert sigmas(region) == pytest.approx([0, 0.1, 0, 0, 0, 0], abs=1e-9)
    turning = MovingPose(AHEAD, np.zeros(3), np.array([0.0, 0.0, 0.5]))
    region = located(plane(), replace(NO_NOISE, time_s=0.1), turning)
    assert sigmas(region) == pytest.approx([0, 0.15, 0, 0, 0, 0.05], abs=1e-6)


def test_locate_tilt_sigma_moves_only_off_axis_points() -> None:
    surface = plane(normal_sigma_rad=0.1)
    assert sigmas(located(surface)) == pytest.approx([0, 0, 0, 0, 0.1, 0.1], abs=1e-4)
    # 0.6 m to the right of the axis a tilt of 0.1 rad about the vertical is 60 mm along the ray (0.2, 1).
    beside = located(surface, centre_px=np.array([1160.0, 540.0]), ends_px=LEVEL_ENDS_PX + [200.0, 0.0])
    assert sigmas(beside)[:3] == pytest.approx([0.06, 0.012, 0], abs=1e-4)


def test_locate_direction_sigma_rotates_about_normal() -> None:
    assert sigmas(located(plane(), direction_sigma_rad=0.2)) == pytest.approx([0, 0, 0, 0.2, 0, 0], abs=1e-4)


def test_locate_direction_sigma_is_foreshortened() -> None:
    # Seen at 60 degrees from below, the wall is twice as high as in the image: level cracks rotate twice as far.
    angle = np.deg2rad(60)
    surface = plane(normal=np.array([0, np.sin(angle), -np.cos(angle)]))
    level = located(surface, direction_sigma_rad=0.01)
    upright = located(surface, direction_sigma_rad=0.01, ends_px=CENTRE_PX + [[0.0, -5.0], [0.0, 5.0]])
    assert np.sqrt(np.trace(level.covariance)) == pytest.approx(0.02, rel=1e-3)
    assert np.sqrt(np.trace(upright.covariance)) == pytest.approx(0.005, rel=1e-3)


@dataclass(frozen=True)
class Scene:
    """True state: a camera that moves past a wall, and a region on it."""

    camera: CameraModel = PINHOLE
    pose: Pose = AHEAD
    velocity_m_s: np.ndarray = field(default_factory=lambda: np.zeros(3))
    turn_rate_rad_s: np.ndarray = field(default_factory=lambda: np.zeros(3))
    normal: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, -1.0]))
    range_m: float = 3.0
    centre_px: np.ndarray = field(default_factory=lambda: CENTRE_PX)
    half_length_px: np.ndarray = field(default_factory=lambda: np.array([150.0, 60.0]))
    normal_in_map: bool = False


BANKED = Pose.of((5, -2, 12), rotations.multiply(rotations.from_euler(0.3, -0.2, 2.5), AHEAD.quaternion))
SCENES = {
    "square": Scene(),
    "oblique": Scene(
        pose=BANKED, normal=turn_of(np.array([0.3, 0.6, 0])) @ [0, 0, -1], centre_px=np.array([1400.0, 300.0])
    ),
    "seen at 60 degrees": Scene(pose=BANKED, normal=turn_of(np.array([np.pi / 3, 0, 0])) @ [0, 0, -1]),
    "wall known in the map": Scene(
        pose=BANKED, normal=turn_of(np.array([-0.5, 0.2, 0])) @ [0, 0, -1], normal_in_map=True
    ),
    "in motion through a wide lens": Scene(
        camera=WIDE_LENS,
        pose=BANKED,
        velocity_m_s=np.array([2.0, -1.0, 0.5]),
        turn_rate_rad_s=np.array([0.2, -0.3, 0.8]),
        normal=turn_of(np.array([0.1, -0.4, 0])) @ [0, 0, -1],
        centre_px=np.array([500.0, 800.0]),
        normal_in_map=True,
    ),
}
NOISE = NoiseModel(pixel_px=2.0, attitude_rad=0.01, position_m=0.02, time_s=0.01)
RANGE_SIGMA_M, NORMAL_SIGMA_RAD, DIRECTION_SIGMA_RAD = 0.05, 0.03, 0.05
RUNS = 500


def seen_from(scene: Scene, pose: Pose, pixels: np.ndarray) -> np.ndarray:
    """Map points of the true wall at pixels of a camera at this pose."""
    rays = scene.camera.rays(pixels)
    along = scene.range_m * scene.normal[2] / (rays @ scene.normal)
    return pose.transform(rays * along[:, None])


def measured(scene: Scene, rng: np.random.Generator) -> tuple[SurfacePlane, MovingPose, np.ndarray, np.ndarray]:
    """Noisy measurements of a scene: plane, motion, and the region's centre and ends in pixels."""
    # The pose's clock is off by some time, in which the vehicle has moved on.
    late_s = rng.normal(0, NOISE.time_s)
    turn = turn_of(rng.normal(0, NOISE.attitude_rad, 3)) @ turn_of(scene.turn_rate_rad_s * late_s)
    position = scene.pose.position_m + scene.velocity_m_s * late_s + rng.normal(0, NOISE.position_m, 3)
    pose = Pose(position, rotations.from_matrix(turn @ scene.pose.rotation))
    # A tilt has no part about the normal itself.
    tilt = rng.normal(0, NORMAL_SIGMA_RAD, 3)
    normal = turn_of(tilt - (tilt @ scene.normal) * scene.normal) @ scene.normal
    if scene.normal_in_map:
        normal = pose.rotation.T @ (scene.pose.rotation @ normal)
    reading = RangeReading(scene.range_m + rng.normal(0, RANGE_SIGMA_M), RANGE_SIGMA_M, "range")
    centre = scene.centre_px + rng.normal(0, NOISE.pixel_px, 2)
    direction = rng.normal(0, DIRECTION_SIGMA_RAD)
    half = turn_of(np.array([0, 0, direction]))[:2, :2] @ scene.half_length_px
    surface = SurfacePlane(reading, normal, NORMAL_SIGMA_RAD, scene.normal_in_map)
    return (
        surface,
        MovingPose(pose, scene.velocity_m_s, scene.turn_rate_rad_s),
        centre,
        np.stack([centre - half, centre + half]),
    )


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_locate_random_errors_match_covariance(scene: Scene) -> None:
    """Normalised estimation error squared, against its chi-squared bounds (Bar-Shalom, Li, Kirubarajan 2001, 5.4)."""
    rng = np.random.default_rng(20)
    ends_px = np.stack([scene.centre_px - scene.half_length_px, scene.centre_px + scene.half_length_px])
    truth = place(
        scene.camera,
        SurfacePlane(RangeReading(scene.range_m, 0, "range"), scene.normal, 0, False),
        still(scene.pose),
        scene.centre_px,
        ends_px,
        0,
        NO_NOISE,
    )
    assert truth is not None
    assert truth.pose.position_m == pytest.approx(seen_from(scene, scene.pose, scene.centre_px[None])[0])
    of_pose, of_position = [], []
    for _ in range(RUNS):
        surface, motion, centre, ends = measured(scene, rng)
        estimate = place(scene.camera, surface, motion, centre, ends, DIRECTION_SIGMA_RAD, NOISE)
        assert estimate is not None
        turn = vector_of(estimate.pose.rotation @ truth.pose.rotation.T)
        error = np.concatenate([estimate.pose.position_m - truth.pose.position_m, turn])
        of_pose.append(error @ np.linalg.solve(estimate.covariance, error))
        of_position.append(error[:3] @ np.linalg.solve(estimate.covariance[:3, :3], error[:3]))
    for normalised, degrees_of_freedom in ((of_pose, 6), (of_position, 3)):
        margin = 1.96 * np.sqrt(2 * degrees_of_freedom / RUNS)
        assert np.mean(normalised) == pytest.approx(degrees_of_freedom, abs=margin)


def test_locate_batch_equals_single_regions() -> None:
    """Planes of every kind, one at too flat an angle; a pose with a covariance."""
    rng = np.random.default_rng(4)
    tilted = turn_of(np.array([0.2, -0.3, 0])) @ [0.0, 0.0, -1.0]
    flat = np.array([np.sin(1.45), 0, -np.cos(1.45)])
    in_map = replace(plane(4.0, 0.1, tilted, 0.02, normal_in_map=True), map_offset_sigma_m=0.03)
    fitted = replace(plane(2.0, 0.04, tilted, 0.05), anchor_m=np.array([0.1, 0.2, 2.0]))
    fitted = replace(fitted, tilt_covariance=np.eye(3) * 2e-4 - 2e-4 * np.outer(tilted, tilted))
    surfaces = [plane(3.0, 0.06, None, 0.05), in_map, plane(1.0, 0.01, flat, 0.01), fitted, plane(2.5, 0.05, tilted)]
    centres = rng.uniform([300, 200], [1600, 900], (5, 2))
    ends = centres[:, None] + rng.uniform(-150, 150, (5, 1, 2)) * [[-1.0], [1.0]]
    sigmas_rad = rng.uniform(0.01, 0.3, 5)
    spread = np.diag([0.02, 0.03, 0.01, 0.01, 0.02, 0.01]) ** 2 + 1e-5
    motion = MovingPose(BANKED, np.array([1.0, -0.5, 0.2]), np.array([0.1, 0.2, -0.3]), spread)
    axes, stack = ImageAxes(centres, ends, sigmas_rad), PlaneStack.of(surfaces)
    places = locate(WIDE_LENS, stack, motion, axes, NOISE)
    patches = patches_of(WIDE_LENS, stack, axes)
    assert (
        [region is None for region in places]
        == [patch is None for patch in patches]
        == [False] * 2
        + [
            True,
            *[False] * 2,
        ]
    )
    for index, surface in enumerate(surfaces):
        alone = place(WIDE_LENS, surface, motion, centres[index], ends[index], sigmas_rad[index], NOISE)
        together, patch = places[index], patches[index]
        if together is None or patch is None:
            assert alone is None
            continue
        assert alone is not None
        single = patch_of(WIDE_LENS, surface, centres[index], ends[index])
        assert together.pose.position_m == pytest.approx(alone.pose.position_m, rel=1e-12)
        assert together.pose.quaternion == pytest.approx(alone.pose.quaternion, rel=1e-9)
        assert together.covariance == pytest.approx(alone.covariance, rel=1e-9, abs=1e-15)
        assert patch.point_m == pytest.approx(single.point_m, rel=1e-12)
        assert [patch.gsd_mm_per_px, patch.incidence_rad, patch.length_m] == pytest.approx(
            [single.gsd_mm_per_px, single.incidence_rad, single.length_m], rel=1e-9
        )


@pytest.mark.parametrize("focal_px", [1e-300, 1e300])
def test_patch_impossible_calibration_is_refused(focal_px: float) -> None:
    camera = CameraModel.of(1920, 1080, [focal_px, 0, 960.0, 0, focal_px, 540.0, 0, 0, 1], [], "")
    with pytest.raises(NotOnSurface), np.errstate(all="ignore"):
        patch_of(camera, plane(), CENTRE_PX, LEVEL_ENDS_PX)


def test_locate_overflowing_covariance_returns_none() -> None:
    runaway = MovingPose(AHEAD, np.array([1e200, 0.0, 0.0]), np.zeros(3))
    noise = replace(NO_NOISE, time_s=0.005)
    with np.errstate(all="ignore"):
        assert place(PINHOLE, plane(), runaway, CENTRE_PX, LEVEL_ENDS_PX, 0, noise) is None
