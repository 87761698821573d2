"""Frames through all of the node but publishing, when there is time for every tile and when there is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.geometry.poses.buffer import MotionLimits
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel, load_model
from crack_perception.ros.common.diagnostics import coverage_figures
from crack_perception.ros.common.health import Problems
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.camera_poses import FirstAvailable, TopicPoses
from crack_perception.ros.detector.image_conversion import FrameConverter, image_message
from crack_perception.ros.detector.parameters import SPECS, settings_from
from crack_perception.ros.detector.processor import FrameProcessor, ProcessedFrame
from crack_perception.ros.detector.surface_sources import SurfaceSources

COLUMNS, ROWS, FOCAL_PX, RANGE_M = 6, 4, 300.0, 3.0
WIDTH_PX, HEIGHT_PX = COLUMNS * TILE_PX, ROWS * TILE_PX
METRES_A_TILE = RANGE_M * TILE_PX / FOCAL_PX
NO_TIME_MS = 0.001


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


class Rig:
    """A processor of real parts that hovers three metres before a wall."""

    def __init__(self, model: LoadedModel, **changes: Any) -> None:
        self.settings = settings_from({s.name: s.default for s in SPECS} | {"standoff_m": RANGE_M} | changes)
        self.problems = Problems(lambda text: None)
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
            SurfaceSources(self.settings, self.problems),
            self.problems,
        )

    def process(self, frame: np.ndarray, next_waits: bool) -> ProcessedFrame:
        message = image_message(frame, Header(stamp=Time(sec=10), frame_id="camera"))
        judged = self.processor.judge(message, self.settings, lambda: next_waits)
        return self.processor.complete(judged)


def wall(*dark: tuple[int, int]) -> np.ndarray:
    """A grey wall with dark spots at (x, y)."""
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), 170, np.uint8)
    for x, y in dark:
        frame[y, x] = 15
    return frame


def size_m(result: ProcessedFrame) -> tuple[float, float]:
    """Width and height of the footprint on the wall ahead."""
    spread = np.ptp(result.footprint_m, axis=0)
    assert spread[0] == pytest.approx(0.0, abs=1e-6)
    return float(spread[1]), float(spread[2])


@pytest.mark.parametrize(
    ("budget_ms", "next_waits"), [(NO_TIME_MS, False), (0.0, True), (60000.0, True)], ids=["no hurry", "off", "enough"]
)
def test_every_tile_is_looked_at_unless_time_is_over_and_the_next_frame_waits(
    model: LoadedModel, budget_ms: float, next_waits: bool
) -> None:
    result = Rig(model, frame_budget_ms=budget_ms).process(wall(), next_waits)
    assert result.looked.shape == (COLUMNS * ROWS,) and result.looked.all()
    assert size_m(result) == pytest.approx((COLUMNS * METRES_A_TILE, ROWS * METRES_A_TILE), rel=0.01)


def test_a_frame_cut_short_claims_only_what_was_looked_at(model: LoadedModel) -> None:
    rig = Rig(model, frame_budget_ms=NO_TIME_MS)
    result = rig.process(wall((10, 10), (WIDTH_PX - 10, HEIGHT_PX - 10)), next_waits=True)
    assert np.flatnonzero(result.looked).tolist() == [0, 1, 2, 3]
    (finding,) = result.findings
    assert finding.crack.region.tiles.tolist() == [0]
    assert size_m(result) == pytest.approx((4 * METRES_A_TILE, METRES_A_TILE), rel=0.02)
    # Up and to the left of the image, that is of the drone that looks along x.
    assert result.footprint_m[:, 1].max() == pytest.approx(COLUMNS / 2 * METRES_A_TILE, rel=0.01)
    assert result.footprint_m[:, 2].max() == pytest.approx(ROWS / 2 * METRES_A_TILE, rel=0.01)


def test_short_frames_show_everything_in_turn(model: LoadedModel) -> None:
    rig = Rig(model, frame_budget_ms=NO_TIME_MS)
    looked = np.zeros(COLUMNS * ROWS, np.bool_)
    for _ in range(6):
        looked |= rig.process(wall(), next_waits=True).looked
    assert looked.all()


def test_a_lasting_shortage_is_told_with_a_remedy(model: LoadedModel) -> None:
    rig = Rig(model, frame_budget_ms=NO_TIME_MS)
    for _ in range(9):
        rig.process(wall(), next_waits=True)
    assert "coverage" not in rig.problems.counts()
    rig.process(wall(), next_waits=True)
    assert rig.problems.counts()["coverage"] == 1
    (text,) = rig.problems.present(5.0)
    assert "Only 17% of the tiles" in text and "frame_budget_ms" in text
    assert coverage_figures(rig.processor.coverage) == {
        "tiles_processed": "40",
        "tiles_skipped": "200",
        "tile_coverage": "0.167",
    }


def test_a_machine_that_keeps_up_is_not_short(model: LoadedModel) -> None:
    rig = Rig(model)
    for _ in range(12):
        rig.process(wall(), next_waits=True)
    assert rig.problems.counts() == {}
    assert coverage_figures(rig.processor.coverage)["tile_coverage"] == "1.000"


def test_complete_crack_wider_than_any_stays_in_the_image_only(model: LoadedModel) -> None:
    spot = (WIDTH_PX // 2, HEIGHT_PX // 2)
    (usual,) = Rig(model).process(wall(spot), next_waits=False).findings
    assert usual.width_mm is not None and usual.location is not None
    rig = Rig(model, max_crack_width_mm=usual.width_mm.width - 1.0)
    result = rig.process(wall(spot), next_waits=False)
    (finding,) = result.findings
    assert (finding.width_mm, finding.patch, finding.plane, finding.location) == (None,) * 4
    assert finding.severity.verdict == "undetermined" and finding.crack.region.score == usual.crack.region.score
    # What the camera sees of the wall is still known.
    assert len(result.footprint_m)
    assert rig.problems.counts() == {"width_implausible": 1}
    assert "max_crack_width_mm" in rig.problems.present(5.0)[0]
    assert Rig(model, max_crack_width_mm=0.0).process(wall(spot), next_waits=False).findings[0].width_mm is not None
