# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Distances to the surface: a rangefinder's readings over time and registered depth images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.geometry.surface.range import (
    ImplausibleRange,
    RangeBuffer,
    RangeUnavailable,
    beam_warning,
    check_plausible,
    check_registered,
    depth_in_metres,
    depth_points,
    forward_beam,
)

MS_NS = 1_000_000
START_NS = 1_700_000_000_000_000_000


def stamp(ms: float) -> int:
    return START_NS + round(ms * MS_NS)


def filled(readings: dict[float, float], max_age_s: float = 0.1) -> RangeBuffer:
    """A buffer of readings in metres by milliseconds."""
    buffer = RangeBuffer(max_age_s, relative_sigma=0.01, floor_sigma_m=0.02)
    for ms, range_m in readings.items():
        buffer.push(stamp(ms), range_m, 0.1, 40.0)
    return buffer


def test_at_between_close_readings_interpolates() -> None:
    reading = filled({0: 3.0, 50: 3.2, 100: 2.0}).at(stamp(25))
    assert reading.range_m == pytest.approx(3.1)
    assert reading.sigma_m == pytest.approx(np.hypot(0.02, 0.031))
    assert reading.source == "range"


@settings(deadline=None)
@given(st.floats(0, 300))
def test_at_stays_between_neighbours(ms: float) -> None:
    readings = {0.0: 3.0, 80.0: 5.0, 160.0: 4.0, 300.0: 9.0}
    reading = filled(readings, max_age_s=0.07).at(stamp(ms))
    at = np.array(list(readings))
    after = min(int(np.searchsorted(at, ms)), len(at) - 1)
    neighbours = [readings[at[max(0, after - 1)]], readings[at[after]]]
    assert min(neighbours) - 1e-9 <= reading.range_m <= max(neighbours) + 1e-9


def test_at_single_reading_is_valid_while_recent() -> None:
    buffer = filled({0: 3.0})
    assert buffer.at(stamp(100)).range_m == 3.0
    assert buffer.at(stamp(-100)).range_m == 3.0
    with pytest.raises(RangeUnavailable, match="101 ms from the image, more than 100 ms"):
        buffer.at(stamp(101))
    with pytest.raises(RangeUnavailable, match="101 ms from the image"):
        buffer.at(stamp(-101))


def test_at_distant_neighbour_is_not_used() -> None:
    assert filled({0: 3.0, 1000: 9.0}).at(stamp(90)).range_m == 3.0
    with pytest.raises(RangeUnavailable, match="450 ms"):
        filled({0: 3.0, 1000: 9.0}).at(stamp(450))


def test_at_nothing_received_gives_reason() -> None:
    with pytest.raises(RangeUnavailable, match="no range has been received"):
        filled({}).at(START_NS)


def test_push_late_readings_are_accepted() -> None:
    assert filled({100: 4.0, 0: 2.0, 50: 3.0, 120: 4.0}).at(stamp(75)).range_m == pytest.approx(3.5)


def test_push_clock_set_back_by_300_ms_drops_earlier_readings() -> None:
    buffer = filled(dict.fromkeys(range(0, 1000, 100), 2.0))
    for milliseconds in (600, 700, 800):
        buffer.push(stamp(milliseconds), 5.0, 0.1, 40.0)
    assert buffer.at(stamp(750)).range_m == buffer.at(stamp(500)).range_m == pytest.approx(5.0)


def test_set_back_drops_readings_from_before() -> None:
    buffer = filled(dict.fromkeys(range(0, 1000, 100), 2.0))
    buffer.push(stamp(600), 5.0, 0.1, 40.0)
    buffer.set_back(stamp(600))
    assert buffer.at(stamp(620)).range_m == pytest.approx(5.0)
    buffer.set_back(stamp(600))
    assert buffer.has_any


def test_push_same_stamp_replaces_reading() -> None:
    buffer = filled({0: 3.0, 50: 3.0})
    buffer.push(stamp(50), 3.0, 0.1, 40.0)
    assert buffer.at(stamp(50)).range_m == 3.0
    assert buffer.at(stamp(60)).range_m == 3.0


def test_push_restarted_bag_is_followed() -> None:
    buffer = filled({0: 3.0, 20_000: 5.0})
    buffer.push(stamp(10), 7.0, 0.1, 40.0)
    assert buffer.at(stamp(10)).range_m == 7.0
    with pytest.raises(RangeUnavailable):
        buffer.at(stamp(20_000))


def test_at_readings_from_before_clock_set_back_are_not_used() -> None:
    buffer = filled({float(ms): 3.0 for ms in range(0, 3000, 50)})
    buffer.push(stamp(510), 7.0, 0.1, 40.0)
    assert buffer.at(stamp(520)).range_m == 7.0


