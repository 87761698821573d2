# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the revisit poses: which cracks and areas get one, from where, and in which order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inspected_views import wall_view
from map_cracks import straight_crack

from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.coverage.revisit import RevisitSettings, plan_revisit
from crack_perception.mapping.coverage.view import CameraGeometry
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.recognition.severity import SeverityScale

CAMERA = CameraGeometry(1280, 720, 1000.0)
AASHTO = SeverityScale.of_preset("aashto")
CLOSE = RevisitSettings(wanted_width_mm=0.3, least_standoff_m=0.05)


def crack(crack_id: int = 1, width_mm: float = 0.4, sigma_mm: float = 0.3, **changes: object) -> MappedCrack:
    """A crack of 2 m, seen at 0.8 mm/px; 0.4 +- 0.3 mm is undetermined by AASHTO's edge at 0.3 mm."""
    values = {"width_mm": np.full(3, width_mm), "width_sigma_mm": np.full(3, sigma_mm)}
    return straight_crack(crack_id, **(values | changes))


def test_revisit_undetermined_crack_is_seen_whole_and_finer() -> None:
    plan = plan_revisit([crack()], [], CAMERA, AASHTO, CLOSE)
    assert len(plan.poses) >= 2 and plan.settled_cracks == plan.unsettled_cracks == 0
    shown = np.vstack([pose.targets_m for pose in plan.poses])
    assert [shown[:, 0].min(), shown[:, 0].max()] == pytest.approx([0.0, 2.0])
    for pose in plan.poses:
        assert pose.cracks == (1,) and pose.forward == pytest.approx([0, 1, 0])
        assert pose.position_m[1] == pytest.approx(-pose.standoff_m)
        assert pose.gsd_mm_per_px == pytest.approx(CAMERA.gsd_mm_per_px(pose.standoff_m))
        width_m, height_m = CAMERA.footprint_m(pose.standoff_m)
        offset = np.abs(pose.targets_m - pose.position_m)
        assert offset[:, 0].max() <= width_m / 2 and offset[:, 2].max() <= height_m / 2
        assert pose.gsd_mm_per_px < 0.8
    # ln(0.4 / 0.3) = 0.288 has to hold 1.28 standard deviations, with a margin of 0.35, where there were 0.75.
    assert plan.poses[0].gsd_mm_per_px == pytest.approx(0.8 * 0.35 * 0.288 / 1.2816 / 0.75, rel=0.01)


def test_revisit_settled_and_lost_cracks_need_none() -> None:
    settled = crack(1, sigma_mm=0.02)
    lost = crack(2, state=CrackState.LOST)
    plan = plan_revisit([settled, lost], [], CAMERA, AASHTO, CLOSE)
    assert plan.poses == () and plan.settled_cracks == 2 and plan.length_m == 0.0


def test_revisit_new_crack_is_seen_again_as_finely() -> None:
    new = crack(1, sigma_mm=0.02, state=CrackState.NEW, gsd_mm_per_px=0.15)
    plan = plan_revisit([new], [], CAMERA, AASHTO, CLOSE)
    assert plan.poses and plan.poses[0].gsd_mm_per_px == pytest.approx(0.15)


def test_revisit_crack_without_width_is_seen_at_the_finest_class_edge() -> None:
    unknown = crack(width_mm=np.nan, sigma_mm=np.nan)
    plan = plan_revisit([unknown], [], CAMERA, AASHTO, CLOSE)
    assert plan.poses[0].gsd_mm_per_px == pytest.approx(0.3 / 1.5)


def test_revisit_keeps_the_least_standoff_and_gives_up_what_that_cannot_settle() -> None:
    far = replace(CLOSE, least_standoff_m=0.5)
    plan = plan_revisit([crack(width_mm=0.301)], [], CAMERA, AASHTO, far)
    assert {pose.standoff_m for pose in plan.poses} == {0.5}
    assert plan.resolvable_mm == pytest.approx(0.75)
    been_there = crack(width_mm=0.301, gsd_mm_per_px=0.5)
    plan = plan_revisit([been_there], [], CAMERA, AASHTO, far)
    assert plan.poses == () and plan.unsettled_cracks == 1


def test_revisit_partly_fine_crack_is_seen_where_its_widths_are_coarse() -> None:
    line_m = np.column_stack([np.linspace(0, 2, 21), np.zeros(21), np.ones(21)])
    width_gsd = np.where(line_m[:, 0] < 1.45, 0.1, 0.8)
    widths = {"width_mm": np.full(21, 0.4), "width_sigma_mm": np.full(21, 0.1)}
    partly = straight_crack(1, line_m=line_m, gsd_mm_per_px=0.1, width_gsd_mm_per_px=width_gsd, **widths)
    plan = plan_revisit([partly], [], CAMERA, AASHTO, CLOSE)
    shown_m = np.vstack([pose.targets_m for pose in plan.poses])[:, 0]
    assert shown_m.min() == pytest.approx(1.45, abs=0.03) and shown_m.max() == pytest.approx(2.0)
    # A coarse end of a few centimetres does not decide.
    nearly = replace(partly, width_gsd_mm_per_px=np.where(line_m[:, 0] < 1.95, 0.05, 0.8))
    plan = plan_revisit([nearly], [], CAMERA, AASHTO, CLOSE)
    assert plan.poses == () and plan.unsettled_cracks == 1


