# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rigid transform from a child frame to its parent frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations

Array = npt.NDArray[np.float64]

# More than the orbits of navigation satellites: no position but a damaged number.
_FARTHEST_M = 1e8
# Of the squared length of a received quaternion, as in tf2.
_UNIT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Pose:
    """``position_m`` (3,) and unit ``quaternion`` (x, y, z, w) of a child frame in its parent frame."""

    position_m: Array
    quaternion: Array

    @staticmethod
    def of(position_m: npt.ArrayLike, quaternion: npt.ArrayLike) -> Pose:
        """Create a checked pose.

        Raises:
            ValueError: A number is not finite, a shape is wrong, the position lies beyond 1e8 m or the quaternion has
                no length.
        """
        position = np.asarray(position_m, dtype=np.float64)
        if position.shape != (3,) or not np.all(np.isfinite(position)):
            raise ValueError(f"a position is three finite numbers, got {position_m!r}")
        if np.abs(position).max() > _FARTHEST_M:
            raise ValueError(f"a position of {np.abs(position).max():g} m is on no map")
        return Pose(position, rotations.normalise(quaternion))

    @staticmethod
    def received(position_m: npt.ArrayLike, quaternion: npt.ArrayLike) -> Pose:
        """Create a checked pose from the numbers of a message, whose quaternion must have length one, as in tf2.

        Another length means that a part of the quaternion is lost or damaged: its direction is not a rounded rotation.

        Raises:
            ValueError: As in ``of``, or the quaternion does not have length one.
        """
        pose = Pose.of(position_m, quaternion)
        numbers = np.asarray(quaternion, dtype=np.float64)
        if abs(float(numbers @ numbers) - 1.0) > _UNIT_TOLERANCE:
            text = ", ".join(f"{number:g}" for number in numbers)
            raise ValueError(f"the quaternion ({text}) does not have length one")
        return pose

    @staticmethod
    def identity() -> Pose:
        """Return the identity transform."""
        return Pose(np.zeros(3), np.array(rotations.IDENTITY_QUATERNION))

    @cached_property
    def rotation(self) -> Array:
        """3x3 rotation matrix from child to parent coordinates, read-only."""
        matrix = rotations.to_matrix(self.quaternion)
        matrix.setflags(write=False)
        return matrix

    def compose(self, child: Pose) -> Pose:
        """Return ``T_a_c`` from ``T_a_b`` (self) and ``T_b_c`` (child)."""
        return Pose(
            self.position_m + self.rotation @ child.position_m,
            rotations.normalise(rotations.multiply(self.quaternion, child.quaternion)),
        )

    def inverse(self) -> Pose:
        """Return the pose of the parent frame in the child frame."""
        return Pose(-self.rotation.T @ self.position_m, rotations.conjugate(self.quaternion))

    def transform(self, points_m: npt.ArrayLike) -> Array:
        """Transform points (..., 3) from child to parent coordinates."""
        return np.asarray(np.asarray(points_m, dtype=np.float64) @ self.rotation.T + self.position_m)
