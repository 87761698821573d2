# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Adjustment of poses to each other from shifts between images."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the extra `replay` is not installed: run scripts/setup")

from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL, from_rotation_vector, multiply
from crack_perception.report.orthophoto.adjustment import Shifts, adjusted
from crack_perception.report.orthophoto.surface import FacetSurface

# The wall x = 2, seen along x: u to the left of the map's y, v up.
WALL = FacetSurface(np.array([2.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0]), 0.0)


def cameras(rng: np.random.Generator) -> tuple[list[Pose], list[Pose]]:
    """Twenty true poses along the wall, and the recorded ones, 1 cm and 0.2 degrees off."""
    true = [Pose.of((0.0, -0.3 * index, 0.1 * (index % 2)), FORWARD_LOOKING_OPTICAL) for index in range(20)]
    recorded = [
        Pose.of(
            pose.position_m + rng.normal(0, 0.01, 3),
            multiply(from_rotation_vector(rng.normal(0, np.radians(0.2), 3)), pose.quaternion),
        )
        for pose in true
    ]
    return true, recorded


def seen_at(true: Pose, recorded: Pose, flat_m: np.ndarray) -> np.ndarray:
    """Where the recorded pose sees the details (N, 2) that the true one sees at places on the facet."""
    rays = (WALL.to_map(flat_m) - true.position_m) @ true.rotation @ recorded.rotation.T
    along = ((WALL.origin_m - recorded.position_m) @ WALL.normal) / (rays @ WALL.normal)
    return WALL.to_flat(recorded.position_m + along[:, None] * rays)


def shifts_of(true: list[Pose], poses: list[Pose], noise_m: float, rng: np.random.Generator) -> Shifts:
    """Shifts at four places between each image and the next two."""
    first, second, points, shifts = [], [], [], []
    for one in range(len(true)):
        for other in (one + 1, one + 2):
            if other >= len(true):
                continue
            middle = WALL.to_flat(0.5 * (true[one].position_m + true[other].position_m))
            flat_m = middle + np.array([[-0.3, -0.3], [0.3, -0.3], [0.3, 0.3], [-0.3, 0.3]])
            moved = seen_at(true[other], poses[other], flat_m) - seen_at(true[one], poses[one], flat_m)
            first += [one] * 4
            second += [other] * 4
            points.append(flat_m)
            shifts.append(moved + rng.normal(0, noise_m, moved.shape))
    return Shifts(np.array(first), np.array(second), np.concatenate(points), np.concatenate(shifts), 0.001)


def middles(true: list[Pose]) -> np.ndarray:
    return WALL.to_flat(np.array([pose.position_m for pose in true]))


def test_adjusted_noisy_poses_agree_and_are_nearer_to_the_truth() -> None:
    rng = np.random.default_rng(1)
    true, recorded = cameras(rng)
    result = adjusted(recorded, shifts_of(true, recorded, 0.0005, rng), WALL, middles(true))
    assert np.median(result.before_m) > 0.01
    assert np.median(result.after_m) < 0.001
    remaining = shifts_of(true, list(result.poses), 0.0, rng).shifts_m
    assert np.median(np.linalg.norm(remaining, axis=1)) < 0.001
    places = middles(true)

    def error_m(poses: list[Pose]) -> float:
        errors = [
            seen_at(exact, pose, place[None])[0] - place for exact, pose, place in zip(true, poses, places, strict=True)
        ]
        return float(np.mean(np.linalg.norm(errors, axis=1)))

    assert error_m(list(result.poses)) < 0.6 * error_m(recorded)


def test_adjusted_single_wrong_shift_moves_nothing_far() -> None:
    rng = np.random.default_rng(2)
    true, _ = cameras(rng)
    shifts = shifts_of(true, true, 0.0005, rng)
    shifts.shifts_m[17] = [0.2, -0.1]
    result = adjusted(true, shifts, WALL, middles(true))
    assert result.moved_m.max() < 0.005


def test_adjusted_without_shifts_keeps_the_poses() -> None:
    true, _ = cameras(np.random.default_rng(3))
    nothing = Shifts(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 2)), 0.001)
    result = adjusted(true, nothing, WALL, middles(true))
    assert result.places == 0
    for pose, exact in zip(result.poses, true, strict=True):
        assert np.allclose(pose.position_m, exact.position_m, atol=1e-12)
        assert np.allclose(pose.quaternion, exact.quaternion, atol=1e-12)
