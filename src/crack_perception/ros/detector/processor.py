# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Processing of a frame up to publication: score its tiles, then measure, classify and locate its regions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.camera.view_motion import SurfaceView
from crack_perception.geometry.line_lifting import largest_gsd_mm_per_px, outline_on_surface
from crack_perception.geometry.poses.history import LEAST_STEP_BACK_NS
from crack_perception.geometry.poses.motion import MovingPose, PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NotOnSurface, patch_of
from crack_perception.geometry.surface.plane import SurfacePlane
from crack_perception.inspection.analysis import CrackDetection, SeverityConfig, analyse, without_scale
from crack_perception.mapping.coverage.view import InspectedView
from crack_perception.recognition.frame_detector import FrameDetections, FrameDetector
from crack_perception.recognition.measurement import MeasuredRegion, RegionMeasurement
from crack_perception.recognition.scheduling import TileCoverage, largest_processed_rectangle
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.camera_poses import FirstAvailable
from crack_perception.ros.detector.image_conversion import FrameConverter, ImageInput
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.ros.detector.timing import FrameTiming
from crack_perception.vision.regions import OrientedBox

if TYPE_CHECKING:
    from std_msgs.msg import Header


@dataclass(frozen=True, eq=False)
class InspectedSurface:
    """The surface that a frame shows, as far as its tiles were processed.

    Attributes:
        outline_m: (M, 3) its corners in the map: of the whole image, or of the largest rectangle of processed tiles
            where tiles were skipped; (0, 3) where it is unknown.
        pixels: (M, 2) the corners in the image.
        view: Camera, surface and pose; None where they are unknown.
    """

    outline_m: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.float64]
    view: SurfaceView | None = None

    def gsd_mm_per_px(self) -> npt.NDArray[np.float64]:
        """Largest size of a pixel on the surface at the corners (M,)."""
        if self.view is None:
            return np.empty(0)
        return largest_gsd_mm_per_px(self.view.camera, self.view.plane, self.pixels)

    def inspected_view(self) -> InspectedView | None:
        """View for the coverage of the map; None where the surface is unknown."""
        if self.view is None or not len(self.outline_m):
            return None
        viewpoint_m = self.view.map_from_camera.position_m
        return InspectedView.of(self.outline_m, self.gsd_mm_per_px(), self.pixels, viewpoint_m)


_UNKNOWN_SURFACE = InspectedSurface(np.empty((0, 3)), np.empty((0, 2)))


@dataclass(frozen=True)
class ScoredFrame:
    """A frame with the output of the model.

    Attributes:
        header: Header of the image.
        frame: BGR (H, W, 3), possibly a view of the message's bytes.
        output: Tiles of the frame, their scores and the cracked regions.
        settings: Parameters that the frame is processed with.
        timing: Times and time limits of the frame.
    """

    header: Header
    frame: npt.NDArray[np.uint8]
    output: FrameDetections
    settings: Settings
    timing: FrameTiming


@dataclass(frozen=True)
class ProcessedFrame:
    """A frame with its results.

    Attributes:
        header: Header of the image.
        frame: BGR (H, W, 3), possibly a view of the message's bytes.
        detections: Cracked regions, strongest first.
        camera: Camera of the frame; None where it is unknown.
        pose: Optical frame in the map; None where it is unknown, so that no detection has a location in the map.
        surface: Inspected surface.
        processed_tiles: (tiles,) mask of the tiles that were processed.
        settings: Parameters that the frame was processed with.
    """

    header: Header
    frame: npt.NDArray[np.uint8]
    detections: list[CrackDetection]
    camera: CameraModel | None
    pose: Pose | None
    surface: InspectedSurface
    processed_tiles: npt.NDArray[np.bool_]
    settings: Settings

    @property
    def footprint_m(self) -> npt.NDArray[np.float64]:
        """Outline (M, 3) in the map of the inspected surface; (0, 3) where it is unknown."""
        return self.surface.outline_m

    @property
    def has_pose(self) -> bool:
        """Whether the camera's pose was known, so that every detection with a range has a location in the map."""
        return self.pose is not None

    @property
    def camera_frame(self) -> str:
        """Name of the optical frame."""
        return str(self.header.frame_id)

    @property
    def map_frame(self) -> str:
        """Name of the map frame."""
        return self.settings.map_frame


