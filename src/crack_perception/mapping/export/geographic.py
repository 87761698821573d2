# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Map coordinates as longitude, latitude and height on the WGS 84 ellipsoid."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.paths import write_json

Array = npt.NDArray[np.float64]

# WGS 84 (NIMA TR8350.2): semi-major axis and flattening.
_A_M = 6378137.0
_F = 1 / 298.257223563
_E2 = _F * (2 - _F)

# Heights of structures above the ellipsoid; others are numbers in another order or unit.
_ALTITUDES_M = (-1000.0, 10_000.0)


@dataclass(frozen=True)
class GeographicOrigin:
    """Position of the map origin on the earth, and heading of the map there.

    Args:
        latitude_deg, longitude_deg: Geodetic, WGS 84.
        altitude_m: Above the ellipsoid (not above the sea).
        x_heading_deg: Where the map's x axis points, clockwise from true north; 90 for a map with x to the east and y
            to the north (REP 105). The map's z axis points up.

    Raises:
        UserError: Not a place on the earth.
    """

    latitude_deg: float
    longitude_deg: float
    altitude_m: float = 0.0
    x_heading_deg: float = 90.0

    def __post_init__(self) -> None:
        numbers = (self.latitude_deg, self.longitude_deg, self.altitude_m, self.x_heading_deg)
        is_place = abs(self.latitude_deg) <= 90 and abs(self.longitude_deg) <= 180
        is_pose = _ALTITUDES_M[0] <= self.altitude_m <= _ALTITUDES_M[1] and abs(self.x_heading_deg) <= 360
        if not (is_place and is_pose):
            raise UserError(
                f"the geographic origin {list(numbers)} is no latitude, longitude, altitude and heading",
                "Give degrees from -90 to 90 and from -180 to 180, metres from "
                f"{_ALTITUDES_M[0]:g} to {_ALTITUDES_M[1]:g}, and degrees from -360 to 360",
            )

    def positions(self, points_m: Array) -> Array:
        """Longitude and latitude [deg] and height [m], (N, 3), of map points (N, 3).

        Exact for any distance: map to local east, north, up at the origin, to earth-centred coordinates, to the
        ellipsoid (B. R. Bowring, Survey Review 23, 1976, iterated once more than it needs).
        """
        heading = math.radians(self.x_heading_deg)
        x, y, up = np.asarray(points_m, dtype=np.float64).T
        east = x * math.sin(heading) - y * math.cos(heading)
        north = x * math.cos(heading) + y * math.sin(heading)
        latitude, longitude = math.radians(self.latitude_deg), math.radians(self.longitude_deg)
        sin_lat, cos_lat = math.sin(latitude), math.cos(latitude)
        outward = cos_lat * up - sin_lat * north  # away from the earth's axis, in the meridian of the origin
        radius_m = _A_M / math.sqrt(1 - _E2 * sin_lat**2)
        axis_m = (radius_m + self.altitude_m) * cos_lat + outward
        polar_m = (radius_m * (1 - _E2) + self.altitude_m) * sin_lat + cos_lat * north + sin_lat * up
        return np.column_stack(_geodetic(longitude, axis_m, east, polar_m))


def _geodetic(meridian_rad: float, axis_m: Array, east_m: Array, polar_m: Array) -> tuple[Array, Array, Array]:
    """Longitude, latitude (degrees) and height of points given along, across and up a meridian plane."""
    longitude = np.degrees(meridian_rad + np.arctan2(east_m, axis_m))
    distance_m = np.hypot(axis_m, east_m)
    b_m = _A_M * (1 - _F)
    reduced = np.arctan2(polar_m * _A_M, distance_m * b_m)
    for _ in range(2):
        latitude = np.arctan2(
            polar_m + _E2 / (1 - _E2) * b_m * np.sin(reduced) ** 3, distance_m - _E2 * _A_M * np.cos(reduced) ** 3
        )
        reduced = np.arctan2((1 - _F) * np.sin(latitude), np.cos(latitude))
    radius_m = _A_M / np.sqrt(1 - _E2 * np.sin(latitude) ** 2)
    height_m = distance_m * np.cos(latitude) + polar_m * np.sin(latitude) - _A_M**2 / radius_m
    return (longitude + 180) % 360 - 180, np.degrees(latitude), height_m


def write_origin(map_path: Path, origin: GeographicOrigin | None) -> None:
    """Write the place of a map on the earth beside its file, or remove it where it is not known.

    Raises:
        UserError: The file cannot be written.
    """
    path = origin_path(map_path)
    if origin is None:
        path.unlink(missing_ok=True)
        return
    write_json(path, asdict(origin))


def read_origin(map_path: Path) -> GeographicOrigin | None:
    """Read the place of a map on the earth; None where it is not stored.

    Raises:
        UserError: The file is damaged.
    """
    path = origin_path(map_path)
    try:
        plain = parse_json(path.read_text(encoding="utf-8"))
        return GeographicOrigin(**{each.name: float(plain[each.name]) for each in fields(GeographicOrigin)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error})", "Remove it, or map the photographs again") from error


def origin_path(map_path: Path) -> Path:
    """Return the path of the file with the place of a map."""
    return map_path.with_name(f"{map_path.name.removesuffix('.sqlite')}.origin.json")
