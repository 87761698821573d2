# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack lines as a PointCloud2: byte for byte, and back."""

from __future__ import annotations

import array
import struct
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from crack_perception.geometry.line_lifting import LiftedLine
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import LocatedRegion
from crack_perception.inspection.analysis import CrackDetection
from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.severity import Severity, WidthEstimate
from crack_perception.ros.common.crack_points import (
    CRACK_POINT,
    NO_DETECTION,
    cloud_of,
    lacks_lines,
    rows_of,
)
from crack_perception.ros.detector.messages import crack_points
from crack_perception.vision.lines.line import CrackLine
from crack_perception.vision.regions import OrientedBox, Region

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="camera")
POINTS_PX = np.array([[0.0, 0.0], [9.0, 0.0]])
LOCATION = LocatedRegion(Pose.of([1, 2, 3], [0, 0, 0, 1]), np.eye(6))


def lifted(count: int, start: float, rank: int = 0) -> LiftedLine:
    points = start + np.arange(3.0 * count).reshape(count, 3)
    widths = np.where(np.arange(count) == 1, np.nan, 0.5)
    return LiftedLine(
        *(points, np.array([0.0, -1.0, 0.0]), widths, widths / 10),
        *(np.full(count, 0.25), np.zeros(count), np.full(count, 0.5), rank),
    )


def crack_detection(*lines: LiftedLine, score: float = 0.75, located: bool = True) -> CrackDetection:
    region = Region(OrientedBox(np.zeros(2), 2.0, 1.0, 0.0), np.array([0]), score)
    crack = CrackRegion(region, WidthEstimate(0.0, 0.1), 0.5)
    in_image = (CrackLine(POINTS_PX, np.ones(2), np.ones(2), 1e9), CrackLine(POINTS_PX, np.ones(2), np.ones(2), 7.5))
    found = CrackDetection(crack, Severity("undetermined", ()), in_image, True, surface_lines=lines, map_lines=lines)
    return replace(found, location=LOCATION if located else None)


def cloud() -> PointCloud2:
    return crack_points(
        HEADER, "map", [crack_detection(lifted(2, 0.0), lifted(3, 100.0, rank=1)), crack_detection(lifted(2, 7.0))]
    )


def test_crack_points_layout_is_documented_interface() -> None:
    message = cloud()
    expected = ["x", "y", "z", "normal_x", "normal_y", "normal_z", "width_mm", "width_sigma_mm"]
    expected += ["gsd_mm_per_px", "score", "detection", "line"]
    assert [field.name for field in message.fields] == expected
    assert [field.offset for field in message.fields] == list(range(0, 48, 4))
    assert [field.datatype for field in message.fields] == [PointField.FLOAT32] * 10 + [PointField.UINT32] * 2
    assert all(field.count == 1 for field in message.fields)
    assert (message.height, message.width, message.point_step, message.row_step) == (1, 7, 48, 7 * 48)
    assert message.header.frame_id == "map" and message.header.stamp == HEADER.stamp
    assert not message.is_bigendian


def test_crack_points_row_is_byte_exact() -> None:
    third = bytes(cloud().data)[2 * 48 : 3 * 48]
    expected = struct.pack("<10f2I", 100, 101, 102, 0, -1, 0, 0.5, 0.05, 0.25, 0.375, 0, 1)
    assert third == expected


def test_crack_points_detection_counts_located_regions_and_line_counts_all_lines() -> None:
    rows = rows_of(cloud())
    assert rows["detection"].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert rows["line"].tolist() == [0, 0, 1, 1, 1, 2, 2]
    # A line of even odds is a crack half as probably as its region.
    assert rows["score"].tolist() == [0.75, 0.75, 0.375, 0.375, 0.375, 0.75, 0.75]
    assert np.isnan(rows["width_mm"]).tolist() == [False, True, False, True, False, False, True]


@pytest.mark.parametrize(
    "missing",
    [
        replace(crack_detection(located=False), map_lines=()),
        replace(crack_detection(lifted(2, 3.0)), is_measured=False),
    ],
)
def test_crack_points_incomplete_frame_is_marked(missing: CrackDetection) -> None:
    message = crack_points(HEADER, "map", [missing, crack_detection(lifted(2, 7.0))])
    rows = rows_of(message)
    assert lacks_lines(rows) and not message.is_dense
    assert np.isnan(rows["x"][-1]) and rows["detection"][-1] == NO_DETECTION
    assert np.isfinite(rows["x"][:-1]).all() and rows["line"][-1] == rows["line"][-2] + 1
    found = crack_points(HEADER, "map", [crack_detection(), crack_detection(lifted(2, 7.0))])
    assert not lacks_lines(rows_of(found)) and found.is_dense


def test_crack_points_clean_frame_is_an_empty_cloud_with_all_fields() -> None:
    message = crack_points(HEADER, "map", [])
    assert (message.width, message.row_step, len(message.data), len(message.fields)) == (0, 0, 0, 12)
    assert len(rows_of(message)) == 0


def test_cloud_change_of_one_message_affects_no_other() -> None:
    cloud().fields[0].name = "spoilt"
    assert cloud().fields[0].name == "x"


def test_rows_of_serialized_message_are_unchanged() -> None:
    message = cloud()
    arrived = deserialize_message(serialize_message(message), PointCloud2)
    assert rows_of(arrived).tobytes() == rows_of(message).tobytes() == bytes(message.data)


def test_rows_of_other_layouts_are_read() -> None:
    rows = rows_of(cloud())
    padded = np.zeros(
        (2, 4), [("spare", ">f8"), *((name, CRACK_POINT[name].newbyteorder(">")) for name in CRACK_POINT.names)]
    )
    for name in CRACK_POINT.names:
        padded[name].flat[:7] = rows[name]
    message = PointCloud2(height=2, width=4, point_step=56, row_step=4 * 56 + 5, is_bigendian=True)
    message.fields = [PointField(name="spare", offset=0, datatype=PointField.FLOAT64, count=1)] + [
        replace_offset(field, field.offset + 8) for field in cloud().fields
    ]
    message.data = array.array("B", b"".join(row.tobytes() + bytes(5) for row in padded))
    assert rows_of(message)[:7].tobytes() == rows.tobytes()


def replace_offset(field: PointField, offset: int) -> PointField:
    return PointField(name=field.name, offset=offset, datatype=field.datatype, count=field.count)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fields": []}, "no field 'x'"),
        ({"fields": [PointField(name="x", offset=0, datatype=PointField.FLOAT64, count=1)]}, "no field 'x'"),
        ({"point_step": 20}, "lies beyond its point_step of 20"),
        ({"width": 8}, "holds less"),
        ({"height": 2}, "holds less"),
        ({"row_step": 0}, "holds less"),
    ],
)
def test_rows_of_malformed_cloud_raise_with_the_reason(changes: dict[str, object], reason: str) -> None:
    message = cloud()
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match=reason):
        rows_of(message)


def test_cloud_of_custom_rows_keeps_them() -> None:
    rows = np.zeros(3, CRACK_POINT)
    rows["line"] = [0, 0, 1]
    assert rows_of(cloud_of(HEADER, rows))["line"].tolist() == [0, 0, 1]
