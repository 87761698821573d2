# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rigid transforms: chains, inverses, and invalid numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose

METRES = st.floats(-50, 50).map(lambda value: round(value, 6))
POINTS = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-4.0, 0.5, 0.1]])


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    numbers = st.floats(-1, 1).map(lambda value: round(value, 6))
    q = np.array(draw(st.tuples(numbers, numbers, numbers, numbers)))
    assume(np.linalg.norm(q) > 0.1)
    return Pose.of(draw(st.tuples(METRES, METRES, METRES)), q)


def matrix(pose: Pose) -> np.ndarray:
    """The 4x4 homogeneous transform."""
    full = np.eye(4)
    full[:3, :3], full[:3, 3] = pose.rotation, pose.position_m
    return full


def test_transform_known_pose_maps_points_to_parent() -> None:
    # A child 5 m ahead, turned to the left: its x axis is the parent's y axis.
    pose = Pose.of((5, 0, 1), rotations.from_euler(0, 0, np.pi / 2))
    assert pose.transform((2, 0, 0)) == pytest.approx([5, 2, 1])
    assert pose.inverse().transform((5, 2, 1)) == pytest.approx([2, 0, 0])


def test_compose_vehicle_and_camera_gives_map_pose() -> None:
    map_from_base = Pose.of((10, 20, 3), rotations.from_euler(0, 0, np.pi))
    base_from_camera = Pose.of((0.2, 0, -0.1), rotations.FORWARD_LOOKING_OPTICAL)
    # The vehicle faces the map's -x, so what is 4 m before its camera lies at x = 10 - 0.2 - 4.
    assert map_from_base.compose(base_from_camera).transform((0, 0, 4)) == pytest.approx([5.8, 20, 2.9])


@settings(deadline=None)
@given(poses(), poses())
def test_compose_matches_matrix_product(a: Pose, b: Pose) -> None:
    assert matrix(a.compose(b)) == pytest.approx(matrix(a) @ matrix(b), abs=1e-9)


@settings(deadline=None)
@given(poses())
def test_inverse_composed_is_identity(pose: Pose) -> None:
    assert matrix(pose.inverse()) == pytest.approx(np.linalg.inv(matrix(pose)), abs=1e-9)
    assert pose.inverse().transform(pose.transform(POINTS)) == pytest.approx(POINTS, abs=1e-9)
    assert matrix(pose.compose(pose.inverse())) == pytest.approx(np.eye(4), abs=1e-9)


@settings(deadline=None, max_examples=10)
@given(poses(), poses(), poses())
def test_compose_long_chain_stays_a_rotation(a: Pose, b: Pose, c: Pose) -> None:
    chain = a
    for _ in range(50):
        chain = chain.compose(b).compose(c)
    assert np.linalg.norm(chain.quaternion) == pytest.approx(1, abs=1e-12)


def test_transform_keeps_array_shape() -> None:
    pose = Pose.of((1, 2, 3), rotations.from_euler(0.1, 0.2, 0.3))
    assert pose.transform(np.zeros((4, 5, 3))).shape == (4, 5, 3)
    assert pose.transform(np.zeros(3)).shape == (3,)


def test_identity_leaves_points_unchanged() -> None:
    assert Pose.identity().transform(POINTS) == pytest.approx(POINTS)


def test_of_quaternion_is_normalised() -> None:
    assert Pose.of((0, 0, 0), (0, 0, 2, 0)).quaternion == pytest.approx([0, 0, 1, 0])


@pytest.mark.parametrize(
    ("position", "quaternion"),
    [
        ((0, 0, np.nan), (0, 0, 0, 1)),
        ((0, np.inf, 0), (0, 0, 0, 1)),
        ((0, 0), (0, 0, 0, 1)),
        ((0, 0, 0), (0, 0, 0, np.nan)),
        ((0, 0, 0), (0, 0, 0, 0)),
        ((0, 0, 0), (0, 0, 1)),
        ((0, 0, 1e9), (0, 0, 0, 1)),
        ((0, 0, 0), (0, 0, 0, 1e300)),
        ((0, 0, 0), (1e7, 0, 0, 1)),
    ],
)
def test_of_invalid_numbers_are_refused(position: tuple[float, ...], quaternion: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"position|quaternion"):
        Pose.of(position, quaternion)


@pytest.mark.parametrize("length", [0.99, 1.01])
def test_received_keeps_only_quaternions_of_length_one(length: float) -> None:
    direction = np.array([0.0, 0.0, 0.6, 0.8])
    assert Pose.received((1, 2, 3), 1.002 * direction).quaternion == pytest.approx(direction)
    with pytest.raises(ValueError, match="does not have length one"):
        Pose.received((1, 2, 3), length**2 * direction)
