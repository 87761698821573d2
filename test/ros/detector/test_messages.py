# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detections of a frame as messages: hypotheses, ids, labels, footprint and markers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from crack_perception.geometry.line_lifting import LiftedLine
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import LocatedRegion, SurfacePatch
from crack_perception.inspection.analysis import CrackDetection
from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.severity import SeverityScale, WidthEstimate
from crack_perception.ros.common.messages import ranked_classes
from crack_perception.ros.detector.messages import detections_2d, detections_3d, footprint, label_info, markers
from crack_perception.vision.regions import OrientedBox, Region

SCALE = SeverityScale.of_preset("ec2")
HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="camera")


def crack_detection(width_mm: float | None, log_sigma: float = 0.05, located: bool = True) -> CrackDetection:
    box = OrientedBox(np.array([320.0, 200.0]), 500.0, 250.0, 0.3)
    crack = CrackRegion(Region(box, np.array([3, 4]), 0.8), WidthEstimate(np.log(2.0), log_sigma), 0.4)
    if width_mm is None:
        return CrackDetection(crack, SCALE.classify(None))
    width = WidthEstimate(np.log(width_mm), log_sigma)
    patch = SurfacePatch(np.array([0.0, 0.0, 2.0]), 0.5, 0.1, 0.25)
    location = LocatedRegion(Pose.of([1, 2, 3], [0, 0, 0, 1]), np.diag(np.arange(1.0, 7.0))) if located else None
    return CrackDetection(crack, SCALE.classify(width), width_mm=width, patch=patch, location=location)


def ranked(detection: CrackDetection) -> list[tuple[str, float]]:
    return ranked_classes(detection.crack.region.score, detection.severity, SCALE)


def measured(width_mm: float) -> CrackDetection:
    """Return a located detection with two lines, of 0.3 m and 0.1 m."""
    lines = tuple(
        LiftedLine(
            *(np.array(points), np.array([0.0, 0, 1]), np.full(2, width_mm), np.full(2, 0.1)),
            *(np.ones(2), np.ones(2), np.full(2, length_m / 2), 0),
        )
        for points, length_m in (([[1.0, 2, 3], [1.3, 2, 3]], 0.3), ([[1.0, 2, 3], [1.0, 2.1, 3]], 0.1))
    )
    return replace(crack_detection(width_mm), surface_lines=lines, map_lines=lines)


def test_ranked_classes_clear_width_puts_its_class_first() -> None:
    (first, *others) = ranked(crack_detection(0.25))
    assert first[0] == "0.2-0.3mm"
    assert 0.72 < first[1] <= 0.8
    assert sum(score for _, score in [first, *others]) == pytest.approx(0.8)


def test_ranked_classes_width_on_an_edge_is_undetermined_with_the_crack_score() -> None:
    classes = ranked(crack_detection(0.3))
    assert classes[0] == ("undetermined", 0.8)
    assert {label for label, _ in classes[1:3]} == {"0.2-0.3mm", "0.3-0.4mm"}


def test_ranked_classes_without_scale_is_undetermined_only() -> None:
    assert ranked(crack_detection(None)) == [("undetermined", 0.8)]


def test_detections_2d_and_3d_share_ids_and_stamps() -> None:
    detections = [crack_detection(0.25), crack_detection(None), crack_detection(1.0)]
    flat = detections_2d(HEADER, detections, SCALE)
    solid = detections_3d(HEADER, "map", detections, SCALE)
    assert flat.header == HEADER and solid.header.stamp == HEADER.stamp and solid.header.frame_id == "map"
    assert [d.id for d in flat.detections] == ["12.000000345/0", "12.000000345/1", "12.000000345/2"]
    assert [d.id for d in solid.detections] == ["12.000000345/0", "12.000000345/2"]
    box = flat.detections[0].bbox
    assert (box.center.position.x, box.center.position.y, box.center.theta) == (320.0, 200.0, 0.3)
    assert (box.size_x, box.size_y) == (500.0, 250.0)
    in_map = solid.detections[0]
    assert (in_map.bbox.size.x, in_map.bbox.size.y, in_map.bbox.size.z) == (0.25, pytest.approx(0.00025), 0.0)
    for result in in_map.results:
        assert np.array(result.pose.covariance).reshape(6, 6).diagonal().tolist() == [1, 2, 3, 4, 5, 6]


