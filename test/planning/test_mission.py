# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of missions: places, headings, gimbal, commands of either autopilot, and both file formats."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from inspected_views import looking, view_of_plane, wall_view
from map_cracks import straight_crack

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.coverage.revisit import RevisitPose, RevisitSettings, plan_revisit
from crack_perception.mapping.coverage.surface_grid import upright_axes
from crack_perception.mapping.coverage.view import CameraGeometry
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.planning.mission import (
    Autopilot,
    MissionSettings,
    close_legs,
    mission_of,
    pitch_deg,
    qgroundcontrol_plan,
    waypoint_file,
    yaw_deg,
)
from crack_perception.recognition.severity import SeverityScale

ORIGIN = GeographicOrigin(48.0, 11.0, 500.0)
SETTINGS = MissionSettings(ORIGIN)


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
    assert commands == [22, 178, 205, 16, 2000, 205, 16, 2000, 20]
    first, second = (item for item in mission.items if item.command == 16)
    # A degree of latitude is 111.2 km there; a metre south of the origin's latitude.
    assert first.x == pytest.approx(48.0 - 1 / 111_195, abs=2e-7)
    assert first.y == pytest.approx(11.0 + 10 / (111_320 * math.cos(math.radians(48.0))), abs=2e-6)
    assert (first.z, second.z) == pytest.approx((2.0, 3.0), abs=1e-3)
    assert first.params == pytest.approx((3.0, 0.0, 0.0, 0.0)) and second.params[3] == pytest.approx(270.0)


def test_mission_ardupilot_turns_by_a_command_of_its_own() -> None:
    mission = mission_of([EAST], replace(SETTINGS, autopilot=Autopilot.ARDUPILOT))
    assert [item.command for item in mission.items] == [22, 178, 16, 115, 205, 93, 203, 20]
    assert mission.items[3].params[0] == pytest.approx(270.0)


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


def test_close_legs_are_those_through_a_building() -> None:
    coverage = Coverage()
    coverage.add(wall_view())
    coverage.add(view_of_plane((0.0, 3.0, 1.5), looking(-90.0), normal=(0.0, 1.0, 0.0), offset_m=0.5))
    front = pose_before((0.0, 0.0, 1.5), (0.0, -1.0, 0.0))
    beside = pose_before((0.5, 0.0, 1.5), (0.0, -1.0, 0.0))
    back = pose_before((0.0, 0.5, 1.5), (0.0, 1.0, 0.0))
    assert close_legs([front, beside, back], coverage.surfaces(), 0.5) == [2]
    assert close_legs([front, beside], coverage.surfaces(), 0.5) == []
    assert close_legs([front, back], (), 0.5) == []