def test_revisit_part_that_close_images_have_shown_without_a_width_is_not_seen_again() -> None:
    line_m = np.column_stack([np.linspace(-0.15, 0.15, 9), np.zeros(9), np.ones(9)])
    widths = {"width_mm": np.full(9, 0.4), "width_sigma_mm": np.full(9, 0.1)}
    coarse = straight_crack(1, line_m=line_m, width_gsd_mm_per_px=np.full(9, 0.8), **widths)
    far, close = (Coverage(0.05), Coverage(0.05))
    far.add(wall_view(0.0, 0.8, 1.0))
    close.add(wall_view(0.0, 0.3, 1.0))
    settings = replace(CLOSE, least_standoff_m=0.3)
    assert plan_revisit([coarse], far.surfaces(), CAMERA, AASHTO, settings).unsettled_cracks == 0
    plan = plan_revisit([coarse], close.surfaces(), CAMERA, AASHTO, settings)
    assert [pose for pose in plan.poses if pose.cracks] == [] and plan.unsettled_cracks == 1


def test_revisit_cracks_in_one_image_share_a_pose() -> None:
    line = np.array([[0.0, 0, 1.0], [0.05, 0, 1.0], [0.1, 0, 1.0]])
    close_by = [crack(number, sigma_mm=0.15, line_m=line + [0, 0, 0.03 * number]) for number in range(1, 4)]
    plan = plan_revisit(close_by, [], CAMERA, AASHTO, CLOSE)
    assert len(plan.poses) == 1 and plan.poses[0].cracks == (1, 2, 3)
    opposite = crack(4, sigma_mm=0.15, line_m=line, normal=np.array([0.0, 1.0, 0.0]))
    plan = plan_revisit([*close_by, opposite], [], CAMERA, AASHTO, CLOSE)
    assert {pose.cracks for pose in plan.poses} == {(1, 2, 3), (4,)}


def test_revisit_area_seen_too_coarsely_is_shown_whole() -> None:
    coverage = Coverage(0.05)
    coverage.add(wall_view(standoff_m=2.0))
    settings = RevisitSettings(wanted_width_mm=1.5, least_standoff_m=0.5)
    plan = plan_revisit([], coverage.surfaces(), coverage.camera, AASHTO, settings)
    assert all(pose.cracks == () and pose.standoff_m == pytest.approx(1.0, rel=0.01) for pose in plan.poses)
    assert 4 <= len(plan.poses) <= 9
    for pose in plan.poses:
        coverage.add(wall_view(float(pose.position_m[0]), pose.standoff_m, float(pose.position_m[2])))
    assert plan_revisit([], coverage.surfaces(), coverage.camera, AASHTO, settings).poses == ()


def test_revisit_area_beyond_the_camera_is_not_flown_twice() -> None:
    coverage = Coverage(0.05)
    coverage.add(wall_view(standoff_m=1.0))
    settings = RevisitSettings(wanted_width_mm=0.1, least_standoff_m=1.0)
    assert plan_revisit([], coverage.surfaces(), coverage.camera, AASHTO, settings).poses == ()


def test_revisit_too_many_poses_keep_the_cracks() -> None:
    coverage = Coverage(0.05)
    coverage.add(wall_view(standoff_m=4.0))
    settings = RevisitSettings(wanted_width_mm=0.8, least_standoff_m=0.1, most_poses=5)
    plan = plan_revisit([crack()], coverage.surfaces(), CAMERA, AASHTO, settings)
    everything = plan_revisit([crack()], coverage.surfaces(), CAMERA, AASHTO, replace(settings, most_poses=10_000))
    assert len(plan.poses) == 5 and plan.left_out == len(everything.poses) - 5 > 0
    assert all(pose.cracks for pose in plan.poses)


def test_revisit_pose_is_that_of_a_vehicle_facing_the_wall() -> None:
    (pose, *_) = plan_revisit([crack()], [], CAMERA, AASHTO, CLOSE).poses
    assert pose.pose.rotation[:, 0] == pytest.approx([0, 1, 0])
    assert pose.pose.rotation[:, 2] == pytest.approx([0, 0, 1])


def test_revisit_without_camera_or_map_is_empty() -> None:
    assert plan_revisit([crack()], [], None, AASHTO, CLOSE).poses == ()
    assert plan_revisit([], [], CAMERA, AASHTO, CLOSE).poses == ()
