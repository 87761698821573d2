# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Place poses of an arbitrary frame and scale on the earth, by the positions in the tags of the photographs.

The similarity (scale, rotation, shift) between both sets of camera positions is that of least squares (Umeyama, IEEE
PAMI 13, 1991); the worst positions are left out a few times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.photographs.table import TableEntry

Array = npt.NDArray[np.float64]

_LEAST = 4
_ROUNDS = 5
_OUTLIER_FACTOR = 3.0
# Positions must spread this much farther than they disagree, in two directions.
_LEAST_SPREAD = 5.0


@dataclass(frozen=True, eq=False)
class Similarity:
    """Transform ``map = turn(scale * point)``.

    Attributes:
        scale: Metres per unit.
        turn: Rotation and shift [m].
        error_m: Root mean square of the disagreement of the positions that were used.
        used: Number of these positions.
    """

    scale: float
    turn: Pose
    error_m: float
    used: int

    def entry(self, entry: TableEntry) -> TableEntry:
        """Return an entry in the map."""
        pose = entry.pose
        scaled = Pose.of(self.scale * pose.position_m, pose.quaternion)
        return replace(entry, pose=self.turn.compose(scaled))


def align(names: Mapping[str, str], entries: Mapping[str, TableEntry], tagged: Mapping[str, TableEntry]) -> Similarity:
    """Return the similarity from the frame of a table to that of the tags.

    Args:
        names: Name of the file -> name in the table.
        entries: Entries of the table.
        tagged: Entries of the tags, by name of the file.

    Raises:
        UserError: There are too few positions, they lie on a line, or they disagree.
    """
    both = [name for name in names if name in tagged]
    source = np.array([entries[names[name]].pose.position_m for name in both]).reshape(-1, 3)
    target = np.array([tagged[name].pose.position_m for name in both]).reshape(-1, 3)
    used = np.ones(len(both), bool)
    scale, rotation, shift, errors = 1.0, np.eye(3), np.zeros(3), np.zeros(len(both))
    for _ in range(_ROUNDS):
        if np.count_nonzero(used) < _LEAST:
            break
        scale, rotation, shift = _similarity(source[used], target[used])
        errors = np.linalg.norm(scale * source @ rotation.T + shift - target, axis=1)
        usual = float(np.median(errors[used]))
        used &= errors <= max(_OUTLIER_FACTOR * usual, 1e-9)
    count = int(np.count_nonzero(used))
    if count < _LEAST:
        raise UserError(
            f"--align needs {_LEAST} photographs with a position in their tags, {count} agree", "Give --scale instead"
        )
    error_m = float(np.sqrt(np.mean(errors[used] ** 2)))
    spread_m = np.linalg.svd(target[used] - target[used].mean(axis=0), compute_uv=False) / np.sqrt(count)
    if not spread_m[1] > _LEAST_SPREAD * error_m:
        raise UserError(
            f"--align: the positions in the tags disagree with the poses by {error_m:.2f} m, and lie within "
            f"{spread_m[1]:.2f} m of a line",
            "Give --scale instead, or positions with RTK",
        )
    return Similarity(scale, Pose(shift, rotations.from_matrix(rotation)), error_m, count)


def _similarity(source: Array, target: Array) -> tuple[float, Array, Array]:
    """Return scale, rotation (3, 3) and shift (3,) of least squares from points (N, 3) to others."""
    middle, other = source.mean(axis=0), target.mean(axis=0)
    u, values, v = np.linalg.svd((target - other).T @ (source - middle))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v)) or 1.0])
    rotation = np.asarray((u * signs) @ v)
    variance = float(((source - middle) ** 2).sum())
    scale = float(values @ signs) / variance if variance > 0 else 1.0
    return scale, rotation, other - scale * rotation @ middle
