# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plan a flight: legs, walls and paths that match, so that the camera never sees past a wall's edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crack_perception.errors import UserError
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.flight.measurements import dropouts
from crack_perception.simulation.flight.place import FRONT, place_of
from crack_perception.simulation.flight.presets import DEFAULT_CRACKS, DEFAULT_SPEED_M_S, DEFAULT_STANDOFF_M
from crack_perception.simulation.flight.route import HoverPath, Leg, Route, SerpentinePath
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.trajectory import Trajectory
from crack_perception.simulation.wall import facet as walls
from crack_perception.simulation.wall.cracks import ImageScale, WallCrack, draw_cracks, plan_cracks
from crack_perception.simulation.wall.facet import Wall

FloatArray = NDArray[np.float64]

# Share of the drone's roll and pitch that a stabilised gimbal compensates.
_STABILISED_SHARE = 0.7
# Position of the gimbal with the camera, ahead of and above the drone's centre.
GIMBAL_LEVER_M = np.array([0.10, 0.0, 0.05])

_ROW_OVERLAP = 0.25
_LONGEST_ROW_M = 3.0
_WALL_MARGIN_M = 0.01
_COARSEST_WALL_MM_PER_PX = 1.0
_WALL_PX_PER_IMAGE_PX = 1.45
# A procedural wall of this size needs about 2 GB while it is generated; longer flights pass over it repeatedly.
_LARGEST_WALL_PX = 100e6
_TEXTURE_PX_PER_IMAGE_PX = 1.1
# Shortest and longest image outage.
_IMAGE_OUTAGE_S = (0.1, 1.0)
# Least clearance of the drone from the ground below a soffit.
_SOFFIT_CLEARANCE_M = 1.5


# Offset of later passes from the first one, as a share of the image's height on the wall and of the standoff.
_SHIFT_SHARE = 0.08
_STANDOFF_SHARE = 0.05
# Duration of a transit to the next leg: constant, and per metre of standoff.
_TRANSIT_S = 2.0
_TRANSIT_S_PER_M = 1.0


@dataclass(frozen=True, eq=False)
class Facet:
    """A wall with the cracks drawn on it."""

    wall: Wall
    cracks: tuple[WallCrack, ...]


@dataclass(frozen=True, eq=False)
class FlightPlan:
    """Walls, route and image times of a flight.

    Attributes:
        facets: The walls.
        complete: All cracks on the walls are known.
        route: The legs.
        trajectory: Exact poses.
        image_times_s: Middle of every exposure (N,) [s], without drop-outs.
        image_facets: Index (N,) of the facet that each image shows.
    """

    facets: tuple[Facet, ...]
    complete: bool
    route: Route
    trajectory: Trajectory
    image_times_s: FloatArray
    image_facets: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Overhang:
    """Extent of the images beyond the first pass's path: least and greatest (u, v), (2,) each [m]."""

    low_m: FloatArray
    high_m: FloatArray

    @property
    def size_m(self) -> FloatArray:
        return self.high_m - self.low_m


def plan_flight(settings: FlightSettings, make_wall: walls.WallMaker = walls.concrete_wall) -> FlightPlan:
    """Create the walls and plan paths over them.

    Args:
        settings: Settings of the flight.
        make_wall: Makes the walls where no texture is given.

    Raises:
        UserError: The texture or its labels are unusable, or an image is larger than the texture.
    """
    if settings.texture is None:
        standoff_m = settings.standoff_m or DEFAULT_STANDOFF_M
        legs = plan_legs(settings, standoff_m)
        flown = _made_facets(settings, legs, standoff_m, make_wall)
    else:
        assert settings.texture_mm_per_px is not None
        wall = walls.photograph_wall(settings.texture, settings.texture_mm_per_px, settings.texture_labels)
        standoff_m = settings.standoff_m or _standoff_for(settings, wall.mm_per_px)
        legs = plan_legs(settings, standoff_m)
        flown = [(wall, _path_over(settings, wall, legs, standoff_m))]
    facets = _cracked(settings, flown, standoff_m)
    route = Route([_leg(planned, *flown[planned.facet]) for planned in legs])
    times_s = np.concatenate([leg.image_times_s(settings.fps) for leg in legs])
    kept = ~dropouts(settings.random("image drop-outs"), times_s, settings.image_dropout, _IMAGE_OUTAGE_S)
    leg_facets = np.array([leg.facet for leg in legs])
    return FlightPlan(
        facets=facets,
        complete=settings.texture is None or flown[0][0].labels is not None,
        route=route,
        trajectory=_trajectory(settings, route, standoff_m),
        image_times_s=times_s[kept],
        image_facets=leg_facets[route.leg_of(times_s[kept])],
    )


