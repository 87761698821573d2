# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of map points on the WGS 84 ellipsoid: known positions, axes, and the inverse by earth-centred coordinates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.mapping.export.geographic import GeographicOrigin


def earth_centred(longitude_deg: np.ndarray, latitude_deg: np.ndarray, height_m: np.ndarray) -> np.ndarray:
    """Convert geodetic to earth-centred coordinates by the textbook formula."""
    e2 = 1 - (6356752.314245 / 6378137.0) ** 2
    longitude, latitude = np.radians(longitude_deg), np.radians(latitude_deg)
    radius = 6378137.0 / np.sqrt(1 - e2 * np.sin(latitude) ** 2)
    return np.column_stack(
        [
            (radius + height_m) * np.cos(latitude) * np.cos(longitude),
            (radius + height_m) * np.cos(latitude) * np.sin(longitude),
            (radius * (1 - e2) + height_m) * np.sin(latitude),
        ]
    )


def test_geographic_point_one_kilometre_away_exact() -> None:
    # 33 deg azimuth, 70 deg elevation, 1000 m from 42 N 82 W at 200 m: a worked example of several geodesy libraries.
    point = GeographicOrigin(42, -82, 200).positions(np.array([[186.277521, 286.842228, 939.692621]]))[0]
    np.testing.assert_allclose(point[:2], [-81.997751960067460, 42.002581974253744], atol=1e-10)
    assert point[2] == pytest.approx(1139.7017995, abs=1e-5)


@pytest.mark.parametrize(
    ("heading_deg", "east_north"), [(90, (1, 0)), (0, (0, 1)), (180, (0, -1)), (45, (0.5**0.5,) * 2)]
)
def test_geographic_x_axis_follows_heading(heading_deg: float, east_north: tuple[float, float]) -> None:
    origin = GeographicOrigin(0, 0, 0, heading_deg)
    along_x, along_y = origin.positions(np.array([[100.0, 0, 0], [0, 100.0, 0]]))[:, :2]
    metres = np.array([math.radians(1) * 6378137.0, math.radians(1) * 6335439.327])  # on the equator
    np.testing.assert_allclose(along_x * metres, 100 * np.array(east_north), atol=1e-3)
    np.testing.assert_allclose(along_y * metres, 100 * np.array([-east_north[1], east_north[0]]), atol=1e-3)


@pytest.mark.parametrize(
    "place", [(48.1, 11.6, 520.0), (-33.9, 151.2, 10.0), (0, 0, 0), (89.99, 10.0, 0), (12, 179.9999, 5)]
)
def test_geographic_distances_kept_everywhere(place: tuple[float, float, float]) -> None:
    points_m = np.random.default_rng(1).normal(0, 300, (50, 3))
    longitude, latitude, height_m = GeographicOrigin(*place, x_heading_deg=33).positions(points_m).T
    assert np.all(np.abs(longitude) <= 180)
    there = earth_centred(longitude, latitude, height_m)
    apart_m = np.linalg.norm(points_m[:, None] - points_m, axis=2)
    np.testing.assert_allclose(np.linalg.norm(there[:, None] - there, axis=2), apart_m, atol=1e-5)


@pytest.mark.parametrize(
    "place",
    [
        *((91, 0, 0, 0), (0, 181, 0, 0), (math.nan, 0, 0, 0), (0, 0, math.inf, 0), (0, 0, 0, math.nan)),
        *((48, 11, 5_335_000, 0), (48, 11, -2000, 0), (48, 11, 500, 1e9)),
    ],
)
def test_geographic_invalid_origin_refused(place: tuple[float, float, float, float]) -> None:
    with pytest.raises(UserError, match="geographic origin"):
        GeographicOrigin(*place)
