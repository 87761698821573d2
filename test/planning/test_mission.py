# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of missions: places, headings, gimbal, commands of either autopilot, and both file formats."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from inspected_views import looking, view_of_plane, wall_view
from map_cracks import straight_crack

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.coverage.revisit import RevisitPose, RevisitSettings, plan_revisit
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage, upright_axes
from crack_perception.mapping.coverage.view import CameraGeometry, InspectedView
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.planning.legs import Leg, close_legs
from crack_perception.planning.mission import (
    Autopilot,
    Mission,
    MissionItem,
    MissionSettings,
    mission_of,
    pitch_deg,
    qgroundcontrol_plan,
    waypoint_file,
    yaw_deg,
)
from crack_perception.recognition.severity import SeverityScale

ORIGIN = GeographicOrigin(48.0, 11.0, 500.0)
SETTINGS = MissionSettings(ORIGIN)
UPWARDS = replace(SETTINGS, highest_pitch_deg=90.0)


def pose_before(point_m: tuple[float, float, float], normal: tuple[float, float, float]) -> RevisitPose:
    """A pose a metre in front of a surface."""
    axes = upright_axes(np.array(normal, np.float64))
    position_m = np.array(point_m, np.float64) + axes[2]
    return RevisitPose(position_m, axes, 1.0, 0.2, (7,), np.array([point_m], np.float64))


SOUTH = pose_before((10.0, 0.0, 3.0), (0.0, -1.0, 0.0))
EAST = pose_before((20.0, 5.0, 4.0), (1.0, 0.0, 0.0))
SOFFIT = pose_before((5.0, 5.0, 6.0), (0.0, 0.0, -1.0))


def test_mission_headings_follow_the_map() -> None:
    # x to the east: the camera before the south wall looks north.
    assert yaw_deg(SOUTH, ORIGIN) == pytest.approx(0.0)
    assert yaw_deg(EAST, ORIGIN) == pytest.approx(270.0)
    turned = replace(ORIGIN, x_heading_deg=120.0)
    assert yaw_deg(SOUTH, turned) == pytest.approx(30.0)
    assert pitch_deg(SOUTH) == pytest.approx(0.0) and pitch_deg(SOFFIT) == pytest.approx(90.0)


def test_mission_px4_aims_flies_and_photographs_each_pose() -> None:
    mission = mission_of([SOUTH, EAST], replace(SETTINGS, home_height_m=1.0))
    commands = [item.command for item in mission.items]
    assert commands == [22, 178, 205, 16, 2000, 93, 205, 16, 2000, 93, 20]
    first, second = (item for item in mission.items if item.command == 16)
    # A degree of latitude is 111.2 km there; a metre south of the origin's latitude.
    assert first.x == pytest.approx(48.0 - 1 / 111_195, abs=2e-7)
    assert first.y == pytest.approx(11.0 + 10 / (111_320 * math.cos(math.radians(48.0))), abs=2e-6)
    assert (first.z, second.z) == pytest.approx((2.0, 3.0), abs=1e-3)
    assert first.params == pytest.approx((3.0, 0.5, 0.0, 0.0)) and second.params[3] == pytest.approx(270.0)


def test_mission_ardupilot_turns_by_a_command_of_its_own() -> None:
    mission = mission_of([EAST], replace(SETTINGS, autopilot=Autopilot.ARDUPILOT))
    assert [item.command for item in mission.items] == [22, 178, 16, 205, 115, 93, 203, 93, 20]
    turn, delay = mission.items[4:6]
    assert turn.params[0] == pytest.approx(270.0)
    # The whole turn, and the hold.
    assert delay.params[0] == pytest.approx(180.0 / turn.params[1] + SETTINGS.hold_s)