def _cracked(
    settings: FlightSettings, flown: Sequence[tuple[Wall, SerpentinePath]], standoff_m: float
) -> tuple[Facet, ...]:
    """Draw cracks onto the walls; ids continue from one wall to the next."""
    count = settings.cracks if settings.cracks is not None else (DEFAULT_CRACKS if settings.texture is None else 0)
    gsd_m = standoff_m / settings.camera.focal_px
    scale = ImageScale(1000 * gsd_m, settings.width * gsd_m, settings.height * gsd_m)
    facets: list[Facet] = []
    for index, (wall, path) in enumerate(flown):
        aimed_at_m = path.at(np.linspace(0, settings.leg_duration_s, 500))
        planned = plan_cracks(settings.random(_numbered("cracks", index)), count, aimed_at_m, scale, wall.size_m)
        first_id = sum(len(facet.cracks) for facet in facets)
        cracks = tuple(replace(crack, id=first_id + crack.id) for crack in planned)
        draw_cracks(settings.random(_numbered("drawing", index)), wall.texture, wall.mm_per_px, cracks)
        facets.append(Facet(wall, cracks))
    return tuple(facets)


def _numbered(purpose: str, index: int) -> str:
    return f"{purpose} {index}" if index else purpose


def _leg(planned: PlannedLeg, wall: Wall, path: SerpentinePath) -> Leg:
    shifted = replace(path, left_m=path.left_m + planned.shift_m[0], top_m=path.top_m + planned.shift_m[1])
    return Leg(
        planned.facet, wall.place, wall.surface, shifted, planned.standoff_m, planned.start_s, planned.duration_s
    )


def _trajectory(settings: FlightSettings, route: Route, standoff_m: float) -> Trajectory:
    attitude_rad = float(np.deg2rad(settings.attitude_deg))
    return Trajectory(
        settings.random("motion"),
        route,
        standoff_m,
        attitude_rad,
        GIMBAL_LEVER_M,
        _STABILISED_SHARE if settings.gimbal else 0.0,
    )


def _standoff_for(settings: FlightSettings, mm_per_px: float) -> float:
    """Return the distance at which the image is slightly coarser than the texture."""
    return settings.camera.focal_px * mm_per_px * _TEXTURE_PX_PER_IMAGE_PX / 1000


def _overhang(settings: FlightSettings, legs: Sequence[PlannedLeg], facet: int, standoff_m: float) -> _Overhang:
    """Measure the overhang image by image on hovering flights with the sway and attitude of the real one."""
    place = place_of(facet, 0.0, FRONT.lower_left_m[2])
    surface = Wall(np.zeros((1, 1, 3), np.uint8), 1.0, None, None, place).surface
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for leg in legs:
        if leg.facet != facet:
            continue
        hover = Leg(
            facet, place, surface, HoverPath(*leg.shift_m.tolist()), leg.standoff_m, leg.start_s, leg.duration_s
        )
        trajectory = _trajectory(settings, Route([hover]), standoff_m)
        for pose in trajectory.camera_poses(leg.image_times_s(settings.fps)):
            view = SurfaceView(settings.camera, surface, pose)
            seen_m = view.seen_at(view.outline_px)
            low, high = np.minimum(low, seen_m.min(axis=0)), np.maximum(high, seen_m.max(axis=0))
    return _Overhang(low - _WALL_MARGIN_M, high + _WALL_MARGIN_M)


def _row_spacing_m(settings: FlightSettings, standoff_m: float) -> float:
    return settings.height * standoff_m / settings.camera.focal_px * (1 - _ROW_OVERLAP)


def _made_facets(
    settings: FlightSettings, legs: Sequence[PlannedLeg], standoff_m: float, make_wall: walls.WallMaker
) -> list[tuple[Wall, SerpentinePath]]:
    flown: list[tuple[Wall, SerpentinePath]] = []
    for facet in range(settings.facets):
        size_m, path = _concrete_path(settings, _overhang(settings, legs, facet, standoff_m), standoff_m)
        front_width_m = float(flown[0][0].size_m[0]) if flown else 0.0
        # Height of a soffit: the top of the walls, or as high as the drone requires.
        tops_m = [float(wall.surface.origin_m[2]) for wall, _ in flown]
        place = place_of(facet, front_width_m, max([standoff_m + _SOFFIT_CLEARANCE_M, *tops_m]))
        rng = settings.random(_numbered("wall", facet))
        flown.append((make_wall(rng, size_m, _wall_mm_per_px(settings, standoff_m), place), path))
    return flown


def _wall_mm_per_px(settings: FlightSettings, standoff_m: float) -> float:
    gsd_mm = 1000 * standoff_m / settings.camera.focal_px
    return min(_COARSEST_WALL_MM_PER_PX, gsd_mm / _WALL_PX_PER_IMAGE_PX)


