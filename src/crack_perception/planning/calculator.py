# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Distance, lanes, speed and time of a flight past a wall that has to resolve a crack width."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crack_perception.errors import UsageError
from crack_perception.mapping.coverage.resolution import RELIABLE_WIDTH_PX, gsd_for_width
from crack_perception.mapping.coverage.view import CameraGeometry

NEAR_STANDOFF_M = 0.5
"""Standoff below which hardly any drone is flown."""

# Fields of a wish, and how messages name them.
_POSITIVE = {
    "width_mm": "the crack width (--width)",
    "shutter_s": "the exposure time (--shutter)",
    "blur_px": "the motion in an exposure (--blur-px)",
    "interval_s": "the time between photographs (--interval)",
    "most_speed_m_s": "the highest speed (--max-speed)",
}
_SHARES = {"overlap": "the overlap (--overlap)", "side_overlap": "the overlap of lanes (--side-overlap)"}
# Above these, the estimate says that the flight is doubtful.
_SHARP_PX = 1.0
_FAST_M_S = 15.0
# Standoffs outside of this are no flight; the width, the camera or their units are wrong.
_STANDOFFS_M = (0.1, 1000.0)
_LONG_FLIGHT_S = 24 * 3600.0


@dataclass(frozen=True)
class FlightWish:
    """Aim of a flight and properties of its camera.

    Attributes:
        width_mm: Crack width to be resolved.
        area_m: Width and height of the wall.
        overlap: Overlap of an image with the next one in its lane, as a share.
        side_overlap: Overlap of neighbouring lanes, as a share.
        shutter_s: Exposure time.
        blur_px: Most motion during an exposure, in pixels.
        interval_s: Least time between two photographs.
        most_speed_m_s: Highest speed of the drone beside a structure.
        turn_s: Time for the change to the next lane, besides its distance.

    Raises:
        UsageError: A number is outside its range; it is named.
    """

    width_mm: float
    area_m: tuple[float, float] = (20.0, 10.0)
    overlap: float = 0.6
    side_overlap: float = 0.3
    shutter_s: float = 1 / 1000
    blur_px: float = 0.5
    interval_s: float = 0.5
    most_speed_m_s: float = 2.0
    turn_s: float = 4.0

    def __post_init__(self) -> None:
        for name, words in _POSITIVE.items():
            if not 0.0 < getattr(self, name) < math.inf:
                raise UsageError(f"{words} is {getattr(self, name):g}", "Give a positive number")
        for name, words in _SHARES.items():
            if not 0.0 <= getattr(self, name) <= 0.95:
                raise UsageError(f"{words} is {getattr(self, name):g}", "Give a share from 0 to 0.95")
        if not all(0.0 < side < math.inf for side in self.area_m) or not 0.0 <= self.turn_s < math.inf:
            raise UsageError(f"the wall of {self.area_m[0]:g} x {self.area_m[1]:g} m has no area", "Give metres")


@dataclass(frozen=True)
class FlightEstimate:
    """The flight that fulfils a wish.

    Attributes:
        gsd_mm_per_px: Coarsest ground sampling distance that resolves the width.
        standoff_m: Distance from the wall.
        footprint_m: Width and height of an image on the wall.
        lanes: Number of horizontal lanes.
        lane_spacing_m: Between them.
        photograph_spacing_m: Between two photographs of a lane.
        speed_m_s: Highest speed that blur, interval and drone allow.
        limit: What limits the speed: ``blur``, ``interval`` or ``drone``.
        blur_px: Motion during an exposure at that speed.
        photographs: Number of photographs.
        path_m: Length of the path.
        time_s: Duration of the flight past the wall.
    """

    gsd_mm_per_px: float
    standoff_m: float
    footprint_m: tuple[float, float]
    lanes: int
    lane_spacing_m: float
    photograph_spacing_m: float
    speed_m_s: float
    limit: str
    blur_px: float
    photographs: int
    path_m: float
    time_s: float


