# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Analysis of regions with and without camera, range and pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.plane import SurfacePlane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.inspection.analysis import CrackDetection, SeverityConfig, analyse, located
from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.measurement import MeasuredRegion
from crack_perception.recognition.severity import SeverityScale, WidthEstimate
from crack_perception.vision.lines.line import CrackLine
from crack_perception.vision.regions import OrientedBox, Region

SCALE = SeverityScale.of_preset("aashto")
CAMERA = CameraModel.of(640, 480, [500, 0, 319.5, 0, 500, 239.5, 0, 0, 1], [], "")
STILL = MovingPose(Pose.identity(), np.zeros(3), np.zeros(3))
BOX = OrientedBox(np.array([319.5, 239.5]), 200.0, 100.0, 0.0)
CRACK = CrackRegion(Region(BOX, np.array([0]), 0.9), WidthEstimate(np.log(2.0), 0.1), 0.5)


def plane(normal: tuple[float, float, float], range_m: float = 1.0) -> SurfacePlane:
    unit = np.array(normal) / np.linalg.norm(normal)
    return SurfacePlane(RangeReading(range_m, 0.02, "range"), unit, 0.05, normal_in_map=False)


def line(points_px: list[tuple[float, float]], width_px: float = 2.0) -> CrackLine:
    count = len(points_px)
    return CrackLine(np.array(points_px, dtype=float), np.full(count, width_px), np.full(count, 0.2), 20.0)


def detection(
    camera: CameraModel | None,
    surface: SurfacePlane | None,
    motion: MovingPose | None,
    lines: tuple[CrackLine, ...] = (),
    resolvable_width_px: float = 1.0,
) -> CrackDetection:
    config = SeverityConfig(SCALE, resolvable_width_px)
    (result,) = analyse([MeasuredRegion(CRACK, lines)], config, camera, lambda box: surface, motion, NoiseModel())
    return result


@pytest.mark.parametrize(("camera", "surface"), [(None, plane((0, 0, -1))), (CAMERA, None)])
def test_analyse_without_camera_or_range_has_no_scale(camera: CameraModel | None, surface: SurfacePlane | None) -> None:
    result = detection(camera, surface, STILL)
    assert result.severity.verdict == "undetermined"
    assert result.width_mm is None and result.patch is None and result.location is None
    assert result.summary() == "crack 0.90, 2.0 +- 0.2 px"


def test_analyse_with_range_gives_millimetres_and_a_class() -> None:
    result = detection(CAMERA, plane((0, 0, -1)), None)
    assert result.width_mm is not None and result.patch is not None and result.location is None
    # 2 px at 1 m / 500 px are 4 mm; the range's 2 % widen the 10 % of the model.
    assert result.width_mm.width == pytest.approx(4.0, rel=1e-3)
    assert result.width_mm.log_sigma == pytest.approx(np.hypot(0.1, 0.02))
    assert result.severity.verdict == ">=1.27mm"
    assert result.patch.length_m == pytest.approx(0.4, rel=1e-3)


def test_analyse_with_pose_gives_the_location() -> None:
    result = detection(CAMERA, plane((0, 0, -1), range_m=3.0), STILL)
    assert result.location is not None
    assert result.location.pose.position_m.tolist() == pytest.approx([0, 0, 3], abs=1e-9)
    assert np.sqrt(result.location.covariance[2, 2]) == pytest.approx(np.hypot(0.02, 0.02), rel=0.01)


def test_analyse_too_oblique_surface_stays_2d() -> None:
    result = detection(CAMERA, plane((1.0, 0.0, -0.05)), STILL)
    assert result.location is None and result.width_mm is None
    assert result.plane is not None
    assert result.severity.verdict == "undetermined"


def test_analyse_region_beyond_the_horizon_is_classified_but_not_located() -> None:
    steep = np.deg2rad(79.0)
    result = detection(CAMERA, plane((np.sin(steep), 0.0, -np.cos(steep))), STILL)
    assert result.location is None and result.plane is not None
    assert result.width_mm is not None and result.severity.verdict == ">=1.27mm"


LEVEL = line([(239.5, 219.5), (319.5, 199.5), (399.5, 219.5)])
SHORT = line([(319.5, 260.0), (319.5, 270.0)])


def test_analyse_lines_without_pose_give_length_and_scale() -> None:
    result = detection(CAMERA, plane((0, 0, -1)), None, (LEVEL, SHORT))
    assert [len(item.points_m) for item in result.surface_lines] == [3, 2] and result.map_lines == ()
    # 2 mm a pixel.
    assert result.length_m == pytest.approx(0.002 * (2 * np.hypot(80, 20) + 10))
    assert result.width_mm is not None and result.width_mm.width == pytest.approx(4.0, rel=1e-3)
    assert result.summary() == ">=1.27mm 0.90, 4.00 +- 0.41 mm x 0.35 m"


def test_location_is_the_middle_of_the_longest_line_along_its_chord() -> None:
    result = detection(CAMERA, plane((0, 0, -1), range_m=2.0), STILL, (LEVEL, SHORT))
    assert result.location is not None and result.patch is not None
    assert result.location.pose.position_m == pytest.approx([0.0, -40 * 0.004, 2.0])
    assert result.patch.point_m == pytest.approx([0.0, -40 * 0.004, 2.0])
    assert np.abs(result.location.pose.rotation[:, 0]) == pytest.approx([1, 0, 0], abs=1e-6)
    assert result.location.pose.rotation[:, 2] == pytest.approx([0, 0, -1])
    ((first, second)) = result.map_lines
    assert first.points_m[1] == pytest.approx([0.0, -0.16, 2.0])
    assert second.normal == pytest.approx([0, 0, -1])
    # The chord of a line is known far better than the direction of a box.
    boxed = detection(CAMERA, plane((0, 0, -1), range_m=2.0), STILL)
    assert boxed.location is not None
    assert result.location.covariance[5, 5] < 0.1 * boxed.location.covariance[5, 5]


