# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Revisit poses as a mission of an autopilot: QGroundControl's plan file (JSON) and MAVLink's text format.

Formats: https://docs.qgroundcontrol.com/master/en/qgc-dev-guide/file_formats/plan.html and
https://mavlink.io/en/file_formats/#mission_plain_text_file. Commands: MAV_CMD of MAVLink's common dialect.

QGroundControl takes commands of the gimbal and the camera that follow a waypoint as properties of it, and writes them
back in the order gimbal, camera. A delay ends what it takes: without one between a photograph and the next aim, the
photograph would be taken with that aim.
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
from crack_perception.planning.legs import Leg, highest_beside_m, is_covered

Array = npt.NDArray[np.float64]

_WAYPOINT, _RETURN, _LAND, _TAKE_OFF, _DELAY = 16, 20, 21, 22, 93
_CONDITION_YAW, _SPEED, _TRIGGER, _GIMBAL, _CAPTURE = 115, 178, 203, 205, 2000
_AIM_BY_ANGLE = 2.0
# Global position with altitudes above home, and above the sea (of home itself).
_RELATIVE, _ABSOLUTE, _NO_FRAME = 3, 0, 2
_GROUND_SPEED = 1.0
_MULTIROTOR = 2
_NO_YAW = float("nan")
# Hour, minute and second of a delay that counts from its start.
_NO_TIME = (-1.0, -1.0, -1.0)
# A camera that looks up more steeply is under a surface, whether or not the map holds what is above the drone.
_UPWARDS_DEG = 15.0
# Between a photograph and the next movement of vehicle and gimbal.
_AFTER_PHOTOGRAPH_S = 1.0
# PX4 flies through a waypoint without a hold; it is reached within this radius (its default is metres).
_LEAST_HOLD_S, _REACHED_M = 0.1, 0.5
# ArduPilot breaks a turn off when the delay after it ends.
_TURN_DEG_S, _MOST_TURN_DEG = 30.0, 180.0
# Tenths of a millimetre on the earth, and of height.
_DEGREE_DIGITS, _METRE_DIGITS = 9, 4


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
        home_m: Take-off place in the map, x and y.
        home_height_m: Height of the take-off place in the map; altitudes are above it.
        clearance_m: Least distance of a way from seen surfaces.
        speed_m_s: Between the poses.
        hold_s: Wait at each pose before its photograph.
        highest_pitch_deg, lowest_pitch_deg: Range of the gimbal; poses beyond it are left out.
    """

    origin: GeographicOrigin
    autopilot: Autopilot = Autopilot.PX4
    home_m: tuple[float, float] = (0.0, 0.0)
    home_height_m: float = 0.0
    clearance_m: float = 0.5
    speed_m_s: float = 1.0
    hold_s: float = 3.0
    highest_pitch_deg: float = 30.0
    lowest_pitch_deg: float = -90.0

    def above_home_m(self, height_m: float) -> Array:
        """Return the place (3,) in the map above the take-off place, at a height in the map."""
        return np.array([*self.home_m, height_m])


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
        way_out: Poses that are flown past once more after the last one, without photographs, because that one lies
            under a surface: back the way the drone came, as far as the first pose in the open.
        lands: No pose is in the open: the mission flies on to above the take-off place and lands there. Otherwise it
            ends with a return.
    """

    items: tuple[MissionItem, ...]
    settings: MissionSettings
    poses: tuple[RevisitPose, ...]
    beyond_gimbal: tuple[RevisitPose, ...] = ()
    way_out: tuple[RevisitPose, ...] = ()
    lands: bool = False

    @property
    def length_m(self) -> float:
        """Length of the path from the first pose to the last."""
        return tour_length_m(np.array([pose.position_m for pose in self.poses]))

    @property
    def last_pose(self) -> RevisitPose:
        """The pose from which the mission returns or flies to above the take-off place."""
        return (*self.poses, *self.way_out)[-1]

    def legs(self) -> list[Leg]:
        """Return the straight ways, from the take-off on, that are flown for the first time; all others repeat them."""
        settings = self.settings
        up_m = settings.above_home_m(float(self.poses[0].position_m[2]))
        # The ground around the take-off place may have been inspected as well.
        ground_m = settings.above_home_m(min(settings.home_height_m + 2.0 * settings.clearance_m, float(up_m[2])))
        places_m = [ground_m, up_m, *(pose.position_m for pose in self.poses)]
        names = ["the climb from the take-off place", "from above the take-off place to pose 1"]
        names += [f"from pose {number} to pose {number + 1}" for number in range(1, len(self.poses))]
        return [Leg(name, *ends) for name, ends in zip(names, pairwise(places_m), strict=True)]

    def return_altitude_m(self, surfaces: Sequence[SurfaceCoverage]) -> float | None:
        """Return the height above the take-off place that seen surfaces on the way of a return reach.

        None where there are none, or where the mission lands.
        """
        if self.lands:
            return None
        settings, start_m = self.settings, self.last_pose.position_m
        home_m = settings.above_home_m(settings.home_height_m)
        highest_m = highest_beside_m(start_m, home_m, surfaces, settings.clearance_m)
        return highest_m - settings.home_height_m if math.isfinite(highest_m) else None


