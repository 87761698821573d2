# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Coordinates of deliverables against pyproj's own calculations and known places."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from crack_perception.errors import UsageError, UserError
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.report.georeference import GeographicFrame, GridOrigin, MapFrame, ProjectedFrame

pyproj = pytest.importorskip("pyproj", reason="the extra `report` is not installed: run scripts/setup")
POINTS_M = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 2.0], [0.0, 20.0, -1.0]])


@pytest.mark.parametrize(
    ("heading_deg", "expected"),
    [
        (90.0, [[0, 0, 0], [10, 0, 2], [0, 20, -1]]),
        (0.0, [[0, 0, 0], [0, 10, 2], [-20, 0, -1]]),
        (180.0, [[0, 0, 0], [0, -10, 2], [20, 0, -1]]),
    ],
)
def test_projected_frame_turns_the_map_by_the_heading(heading_deg: float, expected: list[list[float]]) -> None:
    frame = ProjectedFrame(25832, GridOrigin(691_000.0, 5_335_000.0, 500.0, heading_deg))
    np.testing.assert_allclose(frame.coordinates(POINTS_M) - [691_000, 5_335_000, 500], expected, atol=1e-9)


def test_projected_frame_scales_the_plane_but_not_the_height() -> None:
    frame = ProjectedFrame(25832, GridOrigin(691_000.0, 5_335_000.0, 500.0, 90.0, 0.9996))
    np.testing.assert_allclose(
        frame.coordinates(POINTS_M)[1] - [691_000, 5_335_000, 500], [9.996, 0, 2], rtol=0, atol=1e-9
    )


def test_projected_frame_geographic_agrees_with_pyproj() -> None:
    frame = ProjectedFrame(25832, GridOrigin(691_000.0, 5_335_000.0, 500.0))
    longitude, latitude = pyproj.Transformer.from_crs(25832, 4326, always_xy=True).transform(691_010.0, 5_335_000.0)
    np.testing.assert_allclose(frame.geographic(POINTS_M)[1], [longitude, latitude, 502.0], atol=1e-9)


def test_projected_frame_in_feet_counts_map_metres_as_feet() -> None:
    # NAD83 / California zone 3 (US survey feet), near San Francisco; height in feet as well.
    frame = ProjectedFrame(2227, GridOrigin(6_000_000.0, 2_110_000.0, 100.0))
    foot_m = 1200.0 / 3937.0
    np.testing.assert_allclose(
        frame.coordinates(POINTS_M)[1] - [6_000_000, 2_110_000, 100], [10 / foot_m, 0, 2 / foot_m], atol=1e-6
    )
    assert frame.axes == ("easting_ftUS", "northing_ftUS", "height_ftUS")
    assert frame.geographic(POINTS_M)[0, 2] == pytest.approx(100 * foot_m)


def test_geographic_frame_projected_keeps_distances_within_the_grid_scale() -> None:
    frame = GeographicFrame(GeographicOrigin(48.14, 11.57, 560.0), 25832)
    grid = frame.coordinates(POINTS_M)
    assert np.linalg.norm(grid[1, :2] - grid[0, :2]) == pytest.approx(10.0, rel=1e-3)
    np.testing.assert_allclose(grid[:, 2] - 560.0, POINTS_M[:, 2], atol=1e-4)
    np.testing.assert_array_equal(frame.planar(POINTS_M), grid)


def test_geographic_frame_without_code_keeps_drawings_in_metres() -> None:
    frame = GeographicFrame(GeographicOrigin(48.14, 11.57, 560.0))
    assert frame.epsg == 4326
    np.testing.assert_allclose(frame.coordinates(POINTS_M)[0], [11.57, 48.14, 560.0], atol=1e-9)
    np.testing.assert_array_equal(frame.planar(POINTS_M), POINTS_M)


def test_map_frame_changes_nothing_and_has_no_place() -> None:
    np.testing.assert_array_equal(MapFrame().coordinates(POINTS_M), POINTS_M)
    assert MapFrame().geographic(POINTS_M) is None


@pytest.mark.parametrize(
    ("epsg", "words"),
    [(1, "no coordinate system"), (4326, "not a projected system"), (2053, "to the west or south")],
)
def test_projected_frame_other_codes_are_refused(epsg: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ProjectedFrame(epsg, GridOrigin(0.0, 0.0, 0.0))


def test_projected_frame_swapped_origin_is_refused() -> None:
    with pytest.raises(UserError, match="order E,N,H"):
        ProjectedFrame(25832, GridOrigin(5_335_000.0, 691_000.0, 500.0))


def test_geographic_frame_code_of_another_country_is_refused() -> None:
    with pytest.raises(UserError, match="area of use"):
        GeographicFrame(GeographicOrigin(48.14, 11.57, 560.0), 28992)  # Amersfoort


def test_transformation_states_operation_and_accuracy() -> None:
    for frame in (
        ProjectedFrame(25832, GridOrigin(691_000.0, 5_335_000.0, 500.0)),
        GeographicFrame(GeographicOrigin(48.14, 11.57, 560.0), 25832),
    ):
        assert "UTM zone 32N" in frame.transformation and "ETRS89 to WGS 84" in frame.transformation
        assert frame.transformation.endswith("(accuracy 1 m)")
        assert frame.transformation in frame.statement
        assert frame.warnings == ()


@pytest.mark.parametrize(
    ("epsg", "latitude_deg", "longitude_deg", "grid"),
    [(27700, 51.5, -0.12, "OSTN15"), (31467, 51.0, 9.0, "BETA2007")],
)
def test_transformation_missing_grid_is_named_and_accuracy_pointed_out(
    epsg: int, latitude_deg: float, longitude_deg: float, grid: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the missing grid
        group = pyproj.transformer.TransformerGroup(4326, epsg, always_xy=True)
    if group.best_available:
        pytest.skip("this machine has the grid")
    origin = GeographicOrigin(latitude_deg, longitude_deg, 50.0)
    frame = GeographicFrame(origin, epsg)
    words = " ".join(frame.warnings)
    assert grid in words and "accuracy" in words
    assert all(warning in frame.statement for warning in frame.warnings)
    east, north, height = frame.coordinates(np.zeros((1, 3)))[0].tolist()
    back = ProjectedFrame(epsg, GridOrigin(east, north, height))
    assert grid in " ".join(back.warnings)
    np.testing.assert_allclose(back.geographic(np.zeros((1, 3)))[0, :2], [longitude_deg, latitude_deg], atol=1e-7)


def test_projected_frame_compound_code_uses_its_plane() -> None:
    frame = ProjectedFrame(5555, GridOrigin(691_000.0, 5_335_000.0, 500.0))  # ETRS89 / UTM zone 32N + DHHN92 height
    np.testing.assert_allclose(frame.coordinates(POINTS_M)[1], [691_010.0, 5_335_000.0, 502.0])
