# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the flight calculator and its cameras."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from crack_perception.errors import UsageError
from crack_perception.mapping.coverage.view import CameraGeometry
from crack_perception.planning.calculator import FlightWish, doubts, estimate_flight, table
from crack_perception.planning.cameras import CAMERAS, camera_of, camera_with_lens
from crack_perception.planning.picture import flight_svg

CAMERA = CameraGeometry(4000, 3000, 5000)
WISH = FlightWish(width_mm=0.3, area_m=(10.0, 5.0))


def test_flight_standoff_follows_from_the_width() -> None:
    flight = estimate_flight(CAMERA, WISH)
    # 0.3 mm are 1.5 px of 0.2 mm, which 5000 px of focal length see from a metre.
    assert flight.gsd_mm_per_px == pytest.approx(0.2) and flight.standoff_m == pytest.approx(1.0)
    assert flight.footprint_m == pytest.approx((0.8, 0.6))
    assert estimate_flight(CAMERA, replace(WISH, width_mm=0.15)).standoff_m == pytest.approx(0.5)


def test_flight_lanes_cover_the_wall_with_the_overlap() -> None:
    flight = estimate_flight(CAMERA, WISH)
    assert (flight.lanes - 1) * flight.lane_spacing_m + flight.footprint_m[1] == pytest.approx(5.0)
    assert flight.lane_spacing_m <= 0.7 * 0.6 + 1e-9 and flight.photograph_spacing_m <= 0.4 * 0.8 + 1e-9
    per_lane = flight.photographs / flight.lanes
    assert (per_lane - 1) * flight.photograph_spacing_m + flight.footprint_m[0] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("change", "limit", "speed_m_s"),
    [
        ({"shutter_s": 1 / 100}, "blur", 0.5 * 0.2e-3 * 100),
        ({"shutter_s": 1e-5, "interval_s": 4.0}, "interval", None),
        ({"shutter_s": 1e-5, "interval_s": 0.01}, "drone", 2.0),
    ],
)
def test_flight_speed_has_three_limits(change: dict[str, float], limit: str, speed_m_s: float | None) -> None:
    flight = estimate_flight(CAMERA, replace(WISH, **change))
    assert flight.limit == limit
    assert flight.speed_m_s == pytest.approx(speed_m_s or flight.photograph_spacing_m / 4.0)
    assert flight.time_s > flight.path_m / flight.speed_m_s
    assert flight.blur_px <= 0.5 + 1e-9


def test_flight_of_a_wall_in_one_image_is_one_photograph() -> None:
    flight = estimate_flight(CAMERA, replace(WISH, area_m=(0.5, 0.5)))
    assert (flight.photographs, flight.lanes, flight.path_m) == (1, 1, 0.0)


@pytest.mark.parametrize(
    "change",
    [{"width_mm": 0.0}, {"width_mm": float("nan")}, {"overlap": 1.0}, {"area_m": (0.0, 5.0)}, {"interval_s": -1.0}],
)
def test_wish_impossible_numbers_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(WISH, **change)


@pytest.mark.parametrize(("width_mm", "standoff_m"), [(0.002, "0.007"), (0.02, "0.067"), (600.0, "2000.000")])
def test_flight_absurd_standoff_is_refused_with_its_value(width_mm: float, standoff_m: str) -> None:
    with pytest.raises(UsageError, match=f"from {standoff_m} m"):
        estimate_flight(CAMERA, replace(WISH, width_mm=width_mm))


def test_flight_that_is_hardly_flown_is_doubted() -> None:
    assert doubts(WISH, estimate_flight(CAMERA, WISH)) == []
    near = replace(WISH, width_mm=0.12)
    (doubt,) = doubts(near, estimate_flight(CAMERA, near))
    assert "0.40 m" in doubt and "0.15 mm" in doubt
    large = replace(WISH, area_m=(5000.0, 200.0))
    (doubt,) = doubts(large, estimate_flight(CAMERA, large))
    assert "more than a day" in doubt


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shutter_s": 0.05, "blur_px": 3.0}, "3.0 px"),
        ({"shutter_s": 1e-7, "interval_s": 0.001, "most_speed_m_s": 90.0}, "90 m/s"),
    ],
)
def test_flight_that_measures_or_flies_badly_is_doubted(change: dict[str, float], words: str) -> None:
    wish = replace(WISH, area_m=(5.0, 2.0), **change)
    (doubt,) = doubts(wish, estimate_flight(CAMERA, wish))
    assert words in doubt


@pytest.mark.parametrize(
    ("shutter_s", "shown"), [(1 / 1000, "1/1000 s"), (0.5, "1/2 s"), (0.3, "0.3 s"), (2.0, "2 s"), (0.7, "0.7 s")]
)
def test_table_shows_the_exposure_as_it_is(shutter_s: float, shown: str) -> None:
    wish = replace(WISH, shutter_s=shutter_s)
    speed = dict(table(CAMERA, wish, estimate_flight(CAMERA, wish)))["Speed"]
    assert f"px at {shown})" in speed
    assert float(speed.split()[0]) == pytest.approx(0.5 * 0.2e-3 / shutter_s, rel=0.05)


def test_picture_of_a_flight_with_very_many_photographs_is_small() -> None:
    wish = replace(WISH, width_mm=0.1, area_m=(20_000.0, 20_000.0))
    flight = estimate_flight(CAMERA, wish)
    assert flight.photographs > 1e9
    text = flight_svg(wish, flight, table(CAMERA, wish, flight))
    assert len(text) < 100_000 and f"200 of {flight.lanes} lanes are drawn" in text
    root = ElementTree.fromstring(text)
    line = root.find("{http://www.w3.org/2000/svg}polyline")
    assert line is not None and len(line.get("points", "").split()) == 400


def test_camera_by_name_numbers_and_lens() -> None:
    for name in CAMERAS:
        assert camera_of(name).focal_px > 1000
    assert camera_of("1200, 1920,1080") == CameraGeometry(1920, 1080, 1200)
    # A pixel of 4.4 um behind 35 mm.
    assert camera_with_lens(35.9, 35.0, 8192, 5460).focal_px == pytest.approx(35.0 / 35.9 * 8192)
    for wrong in ("nikon", "1200,1920", "0,1920,1080", "nan,1,1"):
        with pytest.raises(UsageError, match="dji-mavic-3e"):
            camera_of(wrong)
    for numbers in ((0.0, 35.0, 8192, 5460), (35.9, 35.0, 8192, 0)):
        with pytest.raises(UsageError, match="no camera"):
            camera_with_lens(*numbers)


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("1200,1920,0.5", "1920 x 0.5 px"),
        ("35,8192,5460", "angle of view of 179 deg"),
        ("1e9,1920,1080", "angle of view"),
    ],
)
def test_camera_that_is_none_is_refused_with_its_numbers(camera: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        camera_of(camera)


def test_picture_shows_every_photograph_inside_the_wall() -> None:
    flight = estimate_flight(CAMERA, WISH)
    rows = [*table(CAMERA, WISH, flight), ("<&>", "<&>")]
    root = ElementTree.fromstring(flight_svg(WISH, flight, rows))
    name = "{http://www.w3.org/2000/svg}"
    circles = root.findall(f"{name}circle")
    assert len(circles) == flight.photographs
    wall = root.findall(f"{name}rect")[1]
    left, width = float(wall.get("x", "")), float(wall.get("width", ""))
    assert all(left < float(circle.get("cx", "")) < left + width for circle in circles)
    assert "<&>" in [text.text for text in root.findall(f"{name}text")]
