"""What is said of a region grows with what is known: camera, range, pose."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.geometry.camera import CameraModel
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.pose_buffer import MovingPose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.range_sources import RangeReading
from crack_perception.geometry.surface import SurfacePlane
from crack_perception.recognition.detector import CrackRegion
from crack_perception.recognition.severity import SeverityScale, WidthEstimate
from crack_perception.ros.frame_analysis import Finding, analyse
from crack_perception.vision.regions import OrientedBox, Region

SCALE = SeverityScale.of_preset("aashto")
CAMERA = CameraModel.of(640, 480, [500, 0, 319.5, 0, 500, 239.5, 0, 0, 1], [], "")
STILL = MovingPose(Pose.identity(), np.zeros(3), np.zeros(3))
BOX = OrientedBox(np.array([319.5, 239.5]), 200.0, 100.0, 0.0)
CRACK = CrackRegion(Region(BOX, np.array([0]), 0.9), WidthEstimate(np.log(2.0), 0.1), 0.5)


def plane(normal: tuple[float, float, float], range_m: float = 1.0) -> SurfacePlane:
    unit = np.array(normal) / np.linalg.norm(normal)
    return SurfacePlane(RangeReading(range_m, 0.02, "range"), unit, 0.05, normal_in_map=False)


def finding(camera: CameraModel | None, surface: SurfacePlane | None, motion: MovingPose | None) -> Finding:
    (result,) = analyse([CRACK], SCALE, camera, lambda box: surface, motion, NoiseModel())
    return result


@pytest.mark.parametrize(("camera", "surface"), [(None, plane((0, 0, -1))), (CAMERA, None)])
def test_without_camera_or_range_there_is_no_scale(camera: CameraModel | None, surface: SurfacePlane | None) -> None:
    result = finding(camera, surface, STILL)
    assert result.severity.verdict == "undetermined"
    assert result.width_mm is None and result.patch is None and result.location is None
    assert result.summary() == "crack 0.90, 2.0 +- 0.2 px"


def test_a_range_gives_millimetres_and_a_class() -> None:
    result = finding(CAMERA, plane((0, 0, -1)), None)
    assert result.width_mm is not None and result.patch is not None and result.location is None
    # 2 px at 1 m / 500 px are 4 mm; the range's 2 % widen the 10 % of the model.
    assert result.width_mm.width == pytest.approx(4.0, rel=1e-3)
    assert result.width_mm.log_sigma == pytest.approx(np.hypot(0.1, 0.02))
    assert result.severity.verdict == ">=1.27mm"
    assert result.patch.length_m == pytest.approx(0.4, rel=1e-3)


def test_a_pose_gives_the_place() -> None:
    result = finding(CAMERA, plane((0, 0, -1), range_m=3.0), STILL)
    assert result.location is not None
    assert result.location.pose.position_m.tolist() == pytest.approx([0, 0, 3], abs=1e-9)
    assert np.sqrt(result.location.covariance[2, 2]) == pytest.approx(np.hypot(0.02, 0.02), rel=0.01)


def test_a_surface_seen_too_flat_keeps_its_region_in_2d() -> None:
    result = finding(CAMERA, plane((1.0, 0.0, -0.05)), STILL)
    assert result.location is None and result.width_mm is None
    assert result.plane is not None
    assert result.severity.verdict == "undetermined"


def test_a_region_that_reaches_beyond_the_horizon_is_judged_but_not_placed() -> None:
    steep = np.deg2rad(79.0)
    result = finding(CAMERA, plane((np.sin(steep), 0.0, -np.cos(steep))), STILL)
    assert result.location is None and result.plane is not None
    assert result.width_mm is not None and result.severity.verdict == ">=1.27mm"
