# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How far two rotations are apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.rotations import normalise


def angle_between(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """The angle in radians (0..pi) of the rotation that takes one unit quaternion to the other."""
    dot = abs(float(normalise(a) @ normalise(b)))
    return float(2 * np.arccos(min(1.0, dot)))
