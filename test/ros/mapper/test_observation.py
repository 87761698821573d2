# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Messages of a frame as a frame_observation: what is taken over exactly, what is replaced, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_survey import SIGMA_M, WALL_NORMAL, crack, detections_message, footprint_message, header, points_message
from geometry_msgs.msg import PolygonStamped
from hypothesis import example, given
from hypothesis import strategies as st
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import ObjectHypothesis, ObjectHypothesisWithPose

from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import LocatedRegion
from crack_perception.inspection.analysis import CrackDetection
from crack_perception.mapping.observation import FrameObservation
from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.severity import Severity, WidthEstimate
from crack_perception.ros.common.crack_points import CRACK_POINT, cloud_of
from crack_perception.ros.detector.messages import crack_points
from crack_perception.ros.mapper.observation import BadFrame, observation_of
from crack_perception.ros.mapper.pairing import FrameMessages
from crack_perception.vision.regions import OrientedBox, Region

STAMP_NS = 1_700_000_000_123_456_789
LINES = (crack(0.0), crack(1.0, 0.4, 0.7))
UNKNOWN_M = 0.1


def head() -> Header:
    return header(STAMP_NS)


def frame(**changes: object) -> FrameMessages:
    messages = {
        "detections": detections_message(head(), LINES),
        "footprint": footprint_message(head()),
        "points": points_message(head(), LINES),
    }
    return FrameMessages(**(messages | changes))


def frame_observation(messages: FrameMessages) -> tuple[FrameObservation, list[str]]:
    """The frame_observation and the kinds of problems on the way."""
    kinds: list[str] = []
    seen = observation_of(messages, "crack_node", "map", UNKNOWN_M, lambda kind, text: kinds.append(kind))
    return seen, kinds


def finding() -> CrackDetection:
    """A region in the map that was searched for lines in vain."""
    region = Region(OrientedBox(np.zeros(2), 2.0, 1.0, 0.0), np.array([0]), 0.7)
    crack_region = CrackRegion(region, WidthEstimate(0.0, 0.1), 0.5)
    place = LocatedRegion(Pose.of([1, 2, 3], [0, 0, 0, 1]), np.eye(6))
    return CrackDetection(crack_region, Severity("undetermined", ()), is_measured=True, location=place)


def test_observation_has_lines_widths_normals_and_covariances() -> None:
    seen, problems = frame_observation(frame())
    assert problems == [] and seen.stamp_ns == STAMP_NS and seen.source == "crack_node"
    assert seen.footprint_m.shape == (4, 3)
    assert len(seen.observations) == 2
    for observation, line in zip(seen.observations, LINES, strict=True):
        np.testing.assert_allclose(observation.line_m, line, atol=1e-6)
        np.testing.assert_allclose(observation.width_mm, 0.5)
        np.testing.assert_allclose(observation.width_sigma_mm, 0.05, rtol=1e-6)
        np.testing.assert_allclose(observation.normal, WALL_NORMAL, atol=1e-6)
        np.testing.assert_allclose(observation.covariance_m2, np.eye(3) * SIGMA_M**2)
        assert (observation.gsd_mm_per_px, observation.score) == pytest.approx((1.0, 0.9))


def test_observation_clean_frame_has_no_cracks() -> None:
    seen, problems = frame_observation(
        FrameMessages(detections_message(head(), ()), footprint_message(head()), points_message(head(), ()))
    )
    assert seen.observations == () and len(seen.footprint_m) == 4 and problems == []


def test_observation_only_a_marked_frame_is_incomplete() -> None:
    """A region that was searched in vain does not; one that there was no time for does."""
    seen, problems = frame_observation(frame(points=points_message(head(), LINES[:1])))
    assert seen.is_complete and len(seen.observations) == 1 and problems == []
    searched = finding()
    for missing in (replace(searched, is_measured=False), replace(searched, location=None)):
        seen, problems = frame_observation(frame(points=crack_points(head(), "map", [searched, missing])))
        assert not seen.is_complete and len(seen.footprint_m) == 4 and problems == []
    assert frame_observation(frame(points=crack_points(head(), "map", [searched, searched])))[0].is_complete