def test_push_old_readings_are_dropped() -> None:
    buffer = filled({float(ms): 3.0 for ms in range(0, 6000, 500)})
    assert buffer.at(stamp(1000)).range_m == 3.0
    with pytest.raises(RangeUnavailable):
        buffer.at(stamp(0))


@pytest.mark.parametrize("range_m", [np.nan, np.inf, -np.inf, 0.0, -2.0, 0.05, 40.1])
def test_push_reading_outside_limits_is_refused(range_m: float) -> None:
    buffer = filled({})
    with pytest.raises(ValueError, match=r"outside the sensor's limits 0\.1\.\.40\.0 m"):
        buffer.push(START_NS, range_m, 0.1, 40.0)
    with pytest.raises(RangeUnavailable):
        buffer.at(START_NS)


@pytest.mark.parametrize("range_m", [0.1, 40.0, float(np.float32(40.0)), 39.999])
def test_push_range_at_a_limit_is_refused(range_m: float) -> None:
    buffer = filled({})
    with pytest.raises(ValueError, match="one of the sensor's limits"):
        buffer.push(START_NS, range_m, 0.1, 40.0)
    assert not buffer.has_any


@pytest.mark.parametrize(("low", "high"), [(np.nan, np.nan), (0.0, 0.0), (np.nan, 40.0), (5.0, 1.0), (np.inf, np.inf)])
def test_push_invalid_limits_count_as_unknown(low: float, high: float) -> None:
    buffer = filled({})
    buffer.push(START_NS, 3.0, low, high)
    assert buffer.at(START_NS).range_m == 3.0


@pytest.mark.parametrize(
    ("range_m", "question"), [(1000.0, "in millimetres"), (120.0, "in centimetres"), (0.001, "in kilometres")]
)
def test_check_plausible_too_far_or_near_raises(range_m: float, question: str) -> None:
    with pytest.raises(ImplausibleRange, match=question):
        check_plausible(range_m, 100.0)


@pytest.mark.parametrize("range_m", [0.03, 1.0, 100.0, np.nan, np.inf, 0.0, -1.0])
def test_check_plausible_normal_or_nan_range_passes(range_m: float) -> None:
    check_plausible(range_m, 100.0)


def test_push_variance_of_the_driver_takes_precedence() -> None:
    buffer = filled({})
    buffer.push(START_NS, 3.0, 0.1, 40.0, variance_m2=0.25)
    assert buffer.at(START_NS).sigma_m == pytest.approx(0.5)
    buffer.push(stamp(10), 3.0, 0.1, 40.0)
    assert buffer.at(stamp(10)).sigma_m < 0.1


@pytest.mark.parametrize("variance_m2", [-1.0, np.nan, np.inf, 9.0])
def test_push_impossible_variance_is_refused(variance_m2: float) -> None:
    with pytest.raises(ValueError, match=r"variance|standard deviation"):
        filled({}).push(START_NS, 3.0, 0.1, 40.0, variance_m2=variance_m2)


@pytest.mark.parametrize(
    ("field_of_view_rad", "is_doubted"), [(0.0, False), (np.nan, False), (0.5, False), (1.2, True)]
)
def test_beam_warning_only_for_wide_beams(field_of_view_rad: float, is_doubted: bool) -> None:
    assert bool(beam_warning(field_of_view_rad)) is is_doubted


@pytest.mark.parametrize(
    ("stored", "encoding"),
    [(np.uint16(65535), "16UC1"), (np.uint16(0), "16UC1"), (np.float32(np.inf), "32FC1"), (np.float32(-1), "32FC1")],
)
def test_depth_in_metres_saturated_and_empty_values_are_holes(stored: np.generic, encoding: str) -> None:
    depth = np.full((4, 4), stored)
    depth[0, 0] = 2000 if encoding == "16UC1" else 2
    metres = depth_in_metres(depth, encoding, farthest_m=100.0)
    assert metres[0, 0] == pytest.approx(2.0)
    assert np.isnan(metres).sum() == 15


def wall_with_echoless_strip(limit_m: float) -> np.ndarray:
    """Depth of a tilted wall in metres (60, 80) whose right quarter has the limit of the sensor."""
    depth_m = np.tile(np.linspace(2.0, 2.4, 80, dtype=np.float32), (60, 1))
    depth_m += np.random.default_rng(1).normal(0.0, 0.002, depth_m.shape).astype(np.float32)
    depth_m[:, 60:] = limit_m
    return depth_m


