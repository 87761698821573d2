# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Angle between two rotations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.rotations import normalise


def angle_between(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the angle (0..pi) [rad] of the rotation from one unit quaternion to the other."""
    dot = abs(float(normalise(a) @ normalise(b)))
    return float(2 * np.arccos(min(1.0, dot)))
