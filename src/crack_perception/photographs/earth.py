# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Positions on the earth in the map's frame: x east, y north, z up at an origin (WGS 84)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin

Array = npt.NDArray[np.float64]

_A_M = 6378137.0
_F = 1 / 298.257223563
_E2 = _F * (2 - _F)
_LEAST_RADIUS_M, _MOST_RADIUS_M = 6.3e6, 6.45e6
_ITERATIONS = 6


def earth_centred(latitude_deg: float, longitude_deg: float, height_m: float) -> Array:
    """Return earth-centred, earth-fixed coordinates (3,) [m]."""
    latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
    radius_m = _A_M / math.sqrt(1 - _E2 * math.sin(latitude) ** 2)
    across_m = (radius_m + height_m) * math.cos(latitude)
    return np.array(
        [
            across_m * math.cos(longitude),
            across_m * math.sin(longitude),
            (radius_m * (1 - _E2) + height_m) * math.sin(latitude),
        ]
    )


def geodetic(point_m: Array) -> tuple[float, float, float]:
    """Return latitude, longitude [deg] and ellipsoidal height [m] of earth-centred coordinates (3,)."""
    x, y, z = (float(value) for value in point_m)
    across_m = math.hypot(x, y)
    latitude = math.atan2(z, across_m * (1 - _E2))
    for _ in range(_ITERATIONS):
        radius_m = _A_M / math.sqrt(1 - _E2 * math.sin(latitude) ** 2)
        latitude = math.atan2(z + _E2 * radius_m * math.sin(latitude), across_m)
    radius_m = _A_M / math.sqrt(1 - _E2 * math.sin(latitude) ** 2)
    height_m = across_m * math.cos(latitude) + z * math.sin(latitude) - _A_M**2 / radius_m
    return math.degrees(latitude), math.degrees(math.atan2(y, x)), height_m


def is_earth_centred(positions_m: Array) -> bool:
    """Return whether positions (N, 3) lie near the surface of the earth in earth-centred coordinates."""
    radii_m = np.linalg.norm(positions_m, axis=1)
    return bool(len(radii_m) and _LEAST_RADIUS_M < np.median(radii_m) < _MOST_RADIUS_M)