def as_saved_by_qgroundcontrol(items: list[MissionItem]) -> list[MissionItem]:
    """Return items as QGroundControl writes them back: those of a waypoint's camera in the order gimbal, camera."""
    left, saved = list(items), []
    while left:
        item = left.pop(0)
        saved.append(item)
        section: dict[int, MissionItem] = {}
        while item.command == 16 and left and left[0].command in (205, 2000) and left[0].command not in section:
            following = left.pop(0)
            section[following.command] = following
        saved += [section[command] for command in (205, 2000) if command in section]
    return saved


@pytest.mark.parametrize("autopilot", list(Autopilot))
def test_mission_keeps_its_order_in_qgroundcontrol(autopilot: Autopilot) -> None:
    mission = mission_of([SOUTH, EAST, SOFFIT], replace(UPWARDS, autopilot=autopilot))
    assert as_saved_by_qgroundcontrol(list(mission.items)) == list(mission.items)
    # Each photograph is taken with the aim of its own pose, and nothing moves right after it.
    aim = 0.0
    pitches = []
    for item, after in pairwise(mission.items):
        aim = item.params[0] if item.command == 205 else aim
        if item.command in (203, 2000):
            pitches.append(aim)
            assert after.command == 93
    assert pitches == pytest.approx([pitch_deg(pose) for pose in (SOUTH, EAST, SOFFIT)])


def test_mission_px4_stops_at_a_pose_without_hold() -> None:
    mission = mission_of([SOUTH], replace(SETTINGS, hold_s=0.0))
    (waypoint,) = (item for item in mission.items if item.command == 16)
    assert waypoint.params[0] > 0.0


def test_mission_leaves_out_what_the_gimbal_cannot_see() -> None:
    mission = mission_of([SOUTH, SOFFIT], SETTINGS)
    assert mission.poses == (SOUTH,) and mission.beyond_gimbal == (SOFFIT,)
    upward = mission_of([SOUTH, SOFFIT], replace(SETTINGS, highest_pitch_deg=90.0))
    assert len(upward.poses) == 2
    with pytest.raises(UserError, match="gimbal"):
        mission_of([SOFFIT], SETTINGS)
    with pytest.raises(UserError, match="nothing is open"):
        mission_of([], SETTINGS)
    with pytest.raises(UserError, match="--home-height"):
        mission_of([SOUTH], replace(SETTINGS, home_height_m=5.0))


@pytest.mark.parametrize("autopilot", list(Autopilot))
def test_mission_plan_file_has_what_qgroundcontrol_requires(autopilot: Autopilot) -> None:
    mission = mission_of([SOUTH, EAST], replace(SETTINGS, autopilot=autopilot))

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    document = json.loads(qgroundcontrol_plan(mission), parse_constant=refuse)
    assert document["fileType"] == "Plan" and document["version"] == 1
    assert {"geoFence", "rallyPoints", "mission"} <= document.keys()
    assert document["mission"]["version"] == 2 and document["mission"]["firmwareType"] == autopilot.value
    assert document["mission"]["plannedHomePosition"] == [48.0, 11.0, 500.0]
    items = document["mission"]["items"]
    assert [item["doJumpId"] for item in items] == list(range(1, len(items) + 1))
    for item, given in zip(items, mission.items, strict=True):
        assert item["type"] == "SimpleItem" and item["autoContinue"] and len(item["params"]) == 7
        assert item["command"] == given.command and item["frame"] == given.frame
        assert ("Altitude" in item) == (given.frame == 3)


def test_mission_waypoint_file_is_read_back() -> None:
    mission = mission_of([SOUTH, EAST], SETTINGS)
    first, *lines = waypoint_file(mission).splitlines()
    assert first == "QGC WPL 110"
    rows = [line.split("\t") for line in lines]
    assert all(len(row) == 12 for row in rows)
    assert [int(row[0]) for row in rows] == list(range(len(rows))) and [row[1] for row in rows][:2] == ["1", "0"]
    assert [int(row[3]) for row in rows] == [16, *(item.command for item in mission.items)]
    assert [float(value) for value in rows[0][8:11]] == [48.0, 11.0, 500.0]
    for row, item in zip(rows[1:], mission.items, strict=True):
        np.testing.assert_allclose(
            [float(value) for value in row[4:11]], [*item.params, item.x, item.y, item.z], atol=1e-8
        )


