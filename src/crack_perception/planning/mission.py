# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Revisit poses as a mission of an autopilot: QGroundControl's plan file (JSON) and MAVLink's text format.

Formats: https://docs.qgroundcontrol.com/master/en/qgc-dev-guide/file_formats/plan.html and
https://mavlink.io/en/file_formats/#mission_plain_text_file. Commands: MAV_CMD of MAVLink's common dialect.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.revisit import RevisitPose
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage
from crack_perception.mapping.coverage.tour import tour_length_m
from crack_perception.mapping.export.geographic import GeographicOrigin

Array = npt.NDArray[np.float64]

_WAYPOINT, _RETURN, _TAKE_OFF, _DELAY = 16, 20, 22, 93
_CONDITION_YAW, _SPEED, _TRIGGER, _GIMBAL, _CAPTURE = 115, 178, 203, 205, 2000
_AIM_BY_ANGLE = 2.0
# Global position with altitudes above home, and above the sea (of home itself).
_RELATIVE, _ABSOLUTE, _NO_FRAME = 3, 0, 2
_GROUND_SPEED = 1.0
_MULTIROTOR = 2
_NO_YAW = float("nan")
# Lines of sight closer than this face one surface, in front of which the straight way is free.
_SAME_SURFACE = math.cos(math.radians(20))
_STEP_M = 0.1
_MOST_POINTS = 20_000


class Autopilot(Enum):
    """Autopilot whose commands a mission uses; the value is its MAV_AUTOPILOT number."""

    ARDUPILOT = 3
    PX4 = 12


@dataclass(frozen=True)
class MissionSettings:
    """Settings of a mission.

    Attributes:
        origin: Place and heading of the map on the earth.
        autopilot: Whose commands are used.
        home_height_m: Height of the take-off place in the map; altitudes are above it.
        speed_m_s: Between the poses.
        hold_s: Wait at each pose before its photograph.
        highest_pitch_deg, lowest_pitch_deg: Range of the gimbal; poses beyond it are left out.
    """

    origin: GeographicOrigin
    autopilot: Autopilot = Autopilot.PX4
    home_height_m: float = 0.0
    speed_m_s: float = 1.0
    hold_s: float = 3.0
    highest_pitch_deg: float = 30.0
    lowest_pitch_deg: float = -90.0


@dataclass(frozen=True)
class MissionItem:
    """One command of a mission.

    Attributes:
        command: MAV_CMD.
        frame: MAV_FRAME.
        params: The first four parameters.
        x, y, z: Latitude, longitude and altitude, or the last three parameters.
    """

    command: int
    frame: int = _NO_FRAME
    params: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


@dataclass(frozen=True, eq=False)
class Mission:
    """Commands for the poses.

    Attributes:
        items: In their order, without home.
        settings: How it is flown.
        poses: Those that are flown.
        beyond_gimbal: Those that are left out because the gimbal cannot aim there.
    """

    items: tuple[MissionItem, ...]
    settings: MissionSettings
    poses: tuple[RevisitPose, ...]
    beyond_gimbal: tuple[RevisitPose, ...] = ()

    @property
    def length_m(self) -> float:
        """Length of the path from the first pose to the last."""
        return tour_length_m(np.array([pose.position_m for pose in self.poses]))


def mission_of(poses: Sequence[RevisitPose], settings: MissionSettings) -> Mission:
    """Return the mission through poses in their order.

    Raises:
        UserError: A pose is not above the take-off place, or no pose can be flown.
    """
    aimed = [pose for pose in poses if settings.lowest_pitch_deg <= pitch_deg(pose) <= settings.highest_pitch_deg]
    beyond = [pose for pose in poses if pose not in aimed]
    if not aimed:
        why = "the gimbal cannot aim at any of them" if beyond else "nothing is open"
        raise UserError(f"there is no pose to fly: {why}", "Check --width, --standoff and the range of the gimbal")
    lowest_m = min(float(pose.position_m[2]) for pose in aimed) - settings.home_height_m
    if lowest_m <= 0.0:
        raise UserError(
            f"a pose is {-lowest_m:.2f} m below the take-off place",
            "Give the height of the take-off place in the map with --home-height",
        )
    return Mission(tuple(_items(aimed, settings)), settings, tuple(aimed), tuple(beyond))


def pitch_deg(pose: RevisitPose) -> float:
    """Elevation of the line of sight: 0 ahead, -90 straight down."""
    return math.degrees(math.asin(max(-1.0, min(1.0, float(pose.forward[2])))))


def yaw_deg(pose: RevisitPose, origin: GeographicOrigin) -> float:
    """Heading of the line of sight, clockwise from true north; of a vertical one that of the top of the image."""
    x, y = pose.forward[:2].tolist()
    if math.hypot(x, y) < 0.05:
        x, y = (pose.axes[1][:2] * -np.sign(pose.forward[2])).tolist()
    heading = math.radians(origin.x_heading_deg)
    east, north = x * math.sin(heading) - y * math.cos(heading), x * math.cos(heading) + y * math.sin(heading)
    # Rounded, so that north is 0 and never 360.
    return round(math.degrees(math.atan2(east, north)), 6) % 360.0


