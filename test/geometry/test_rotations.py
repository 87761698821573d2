# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Quaternions against rotation matrices, OpenCV's Rodrigues formula and known turns."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rotation_angle import angle_between

from crack_perception.geometry import rotations

X, Y, Z = np.eye(3)
NUMBERS = st.floats(-1, 1).map(lambda value: round(value, 6))
ANGLES_RAD = st.floats(-3.1, 3.1)


@st.composite
def unit_quaternions(draw: st.DrawFn) -> np.ndarray:
    """Unit quaternions (x, y, z, w) of either sign."""
    q = np.array(draw(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)))
    assume(np.linalg.norm(q) > 0.1)
    return q / np.linalg.norm(q)


def turn_of(vector: np.ndarray) -> np.ndarray:
    """Rotation matrix of axis times angle, by OpenCV."""
    return cv2.Rodrigues(np.asarray(vector, np.float64))[0]


def same_rotation(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(abs(abs(a @ b) - 1) < 1e-9)


@settings(deadline=None)
@given(unit_quaternions())
def test_to_matrix_is_a_rotation(q: np.ndarray) -> None:
    matrix = rotations.to_matrix(q)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert rotations.to_matrix(-3 * q) == pytest.approx(matrix, abs=1e-9)


@settings(deadline=None)
@given(unit_quaternions())
def test_from_matrix_inverts_to_matrix(q: np.ndarray) -> None:
    back = rotations.from_matrix(rotations.to_matrix(q))
    assert back[3] >= 0
    assert same_rotation(back, q)


@pytest.mark.parametrize("axis", [X, Y, Z, np.array([0.6, 0.0, 0.8]), np.array([1.0, 1.0, 1.0]) / np.sqrt(3)])
def test_from_matrix_half_turn_is_exact(axis: np.ndarray) -> None:
    back = rotations.from_matrix(turn_of(np.pi * axis))
    assert abs(back[:3] @ axis) == pytest.approx(1, abs=1e-9)
    assert back[3] == pytest.approx(0, abs=1e-7)


@settings(deadline=None)
@given(unit_quaternions(), unit_quaternions())
def test_multiply_matches_matrix_product(a: np.ndarray, b: np.ndarray) -> None:
    product = rotations.to_matrix(rotations.multiply(a, b))
    assert product == pytest.approx(rotations.to_matrix(a) @ rotations.to_matrix(b), abs=1e-9)


@settings(deadline=None)
@given(unit_quaternions())
def test_conjugate_is_inverse(q: np.ndarray) -> None:
    assert rotations.multiply(q, rotations.conjugate(q)) == pytest.approx(rotations.IDENTITY_QUATERNION, abs=1e-12)


@settings(deadline=None)
@given(ANGLES_RAD, ANGLES_RAD, ANGLES_RAD)
def test_from_rotation_vector_matches_rodrigues(x: float, y: float, z: float) -> None:
    matrix = rotations.to_matrix(rotations.from_rotation_vector((x, y, z)))
    assert matrix == pytest.approx(turn_of(np.array([x, y, z])), abs=1e-7)


def test_from_rotation_vector_tiny_or_zero_is_precise() -> None:
    assert rotations.from_rotation_vector((0, 0, 0)) == pytest.approx(rotations.IDENTITY_QUATERNION, abs=0)
    assert rotations.from_rotation_vector((2e-12, 0, -4e-12))[:3] == pytest.approx([1e-12, 0, -2e-12], rel=1e-12, abs=0)


def test_from_euler_quarter_turn_left_maps_forward_to_left() -> None:
    assert rotations.to_matrix(rotations.from_euler(0, 0, np.pi / 2)) @ X == pytest.approx(Y, abs=1e-12)
    assert rotations.to_matrix(rotations.from_euler(0, np.pi / 2, 0)) @ X == pytest.approx(-Z, abs=1e-12)
    assert rotations.to_matrix(rotations.from_euler(np.pi / 2, 0, 0)) @ Y == pytest.approx(Z, abs=1e-12)


@settings(deadline=None)
@given(ANGLES_RAD, ANGLES_RAD, ANGLES_RAD)
def test_from_euler_rotates_about_fixed_axes_x_y_z(roll: float, pitch: float, yaw: float) -> None:
    expected = turn_of(yaw * Z) @ turn_of(pitch * Y) @ turn_of(roll * X)
    assert rotations.to_matrix(rotations.from_euler(roll, pitch, yaw)) == pytest.approx(expected, abs=1e-7)


def test_forward_looking_optical_axes_match_rep_103() -> None:
    matrix = rotations.to_matrix(rotations.FORWARD_LOOKING_OPTICAL)
    assert matrix @ Z == pytest.approx(X)
    assert matrix @ X == pytest.approx(-Y)
    assert matrix @ Y == pytest.approx(-Z)


@settings(deadline=None)
@given(unit_quaternions(), unit_quaternions(), st.floats(0, 1))
def test_slerp_takes_shorter_arc_at_constant_speed(a: np.ndarray, b: np.ndarray, fraction: float) -> None:
    whole = angle_between(a, b)
    assume(whole < 3.1)
    between = rotations.slerp(a, b, fraction)
    assert np.linalg.norm(between) == pytest.approx(1)
    assert angle_between(a, between) == pytest.approx(fraction * whole, abs=1e-4)
    assert angle_between(between, b) == pytest.approx((1 - fraction) * whole, abs=1e-4)
    assert same_rotation(between, rotations.slerp(a, -b, fraction))


def test_slerp_half_of_right_angle_is_exact() -> None:
    half = rotations.slerp(rotations.IDENTITY_QUATERNION, rotations.from_euler(0, 0, np.pi / 2), 0.5)
    assert half == pytest.approx([0, 0, np.sin(np.pi / 8), np.cos(np.pi / 8)])


def test_angle_between_known_rotations_is_exact() -> None:
    quarter = rotations.from_euler(0, 0, np.pi / 2)
    assert angle_between(quarter, -quarter) == pytest.approx(0, abs=1e-7)
    assert angle_between(rotations.IDENTITY_QUATERNION, quarter) == pytest.approx(np.pi / 2)
    assert angle_between(rotations.IDENTITY_QUATERNION, (1, 0, 0, 0)) == pytest.approx(np.pi)


def test_skew_is_the_cross_product() -> None:
    v, u = np.array([1.0, -2.0, 3.0]), np.array([0.5, 4.0, -1.0])
    assert rotations.skew(v) @ u == pytest.approx(np.cross(v, u))


def test_normalise_keeps_direction() -> None:
    assert rotations.normalise((0, 3, 0, 4)) == pytest.approx([0, 0.6, 0, 0.8])


@pytest.mark.parametrize(
    ("quaternion", "problem"),
    [
        ((0, 0, 0, 0), "length zero"),
        ((0, 0, 0, 1e-9), "length zero"),
        ((0, 0, np.nan, 1), "four finite numbers"),
        ((0, 0, np.inf, 1), "four finite numbers"),
        ((0, 0, 1), "four finite numbers"),
    ],
)
def test_normalise_invalid_quaternion_is_refused(quaternion: tuple[float, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        rotations.normalise(quaternion)