def test_map_lines_follow_the_camera_pose() -> None:
    turned = Pose.of((10, 20, 30), (0, 0, np.sqrt(0.5), np.sqrt(0.5)))
    moving = MovingPose(turned, np.zeros(3), np.zeros(3))
    result = detection(CAMERA, plane((0, 0, -1), range_m=2.0), moving, (LEVEL,))
    assert result.map_lines[0].points_m == pytest.approx(turned.transform(result.surface_lines[0].points_m))
    assert result.location is not None
    assert result.location.pose.position_m == pytest.approx(turned.transform([0, -0.16, 2.0]))


def test_location_of_a_line_that_bends_back_is_that_of_the_box() -> None:
    hook = line([(319.5, 239.5), (419.5, 239.5), (419.5, 250.0), (321.0, 250.0)])
    result = detection(CAMERA, plane((0, 0, -1), range_m=2.0), STILL, (hook,))
    assert result.location is not None
    assert result.location.pose.position_m == pytest.approx([0, 0, 2], abs=1e-9)
    assert result.length_m == pytest.approx(0.004 * hook.length_px)


def test_width_on_an_oblique_surface_is_scaled_across_the_line() -> None:
    angle = np.deg2rad(60.0)
    oblique = plane((np.sin(angle), 0.0, -np.cos(angle)))
    upright = detection(CAMERA, oblique, None, (line([(319.5, 234.5), (319.5, 244.5)]),))
    level = detection(CAMERA, oblique, None, (line([(317.5, 239.5), (321.5, 239.5)]),))
    assert upright.width_mm is not None and level.width_mm is not None
    assert upright.width_mm.width == pytest.approx(2.0 * 2.0 / np.cos(angle), rel=1e-2)
    assert level.width_mm.width == pytest.approx(2.0 * 2.0, rel=1e-2)


def test_width_of_a_line_without_length_takes_the_scale_of_the_box() -> None:
    result = detection(CAMERA, plane((0, 0, -1)), STILL, (line([(300, 240), (300, 240)]),))
    assert result.width_mm is not None and result.width_mm.width == pytest.approx(2.0 * 1000 / 500)


def test_severity_below_the_resolvable_width_is_undetermined() -> None:
    # The crack is 2 px wide, 0.3 mm is 0.15 px.
    assert detection(CAMERA, plane((0, 0, -1)), None, resolvable_width_px=2.1).severity.verdict == "undetermined"
    assert detection(CAMERA, plane((0, 0, -1)), None, resolvable_width_px=1.9).severity.verdict == ">=1.27mm"


def test_located_detections_keep_their_rank() -> None:
    not_located = detection(CAMERA, None, STILL)
    there = detection(CAMERA, plane((0, 0, -1)), STILL)
    assert [(rank, item is there) for rank, item, _ in located([not_located, there, not_located, there])] == [
        (1, True),
        (3, True),
    ]


def test_analyse_several_regions_equals_each_alone() -> None:
    """With and without lines, on unknown, oblique and too oblique surfaces."""
    surfaces = [
        plane((0.2, 0, -1)),
        None,
        plane((1.0, 0.0, -0.05)),
        plane((0, 0.3, -1), range_m=2.0),
        plane((0, 0, -1)),
    ]
    lines = [(LEVEL, SHORT), (SHORT,), (LEVEL,), (), (SHORT, LEVEL)]
    boxes = [OrientedBox(np.array([200.0 + 50 * index, 239.5]), 200.0, 100.0, 0.1 * index) for index in range(5)]
    cracks = [replace(CRACK, region=replace(CRACK.region, box=box)) for box in boxes]
    regions = [MeasuredRegion(crack, of_region, True) for crack, of_region in zip(cracks, lines, strict=True)]
    moving = MovingPose(Pose.of((1, 2, 3), (0, 0, np.sqrt(0.5), np.sqrt(0.5))), np.ones(3), np.zeros(3))

    def analysed(*chosen: int) -> list[CrackDetection]:
        under = iter([surfaces[index] for index in chosen])
        given = [regions[index] for index in chosen]
        return analyse(given, SeverityConfig(SCALE, 1.0), CAMERA, lambda box: next(under), moving, NoiseModel())

    together = analysed(*range(5))
    assert [item.location is None for item in together] == [False, True, True, False, False]
    for index, item in enumerate(together):
        (alone,) = analysed(index)
        assert item.crack is alone.crack and item.plane is alone.plane and item.lines is alone.lines
        assert item.severity.verdict == alone.severity.verdict
        assert item.severity.probabilities == pytest.approx(alone.severity.probabilities, rel=1e-9)
        assert item.length_m == pytest.approx(alone.length_m, rel=1e-12, nan_ok=True)
        assert len(item.map_lines) == len(alone.map_lines) == (len(lines[index]) if item.location else 0)
        if item.location is not None and alone.location is not None:
            assert item.location.covariance == pytest.approx(alone.location.covariance, rel=1e-9, abs=1e-15)
            assert item.location.pose.position_m == pytest.approx(alone.location.pose.position_m, rel=1e-12)
        for line_, single in zip(item.map_lines, alone.map_lines, strict=True):
            assert line_.points_m == pytest.approx(single.points_m, rel=1e-12)
