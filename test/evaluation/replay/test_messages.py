# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Conversion of the nodes' messages to plain data."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from crack_survey import SIGMA_M, crack, detections_message, footprint_message, header, points_message
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesis, ObjectHypothesisWithPose

from crack_perception.evaluation.replay.messages import frame_detections, node_status, observed_lines, polygon_m

HEADER = header(1_700_000_000_250_000_000)


def test_observed_lines_have_the_covariance_of_their_detection() -> None:
    lines = [crack(), crack(1.0)]
    first, second = observed_lines(points_message(HEADER, lines), detections_message(HEADER, lines))
    np.testing.assert_allclose(first.line_m, lines[0], atol=1e-6)
    np.testing.assert_allclose(second.line_m, lines[1], atol=1e-6)
    assert first.stamp_ns == 1_700_000_000_250_000_000
    np.testing.assert_allclose(first.covariance_m2, np.eye(3) * SIGMA_M**2)


def test_observed_lines_without_extent_or_detection_are_skipped() -> None:
    point, gap = np.tile([3.0, 0.0, 1.0], (2, 1)), crack()
    gap[3] = np.nan
    points = points_message(HEADER, [point, gap, crack(1.0)])
    (kept,) = observed_lines(points, detections_message(HEADER, [point, gap]))
    assert len(kept.line_m) == len(gap) - 1
    assert observed_lines(points_message(HEADER, []), detections_message(HEADER, [])) == []


def test_observed_lines_missing_covariance_is_nan() -> None:
    detections = detections_message(HEADER, [crack()])
    detections.detections[0].results = []
    (line,) = observed_lines(points_message(HEADER, [crack()]), detections)
    assert np.isnan(line.covariance_m2).all()


def test_frame_detections_score_is_that_of_the_crack_classes() -> None:
    scores = {"<0.3mm": 0.5, "0.3-1mm": 0.25, "no_structure": 0.9}
    results = [
        ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=name, score=score))
        for name, score in scores.items()
    ]
    message = Detection2DArray(header=HEADER, detections=[Detection2D(header=HEADER, id="a", results=results)])
    (region,) = frame_detections(message, None).regions
    assert (region.score, region.severity) == (0.75, "<0.3mm")


def test_polygon_m_returns_corners() -> None:
    assert polygon_m(footprint_message(HEADER)).tolist()[0] == [3.0, -2.0, 0.0]


def test_node_status_selects_the_node() -> None:
    def status(node: str) -> DiagnosticStatus:
        return DiagnosticStatus(name=f"{node}: part", values=[KeyValue(key="frames_received", value=node)])

    message = DiagnosticArray(status=[status("/replay/crack_mapper"), status("/replay/crack_node")])
    assert node_status(message, "/replay/crack_node") == {"frames_received": "/replay/crack_node"}
    assert node_status(message, "/replay/crack") is None