def _concrete_path(
    settings: FlightSettings, overhang: _Overhang, standoff_m: float
) -> tuple[FloatArray, SerpentinePath]:
    """Return the size (2,) of the smallest wall for a leg's duration, and the rows over it."""
    speed_m_s = DEFAULT_SPEED_M_S if settings.speed_m_s is None else settings.speed_m_s
    mm_per_px = _wall_mm_per_px(settings, standoff_m)
    spacing_m = _row_spacing_m(settings, standoff_m)
    length_m = speed_m_s * settings.leg_duration_s
    turn_m = np.pi * spacing_m / 2
    rows = max(1, int(np.ceil((length_m + turn_m) / (_LONGEST_ROW_M + turn_m))))
    row_m = max(0.0, (length_m - (rows - 1) * turn_m) / rows)
    bulge_m = spacing_m / 2 if rows > 1 else 0.0
    width_m = overhang.size_m[0] + row_m + 2 * bulge_m
    largest_m2 = _LARGEST_WALL_PX * mm_per_px**2 * 1e-6
    rows = max(1, min(rows, 1 + int((largest_m2 / width_m - overhang.size_m[1]) / spacing_m)))
    size_m = np.array([width_m, overhang.size_m[1] + (rows - 1) * spacing_m])
    return size_m, SerpentinePath(-overhang.low_m[0] + bulge_m, -overhang.low_m[1], row_m, spacing_m, rows, speed_m_s)


def _path_over(settings: FlightSettings, wall: Wall, legs: Sequence[PlannedLeg], standoff_m: float) -> SerpentinePath:
    """Return rows that cover a given wall, once per leg unless a speed is set."""
    overhang = _overhang(settings, legs, 0, standoff_m)
    room_m = wall.size_m - overhang.size_m
    if (room_m < 0).any():
        picture, image = wall.size_m, overhang.size_m
        raise UserError(
            f"{wall.source}: the texture is {picture[0]:.2f} x {picture[1]:.2f} m, the camera's view with its motion "
            f"needs {image[0]:.2f} x {image[1]:.2f} m",
            f"Fly closer than --standoff {standoff_m:.2f}, or choose a smaller --hfov, --width or --height",
        )
    spacing_m = _row_spacing_m(settings, standoff_m)
    gaps = int(np.ceil(room_m[1] / spacing_m))
    # Turns extend sideways by half the spacing: without room for that, a single row in the middle is used.
    spacing_m = room_m[1] / gaps if gaps and room_m[1] / gaps <= room_m[0] else 0.0
    rows, bulge_m = (gaps + 1, spacing_m / 2) if spacing_m > 0 else (1, 0.0)
    top_m = -overhang.low_m[1] + (0.0 if rows > 1 else room_m[1] / 2)
    row_m = room_m[0] - 2 * bulge_m
    once = SerpentinePath(-overhang.low_m[0] + bulge_m, top_m, row_m, spacing_m, rows, 0.0)
    speed_m_s = settings.speed_m_s
    if speed_m_s is None:
        speed_m_s = min(DEFAULT_SPEED_M_S, once.length_m / settings.leg_duration_s)
    return replace(once, speed_m_s=speed_m_s)


@dataclass(frozen=True, eq=False)
class PlannedLeg:
    """One facet in one pass: time, offset (2,) from the path of the first pass, and standoff."""

    facet: int
    start_s: float
    duration_s: float
    shift_m: FloatArray
    standoff_m: float

    def image_times_s(self, fps: float) -> FloatArray:
        """Return the middle of every exposure in seconds of the flight."""
        return self.start_s + np.arange(max(1, round(self.duration_s * fps))) / fps


def plan_legs(settings: FlightSettings, standoff_m: float) -> tuple[PlannedLeg, ...]:
    """Return all legs in order: every pass covers all facets in turn.

    ``duration_s`` of the settings is divided among the legs; transits are added.
    """
    rng = settings.random("passes")
    duration_s = settings.leg_duration_s
    image_height_m = settings.height * standoff_m / settings.camera.focal_px
    transit_s = _TRANSIT_S + _TRANSIT_S_PER_M * standoff_m
    legs: list[PlannedLeg] = []
    for number in range(settings.passes):
        for facet in range(settings.facets):
            shift, nearer = rng.uniform(-1, 1, 2), rng.uniform(-1, 1)
            if number == 0:
                shift, nearer = np.zeros(2), 0.0
            legs.append(
                PlannedLeg(
                    facet,
                    len(legs) * (duration_s + transit_s),
                    duration_s,
                    _SHIFT_SHARE * image_height_m * shift,
                    standoff_m * (1 + _STANDOFF_SHARE * nearer),
                )
            )
    return tuple(legs)