def estimate_flight(camera: CameraGeometry, wish: FlightWish) -> FlightEstimate:
    """Compute the flight along horizontal lanes, straight ahead at the wall.

    Raises:
        UsageError: The standoff is not one that a drone can fly at.
    """
    gsd = gsd_for_width(wish.width_mm)
    standoff_m = camera.distance_m(gsd)
    if not _STANDOFFS_M[0] <= standoff_m <= _STANDOFFS_M[1]:
        raise UsageError(
            f"a crack of {wish.width_mm:g} mm would have to be seen from {standoff_m:.3f} m with this camera",
            f"Choose a width or a lens for a standoff from {_STANDOFFS_M[0]:g} to {_STANDOFFS_M[1]:g} m",
        )
    width_m, height_m = camera.footprint_m(standoff_m)
    lanes, lane_spacing_m = _steps(wish.area_m[1], height_m, wish.side_overlap)
    per_lane, spacing_m = _steps(wish.area_m[0], width_m, wish.overlap)
    by_limit = {
        "blur": wish.blur_px * gsd / 1000.0 / wish.shutter_s,
        "interval": spacing_m / wish.interval_s if per_lane > 1 else math.inf,
        "drone": wish.most_speed_m_s,
    }
    limit = min(by_limit, key=by_limit.__getitem__)
    speed_m_s = by_limit[limit]
    along_m, across_m = (per_lane - 1) * spacing_m * lanes, (lanes - 1) * lane_spacing_m
    # A lane of a single photograph is a stop rather than a passage.
    time_s = (along_m + across_m) / speed_m_s + (lanes - 1) * wish.turn_s + lanes * wish.interval_s
    return FlightEstimate(
        gsd_mm_per_px=gsd,
        standoff_m=standoff_m,
        footprint_m=(width_m, height_m),
        lanes=lanes,
        lane_spacing_m=lane_spacing_m,
        photograph_spacing_m=spacing_m,
        speed_m_s=speed_m_s,
        limit=limit,
        blur_px=speed_m_s * wish.shutter_s * 1000.0 / gsd,
        photographs=lanes * per_lane,
        path_m=along_m + across_m,
        time_s=time_s,
    )


def _steps(length_m: float, image_m: float, overlap: float) -> tuple[int, float]:
    """Number of images that cover a length, and the equal distance between them, with at least this overlap."""
    rest_m = length_m - image_m
    if rest_m <= 0.0:
        return 1, 0.0
    count = 1 + math.ceil(rest_m / (image_m * (1.0 - overlap)) - 1e-9)
    return count, rest_m / (count - 1)


def doubts(wish: FlightWish, flight: FlightEstimate) -> list[str]:
    """Return warnings about a flight that can be computed but hardly flown."""
    warnings = []
    if flight.standoff_m < NEAR_STANDOFF_M:
        warnings.append(
            f"a standoff of {flight.standoff_m:.2f} m is nearer than drones are flown ({NEAR_STANDOFF_M:g} m): choose "
            f"a longer lens or a width above {wish.width_mm * NEAR_STANDOFF_M / flight.standoff_m:.2f} mm"
        )
    if flight.blur_px > _SHARP_PX:
        warnings.append(
            f"a motion of {flight.blur_px:.1f} px in an exposure hides cracks as narrow as that, and makes others "
            "wider: choose a shorter exposure or a lower speed"
        )
    if flight.speed_m_s > _FAST_M_S:
        warnings.append(
            f"{flight.speed_m_s:.0f} m/s is faster than drones are flown beside a structure: choose a lower --max-speed"
        )
    if flight.time_s > _LONG_FLIGHT_S:
        warnings.append(
            f"{flight.photographs} photographs in {flight.time_s / 3600:.0f} h are more than a day: divide the wall"
        )
    return warnings


def table(camera: CameraGeometry, wish: FlightWish, flight: FlightEstimate) -> list[tuple[str, str]]:
    """Names and values of a flight for readers."""
    limits = {
        "blur": f"motion blur of {wish.blur_px:g} px at {_exposure(wish.shutter_s)}",
        "interval": f"a photograph every {wish.interval_s:g} s",
        "drone": "the highest speed that is allowed",
    }
    minutes, seconds = divmod(round(flight.time_s), 60)
    return [
        ("Camera", f"{camera.width_px:.0f} x {camera.height_px:.0f} px, focal length {camera.focal_px:.0f} px"),
        ("Crack width", f"{wish.width_mm:g} mm ({RELIABLE_WIDTH_PX:g} px)"),
        ("Ground sampling distance", f"{flight.gsd_mm_per_px:.3f} mm/px"),
        ("Standoff", f"{flight.standoff_m:.2f} m"),
        ("Image on the wall", f"{flight.footprint_m[0]:.2f} x {flight.footprint_m[1]:.2f} m"),
        ("Lanes", f"{flight.lanes}, {flight.lane_spacing_m:.2f} m apart"),
        ("Photographs", f"{flight.photographs}, {flight.photograph_spacing_m:.2f} m apart"),
        ("Speed", f"{_speed(flight.speed_m_s)} m/s at most ({limits[flight.limit]})"),
        ("Motion blur", f"{flight.blur_px:.2f} px"),
        ("Wall", f"{wish.area_m[0]:g} x {wish.area_m[1]:g} m, {wish.area_m[0] * wish.area_m[1]:.0f} m2"),
        ("Path", f"{flight.path_m:.0f} m"),
        ("Time", f"{minutes} min {seconds:02d} s"),
    ]


def _exposure(shutter_s: float) -> str:
    """Return an exposure time as on a camera, ``1/500 s``; in decimals where that would not be true."""
    parts = round(1.0 / shutter_s)
    return f"1/{parts} s" if parts > 1 and abs(parts * shutter_s - 1.0) < 0.01 else f"{shutter_s:g} s"


def _speed(speed_m_s: float) -> str:
    """Return a speed with two decimals, or with the digits that a slow one has."""
    return f"{speed_m_s:.2f}" if speed_m_s > 0.0995 else f"{speed_m_s:.2g}"
