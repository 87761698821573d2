# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Attitudes of gimbals in the map: known directions, both meanings of yaw, and the camera on it."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.gimbal import camera_on_gimbal, gimbal_attitude, heading_rad, yaw_is_absolute
from crack_perception.geometry.poses.pose import Pose

NORTH, EAST, UP = np.array([0.0, 1, 0]), np.array([1.0, 0, 0]), np.array([0.0, 0, 1])
FORWARD, TOP = np.array([1.0, 0, 0]), np.array([0.0, 0, 1])
VEHICLE_FRAME, EARTH_FRAME, YAW_LOCK = 32, 64, 16


def attitude(pitch_deg: float, yaw_deg: float) -> list[float]:
    """Quaternion w, x, y, z of a gimbal in FRD axes: pitch up, yaw clockwise."""
    x, y, z, w = rotations.from_euler(0.0, *np.deg2rad([pitch_deg, yaw_deg])).tolist()
    return [w, x, y, z]


def body(heading_deg: float, roll_deg: float = 0.0) -> Pose:
    """A vehicle in ENU with this heading, clockwise from north."""
    return Pose.of((1, 2, 3), rotations.from_euler(np.deg2rad(roll_deg), 0.0, np.deg2rad(90 - heading_deg)))


@pytest.mark.parametrize(
    ("flags", "is_absolute"),
    [
        (0, False),
        (YAW_LOCK, True),
        (VEHICLE_FRAME, False),
        (VEHICLE_FRAME | YAW_LOCK, False),
        (EARTH_FRAME, True),
        (EARTH_FRAME | 4 | 8, True),
    ],
)
def test_yaw_is_absolute_follows_the_frame_flags_then_the_lock(flags: int, is_absolute: bool) -> None:
    assert yaw_is_absolute(flags) is is_absolute


@pytest.mark.parametrize("heading_deg", [0, 45, 90, 180, -120])
def test_heading_of_a_rolled_vehicle_is_that_of_its_nose(heading_deg: float) -> None:
    # 180 and -180 degrees are one heading; the last bit of a sine, which depends on the processor, chooses one.
    turned_deg = np.rad2deg(heading_rad(body(heading_deg, 20.0))) - heading_deg
    assert (turned_deg + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


def test_heading_of_a_vehicle_that_points_up_is_that_of_its_underside() -> None:
    nose_up = Pose.of((0, 0, 0), rotations.multiply(body(90).quaternion, rotations.from_euler(0, -np.pi / 2, 0)))
    assert np.rad2deg(heading_rad(nose_up)) == pytest.approx(90, abs=1e-6)


@pytest.mark.parametrize(
    ("pitch_deg", "yaw_deg", "flags", "heading_deg", "forward"),
    [
        (0, 0, EARTH_FRAME, 90, NORTH),
        (0, 90, EARTH_FRAME, 200, EAST),
        (-90, 0, EARTH_FRAME, 0, -UP),
        (90, 0, VEHICLE_FRAME, 30, UP),
        (0, 0, VEHICLE_FRAME, 90, EAST),
        (0, -90, VEHICLE_FRAME, 90, NORTH),
        (0, 0, 0, 180, -NORTH),
        (-45, 0, VEHICLE_FRAME, 0, (NORTH - UP) / np.sqrt(2)),
    ],
)
def test_gimbal_attitude_forward_axis_has_the_expected_direction(
    pitch_deg: float, yaw_deg: float, flags: int, heading_deg: float, forward: np.ndarray
) -> None:
    # Roll and pitch count from the horizon: a roll of the vehicle has no effect.
    in_map = gimbal_attitude(attitude(pitch_deg, yaw_deg), flags, body(heading_deg, 15.0))
    assert rotations.to_matrix(in_map) @ FORWARD == pytest.approx(forward, abs=1e-9)


def test_gimbal_attitude_level_gimbal_has_its_top_up() -> None:
    in_map = gimbal_attitude(attitude(0, 37), VEHICLE_FRAME, body(10, 30))
    assert rotations.to_matrix(in_map) @ TOP == pytest.approx(UP, abs=1e-9)


def test_gimbal_attitude_invalid_quaternion_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        gimbal_attitude([np.nan, 0, 0, 0], EARTH_FRAME, body(0))


def test_camera_on_gimbal_levers_and_optical_axes() -> None:
    vehicle = body(90)
    in_map = gimbal_attitude(attitude(-90, 0), VEHICLE_FRAME, vehicle)
    camera = camera_on_gimbal(vehicle, in_map, (0.2, 0.0, -0.1), (0.05, 0.0, 0.0))
    # Heading east: 0.2 m ahead is east; the camera looks down and sits 5 cm below the gimbal.
    assert camera.position_m == pytest.approx([1.2, 2.0, 2.85])
    assert camera.rotation @ [0, 0, 1] == pytest.approx(-UP, abs=1e-9)
    # The upper edge of the image is ahead.
    assert camera.rotation @ [0, -1, 0] == pytest.approx(EAST, abs=1e-9)