def test_mission_of_a_map_flies_before_its_wall() -> None:
    coverage = Coverage()
    coverage.add(wall_view())
    crack = straight_crack(gsd_mm_per_px=0.8)
    scale = SeverityScale((0.5,))
    settings = RevisitSettings(1.5, 0.3)
    plan = plan_revisit([crack], coverage.surfaces(), CameraGeometry(1280, 720, 1000), scale, settings)
    mission = mission_of(plan.poses, SETTINGS)
    assert len([item for item in mission.items if item.command == 16]) == len(plan.poses) > 4


FRONT = pose_before((0.0, 0.0, 1.5), (0.0, -1.0, 0.0))
BESIDE = pose_before((0.5, 0.0, 1.5), (0.0, -1.0, 0.0))
BACK = pose_before((0.0, 0.5, 1.5), (0.0, 1.0, 0.0))
# The take-off place is on the side of negative y, as are the camera poses before the wall y = 0.
BEFORE_THE_WALL = replace(SETTINGS, home_m=(0.0, -5.0))


def surfaces_of(*views: InspectedView, cell_m: float = 0.1) -> tuple[SurfaceCoverage, ...]:
    coverage = Coverage(cell_m)
    for view in views:
        coverage.add(view)
    return coverage.surfaces()


def close(poses: list[RevisitPose], settings: MissionSettings, surfaces: tuple[SurfaceCoverage, ...]) -> list[str]:
    mission = mission_of(poses, settings, surfaces)
    return [leg.name for leg in close_legs(mission.legs(), surfaces, settings.clearance_m)]


def test_close_legs_are_those_through_a_building() -> None:
    back_view = view_of_plane((0.0, 3.0, 1.5), looking(-90.0), normal=(0.0, 1.0, 0.0), offset_m=0.5)
    surfaces = surfaces_of(wall_view(), back_view)
    assert close([FRONT, BESIDE, BACK], BEFORE_THE_WALL, surfaces) == ["from pose 2 to pose 3"]
    assert close([FRONT, BESIDE], BEFORE_THE_WALL, surfaces) == []
    assert close([FRONT, BACK], BEFORE_THE_WALL, ()) == []


@pytest.mark.parametrize("cell_m", [0.05, 0.1, 1.0])
def test_close_legs_between_poses_that_face_one_way_are_found(cell_m: float) -> None:
    """Two rooms that look the same way: the pose behind the wall looks at another wall behind it."""
    behind = pose_before((0.3, 4.0, 1.5), (0.0, -1.0, 0.0))
    surfaces = surfaces_of(wall_view(), cell_m=cell_m)
    assert close([FRONT, behind], BEFORE_THE_WALL, surfaces) == ["from pose 1 to pose 2"]


def test_close_legs_include_the_way_from_the_take_off_place() -> None:
    surfaces = surfaces_of(wall_view())
    behind = pose_before((0.3, 2.0, 1.5), (0.0, -1.0, 0.0))
    assert close([behind], BEFORE_THE_WALL, surfaces) == ["from above the take-off place to pose 1"]
    # From its own side, and where the way leads past the seen part of the wall, it is free.
    assert close([behind], replace(SETTINGS, home_m=(0.0, 5.0)), surfaces) == []
    assert close([behind], replace(SETTINGS, home_m=(30.0, -5.0)), surfaces) == []
    inside = replace(SETTINGS, home_m=(0.0, 0.1))
    assert "the climb from the take-off place" in close([FRONT], inside, surfaces)


