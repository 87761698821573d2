# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Position of the structure's facets in the map: a wall, a second wall around its corner, the soffit of a deck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MOST_FACETS = 3

_BOTTOM_ABOVE_GROUND_M = 1.0
# Lower left corner of the first wall and direction into it; not along a map axis, so that swapped axes are detected.
_CORNER_XY_M = (4.0, 2.5)
_HEADING_RAD = 0.35
_DOWN = np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True, eq=False)
class Place:
    """Lower left corner of a facet from the camera's side, and its axes to the right and down in the image.

    ``lower_left_m``, ``u_axis`` and ``v_axis`` are (3,) in the map, the axes orthonormal.
    """

    lower_left_m: FloatArray
    u_axis: FloatArray
    v_axis: FloatArray

    @property
    def into(self) -> FloatArray:
        """Viewing direction (3,) of a camera perpendicular to the facet."""
        return np.cross(self.u_axis, self.v_axis)

    @property
    def heading_rad(self) -> float:
        """Heading of the drone: towards a wall; below a soffit, along the image's vertical."""
        ahead = self.into if abs(self.into[2]) < 0.5 else self.v_axis * np.sign(self.into[2])
        return float(np.arctan2(ahead[1], ahead[0]))

    @property
    def elevation_rad(self) -> float:
        """Elevation of the camera above the horizon."""
        return float(np.arcsin(np.clip(self.into[2], -1.0, 1.0)))


def place_of(facet: int, front_width_m: float, soffit_height_m: float) -> Place:
    """Return the place of a facet: 0 front wall, 1 wall back from its right edge, 2 soffit above the ground before 1.

    Args:
        facet: Index of the facet.
        front_width_m: Width of the front wall.
        soffit_height_m: Height of the soffit in the map.
    """
    into = np.array([np.cos(_HEADING_RAD), np.sin(_HEADING_RAD), 0.0])
    right = np.array([into[1], -into[0], 0.0])
    foot_m = np.array([*_CORNER_XY_M, _BOTTOM_ABOVE_GROUND_M])
    corner_m = foot_m + front_width_m * right
    if facet == 0:
        return Place(foot_m, right, _DOWN)
    if facet == 1:
        return Place(corner_m, into, _DOWN)
    return Place(np.array([*corner_m[:2], soffit_height_m]), into, -right)


FRONT = place_of(0, 0.0, 0.0)