def test_label_info_ascends_and_ends_with_undetermined() -> None:
    info = label_info(HEADER, SCALE, 0.5)
    assert [c.class_name for c in info.class_map] == ["<0.2mm", "0.2-0.3mm", "0.3-0.4mm", ">=0.4mm", "undetermined"]
    assert [c.class_id for c in info.class_map] == [0, 1, 2, 3, 4]


def test_label_info_of_a_model_that_has_structure_scores_names_no_structure() -> None:
    names = [c.class_name for c in label_info(HEADER, SCALE, 0.5, has_structure_score=True).class_map]
    assert names[-2:] == ["undetermined", "no_structure"]


def test_detections_of_a_model_that_has_structure_scores_end_with_no_structure() -> None:
    told = crack_detection(0.25)
    told = replace(told, crack=replace(told.crack, no_structure_score=0.3))
    for array in (detections_2d(HEADER, [told], SCALE), detections_3d(HEADER, "map", [told], SCALE)):
        *cracks, last = array.detections[0].results
        assert (last.hypothesis.class_id, last.hypothesis.score) == ("no_structure", 0.3)
        assert sum(result.hypothesis.score for result in cracks) == pytest.approx(0.8)


def test_detections_3d_measured_region_has_the_size_of_its_lines() -> None:
    (detection,) = detections_3d(HEADER, "map", [measured(0.25)], SCALE).detections
    assert detection.bbox.size.x == pytest.approx(0.4)
    assert detection.bbox.size.y == pytest.approx(0.00025)


def test_detections_2d_pose_is_the_position_in_the_optical_frame() -> None:
    near, unscaled = detections_2d(HEADER, [crack_detection(0.25), crack_detection(None)], SCALE).detections
    assert [r.pose.pose.position.z for r in near.results] == [2.0] * len(near.results)
    assert [r.pose.pose.position.z for r in unscaled.results] == [0.0] * len(unscaled.results)


def test_markers_replace_those_of_the_previous_frame() -> None:
    array = markers(HEADER, "map", [crack_detection(0.25), crack_detection(1.0, located=False)], SCALE)
    assert [m.action for m in array.markers] == [Marker.DELETEALL, Marker.ADD, Marker.ADD]
    bar, text = array.markers[1:]
    assert bar.type == Marker.CUBE
    assert (bar.scale.x, bar.scale.y) == (0.25, pytest.approx(0.125))
    assert text.text == "0.2-0.3mm 0.80, 0.25 +- 0.01 mm"


def test_markers_measured_region_shows_lines_instead_of_the_bar() -> None:
    array = markers(HEADER, "map", [measured(0.25), crack_detection(0.25), measured(7.0)], SCALE)
    shapes = [m for m in array.markers if m.ns == "cracks"]
    assert [m.type for m in shapes] == [Marker.LINE_STRIP] * 2 + [Marker.CUBE] + [Marker.LINE_STRIP] * 2
    assert len({m.id for m in shapes}) == len(shapes)
    assert [(p.x, p.y, p.z) for p in shapes[0].points] == [(1.0, 2.0, 3.0), (1.3, 2.0, 3.0)]
    # Thin cracks are drawn with the least thickness, wide ones with their own.
    assert [m.scale.x for m in shapes if m.type == Marker.LINE_STRIP] == pytest.approx([0.003] * 2 + [0.007] * 2)
    assert shapes[0].pose.orientation.w == 1.0
    assert array.markers[3].text == "0.2-0.3mm 0.80, 0.25 +- 0.01 mm x 0.40 m"


def test_footprint_keeps_the_order_of_corners_in_the_map_frame() -> None:
    message = footprint(HEADER, "site", np.array([[0.5, 1, 2], [3, 4, 5], [6, 7, 8.25]]))
    assert (message.header.frame_id, message.header.stamp) == ("site", HEADER.stamp)
    assert [(p.x, p.y, p.z) for p in message.polygon.points] == [(0.5, 1, 2), (3, 4, 5), (6, 7, 8.25)]


def test_footprint_unknown_is_an_empty_polygon() -> None:
    assert footprint(HEADER, "map", np.empty((0, 3))).polygon.points == []