@dataclass(frozen=True)
class CentreView:
    """Surface and camera in the middle of the last frame; figures are computed only when the diagnostics need them.

    Attributes:
        plane: Surface there; None where no range is known.
        camera: Camera of the frame; None where it is unknown.
    """

    plane: SurfacePlane | None = None
    camera: CameraModel | None = None

    @property
    def gsd_mm_per_px(self) -> float | None:
        """Ground sampling distance; None where no range is known or the view is too oblique."""
        if self.plane is None or self.camera is None:
            return None
        box = _centre_box(self.camera)
        try:
            return patch_of(self.camera, self.plane, box.centre_px, box.ends()).gsd_mm_per_px
        except NotOnSurface:
            return None


class FrameProcessor:
    """Process frames in two steps, each called by one thread only.

    Args:
        fetch: Called before range and pose of a frame are looked up: takes those that have arrived.

    Attributes:
        centre: Surface and camera in the middle of the last frame.
        measurement: Line measurement with its counter of skipped regions.
        coverage: Counters of processed and skipped tiles.
        view: View of the surface in the last frame; None where its pose or range is unknown.
    """

    def __init__(
        self,
        detector: FrameDetector,
        converter: FrameConverter,
        cameras: CameraInfos,
        poses: FirstAvailable,
        surfaces: SurfaceSources,
        health: Health,
        fetch: Callable[[], object] = lambda: None,
    ) -> None:
        self._fetch = fetch
        self._detector = detector
        self._converter = converter
        self._cameras = cameras
        self._poses = poses
        self._surfaces = surfaces
        self._health = health
        self.centre = CentreView()
        self.measurement = RegionMeasurement()
        self.coverage = TileCoverage()
        self.view: SurfaceView | None = None
        # Stamp of the last image with a pose, and number of jumps back in time that the poses had made by then.
        self._located = (-(2**63), 0)

    def score(self, message: ImageInput, settings: Settings, timing: FrameTiming) -> ScoredFrame:
        """Decode and score a frame; most of this runs without Python's global interpreter lock (GIL).

        Raises:
            BadImage: The message contains no usable image.
            InferenceFailed: The backend failed.
        """
        timing.begin_scoring(settings.frame_budget_s)
        frame = self._converter.frame_of(message)
        self._detector.threshold = settings.threshold or self._detector.model.threshold
        self._detector.scale.tile_gsd_mm = settings.tile_gsd_mm
        self._detector.second_look = settings.second_look
        # Range and pose of this frame are looked up after inference; those of the last classified frame are close.
        output = self._detector.detect(
            frame, timing.skips_tiles, gsd_mm_per_px=self.centre.gsd_mm_per_px, is_busy=timing.is_busy
        )
        self._count_tiles(output, settings)
        timing.end_scoring()
        return ScoredFrame(message.header, frame, output, settings, timing)

    def classify(self, scored: ScoredFrame) -> ProcessedFrame:
        """Measure, classify and locate the regions of a scored frame."""
        header, frame, output, settings = scored.header, scored.frame, scored.output, scored.settings
        regions = self._measured(scored)
        self._fetch()
        camera = self._camera_for(header, frame.shape[1], frame.shape[0])
        if camera is None:
            self.centre, self.view = CentreView(), None
            config = SeverityConfig(settings.severity, settings.resolvable_width_px)
            detections = analyse(regions, config, None, lambda box: None, None, settings.noise)
            return ProcessedFrame(header, frame, detections, None, None, _UNKNOWN_SURFACE, output.looked, settings)
        # Looked up after inference: by now the pose that follows the image has usually arrived.
        motion = self._motion_at(stamp_ns(header.stamp), header.frame_id, settings)
        detections = self._detections(regions, header, camera, motion, settings)
        surface = self._update_view(output, motion)
        pose = None if motion is None else motion.pose
        return ProcessedFrame(header, frame, detections, camera, pose, surface, output.looked, settings)

    def _measured(self, scored: ScoredFrame) -> list[MeasuredRegion]:
        """Measure the lines of the regions as far as the time allows."""
        settings, output, timing = scored.settings, scored.output, scored.timing
        timing.begin_measuring()
        if settings.measure_lines:
            limit_s = min(settings.measure_time_s or math.inf, timing.measuring_s)
            regions = self.measurement.measure(scored.frame, output.grid, output.regions, limit_s, timing.skips_regions)
        else:
            regions = [MeasuredRegion(crack) for crack in output.regions]
        timing.end_measuring()
        return regions

    def _detections(
        self,
        regions: list[MeasuredRegion],
        header: Header,
        camera: CameraModel,
        motion: MovingPose | None,
        settings: Settings,
    ) -> list[CrackDetection]:
        """Classify and locate regions; report those that are too wide or too oblique to be located."""
        surface = self._surfaces.surface_at(stamp_ns(header.stamp), camera, motion, settings, header.frame_id)
        self.centre = CentreView(surface.plane_under(_centre_box(camera)), camera)
        config = SeverityConfig(settings.severity, settings.resolvable_width_px)
        detections = analyse(regions, config, camera, surface.plane_under, motion, settings.noise)
        detections = self._without_implausible(detections, settings)
        if motion is not None and any(detection.plane and not detection.location for detection in detections):
            self._health.report(
                "not_placed",
                "A region stays 2D: the view of its surface is too oblique, or camera_info or pose contain impossible "
                "values. Check both if this persists",
            )
        return detections

    def _update_view(self, output: FrameDetections, motion: MovingPose | None) -> InspectedSurface:
        """Update the view of the surface; return the inspected part of it."""
        camera, plane = self.centre.camera, self.centre.plane
        if motion is None or camera is None or plane is None:
            self.view = None
            return _UNKNOWN_SURFACE
        # Where no tile was processed, the surface is not known to be intact.
        window_px = None if output.looked.all() else largest_processed_rectangle(output.grid, output.looked)
        outline = outline_on_surface(camera, plane, window_px)
        self.view = SurfaceView(camera, plane, motion.pose)
        return InspectedSurface(motion.pose.transform(outline.points_m), outline.pixels, self.view)

    def _without_implausible(self, detections: list[CrackDetection], settings: Settings) -> list[CrackDetection]:
        """Remove scale and location of detections that would be wider than any crack, and report them."""
        checked = []
        for detection in detections:
            if detection.width_mm is not None and not detection.width_mm.width <= settings.max_crack_width_mm:
                self._health.report(
                    "width_implausible",
                    f"A region stays 2D: its crack would be {detection.width_mm.width:.0f} mm wide, more than "
                    "max_crack_width_mm. Are the range or depth (in metres) and camera_info those of this camera?",
                )
                detection = without_scale(detection, settings.severity)
            checked.append(detection)
        return checked

    def _count_tiles(self, output: FrameDetections, settings: Settings) -> None:
        self.coverage.count(output.looked, output.second_looks, output.no_structure)
        if self.coverage.is_short:
            self._health.report(
                "coverage",
                f"Only {self.coverage.share:.0%} of the tiles are processed: a frame takes longer than "
                f"{1000.0 * settings.frame_budget_s:g} ms and the next frame waits. Use the model nano, smaller "
                "images or less tile_overlap, or raise frame_budget_ms for fewer, older, but whole frames",
            )

    def _camera_for(self, header: Header, width_px: int, height_px: int) -> CameraModel | None:
        try:
            model = self._cameras.model_for(stamp_ns(header.stamp), width_px, height_px, header.frame_id)
        except UserError as error:
            self._health.report("camera_info", f"Only 2D results: {error}")
            return None
        if self._cameras.warnings:
            self._health.report("camera_info_doubt", "; ".join(self._cameras.warnings))
        return model

    def _motion_at(self, stamp: int, camera_frame: str, settings: Settings) -> MovingPose | None:
        try:
            motion = self._poses.at(stamp, camera_frame, settings.pose_timeout_s)
        except PoseUnavailable as error:
            self._health.report("no_pose", f"Only 2D results, the camera's pose is unknown: {error}")
            return None
        before, jumps = self._located, self._poses.time_jumps
        self._located = (stamp, jumps)
        if stamp <= before[0] - LEAST_STEP_BACK_NS and jumps > before[1]:
            # Ranges come less often than poses: these may not have noticed yet.
            self._surfaces.set_back(stamp)
        return motion


def _centre_box(camera: CameraModel) -> OrientedBox:
    side_px = min(camera.width_px, camera.height_px) / 8
    return OrientedBox(np.array([camera.width_px - 1, camera.height_px - 1]) / 2, side_px, side_px, 0.0)