def test_close_legs_name_their_distance_and_leave_the_inspected_ground_alone() -> None:
    ground = view_of_plane((0.0, -5.0, 4.0), looking(0.0, -90.0), normal=(0.0, 0.0, 1.0))
    high = pose_before((0.0, 0.0, 3.0), (0.0, -1.0, 0.0))
    assert close([high], BEFORE_THE_WALL, surfaces_of(wall_view(z_m=3.0), ground)) == []
    (leg,) = close_legs(
        [Leg("a way", np.array([-3.0, -0.2, 1.5]), np.array([3.0, -0.2, 1.5]))], surfaces_of(wall_view()), 0.5
    )
    assert leg.distance_m == pytest.approx(0.2, abs=0.01) and str(leg) == "a way (0.2 m)"


def test_return_over_a_wall_names_the_height_that_it_has_to_clear() -> None:
    surfaces = surfaces_of(wall_view(z_m=1.5))
    behind = pose_before((0.0, 2.0, 1.5), (0.0, -1.0, 0.0))
    top_m = 1.5 + 0.36 * 2.0
    reached_m = mission_of([behind], BEFORE_THE_WALL, surfaces).return_altitude_m(surfaces)
    assert reached_m == pytest.approx(top_m, abs=0.1)
    above_home = replace(BEFORE_THE_WALL, home_height_m=-10.0)
    assert mission_of([behind], above_home, surfaces).return_altitude_m(surfaces) == pytest.approx(top_m + 10, abs=0.1)
    assert mission_of([FRONT], BEFORE_THE_WALL, surfaces).return_altitude_m(surfaces) is None


def end_of(mission: Mission) -> list[int]:
    """Commands after the last photograph."""
    commands = [item.command for item in mission.items]
    last = max(index for index, command in enumerate(commands) if command in (2000, 203))
    assert commands[last + 1] == 93
    return commands[last + 2 :]


@pytest.mark.parametrize("autopilot", list(Autopilot))
def test_mission_under_a_soffit_flies_out_and_lands(autopilot: Autopilot) -> None:
    settings = replace(UPWARDS, autopilot=autopilot, home_m=(1.0, 2.0), home_height_m=-3.0)
    farther = pose_before((9.0, 5.0, 6.5), (0.0, 0.0, -1.0))
    mission = mission_of([SOFFIT, farther], settings)
    assert mission.lands and mission.way_out == (SOFFIT,)
    assert end_of(mission) == [16, 16, 21]
    back, above_home, land = mission.items[-3:]
    first = next(item for item in mission.items if item.command == 16)
    assert (back.x, back.y, back.z) == pytest.approx((first.x, first.y, first.z), abs=1e-9)
    take_off = mission.items[0]
    assert (above_home.x, above_home.y, above_home.z) == pytest.approx((take_off.x, take_off.y, first.z), abs=1e-8)
    assert (land.x, land.y, land.z) == pytest.approx((take_off.x, take_off.y, 0.0))
    # Never above the height at which the drone has flown already.
    assert max(item.z for item in mission.items if item.command == 16) == pytest.approx(8.5)
    assert mission.return_altitude_m(()) is None


def test_mission_from_under_a_soffit_returns_from_the_first_pose_in_the_open() -> None:
    mission = mission_of([SOUTH, EAST, SOFFIT], UPWARDS)
    assert not mission.lands and mission.way_out == (EAST,)
    assert end_of(mission) == [16, 20]
    open_end = mission_of([SOFFIT, SOUTH], UPWARDS)
    assert not open_end.way_out and end_of(open_end) == [20]


def test_mission_beside_a_pier_under_a_seen_deck_does_not_return() -> None:
    """The camera looks level at the pier; what is above the drone is known from another pose."""
    deck = view_of_plane((3.0, -1.0, 4.0), looking(0.0, 90.0), normal=(0.0, 0.0, -1.0), offset_m=-6.0)
    surfaces = surfaces_of(wall_view(), deck)
    assert any(surface.normal[2] < -0.9 for surface in surfaces)
    assert mission_of([FRONT], SETTINGS, surfaces).lands
    assert not mission_of([FRONT], SETTINGS, surfaces_of(wall_view())).lands
    above = pose_before((0.0, 0.0, 8.0), (0.0, -1.0, 0.0))
    assert not mission_of([above], SETTINGS, surfaces).lands