@pytest.mark.parametrize("limit_m", [65.535, 65.5, 20.0, 10.0, 6.5535, 4.0])
@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_depth_in_metres_limit_of_the_sensor_is_a_hole(encoding: str, limit_m: float) -> None:
    depth_m = wall_with_echoless_strip(limit_m)
    stored = depth_m if encoding == "32FC1" else np.round(1000 * depth_m).astype(np.uint16)
    metres = depth_in_metres(stored, encoding, farthest_m=100.0)
    assert np.isnan(metres[:, 60:]).all()
    assert metres[:, :60] == pytest.approx(depth_m[:, :60], abs=1e-3)


def test_depth_in_metres_single_saturated_pixels_of_converted_millimetres_are_holes() -> None:
    millimetres = np.array([[2000, 65535, 65534, 0]], np.uint16)
    for metres in (millimetres.astype(np.float32) / 1000, (millimetres * 0.001).astype(np.float32)):
        assert np.isnan(depth_in_metres(metres, "32FC1")).tolist() == [[False, True, False, True]]
    as_float = millimetres.astype(np.float32)
    assert np.isnan(depth_in_metres(as_float, "32FC1", unit_m=0.001)).tolist() == [[False, True, False, True]]


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_depth_in_metres_mostly_saturated_is_no_wrong_unit(encoding: str) -> None:
    stored = np.full((40, 40), 65535, np.uint16) if encoding == "16UC1" else np.full((40, 40), 65.535, np.float32)
    stored[0] = 2000 if encoding == "16UC1" else 2.0
    assert np.count_nonzero(np.isfinite(depth_in_metres(stored, encoding, farthest_m=30.0))) == 40


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_depth_in_metres_real_surfaces_of_one_depth_stay(encoding: str) -> None:
    unit = 1 if encoding == "32FC1" else 1000
    flat = np.full((60, 80), 3.0, np.float32)
    step = flat.copy()
    step[:, 40:] = 4.0
    far_point = np.full((60, 80), 3.0, np.float32)
    far_point[5, :3] = 9.0
    for depth_m in (flat, step, far_point):
        stored = (unit * depth_m).astype(np.float32 if unit == 1 else np.uint16)
        assert depth_in_metres(stored, encoding, farthest_m=100.0) == pytest.approx(depth_m)
    empty = np.full((60, 80), np.nan, np.float32)
    assert np.isnan(depth_in_metres(empty, "32FC1")).all()


def test_depth_in_metres_unit_overrides_encoding() -> None:
    stored = np.full((2, 2), 1000, np.float32)
    assert depth_in_metres(stored, "32FC1", unit_m=0.001)[0, 0] == pytest.approx(1.0)
    with pytest.raises(ImplausibleRange, match=r"in millimetres.*depth_unit_m"):
        depth_in_metres(stored, "32FC1", farthest_m=100.0)
    with pytest.raises(ImplausibleRange, match=r"in metres.*depth_unit_m"):
        depth_in_metres(np.full((2, 2), 2, np.uint16), "16UC1")


def test_depth_in_metres_a_few_far_values_are_holes() -> None:
    stored = np.full((4, 4), 2.0, np.float32)
    stored[0] = 500.0
    metres = depth_in_metres(stored, "32FC1", farthest_m=100.0)
    assert np.isnan(metres[0]).all() and (metres[1:] == 2.0).all()


def test_push_zero_limits_count_as_unknown() -> None:
    buffer = filled({})
    buffer.push(START_NS, 25.0, 0.0, 0.0)
    assert buffer.at(START_NS).range_m == 25.0
    with pytest.raises(ValueError, match="limits"):
        buffer.push(START_NS, 0.0, 0.0, 0.0)


def test_depth_in_metres_millimetres_and_metres_agree() -> None:
    millimetres = np.array([[0, 1234, 65534]], np.uint16)
    metres = np.array([[0.0, 1.234, 65.534]], np.float32)
    for encoding, stored in (("16UC1", millimetres), ("mono16", millimetres), ("32FC1", metres)):
        depth_m = depth_in_metres(stored, encoding)
        assert depth_m.dtype == np.float32
        assert depth_m[0, 1:] == pytest.approx([1.234, 65.534])
        assert np.isnan(depth_m[0, 0])


def test_depth_in_metres_holes_are_nan() -> None:
    stored = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0, 2.0]], np.float32)
    stored.flags.writeable = False
    assert np.isnan(depth_in_metres(stored, "32FC1")).tolist() == [[True] * 5 + [False]]


def test_depth_in_metres_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'64FC1' is not supported.*16UC1.*32FC1"):
        depth_in_metres(np.ones((2, 2)), "64FC1")