def test_observation_without_crack_points_takes_the_box() -> None:
    seen, problems = frame_observation(frame(points=None, footprint=None))
    assert problems == [] and len(seen.footprint_m) == 0
    first = seen.observations[0]
    np.testing.assert_allclose(first.line_m[1] - first.line_m[0], LINES[0][-1] - LINES[0][0], atol=0.01)
    np.testing.assert_allclose(first.line_m.mean(axis=0), LINES[0].mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(first.normal, WALL_NORMAL, atol=1e-12)
    np.testing.assert_allclose(first.width_mm, 0.5)
    assert (first.width_sigma_mm > 0.1).all() and first.score == pytest.approx(0.9)


@pytest.mark.parametrize("part", ["detections", "footprint", "points"])
def test_observation_other_frame_id_is_refused(part: str) -> None:
    messages = frame()
    getattr(messages, part).header.frame_id = "odom"
    with pytest.raises(BadFrame, match=r"'odom', map_frame is 'map'") as refused:
        frame_observation(messages)
    assert refused.value.kind == "wrong_frame"


def _unknown(covariance: np.ndarray) -> None:
    covariance[0, 0] = -1.0


def _not_finite(covariance: np.ndarray) -> None:
    covariance[1, 1] = np.nan


def _no_covariance(covariance: np.ndarray) -> None:
    covariance[0, 1] = covariance[1, 0] = 1.0


def _empty(covariance: np.ndarray) -> None:
    covariance[:] = 0.0


@pytest.mark.parametrize("spoil", [_unknown, _not_finite, _no_covariance, _empty])
def test_observation_invalid_covariance_is_replaced(spoil: Callable[[np.ndarray], None]) -> None:
    messages = frame()
    result = messages.detections.detections[1].results[0]
    covariance = np.array(result.pose.covariance).reshape(6, 6)
    spoil(covariance)
    result.pose.covariance = covariance.ravel().tolist()
    seen, problems = frame_observation(messages)
    assert problems == ["bad_covariance"]
    np.testing.assert_allclose(seen.observations[1].covariance_m2, np.eye(3) * UNKNOWN_M**2)
    np.testing.assert_allclose(seen.observations[0].covariance_m2, np.eye(3) * SIGMA_M**2)


def test_observation_without_results_has_the_default_covariance() -> None:
    messages = frame()
    messages.detections.detections[0].results = []
    seen, problems = frame_observation(messages)
    assert problems == ["bad_covariance"] and len(seen.observations) == 2


def test_observation_score_ignores_no_structure() -> None:
    messages = frame()
    expected = frame_observation(messages)[0].observations[0].score
    other = ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id="no_structure", score=0.999))
    for detection in messages.detections.detections:
        detection.results = [*detection.results, other]
    assert frame_observation(messages)[0].observations[0].score == expected < 0.999


def test_observation_non_finite_vertices_are_skipped() -> None:
    rows = np.frombuffer(points_message(head(), LINES).data, CRACK_POINT).copy()
    rows["z"][3] = np.nan
    rows["x"][rows["line"] == 1] = np.inf
    seen, problems = frame_observation(frame(points=cloud_of(head(), rows)))
    (observation,) = seen.observations
    assert len(observation.line_m) == len(LINES[0]) - 1 and problems == ["bad_line"]


def test_observation_line_of_a_missing_detection_is_refused() -> None:
    seen, problems = frame_observation(frame(detections=detections_message(head(), LINES[:1])))
    assert len(seen.observations) == 1 and problems == ["bad_line"]