def mission_of(
    poses: Sequence[RevisitPose], settings: MissionSettings, surfaces: Sequence[SurfaceCoverage] = ()
) -> Mission:
    """Return the mission through poses in their order.

    Args:
        poses: Camera poses.
        settings: How it is flown.
        surfaces: Coverage, which decides where the drone can climb; nothing is known of what no image has shown.

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
    way_out, lands = _way_out(aimed, surfaces, settings.clearance_m)
    items = _items(aimed, way_out, lands, settings)
    return Mission(tuple(items), settings, tuple(aimed), tuple(beyond), tuple(way_out), lands)


def _way_out(
    poses: Sequence[RevisitPose], surfaces: Sequence[SurfaceCoverage], clearance_m: float
) -> tuple[list[RevisitPose], bool]:
    """Return the poses back to the first one in the open, none if the last one is, and whether none is.

    A return begins with a climb, of PX4 to 60 m by default, which must not begin under a deck.
    """
    back = list(reversed(poses))
    for number, pose in enumerate(back):
        if pitch_deg(pose) <= _UPWARDS_DEG and not is_covered(pose.position_m, surfaces, clearance_m):
            return back[1 : number + 1], False
    return back[1:], True


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


def _items(
    poses: Sequence[RevisitPose], way_out: Sequence[RevisitPose], lands: bool, settings: MissionSettings
) -> Iterator[MissionItem]:
    places = settings.origin.positions(np.array([pose.position_m for pose in poses]))
    altitudes_m = [float(pose.position_m[2]) - settings.home_height_m for pose in poses]
    is_px4 = settings.autopilot is Autopilot.PX4
    any_yaw = _NO_YAW if is_px4 else 0.0
    latitude, longitude, _ = _home(settings)
    # Up to the height of the first pose before the way leads along the structure.
    yield MissionItem(_TAKE_OFF, _RELATIVE, (0.0, 0.0, 0.0, any_yaw), latitude, longitude, altitudes_m[0])
    yield MissionItem(_SPEED, params=(_GROUND_SPEED, settings.speed_m_s, -1.0, 0.0))
    last_yaw: float | None = None
    for pose, place, altitude_m in zip(poses, places.tolist(), altitudes_m, strict=True):
        yaw, pitch = yaw_deg(pose, settings.origin), pitch_deg(pose)
        aim = MissionItem(_GIMBAL, params=(pitch, 0.0, 0.0, 0.0), z=_AIM_BY_ANGLE)
        if is_px4:
            yield aim
            hold = (max(settings.hold_s, _LEAST_HOLD_S), _REACHED_M, 0.0, yaw)
            yield MissionItem(_WAYPOINT, _RELATIVE, hold, place[1], place[0], altitude_m)
            # One photograph now, from all cameras.
            yield MissionItem(_CAPTURE, params=(0.0, 0.0, 1.0, 0.0))
        else:
            # ArduPilot ignores the yaw of a waypoint.
            yield MissionItem(_WAYPOINT, _RELATIVE, (0.0, 0.0, 0.0, 0.0), place[1], place[0], altitude_m)
            yield aim
            yield MissionItem(_CONDITION_YAW, params=(yaw, _TURN_DEG_S, 0.0, 0.0))
            turn_deg = _MOST_TURN_DEG if last_yaw is None else abs((yaw - last_yaw + 180.0) % 360.0 - 180.0)
            yield MissionItem(_DELAY, params=(float(math.ceil(settings.hold_s + turn_deg / _TURN_DEG_S)), *_NO_TIME))
            yield MissionItem(_TRIGGER, x=1.0)
        yield MissionItem(_DELAY, params=(_AFTER_PHOTOGRAPH_S, *_NO_TIME))
        last_yaw = yaw
    exits_m = [pose.position_m for pose in way_out]
    if not lands:
        yield from (_passed(exit_m, any_yaw, settings) for exit_m in exits_m)
        yield MissionItem(_RETURN)
        return
    exits_m.append(settings.above_home_m(float(poses[0].position_m[2])))
    yield from (_passed(exit_m, any_yaw, settings) for exit_m in exits_m)
    yield MissionItem(_LAND, _RELATIVE, (0.0, 0.0, 0.0, any_yaw), latitude, longitude, 0.0)


def _passed(place_m: Array, yaw: float, settings: MissionSettings) -> MissionItem:
    """Return the waypoint of a place (3,) in the map that is only flown past."""
    longitude, latitude, _ = settings.origin.positions(place_m[None])[0].tolist()
    altitude_m = float(place_m[2]) - settings.home_height_m
    return MissionItem(_WAYPOINT, _RELATIVE, (0.0, 0.0, 0.0, yaw), latitude, longitude, altitude_m)


def qgroundcontrol_plan(mission: Mission) -> str:
    """Return the mission as the text of a ``.plan`` file."""
    settings = mission.settings
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
            "plannedHomePosition": list(_home(settings)),
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
    home = MissionItem(_WAYPOINT, _ABSOLUTE, (0.0,) * 4, *_home(mission.settings))
    lines = ["QGC WPL 110"]
    for number, item in enumerate((home, *mission.items)):
        values = [f"{value:.9f}" for value in (*item.params, item.x, item.y, item.z)]
        lines.append("\t".join([str(number), str(int(number == 0)), str(item.frame), str(item.command), *values, "1"]))
    return "\n".join(lines) + "\n"


def _home(settings: MissionSettings) -> tuple[float, float, float]:
    """Return latitude, longitude and height of the take-off place."""
    place_m = settings.above_home_m(settings.home_height_m)
    longitude, latitude, height_m = settings.origin.positions(place_m[None])[0].tolist()
    return round(latitude, _DEGREE_DIGITS), round(longitude, _DEGREE_DIGITS), round(height_m, _METRE_DIGITS)