def test_depth_points_are_inside_polygon() -> None:
    columns = np.tile(np.arange(40, dtype=np.float32), (30, 1)) + 1
    square = np.array([[10.0, 5.0], [19.0, 5.0], [19.0, 14.0], [10.0, 14.0]])
    pixels, depths_m = depth_points(columns, square, (40, 30))
    assert len(pixels) == 100
    assert (pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()) == ([10, 5], [19, 14])
    assert depths_m == pytest.approx(pixels[:, 0] + 1)


def test_depth_points_smaller_depth_image_gives_colour_pixels() -> None:
    # One depth pixel covers 4 x 4 colour pixels; its centre lies in the middle of them.
    depth_m = np.full((30, 40), np.nan, np.float32)
    depth_m[10, 20] = 2.5
    whole = np.array([[0.0, 0.0], [159.0, 0.0], [159.0, 119.0], [0.0, 119.0]])
    pixels, depths_m = depth_points(depth_m, whole, (160, 120))
    assert pixels == pytest.approx(np.array([[81.5, 41.5]]))
    assert depths_m == pytest.approx([2.5])


def test_depth_points_holes_or_outside_image_are_skipped() -> None:
    depth_m = np.full((30, 40), 2.0, np.float32)
    depth_m[:, 20:] = np.nan
    beyond = np.array([[15.0, -50.0], [60.0, -50.0], [60.0, 50.0], [15.0, 50.0]])
    pixels, _ = depth_points(depth_m, beyond, (40, 30))
    assert len(pixels) == 5 * 30
    outside = beyond + [200.0, 0.0]
    assert depth_points(depth_m, outside, (40, 30))[0].shape == (0, 2)


@pytest.mark.parametrize("shape", [(1500, 100), (100, 1500), (480, 640), (2000, 1000)])
def test_depth_points_large_patch_is_thinned_in_both_directions(shape: tuple[int, int]) -> None:
    height, width = shape
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], float)
    pixels, depths_m = depth_points(np.ones(shape, np.float32), corners, (width, height))
    assert 250 < len(pixels) < 1250
    assert len(depths_m) == len(pixels)
    assert np.all(np.ptp(pixels, axis=0) > 0.9 * np.array([width, height]) - 1)


@pytest.mark.parametrize("size_px", [(1920, 1080), (640, 360), (854, 480), (427, 240), (3840, 2160)])
def test_check_registered_other_scale_is_accepted(size_px: tuple[int, int]) -> None:
    check_registered(size_px, (1920, 1080))


@pytest.mark.parametrize("size_px", [(640, 480), (848, 480), (1080, 1920), (512, 512)])
def test_check_registered_other_aspect_ratio_is_refused(size_px: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"its {size_px[0]}x{size_px[1]} px have another aspect ratio.*1920x1080 px"):
        check_registered(size_px, (1920, 1080))


@pytest.mark.parametrize(
    ("angle_min_deg", "step_deg", "count", "expected"),
    [
        (-90.0, 1.0, 181, 90),
        (90.0, -1.0, 181, 90),
        (-180.0, 0.5, 721, 360),
        (180.0, -0.5, 721, 360),
        (0.0, 1.0, 360, 0),
        (90.0, 1.0, 360, 270),  # from 90 to 449 degrees: straight ahead is 360
        (-30.4, 1.0, 61, 30),
        (0.0, 0.0, 1, 0),
        (2.0, 0.0, 1, 0),
        (-2.0, 4.0, 2, 0),
    ],
)
def test_forward_beam_is_the_nearest_to_the_axis(
    angle_min_deg: float, step_deg: float, count: int, expected: int
) -> None:
    angles = np.deg2rad([angle_min_deg, step_deg])
    assert forward_beam(*angles, count) == expected


@pytest.mark.parametrize(
    ("angle_min", "step", "count", "expected"),
    [
        (1.0, 0.01, 151, "they cover 57 to 143 degrees, the nearest is 57 degrees off"),
        (-1.0, -0.01, 151, "they cover -57 to -143 degrees"),
        (-0.5, 1.0, 2, "29 degrees off"),
        (3.14, 0.0, 1, "180 degrees off"),
        (-1.0, 0.0, 200, "step of the scan's angles is 0 rad"),
        (-1.0, 4.0, 200, "step of the scan's angles is 4 rad"),
        (float("nan"), 0.01, 200, "angles of the scan are invalid"),
        (-1.0, float("inf"), 200, "angles of the scan are invalid"),
        (0.0, 0.01, 0, "no beams"),
    ],
)
def test_forward_beam_outside_the_scan_is_refused(angle_min: float, step: float, count: int, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        forward_beam(angle_min, step, count)
