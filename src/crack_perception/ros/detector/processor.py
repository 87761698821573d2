"""From an image message to detections, in two steps: the pipeline of the node without publishing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.camera.view_motion import SurfaceView
from crack_perception.geometry.line_lifting import outline_on_surface
from crack_perception.geometry.poses.buffer import MovingPose, PoseUnavailable
from crack_perception.geometry.projection import NotOnSurface, patch_of
from crack_perception.geometry.surface.plane import SurfacePlane
from crack_perception.recognition.frame_detector import FrameDetections, FrameDetector
from crack_perception.recognition.measurement import MeasuredRegion, RegionMeasurement
from crack_perception.recognition.scheduling import TileCoverage, largest_processed_rectangle
from crack_perception.ros.common.health import Problems
from crack_perception.ros.detector.analysis import Finding, Judgement, analyse, in_image_only
from crack_perception.ros.detector.camera_infos import CameraInfos, stamp_ns
from crack_perception.ros.detector.camera_poses import FirstAvailable
from crack_perception.ros.detector.image_conversion import FrameConverter
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.vision.regions import OrientedBox


@dataclass(frozen=True)
class JudgedFrame:
    """A frame with the output of the model.

    Attributes:
        header: The image's own.
        frame: BGR (H, W, 3), perhaps a view of the message's bytes.
        detections: Its tiles, their scores and the cracked regions.
        settings: The parameters it is processed with.
    """

    header: Header
    frame: npt.NDArray[np.uint8]
    detections: FrameDetections
    settings: Settings


@dataclass(frozen=True)
class ProcessedFrame:
    """One frame and all that was computed from it.

    Attributes:
        header: The image's own.
        frame: BGR (H, W, 3), perhaps a view of the message's bytes.
        findings: Regions, strongest first.
        located: The camera's pose was known, so that every finding with a range has a place in the map.
        footprint_m: (M, 3) outline in the map of the inspected surface: all that the image shows, or the
            largest rectangle of tiles where time was short; (0, 3) where it is unknown.
        looked: (tiles,) which tiles of the frame were processed.
        settings: The parameters it was processed with.
    """

    header: Header
    frame: npt.NDArray[np.uint8]
    findings: list[Finding]
    located: bool
    footprint_m: npt.NDArray[np.float64]
    looked: npt.NDArray[np.bool_]
    settings: Settings


@dataclass(frozen=True)
class CentreView:
    """Surface and camera in the middle of the last frame; its figures are computed only when the diagnostics ask.

    Attributes:
        plane: The surface there; None where no range is known.
        camera: That took the frame; None where it is unknown.
    """

    plane: SurfacePlane | None = None
    camera: CameraModel | None = None

    @property
    def gsd_mm_per_px(self) -> float | None:
        """Ground sampling distance; None where no range is known or the surface is seen too flat."""
        if self.plane is None or self.camera is None:
            return None
        box = _centre_box(self.camera)
        try:
            return patch_of(self.camera, self.plane, box.centre_px, box.ends()).gsd_mm_per_px
        except NotOnSurface:
            return None


class FrameProcessor:
    """Processes frames in two steps, each called by one thread only."""

    def __init__(
        self,
        detector: FrameDetector,
        converter: FrameConverter,
        cameras: CameraInfos,
        poses: FirstAvailable,
        surfaces: SurfaceSources,
        problems: Problems,
    ) -> None:
        self._detector = detector
        self._converter = converter
        self._cameras = cameras
        self._poses = poses
        self._surfaces = surfaces
        self._problems = problems
        self.centre = CentreView()
        self.measured_s = 0.0
        """When (monotonic) there was no more to measure in the last frame, or no time."""
        self.measurement = RegionMeasurement()
        self.coverage = TileCoverage()
        self.view: SurfaceView | None = None
        """View of the surface in the last frame; None where its pose or range is not known."""

    def judge(
        self, message: Image | CompressedImage, settings: Settings, is_late: Callable[[], bool] = lambda: False
    ) -> JudgedFrame:
        """First step, nearly all of it outside Python: decode and score a frame.

        Args:
            is_late: Whether the next frame waits already, so that tiles are skipped until a later frame once
                this frame's budget is spent.

        Raises:
            BadImage: The message holds no usable picture.
            InferenceFailed: The backend failed.
        """
        end_s = time.monotonic() + (settings.frame_budget_s or math.inf)
        frame = self._converter.frame_of(message)
        self._detector.threshold = settings.threshold or self._detector.model.threshold
        detections = self._detector.detect(frame, lambda: time.monotonic() >= end_s and is_late())
        self._count_tiles(detections.looked, settings)
        return JudgedFrame(message.header, frame, detections, settings)

    def complete(
        self, judged: JudgedFrame, is_late: Callable[[], bool] = lambda: False, spare_s: float = math.inf
    ) -> ProcessedFrame:
        """Second step: measure, classify and place the regions of the frame.

        Args:
            is_late: Whether the next frame waits already, so that lines are measured in a later one.
            spare_s: Time for measuring lines after which the next frame would wait.
        """
        header, frame, detections, settings = judged.header, judged.frame, judged.detections, judged.settings
        looked = detections.looked
        if settings.measure_lines:
            regions = self.measurement.measure(
                frame,
                detections.grid,
                detections.regions,
                min(settings.measure_time_s or math.inf, spare_s),
                is_late,
            )
        else:
            regions = [MeasuredRegion(crack) for crack in detections.regions]
        self.measured_s = time.monotonic()
        judgement = Judgement(settings.severity, settings.resolvable_width_px)
        stamp = stamp_ns(header.stamp)
        camera = self._camera_for(header, frame.shape[1], frame.shape[0])
        if camera is None:
            self.centre = CentreView()
            self.view = None
            findings = analyse(regions, judgement, None, lambda box: None, None, settings.noise)
            return ProcessedFrame(header, frame, findings, False, np.empty((0, 3)), looked, settings)
        # Looked up after inference: by now the pose that follows the image has usually arrived.
        motion = self._motion_at(stamp, header.frame_id, settings)
        planes = self._surfaces.planes_at(stamp, camera, motion, settings, header.frame_id)
        self.centre = CentreView(planes(_centre_box(camera)), camera)
        findings = analyse(regions, judgement, camera, planes, motion, settings.noise)
        findings = self._without_implausible(findings, settings)
        if motion is not None and any(finding.plane and not finding.location for finding in findings):
            self._problems.report(
                "not_placed",
                "A region stays 2D: its surface is seen too flat, or camera_info or pose hold impossible numbers",
            )
        footprint_m, view = np.empty((0, 3)), None
        if motion is not None and self.centre.plane is not None:
            view = SurfaceView(camera, self.centre.plane, motion.pose)
            # Where no tile was processed, the surface is not known to be intact.
            window_px = None if looked.all() else largest_processed_rectangle(detections.grid, looked)
            footprint_m = motion.pose.transform(outline_on_surface(camera, self.centre.plane, window_px))
        self.view = view
        return ProcessedFrame(header, frame, findings, motion is not None, footprint_m, looked, settings)

    def _without_implausible(self, findings: list[Finding], settings: Settings) -> list[Finding]:
        """The findings, without scale and place where they would be wider than any crack, which is reported."""
        checked = []
        for finding in findings:
            if finding.width_mm is not None and not finding.width_mm.width <= settings.max_crack_width_mm:
                self._problems.report(
                    "width_implausible",
                    f"A region stays 2D: its crack would be {finding.width_mm.width:.0f} mm wide, more than "
                    "max_crack_width_mm. Are the range or depth (in metres) and camera_info those of this camera?",
                )
                finding = in_image_only(finding, settings.severity)
            checked.append(finding)
        return checked

    def _count_tiles(self, looked: npt.NDArray[np.bool_], settings: Settings) -> None:
        self.coverage.count(looked)
        if self.coverage.is_short:
            self._problems.report(
                "coverage",
                f"Only {self.coverage.share:.0%} of the tiles are processed: a frame takes longer than "
                f"{1000.0 * settings.frame_budget_s:g} ms and the camera does not wait. Use the model nano, smaller "
                "images or less tile_overlap, or raise frame_budget_ms for fewer, older, but whole frames",
            )

    def _camera_for(self, header: Header, width_px: int, height_px: int) -> CameraModel | None:
        try:
            model = self._cameras.model_for(stamp_ns(header.stamp), width_px, height_px, header.frame_id)
        except UserError as error:
            self._problems.report("camera_info", f"Only 2D results: {error}")
            return None
        if self._cameras.doubts:
            self._problems.report("camera_info_doubt", "; ".join(self._cameras.doubts))
        return model

    def _motion_at(self, stamp: int, camera_frame: str, settings: Settings) -> MovingPose | None:
        try:
            return self._poses.at(stamp, camera_frame, settings.pose_timeout_s)
        except PoseUnavailable as error:
            self._problems.report("no_pose", f"Only 2D results, the camera's pose is unknown: {error}")
            return None


def _centre_box(camera: CameraModel) -> OrientedBox:
    side_px = min(camera.width_px, camera.height_px) / 8
    return OrientedBox(np.array([camera.width_px - 1, camera.height_px - 1]) / 2, side_px, side_px, 0.0)
