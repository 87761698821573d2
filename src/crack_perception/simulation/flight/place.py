"""Where the facets of the structure are in the map: a wall, a second one round its corner, the soffit of a deck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MOST_FACETS = 3

_BOTTOM_ABOVE_GROUND_M = 1.0
# The lower left corner of the first wall and the direction into it; not along a map axis, so that mixed up axes show.
_CORNER_XY_M = (4.0, 2.5)
_HEADING_RAD = 0.35
_DOWN = np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True, eq=False)
class Place:
    """The lower left corner of a facet as its camera sees it, and the directions to the right and down in the image.

    ``lower_left_m``, ``u_axis`` and ``v_axis`` are (3,) in the map, the axes orthonormal.
    """

    lower_left_m: FloatArray
    u_axis: FloatArray
    v_axis: FloatArray

    @property
    def into(self) -> FloatArray:
        """The direction (3,) that a camera square to the facet looks in."""
        return np.cross(self.u_axis, self.v_axis)

    @property
    def heading_rad(self) -> float:
        """Where the drone's nose points: at a wall, or where the top of an image of a soffit turns its back to."""
        ahead = self.into if abs(self.into[2]) < 0.5 else self.v_axis * np.sign(self.into[2])
        return float(np.arctan2(ahead[1], ahead[0]))

    @property
    def elevation_rad(self) -> float:
        """How far the camera looks up."""
        return float(np.arcsin(np.clip(self.into[2], -1.0, 1.0)))


def place_of(facet: int, front_width_m: float, soffit_height_m: float) -> Place:
    """Facet 0 is the front wall, 1 goes back from its right edge, 2 is a soffit that juts out over the ground before 1.

    Args:
        facet: Which one.
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
