# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames through both steps of the processor, with and without time for every tile."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.geometry.poses.motion import MotionLimits
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel, load_model
from crack_perception.ros.common.health import Health
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.camera_poses import FirstAvailable, TopicPoses
from crack_perception.ros.detector.diagnostics import coverage_figures
from crack_perception.ros.detector.image_conversion import FrameConverter
from crack_perception.ros.detector.image_messages import image_message
from crack_perception.ros.detector.parameters import SPECS, settings_from
from crack_perception.ros.detector.processor import FrameProcessor, ProcessedFrame
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.ros.detector.timing import LoadControl

COLUMNS, ROWS, FOCAL_PX, RANGE_M = 6, 4, 300.0, 3.0
WIDTH_PX, HEIGHT_PX = COLUMNS * TILE_PX, ROWS * TILE_PX
METRES_A_TILE = RANGE_M * TILE_PX / FOCAL_PX
NO_TIME_MS = 0.001


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


class Rig:
    """A processor of real parts, three metres in front of a wall."""

    def __init__(self, model: LoadedModel, **changes: Any) -> None:
        self.settings = settings_from({s.name: s.default for s in SPECS} | {"standoff_m": RANGE_M} | changes)
        self.health = Health(lambda text: None)
        cameras = CameraInfos()
        k = [FOCAL_PX, 0.0, (WIDTH_PX - 1) / 2, 0.0, FOCAL_PX, (HEIGHT_PX - 1) / 2, 0.0, 0.0, 1.0]
        cameras.push(CameraInfo(width=WIDTH_PX, height=HEIGHT_PX, k=k, d=[0.0] * 5, distortion_model="plumb_bob"))
        poses = TopicPoses("pose", MotionLimits(), Pose.of((0, 0, 0), FORWARD_LOOKING_OPTICAL))
        for ms in (9_900, 10_000, 10_100):
            poses.push(ms * 1_000_000, Pose.identity())
        self.processor = FrameProcessor(
            FrameDetector(model, open_backend("onnxruntime", model, 1)),
            FrameConverter("own"),
            cameras,
            FirstAvailable([poses]),
            SurfaceSources(self.settings, self.health),
            self.health,
        )

    def process(self, frame: np.ndarray, next_waits: bool) -> ProcessedFrame:
        message = image_message(frame, Header(stamp=Time(sec=10), frame_id="camera"))
        timing = LoadControl(next_frame_waits=lambda: next_waits).note_arrival(time.monotonic())
        return self.processor.classify(self.processor.score(message, self.settings, timing))


def wall(*dark: tuple[int, int]) -> np.ndarray:
    """Return an image of a grey wall with dark spots at (x, y)."""
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), 170, np.uint8)
    for x, y in dark:
        frame[y, x] = 15
    return frame


def size_m(result: ProcessedFrame) -> tuple[float, float]:
    """Return width and height of the footprint on the wall."""
    extent = np.ptp(result.footprint_m, axis=0)
    assert extent[0] == pytest.approx(0.0, abs=1e-6)
    return float(extent[1]), float(extent[2])


@pytest.mark.parametrize(
    ("budget_ms", "next_waits"), [(NO_TIME_MS, False), (0.0, True), (60000.0, True)], ids=["no hurry", "off", "enough"]
)
def test_score_without_shortage_processes_every_tile(model: LoadedModel, budget_ms: float, next_waits: bool) -> None:
    result = Rig(model, frame_budget_ms=budget_ms).process(wall(), next_waits)
    assert result.processed_tiles.shape == (COLUMNS * ROWS,) and result.processed_tiles.all()
    assert size_m(result) == pytest.approx((COLUMNS * METRES_A_TILE, ROWS * METRES_A_TILE), rel=0.01)