def _items(poses: Sequence[RevisitPose], settings: MissionSettings) -> Iterator[MissionItem]:
    places = settings.origin.positions(np.array([pose.position_m for pose in poses]))
    altitudes_m = [float(pose.position_m[2]) - settings.home_height_m for pose in poses]
    is_px4 = settings.autopilot is Autopilot.PX4
    home = settings.origin.latitude_deg, settings.origin.longitude_deg
    # Up to the height of the first pose before the way leads along the structure.
    yield MissionItem(_TAKE_OFF, _RELATIVE, (0.0, 0.0, 0.0, _NO_YAW if is_px4 else 0.0), *home, altitudes_m[0])
    yield MissionItem(_SPEED, params=(_GROUND_SPEED, settings.speed_m_s, -1.0, 0.0))
    for pose, place, altitude_m in zip(poses, places.tolist(), altitudes_m, strict=True):
        yaw, pitch = yaw_deg(pose, settings.origin), pitch_deg(pose)
        aim = MissionItem(_GIMBAL, params=(pitch, 0.0, 0.0, 0.0), z=_AIM_BY_ANGLE)
        if is_px4:
            yield aim
            yield MissionItem(_WAYPOINT, _RELATIVE, (settings.hold_s, 0.0, 0.0, yaw), place[1], place[0], altitude_m)
            # One photograph now, from all cameras.
            yield MissionItem(_CAPTURE, params=(0.0, 0.0, 1.0, 0.0))
        else:
            # ArduPilot ignores the yaw of a waypoint.
            yield MissionItem(_WAYPOINT, _RELATIVE, (0.0, 0.0, 0.0, 0.0), place[1], place[0], altitude_m)
            yield MissionItem(_CONDITION_YAW, params=(yaw, 0.0, 0.0, 0.0))
            yield aim
            yield MissionItem(_DELAY, params=(settings.hold_s, -1.0, -1.0, -1.0))
            yield MissionItem(_TRIGGER, x=1.0)
    yield MissionItem(_RETURN)


def qgroundcontrol_plan(mission: Mission) -> str:
    """Return the mission as the text of a ``.plan`` file."""
    settings = mission.settings
    origin = settings.origin
    document = {
        "fileType": "Plan",
        "version": 1,
        "groundStation": "QGroundControl",
        "geoFence": {"circles": [], "polygons": [], "version": 2},
        "rallyPoints": {"points": [], "version": 2},
        "mission": {
            "version": 2,
            "firmwareType": settings.autopilot.value,
            "vehicleType": _MULTIROTOR,
            "cruiseSpeed": settings.speed_m_s,
            "hoverSpeed": settings.speed_m_s,
            "globalPlanAltitudeMode": 1,
            "plannedHomePosition": [origin.latitude_deg, origin.longitude_deg, _home_altitude_m(settings)],
            "items": [_plan_item(number, item) for number, item in enumerate(mission.items, start=1)],
        },
    }
    return json.dumps(document, indent=4) + "\n"


def _plan_item(number: int, item: MissionItem) -> dict[str, Any]:
    # JSON has no NaN; QGroundControl writes null for a parameter without value.
    params = [None if math.isnan(value) else value for value in (*item.params, item.x, item.y, item.z)]
    plain: dict[str, Any] = {
        "type": "SimpleItem",
        "autoContinue": True,
        "command": item.command,
        "doJumpId": number,
        "frame": item.frame,
        "params": params,
    }
    if item.frame == _RELATIVE:
        plain |= {"Altitude": item.z, "AltitudeMode": 1, "AMSLAltAboveTerrain": None}
    return plain


def waypoint_file(mission: Mission) -> str:
    """Return the mission as MAVLink's text format, ``QGC WPL 110``; its first row is home."""
    settings = mission.settings
    origin = settings.origin
    home = MissionItem(
        _WAYPOINT, _ABSOLUTE, (0.0,) * 4, origin.latitude_deg, origin.longitude_deg, _home_altitude_m(settings)
    )
    lines = ["QGC WPL 110"]
    for number, item in enumerate((home, *mission.items)):
        values = [f"{value:.9f}" for value in (*item.params, item.x, item.y, item.z)]
        lines.append("\t".join([str(number), str(int(number == 0)), str(item.frame), str(item.command), *values, "1"]))
    return "\n".join(lines) + "\n"


def _home_altitude_m(settings: MissionSettings) -> float:
    return settings.origin.altitude_m + settings.home_height_m


def close_legs(poses: Sequence[RevisitPose], surfaces: Sequence[SurfaceCoverage], least_m: float) -> list[int]:
    """Numbers (from 1) of the poses after which the straight way to the next passes a seen surface too closely.

    Args:
        poses: In their order.
        surfaces: Coverage; nothing is known of what no image has shown.
        least_m: Distance below which a way is too close.
    """
    points_m = _seen_points(surfaces)
    close = []
    for number, (pose, following) in enumerate(pairwise(poses), start=1):
        if not len(points_m) or float(pose.forward @ following.forward) > _SAME_SURFACE:
            continue
        way_m = following.position_m - pose.position_m
        count = 2 + int(np.linalg.norm(way_m) / _STEP_M)
        places_m = pose.position_m + np.linspace(0, 1, count)[:, None] * way_m
        if any(((points_m - place_m) ** 2).sum(axis=1).min() < least_m**2 for place_m in places_m):
            close.append(number)
    return close


def _seen_points(surfaces: Sequence[SurfaceCoverage]) -> Array:
    """Centres (N, 3) of seen cells, thinned out."""
    parts = []
    for surface in surfaces:
        rows, columns = np.nonzero(~np.isnan(surface.gsd_mm_per_px))
        parts.append(surface.centres_m(rows, columns))
    points_m = np.concatenate([np.zeros((0, 3)), *parts])
    return points_m[:: max(1, len(points_m) // _MOST_POINTS)]
