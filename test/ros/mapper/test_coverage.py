# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Coverage and revisit poses of crack_mapper over real DDS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("map_msgs", reason="map_msgs is not installed: run scripts/setup")

from crack_survey import Survey, crack, header, wait
from flying_node import init_ros
from geometry_msgs.msg import PoseArray
from inspected_views import CAMERA, looking
from nav_msgs.msg import OccupancyGrid
from nav_msgs.msg import Path as PathMessage
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from crack_perception.geometry.line_lifting import largest_gsd_mm_per_px, outline_on_surface
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import SurfacePlane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage, upright_axes
from crack_perception.mapping.export.geographic import GeographicOrigin, read_origin
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.ros.common import qos
from crack_perception.ros.common.crack_points import cloud_of
from crack_perception.ros.common.footprint_points import footprint_rows
from crack_perception.ros.mapper.coverage import coverage_marker


def footprint_cloud(stamp_ns: int, y_m: float = 0.0, standoff_m: float = 2.0, frame_id: str = "map") -> PointCloud2:
    """The view straight ahead at the wall x = 3 m, as a detecting node sends it."""
    pose = Pose(np.array([3.0 - standoff_m, y_m, 1.5]), looking(0.0))
    plane = SurfacePlane(RangeReading(standoff_m, 0.0, "range"), np.array([0.0, 0.0, -1.0]), 0.0, normal_in_map=False)
    outline = outline_on_surface(CAMERA, plane)
    gsd = largest_gsd_mm_per_px(CAMERA, plane, outline.pixels)
    rows = footprint_rows(pose.transform(outline.points_m), pose.position_m, outline.pixels, gsd)
    return cloud_of(header(stamp_ns, frame_id), rows)