def test_observation_unmeasured_width_is_unknown() -> None:
    rows = np.frombuffer(points_message(head(), LINES[:1]).data, CRACK_POINT).copy()
    rows["width_mm"][:5], rows["width_sigma_mm"][5], rows["normal_x"] = np.nan, -1.0, np.nan
    seen, problems = frame_observation(
        frame(detections=detections_message(head(), LINES[:1]), points=cloud_of(head(), rows))
    )
    (observation,) = seen.observations
    assert np.isnan(observation.width_mm).sum() == 6 and problems == []
    np.testing.assert_allclose(observation.normal, WALL_NORMAL, atol=1e-12)


@pytest.mark.parametrize("corners", [2, 4])
def test_observation_invalid_footprint_is_ignored(corners: int) -> None:
    message = footprint_message(head())
    message.polygon.points = message.polygon.points[:corners]
    message.polygon.points[0].y = float("inf") if corners == 4 else 0.0
    seen, problems = frame_observation(frame(footprint=message))
    assert len(seen.footprint_m) == 0 and problems == ["bad_footprint"] and len(seen.observations) == 2


def test_observation_empty_footprint_is_unknown() -> None:
    seen, problems = frame_observation(frame(footprint=PolygonStamped(header=head())))
    assert len(seen.footprint_m) == 0 and problems == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cloud: setattr(cloud, "fields", cloud.fields[1:]),
        lambda cloud: setattr(cloud.fields[0], "datatype", 8),
        lambda cloud: setattr(cloud.fields[2], "offset", 4000),
        lambda cloud: setattr(cloud, "data", cloud.data[:-7]),
        lambda cloud: setattr(cloud, "width", 4_000_000_000),
        lambda cloud: setattr(cloud, "point_step", 3),
        lambda cloud: setattr(cloud, "point_step", 0),
        lambda cloud: setattr(cloud, "row_step", 5),
    ],
)
def test_observation_malformed_cloud_is_refused(spoil: Callable[[PointCloud2], None]) -> None:
    messages = frame()
    spoil(messages.points)
    with pytest.raises(BadFrame) as refused:
        frame_observation(messages)
    assert refused.value.kind == "bad_points"


@given(
    size=st.floats(allow_nan=True, allow_infinity=True),
    turn=st.floats(allow_nan=True, allow_infinity=True),
    place=st.floats(allow_nan=True, allow_infinity=True),
)
@example(size=1.3e308, turn=0.0, place=1.3e308)
def test_observation_any_box_gives_a_finite_line_or_none(size: float, turn: float, place: float) -> None:
    detections = detections_message(head(), LINES[:1])
    box = detections.detections[0].bbox
    box.size.x, box.center.orientation.x, box.center.position.y = size, turn, place
    seen, problems = frame_observation(FrameMessages(detections=detections))
    assert len(seen.observations) + problems.count("bad_detection") + problems.count("far_from_origin") == 1
    for observation in seen.observations:
        assert np.isfinite(observation.line_m).all() and np.linalg.norm(observation.normal) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("northing_m", "is_mapped"), [(0.0, True), (15_900.0, True), (16_100.0, False), (5.4e6, False)]
)
@pytest.mark.parametrize("with_points", [True, False])
def test_observation_of_never_loses_precision_silently(northing_m: float, is_mapped: bool, with_points: bool) -> None:
    lines = tuple(line + [500.0, northing_m, 0.0] for line in LINES)
    corners = footprint_message(head())
    for corner in corners.polygon.points:
        corner.y += northing_m
    points = points_message(head(), lines) if with_points else None
    messages = FrameMessages(detections_message(head(), lines), corners, points)
    seen, kinds = frame_observation(messages)
    if is_mapped:
        assert kinds == [] and len(seen.observations) == len(lines)
        exact_m = np.concatenate([line[[0, -1]] for line in lines])
        ends_m = np.concatenate([observation.line_m[[0, -1]] for observation in seen.observations])
        if with_points:
            assert np.abs(ends_m - exact_m).max() < 6e-4
    else:
        assert set(kinds) == {"far_from_origin"} and len(kinds) == len(lines) + 1
        assert seen.observations == () and len(seen.footprint_m) == 0
