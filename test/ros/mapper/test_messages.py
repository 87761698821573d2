# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cracks of the map as messages: places, sizes, classes, points, markers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from hypothesis import given
from hypothesis import strategies as st
from map_cracks import random_crack, straight_crack
from visualization_msgs.msg import Marker

from crack_perception.geometry import rotations
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.common.crack_points import cloud_of, rows_of
from crack_perception.ros.mapper.messages import detection, inside, located, markers, point_rows

SCALE = SeverityScale((0.3, 1.0))
TURN_RAD = 0.02


def test_detection_straight_crack_has_middle_length_width_and_class() -> None:
    message = detection(straight_crack(12), "map", SCALE, TURN_RAD)
    assert message.id == "crack-12" and message.header.frame_id == "map"
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1_700_000_060, 1)
    position = message.bbox.center.position
    assert (position.x, position.y, position.z) == pytest.approx((1.0, 0.0, 1.0))
    assert (message.bbox.size.x, message.bbox.size.y, message.bbox.size.z) == pytest.approx((2.0, 0.0005, 0.0))
    assert message.results[0].hypothesis.class_id == "0.3-1mm"
    assert sum(result.hypothesis.score for result in message.results) == pytest.approx(0.97)
    covariance = np.array(message.results[0].pose.covariance).reshape(6, 6)
    np.testing.assert_allclose(covariance[:3, :3], np.diag([1e-4, 4e-4, 1e-4]))
    # Ends that are 2 cm uncertain turn a line of 2 m by a hundredth times the root of two.
    np.testing.assert_allclose(np.diag(covariance)[3:], 2 * 0.01**2 + TURN_RAD**2)


def test_detection_unknown_width_is_undetermined() -> None:
    crack = straight_crack(width_mm=np.full(3, np.nan), width_sigma_mm=np.full(3, np.nan))
    message = detection(crack, "map", SCALE, TURN_RAD)
    assert [(r.hypothesis.class_id, r.hypothesis.score) for r in message.results] == [("undetermined", 0.97)]
    assert np.isnan(message.bbox.size.y)


@given(seed=st.integers(0, 10_000))
def test_located_pose_is_a_right_handed_frame_on_the_surface(seed: int) -> None:
    crack = random_crack(np.random.default_rng(seed), 3)
    axes = rotations.to_matrix(located(crack, TURN_RAD).pose.quaternion)
    np.testing.assert_allclose(axes[:, 2], crack.normal, atol=1e-9)
    chord = crack.line_m[-1] - crack.line_m[0]
    assert axes[:, 0] @ chord >= -1e-9 * np.linalg.norm(chord)


def test_located_closed_line_has_a_pose() -> None:
    ring = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    crack = straight_crack(line_m=ring, width_mm=np.ones(4), width_sigma_mm=np.ones(4))
    assert np.isfinite(located(crack, TURN_RAD).pose.quaternion).all()


@pytest.mark.parametrize("stamp_ns", [-(2**62), 2**62])
def test_detection_stamp_out_of_range_is_clamped(stamp_ns: int) -> None:
    message = detection(straight_crack(last_seen_ns=stamp_ns), "map", SCALE, 0.01)
    assert message.header.stamp.sec == (-(2**31) if stamp_ns < 0 else 2**31 - 1)


def test_point_rows_survive_the_message_with_the_crack_id() -> None:
    crack = straight_crack(12)
    message = detection(crack, "map", SCALE, TURN_RAD)
    rows = rows_of(cloud_of(message.header, point_rows(crack)))
    np.testing.assert_allclose(np.stack([rows[axis] for axis in "xyz"], axis=1), crack.line_m)
    np.testing.assert_allclose(rows["width_mm"], crack.width_mm, rtol=1e-6)
    assert set(rows["detection"]) == set(rows["line"]) == {12}


@pytest.mark.parametrize(
    ("centre", "radius", "lengths", "expected_x"),
    [
        ((0.0, 0.0, 1.0), 1.0, (0.0, 0.0, 0.0), [0.0, 1.0]),
        ((0.0, 0.0, 1.0), 0.99, (9.0, 9.0, 9.0), [0.0]),
        ((2.0, 0.0, 1.0), 0.0, (2.0, 0.1, 0.1), [1.0, 2.0]),
        ((2.0, 0.0, 1.0), 0.0, (1.99, 0.1, 0.1), [2.0]),
        ((0.0, 0.0, 1.0), -1.0, (9.0, 9.0, 9.0), []),
        ((0.0, 0.0, float("nan")), 5.0, (0.0, 0.0, 0.0), []),
        ((0.0, 0.0, 0.0), float("inf"), (0.0, 0.0, 0.0), [0.0, 1.0, 2.0]),
    ],
)
def test_inside_region_is_a_ball_or_a_box(
    centre: tuple[float, ...], radius: float, lengths: tuple[float, ...], expected_x: list[float]
) -> None:
    assert inside(point_rows(straight_crack()), centre, radius, lengths)["x"].tolist() == expected_x


def test_markers_state_sets_alpha_and_width_sets_thickness() -> None:
    shown = {
        state: markers(straight_crack(5, state=state, width_mm=np.full(3, 30.0)), "map", SCALE) for state in CrackState
    }
    alphas = [shown[state][0].color.a for state in (CrackState.CONFIRMED, CrackState.NEW, CrackState.LOST)]
    assert alphas == sorted(alphas, reverse=True) and len(set(alphas)) == 3
    line, text = shown[CrackState.CONFIRMED]
    assert (line.type, line.id, len(line.points)) == (Marker.LINE_STRIP, 5, 3)
    assert line.scale.x == pytest.approx(0.03)
    assert text.text == "#5 2.00 m, 30.00 mm" and text.pose.position.y == pytest.approx(-0.05)
    thin, _ = markers(straight_crack(), "map", SCALE)
    assert thin.scale.x > 0.004