class CoveredSurvey(Survey):
    """A mapper and a peer that sends the resolution of its footprints and listens to the coverage."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.clouds = self.node.create_publisher(PointCloud2, "/crack_node/footprint_points", 10)

    def listen(self, kind: type, name: str) -> list[Any]:
        self.node.create_subscription(kind, f"{self.mapper}/{name}", self.received[name].append, qos.LATCHED)
        return self.received[name]

    def cover(self, y_m: float = 0.0, standoff_m: float = 2.0, **changes: str) -> None:
        wait(lambda: self.clouds.get_subscription_count() > 0)
        self.clouds.publish(footprint_cloud(self.stamp_ns, y_m, standoff_m, **changes))


@contextmanager
def flight(**parameters: Any) -> Iterator[CoveredSurvey]:
    init_ros()
    survey = CoveredSurvey(**parameters)
    try:
        survey.start()
        yield survey
    finally:
        survey.stop()


def area_m2(grid: OccupancyGrid, state: int) -> float:
    return float(np.count_nonzero(np.array(grid.data) == state) * grid.info.resolution**2)


def test_mapper_publishes_the_coverage_of_every_surface(tmp_path: Path) -> None:
    database = tmp_path / "crack_map.sqlite"
    with flight(database=str(database), wanted_width_mm=2.5) as survey:
        grids = survey.listen(OccupancyGrid, "coverage/surface_1")
        survey.cover(standoff_m=2.0)
        survey.cover(standoff_m=1.0)
        wait(lambda: bool(grids) and area_m2(grids[-1], 0) > 0)
        grid = grids[-1]
        assert grid.header.frame_id == "map"
        assert area_m2(grid, 0) == pytest.approx(1.28 * 0.72, rel=0.15)
        assert area_m2(grid, 100) == pytest.approx(3 * 1.28 * 0.72, rel=0.15)
        origin = grid.info.origin
        pose = Pose.of(
            [origin.position.x, origin.position.y, origin.position.z],
            [origin.orientation.x, origin.orientation.y, origin.orientation.z, origin.orientation.w],
        )
        rows, columns = np.nonzero(np.array(grid.data).reshape(grid.info.height, grid.info.width) >= 0)
        centres = np.column_stack([columns + 0.5, rows + 0.5, np.zeros(len(rows))]) * grid.info.resolution
        points_m = pose.transform(centres)
        assert points_m.min(axis=0) == pytest.approx([3.0, -1.28, 0.78], abs=0.1)
        assert points_m.max(axis=0) == pytest.approx([3.0, 1.28, 2.22], abs=0.1)
        markers = survey.listen(MarkerArray, "coverage_markers")
        wait(lambda: bool(markers))
        squares = [marker for marker in markers[-1].markers if marker.ns == "coverage"]
        assert squares[0].type == Marker.CUBE_LIST and len(squares[0].points) == len(rows)

        def is_counted() -> bool:
            _, figures = survey.status(views_without_coverage="0")
            return float(figures["inspected_done_m2"]) > 0 and float(figures["inspected_too_coarse_m2"]) > 0

        wait(is_counted)
        wait(lambda: len(read_snapshot(database).coverage) == 1)
    (surface,) = read_snapshot(database).coverage
    assert np.nanmin(surface.gsd_mm_per_px) == pytest.approx(1.0, rel=0.01)
    # The next day: the coverage goes on, and a late subscriber gets it.
    with flight(database=str(database), wanted_width_mm=2.5) as survey:
        grids = survey.listen(OccupancyGrid, "coverage/surface_1")
        wait(lambda: bool(grids))
        assert area_m2(grids[-1], 0) == pytest.approx(1.28 * 0.72, rel=0.15)
        assert survey.trigger("reset").success
        wait(lambda: not survey.node.count_publishers("/crack_mapper/coverage/surface_1"))
        assert read_snapshot(database).coverage == ()


def surface_with(gsd_mm: np.ndarray) -> SurfaceCoverage:
    axes = upright_axes(np.array([0.0, -1.0, 0.0]))
    return SurfaceCoverage(3, np.zeros(3), *axes, 0.1, gsd_mm.astype(np.float32))


def squares_at(marker: Marker) -> dict[tuple[int, int], str]:
    """Row and column of each square with its colour."""
    side_m = marker.scale.x
    places = [(int(point.y / side_m), int(point.x / side_m)) for point in marker.points]
    return {place: "green" if c.g > c.r else "orange" for place, c in zip(places, marker.colors, strict=True)}


def test_coverage_marker_of_a_large_surface_shows_the_worst_cells() -> None:
    gsd_mm = np.full((128, 192), 0.1)
    gsd_mm[40, 61] = 5.0  # one coarse cell, one unseen cell, and an unseen quarter
    gsd_mm[90, 7] = np.nan
    gsd_mm[64:, 96:] = np.nan
    marker = coverage_marker(Header(frame_id="map"), surface_with(gsd_mm), 0.3)
    squares = squares_at(marker)
    step = round(marker.scale.x / 0.1)
    assert step > 1 and 1000 < len(squares) <= 4000
    of_cell = {(row, column): squares.get((row // step, column // step)) for row in range(128) for column in range(192)}
    for (row, column), colour in of_cell.items():
        if colour == "green":
            assert gsd_mm[row, column] == 0.1
        elif colour is None:
            assert np.isnan(gsd_mm[row, column])
    assert of_cell[40, 61] == of_cell[90, 7] == "orange" and of_cell[0, 0] == "green" and of_cell[127, 191] is None


def test_coverage_marker_of_scattered_cells_is_bounded() -> None:
    gsd_mm = np.full((256, 256), np.nan)
    gsd_mm[::2, ::2] = 0.1
    marker = coverage_marker(Header(frame_id="map"), surface_with(gsd_mm), 0.3)
    assert 1000 < len(marker.points) <= 4000
    assert set(squares_at(marker).values()) == {"orange"}


def test_coverage_marker_of_a_small_surface_shows_every_cell() -> None:
    gsd_mm = np.full((64, 64), np.nan)
    gsd_mm[3, 5], gsd_mm[4, 5] = 0.1, 5.0
    marker = coverage_marker(Header(frame_id="map"), surface_with(gsd_mm), 0.3)
    assert squares_at(marker) == {(3, 5): "green", (4, 5): "orange"}


def test_mapper_with_a_place_on_the_earth_writes_it_beside_the_map(tmp_path: Path) -> None:
    database = tmp_path / "crack_map.sqlite"
    with flight(database=str(database), geo_origin=[48.0, 11.0, 500.0, 30.0]):
        wait(database.exists)
        wait(lambda: read_origin(database) is not None)
    assert read_origin(database) == GeographicOrigin(48.0, 11.0, 500.0, 30.0)
    # A mapper that knows no place leaves what another program has written.
    with flight(database=str(database)):
        pass
    assert read_origin(database) is not None


def test_mapper_proposes_poses_for_open_cracks_and_coarse_areas() -> None:
    with flight(severity_preset="aashto", revisit_standoff_m=0.2, wanted_width_mm=1.0) as survey:
        poses, paths = survey.listen(PoseArray, "revisit"), survey.listen(PathMessage, "revisit_path")
        grids = survey.listen(OccupancyGrid, "coverage/surface_1")
        survey.cover(standoff_m=2.0)
        wait(lambda: bool(grids))
        for _ in range(4):
            survey.send(crack())
        # The widths of the frames, 0.5 +- 0.05 mm, settle the crack: what is left is the coarse area.
        survey.status(cracks_confirmed="1")
        wait(lambda: bool(paths) and len(paths[-1].poses) > 3)
        wait(lambda: len(poses[-1].poses) == len(paths[-1].poses))
        assert poses[-1].header.frame_id == "map"
        for pose, stamped in zip(poses[-1].poses, paths[-1].poses, strict=True):
            assert pose == stamped.pose and stamped.header.frame_id == "map"
            # In front of the wall x = 3 m, at the distance for 1.0 mm / 1.5 px, looking along x.
            assert pose.position.x == pytest.approx(3.0 - 2.0 / 3.0, abs=0.02)
            turn = pose.orientation
            forward = Pose.of([0, 0, 0], [turn.x, turn.y, turn.z, turn.w]).rotation[:, 0]
            assert forward == pytest.approx([1, 0, 0], abs=0.01)
        # A wanted width that was resolved leaves nothing to fly.
        result = survey.in_mapper(lambda: survey.mapper_node.set_parameters([Parameter("wanted_width_mm", value=3.2)]))
        assert result[0].successful
        wait(lambda: not poses[-1].poses and not paths[-1].poses)


def test_mapper_with_a_place_on_the_earth_proposes_poses_there() -> None:
    geographic_msgs = pytest.importorskip("geographic_msgs.msg", reason="geographic_msgs is not installed")
    # The map's x axis points to the north.
    origin = GeographicOrigin(48.0, 11.0, 500.0, 0.0)
    with flight(revisit_standoff_m=0.2, wanted_width_mm=1.0, geo_origin=[48.0, 11.0, 500.0, 0.0]) as survey:
        paths, poses = (
            survey.listen(kind, name)
            for kind, name in ((geographic_msgs.GeoPath, "revisit_geo_path"), (PoseArray, "revisit"))
        )
        markers = survey.listen(MarkerArray, "coverage_markers")
        survey.cover(standoff_m=2.0)
        wait(lambda: bool(paths) and bool(poses) and len(paths[-1].poses) == len(poses[-1].poses) > 3)
        for stamped, pose in zip(paths[-1].poses, poses[-1].poses, strict=True):
            assert stamped.header.frame_id == "map"
            place = stamped.pose.position
            position = np.array([[pose.position.x, pose.position.y, pose.position.z]])
            expected = origin.positions(position)[0]
            assert [place.longitude, place.latitude, place.altitude] == pytest.approx(expected.tolist(), abs=1e-9)
            turn = stamped.pose.orientation
            # Before the wall x = 3 m the camera looks along x.
            forward = Pose.of([0, 0, 0], [turn.x, turn.y, turn.z, turn.w]).rotation[:, 0]
            assert forward == pytest.approx([0, 1, 0], abs=0.01)
        wait(lambda: bool(markers) and any(each.ns == "revisit" for each in markers[-1].markers))
        texts = {each.id: each.text for each in markers[-1].markers if each.ns == "revisit" and each.id > 0}
        assert texts[1] == "1: area, 0.67 m" and len(texts) == len(poses[-1].poses)
        survey.status(revisit_poses=str(len(texts)), revisit_poses_for_cracks="0")


def test_mapper_unusable_footprint_points_are_refused_with_the_reason() -> None:
    with flight() as survey:
        wait(lambda: survey.clouds.get_subscription_count() > 0)
        survey.clouds.publish(PointCloud2(header=header(1)))
        survey.status(problems_bad_footprint="1")
        survey.cover(frame_id="elsewhere")
        survey.status(problems_wrong_frame="1")
        rows = footprint_rows(np.zeros((4, 3)), np.zeros(3), np.zeros((4, 2)), np.ones(4))
        survey.clouds.publish(cloud_of(header(1), rows))
        survey.status(problems_bad_footprint="2", inspected_done_m2="0.0")
