# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The node over real DDS: crack lines, footprint and 3D detections of one frame belong together by their stamp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from flying_node import FOCAL_PX, HEIGHT_PX, WIDTH_PX, Flight, TakeOff, wall
from geometry_msgs.msg import PolygonStamped
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2

from crack_perception.ros.common.crack_points import rows_of
from crack_perception.ros.mapper.observation import view_of

RANGE_M = 2.0
MM_PER_PX = 1000 * RANGE_M / FOCAL_PX
# The dark line of flying_node.wall(): rows 118 to 120, columns 40 to 279.
LINE_LENGTH_M, LINE_WIDTH_MM = 240 * MM_PER_PX / 1000, 3 * MM_PER_PX
LINE_HEIGHT_M = 1.0 - (119 - (HEIGHT_PX - 1) / 2) * MM_PER_PX / 1000


def listen(flight: Flight) -> Flight:
    for kind, name in ((PolygonStamped, "footprint"), (PointCloud2, "footprint_points"), (PointCloud2, "crack_points")):
        flight.in_peer(lambda kind=kind, name=name: flight._listen(kind, name))
    flight.start()
    names = ("footprint", "footprint_points", "crack_points")
    flight.wait(lambda: [flight.figures().get(f"listeners_{name}") for name in names] == ["1"] * len(names))
    return flight


def of_stamp(flight: Flight, name: str, stamp: Any) -> Any:
    flight.wait(lambda: any(message.header.stamp == stamp for message in flight.received[name]))
    return next(message for message in flight.received[name] if message.header.stamp == stamp)


def test_node_crack_is_published_as_lines_with_footprint(take_off: TakeOff) -> None:
    flight = listen(take_off())
    stamp = flight.fly_one_frame(range_m=RANGE_M)
    rows, outline = rows_of(of_stamp(flight, "crack_points", stamp)), of_stamp(flight, "footprint", stamp)
    (detection,) = of_stamp(flight, "detections_3d", stamp).detections

    assert set(rows["detection"]) == {0} and set(rows["line"]) == {0}
    points = np.column_stack([rows["x"], rows["y"], rows["z"]])
    assert points[:, 0] == pytest.approx(RANGE_M, abs=1e-4)
    assert points[2:-2, 2] == pytest.approx(LINE_HEIGHT_M, abs=0.5 * MM_PER_PX / 1000)
    length_m = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
    assert length_m == pytest.approx(LINE_LENGTH_M, rel=0.06)
    assert rows["normal_x"] == pytest.approx(-1.0)
    assert rows["gsd_mm_per_px"] == pytest.approx(MM_PER_PX, rel=0.01)
    assert np.nanmedian(rows["width_mm"]) == pytest.approx(LINE_WIDTH_MM, rel=0.15)
    assert np.all(rows["score"] > 0.9)

    assert detection.bbox.size.x == pytest.approx(length_m, rel=1e-3)
    # The tiny model reads 2 px, the measurement 3.
    assert 2 * MM_PER_PX < 1000 * detection.bbox.size.y < 3.1 * MM_PER_PX
    centre = detection.bbox.center.position
    assert np.linalg.norm(points - [centre.x, centre.y, centre.z], axis=1).min() < 2 * MM_PER_PX / 1000

    corners = np.array([[p.x, p.y, p.z] for p in outline.polygon.points])
    assert outline.header.frame_id == "map" and len(corners) >= 4
    assert corners[:, 0] == pytest.approx(RANGE_M)
    assert np.ptp(corners[:, 1]) == pytest.approx((WIDTH_PX - 1) * MM_PER_PX / 1000, rel=0.01)
    assert np.ptp(corners[:, 2]) == pytest.approx((HEIGHT_PX - 1) * MM_PER_PX / 1000, rel=0.01)

    view = view_of(of_stamp(flight, "footprint_points", stamp), "crack_node", "map")
    assert view is not None and view.camera is not None
    assert view.footprint.corners_m == pytest.approx(corners) and view.footprint.normal == pytest.approx([-1, 0, 0])
    assert view.gsd_mm_per_px == pytest.approx(MM_PER_PX, rel=0.01)
    assert view.camera.focal_px == pytest.approx(FOCAL_PX, rel=0.01)
    assert (view.camera.width_px, view.camera.height_px) == pytest.approx((WIDTH_PX, HEIGHT_PX))


def test_node_clean_frame_has_footprint_and_empty_cloud(take_off: TakeOff) -> None:
    flight = listen(take_off())
    stamp = flight.fly_one_frame(frame=wall(crack=False))
    assert of_stamp(flight, "detections_3d", stamp).detections == []
    assert len(rows_of(of_stamp(flight, "crack_points", stamp))) == 0
    assert len(of_stamp(flight, "footprint", stamp).polygon.points) >= 4


def test_node_clean_frame_without_range_has_no_footprint(take_off: TakeOff) -> None:
    flight = listen(take_off())
    stamp = flight.fly_one_frame(range_m=None, frame=wall(crack=False))
    assert of_stamp(flight, "footprint", stamp).polygon.points == []
    assert view_of(of_stamp(flight, "footprint_points", stamp), "crack_node", "map") is None
    assert flight.figures()["resolution"] == "unknown"


def test_node_frame_without_location_is_not_published_as_clean(take_off: TakeOff) -> None:
    flight = listen(take_off())
    flight.fly_one_frame(range_m=None)
    stamp = flight.fly_one_frame()
    of_stamp(flight, "detections_3d", stamp)
    for name in ("footprint", "crack_points", "detections_3d"):
        assert [message.header.stamp for message in flight.received[name]] == [stamp]


def test_node_measure_lines_can_be_switched_off_in_flight(take_off: TakeOff) -> None:
    """An empty cloud would say that the frame is clean; without one a mapper takes the boxes."""
    flight = listen(take_off())
    (result,) = flight.in_node(lambda: flight.node.set_parameters([Parameter("measure_lines", value=False)]))
    assert result.successful
    stamp = flight.fly_one_frame(range_m=RANGE_M)
    (detection,) = of_stamp(flight, "detections_3d", stamp).detections
    assert flight.received["crack_points"] == []
    assert detection.bbox.size.y == pytest.approx(0.002 * MM_PER_PX, rel=0.01)
    assert detection.bbox.size.x > 1.05 * LINE_LENGTH_M


def test_diagnostics_report_the_resolvable_width(take_off: TakeOff) -> None:
    flight = take_off(resolvable_width_px=0.5).start()
    flight.fly_one_frame(range_m=RANGE_M)
    figures = flight.figures()
    assert float(figures["range_m"]) == pytest.approx(RANGE_M)
    assert float(figures["resolvable_width_mm"]) == pytest.approx(0.5 * MM_PER_PX, rel=0.01)
    assert figures["resolution"] == f"below {0.5 * MM_PER_PX:.2f} mm not resolvable at 2.0 m"