def test_classify_truncated_frame_has_the_footprint_of_its_processed_tiles(model: LoadedModel) -> None:
    rig = Rig(model, frame_budget_ms=NO_TIME_MS)
    result = rig.process(wall((10, 10), (WIDTH_PX - 10, HEIGHT_PX - 10)), next_waits=True)
    assert np.flatnonzero(result.processed_tiles).tolist() == [0, 1, 2, 3]
    (detection,) = result.detections
    assert detection.crack.region.tiles.tolist() == [0]
    assert size_m(result) == pytest.approx((4 * METRES_A_TILE, METRES_A_TILE), rel=0.02)
    # The upper left part of the image, seen from the drone, whose camera points along x.
    assert result.footprint_m[:, 1].max() == pytest.approx(COLUMNS / 2 * METRES_A_TILE, rel=0.01)
    assert result.footprint_m[:, 2].max() == pytest.approx(ROWS / 2 * METRES_A_TILE, rel=0.01)


def test_score_truncated_frames_process_every_tile_in_turn(model: LoadedModel) -> None:
    rig = Rig(model, frame_budget_ms=NO_TIME_MS)
    processed = np.zeros(COLUMNS * ROWS, np.bool_)
    for _ in range(6):
        processed |= rig.process(wall(), next_waits=True).processed_tiles
    assert processed.all()


def test_score_lasting_shortage_is_reported_with_a_remedy(model: LoadedModel) -> None:
    rig = Rig(model, frame_budget_ms=NO_TIME_MS)
    for _ in range(9):
        rig.process(wall(), next_waits=True)
    assert "coverage" not in rig.health.counts()
    rig.process(wall(), next_waits=True)
    assert rig.health.counts()["coverage"] == 1
    (text,) = rig.health.present(5.0)
    assert "Only 17% of the tiles" in text and "frame_budget_ms" in text
    assert coverage_figures(rig.processor.coverage) == {
        "tiles_processed": "40",
        "tiles_skipped": "200",
        "tiles_second_look": "0",
        "tiles_no_structure": "0",
        "tile_coverage": "0.167",
    }


def test_score_fast_machine_reports_no_shortage(model: LoadedModel) -> None:
    rig = Rig(model)
    for _ in range(12):
        rig.process(wall(), next_waits=True)
    assert rig.health.counts() == {}
    assert coverage_figures(rig.processor.coverage)["tile_coverage"] == "1.000"


def test_classify_implausible_width_gives_a_2d_detection(model: LoadedModel) -> None:
    spot = (WIDTH_PX // 2, HEIGHT_PX // 2)
    (usual,) = Rig(model).process(wall(spot), next_waits=False).detections
    assert usual.width_mm is not None and usual.location is not None
    rig = Rig(model, max_crack_width_mm=usual.width_mm.width - 1.0)
    result = rig.process(wall(spot), next_waits=False)
    (detection,) = result.detections
    assert (detection.width_mm, detection.patch, detection.plane, detection.location) == (None,) * 4
    assert detection.severity.verdict == "undetermined" and detection.crack.region.score == usual.crack.region.score
    # The footprint is still known.
    assert len(result.footprint_m)
    assert rig.health.counts() == {"width_implausible": 1}
    assert "max_crack_width_mm" in rig.health.present(5.0)[0]
    assert Rig(model, max_crack_width_mm=0.0).process(wall(spot), next_waits=False).detections[0].width_mm is not None


def test_score_fine_gsd_reads_the_next_frame_in_fewer_tiles(model: LoadedModel) -> None:
    gsd_mm = 1000.0 * RANGE_M / FOCAL_PX
    rig = Rig(model, tile_gsd_mm=2.1 * gsd_mm)
    counts = [len(rig.process(wall(), next_waits=False).processed_tiles) for _ in range(2)]
    # The ground sampling distance of the first frame is known after it was classified.
    assert counts == [COLUMNS * ROWS, COLUMNS * ROWS // 4]
    rig.settings = replace(rig.settings, tile_gsd_mm=0.0)
    assert len(rig.process(wall(), next_waits=False).processed_tiles) == COLUMNS * ROWS