def map_from_earth(origin: GeographicOrigin) -> Pose:
    """Return the transform from earth-centred coordinates to east, north, up at an origin with ``x_heading_deg`` 90."""
    latitude, longitude = math.radians(origin.latitude_deg), math.radians(origin.longitude_deg)
    sin_lat, cos_lat, sin_lon, cos_lon = (
        math.sin(latitude),
        math.cos(latitude),
        math.sin(longitude),
        math.cos(longitude),
    )
    axes = np.array(
        [
            [-sin_lon, cos_lon, 0.0],
            [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
        ]
    )
    centre_m = earth_centred(origin.latitude_deg, origin.longitude_deg, origin.altitude_m)
    return Pose(-axes @ centre_m, rotations.from_matrix(axes))


def local_position(origin: GeographicOrigin, latitude_deg: float, longitude_deg: float, height_m: float) -> Array:
    """Return east, north, up (3,) [m] of a place."""
    transform = map_from_earth(origin)
    return transform.rotation @ (
        earth_centred(latitude_deg, longitude_deg, height_m)
        - earth_centred(origin.latitude_deg, origin.longitude_deg, origin.altitude_m)
    )


def check_place(latitude_deg: float, longitude_deg: float, height_m: float) -> str:
    """Return why coordinates are no place where a photograph was taken; empty if they can be one."""
    if not all(map(math.isfinite, (latitude_deg, longitude_deg, height_m))):
        return "its position is not finite"
    if abs(latitude_deg) > 90 or abs(longitude_deg) > 180:
        return f"latitude {latitude_deg:g}, longitude {longitude_deg:g} is no place on the earth"
    if latitude_deg == 0.0 and longitude_deg == 0.0:
        return "latitude 0, longitude 0 means that there was no satellite fix"
    if not -1000.0 < height_m < 10_000.0:
        return f"its height is {height_m:g} m"
    return ""


def utm_zone(longitude_deg: float) -> int:
    """Return the number of the UTM zone of a longitude, without the exceptions around Norway."""
    return math.floor((longitude_deg + 180.0) / 6.0) % 60 + 1


def utm(latitude_deg: float, longitude_deg: float, zone: int) -> tuple[float, float]:
    """Return easting and northing [m] of a place in a UTM zone on its side of the equator.

    Krueger's series to the third order in the flattening, exact to a millimetre within the zone.
    """
    n = _F / (2 - _F)
    radius_m = _A_M / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    series = (n / 2 - 2 / 3 * n**2 + 5 / 16 * n**3, 13 / 48 * n**2 - 3 / 5 * n**3, 61 / 240 * n**3)
    sine, eccentricity = math.sin(math.radians(latitude_deg)), math.sqrt(_E2)
    conformal = math.sinh(math.atanh(sine) - eccentricity * math.atanh(eccentricity * sine))
    from_meridian = math.radians((longitude_deg - (6.0 * zone - 183.0) + 180.0) % 360.0 - 180.0)
    xi = math.atan2(conformal, math.cos(from_meridian))
    eta = math.atanh(math.sin(from_meridian) / math.hypot(1.0, conformal))
    terms = [(a, 2.0 * (index + 1)) for index, a in enumerate(series)]
    east = eta + sum(a * math.cos(k * xi) * math.sinh(k * eta) for a, k in terms)
    north = xi + sum(a * math.sin(k * xi) * math.cosh(k * eta) for a, k in terms)
    return 500_000.0 + 0.9996 * radius_m * east, (0.0 if latitude_deg >= 0 else 1e7) + 0.9996 * radius_m * north


def grid_convergence_deg(latitude_deg: float, longitude_deg: float) -> float:
    """Return the direction of the grid north of UTM, clockwise from true north, from the zone that holds the place."""
    central_deg = 6.0 * math.floor(longitude_deg / 6.0) + 3.0
    return math.degrees(
        math.atan(math.tan(math.radians(longitude_deg - central_deg)) * math.sin(math.radians(latitude_deg)))
    )


def levelled_camera(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Array:
    """Return the quaternion from the optical frame to east, north, up.

    Args:
        yaw_deg: Clockwise from north.
        pitch_deg: Upwards from the horizon: -90 looks straight down.
        roll_deg: Clockwise about the viewing direction.
    """
    # The body's axes are forward, right, down: forward is the optical axis, right and down those of the picture.
    return _mounted_camera((roll_deg, pitch_deg, yaw_deg), [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def nadir_camera(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Array:
    """Return the quaternion from the optical frame to east, north, up, of the angles of an aircraft with a camera that
    looks straight down, the top of its picture forward, as in Metashape.

    Args:
        yaw_deg: Clockwise from north.
        pitch_deg: Upwards from straight down: 90 looks to the horizon.
        roll_deg: Of the aircraft, to the right.
    """
    return _mounted_camera((roll_deg, pitch_deg, yaw_deg), [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def _mounted_camera(turns_deg: tuple[float, float, float], body_from_optical: list[list[float]]) -> Array:
    """Return the quaternion from the optical frame to east, north, up, of a body's roll, pitch and yaw."""
    from_body = rotations.from_euler(*map(math.radians, turns_deg))
    from_optical = rotations.from_matrix(body_from_optical)
    return rotations.multiply(rotations.ENU_FROM_NED, rotations.multiply(from_body, from_optical))


def photogrammetric_camera(omega_deg: float, phi_deg: float, kappa_deg: float) -> Array:
    """Return the quaternion from the optical frame to the map, of omega, phi, kappa (x right, y up, z backwards)."""
    about = [
        rotations.from_rotation_vector(np.radians(turn) * axis)
        for turn, axis in zip((omega_deg, phi_deg, kappa_deg), np.eye(3), strict=True)
    ]
    turned = rotations.multiply(about[0], rotations.multiply(about[1], about[2]))
    return rotations.multiply(turned, (1.0, 0.0, 0.0, 0.0))
