# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses in the wrong axes, detected from the ranges of a camera that faces up, down or to the side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.checks import AxesCheck
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions

STEP_NS = 50_000_000


def mount(pitch_deg: float) -> Pose:
    """A forward-facing camera, pitched down."""
    pitch = rotations.from_euler(0, np.deg2rad(pitch_deg), 0)
    return Pose.of((0.1, 0, -0.1), rotations.multiply(pitch, rotations.FORWARD_LOOKING_OPTICAL))


def verdicts(
    camera: Pose, heights_m: np.ndarray, ranges_m: np.ndarray, is_swapped: bool, forward_m: float = 0.0
) -> list[bool]:
    check = AxesCheck()
    found = []
    for index, (height_m, range_m) in enumerate(zip(heights_m, ranges_m, strict=True)):
        pose = Pose.of((forward_m * index, 0, height_m), rotations.from_euler(0.02, -0.03, 0.4))
        check.push_range(index * STEP_NS, range_m)
        found.append(check.contradicts(index * STEP_NS, swap_conventions(pose) if is_swapped else pose, camera))
    return found


@pytest.mark.parametrize(("pitch_deg", "sign"), [(90.0, 1.0), (-90.0, -1.0), (75.0, 1.0)])
def test_axes_check_climb_detects_wrong_axes(pitch_deg: float, sign: float) -> None:
    heights_m = 2.0 + 0.05 * np.arange(120)
    ranges_m = 10.0 + sign * (heights_m - 2.0) / abs(np.sin(np.deg2rad(pitch_deg)))
    assert not any(verdicts(mount(pitch_deg), heights_m, ranges_m, is_swapped=False))
    found = verdicts(mount(pitch_deg), heights_m, ranges_m, is_swapped=True)
    assert found[-1] and not found[10]


def test_axes_check_forward_camera_gives_no_evidence() -> None:
    heights_m = 2.0 + 0.05 * np.arange(120)
    for is_swapped in (False, True):
        assert not any(verdicts(mount(0.0), heights_m, np.full(120, 3.0), is_swapped, forward_m=0.01))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.2), st.booleans())
def test_axes_check_right_axes_over_rough_ground_are_accepted(seed: int, roughness_m: float, hovers: bool) -> None:
    rng = np.random.default_rng(seed)
    climb_m = np.zeros(200) if hovers else np.cumsum(rng.normal(0, 0.04, 200))
    heights_m = 10.0 + climb_m
    ranges_m = heights_m + rng.normal(0, roughness_m, 200)
    assert not any(verdicts(mount(90.0), heights_m, ranges_m, is_swapped=False))


def test_axes_check_corrected_axes_recover() -> None:
    heights_m = 2.0 + 0.05 * np.arange(400)
    check = AxesCheck()
    found = []
    for index, height_m in enumerate(heights_m):
        pose = Pose.of((0, 0, height_m), (0, 0, 0, 1))
        check.push_range(index * STEP_NS, height_m)
        received = swap_conventions(pose) if index < 150 else pose
        found.append(check.contradicts(index * STEP_NS, received, mount(90.0)))
    assert found[149] and not found[-1]


HEADING = rotations.from_euler(0, 0, 0.7)


def sideways(yaw_deg: float = 90.0) -> Pose:
    """A camera that looks to the left (90) or right (-90) of the drone."""
    yaw = rotations.from_euler(0, 0, np.deg2rad(yaw_deg))
    return Pose.of((0.0, 0.1, 0.0), rotations.multiply(yaw, rotations.FORWARD_LOOKING_OPTICAL))


def approach(camera: Pose, is_swapped: bool, across: float = 0.0, wall_deg: float = 0.0) -> list[bool]:
    """Fly to a wall and back, along the camera's axis and across it by a share of that, three times."""
    travel_m = 2.0 * np.abs(np.arange(360) % 120 - 60) / 60
    check, found = AxesCheck(), []
    for index, along_m in enumerate(travel_m):
        axes = Pose.of((0, 0, 0), HEADING).compose(camera).rotation
        position = along_m * axes[:, 2] + across * along_m * axes[:, 0]
        pose = Pose.of(position, HEADING)
        # The wall's normal is turned by wall_deg from the axis.
        range_m = 6.0 - along_m - across * along_m * np.tan(np.deg2rad(wall_deg))
        check.push_range(index * STEP_NS, float(range_m))
        received = swap_conventions(pose) if is_swapped else pose
        found.append(check.contradicts(index * STEP_NS, received, camera))
    return found


@pytest.mark.parametrize("yaw_deg", [90.0, -90.0])
@pytest.mark.parametrize(("across", "wall_deg"), [(0.0, 0.0), (0.4, 0.0), (0.4, 30.0), (-0.4, 30.0)])
def test_axes_check_sideways_camera_detects_wrong_axes_on_the_way_to_a_wall(
    yaw_deg: float, across: float, wall_deg: float
) -> None:
    assert not any(approach(sideways(yaw_deg), False, across, wall_deg))
    assert any(approach(sideways(yaw_deg), True, across, wall_deg))


@pytest.mark.parametrize("is_swapped", [False, True])
def test_axes_check_sideways_camera_along_a_wall_gives_no_evidence(is_swapped: bool) -> None:
    assert not any(approach(sideways(), is_swapped, across=5.0, wall_deg=40.0))


@pytest.mark.parametrize("is_swapped", [False, True])
def test_axes_check_forward_camera_on_the_way_to_a_wall_gives_no_evidence(is_swapped: bool) -> None:
    assert not any(approach(mount(0.0), is_swapped))
