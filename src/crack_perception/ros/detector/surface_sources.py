"""Surface under a region: from depth, else the rangefinder, else a plane known in the map, else the standoff."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image, Range

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.buffer import MovingPose
from crack_perception.geometry.poses.history import StampedHistory
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.learnt import LearntSurface
from crack_perception.geometry.surface.plane import SurfacePlane, assumed_plane, plane_from_depth
from crack_perception.geometry.surface.range import (
    ImplausibleRange,
    RangeBuffer,
    RangeReading,
    RangeUnavailable,
    beam_warning,
    check_plausible,
    check_registered,
    check_same_frame,
    depth_in_metres,
    depth_points,
)
from crack_perception.ros.common.health import Problems
from crack_perception.ros.detector.analysis import PlaneUnder
from crack_perception.ros.detector.camera_infos import stamp_ns
from crack_perception.ros.detector.image_conversion import depth_of
from crack_perception.ros.detector.parameters import Settings
from crack_perception.vision.images.encodings import BadImage
from crack_perception.vision.regions import OrientedBox

_DEPTH_HISTORY_S = 5.0
_DEPTH_IMAGES_KEPT = 6
# What to ask where the scale is implausible, by the source of the range.
_SCALE_QUESTIONS = {
    "depth": "Is the depth in millimetres (depth_unit_m)?",
    "range": "Is the range in millimetres?",
    "range+surface": "Is the range in millimetres?",
    "map_plane": "Are map_planes.equations and the pose in metres and of the same map?",
    "standoff": "Is standoff_m in metres?",
}


class SurfaceSources:
    """Range and depth messages, and the surface planes that follow from them for a frame."""

    def __init__(self, settings: Settings, problems: Problems) -> None:
        self._settings = settings
        self._problems = problems
        self._ranges = RangeBuffer(
            settings.range_max_age_s, settings.range_relative_sigma, settings.range_floor_sigma_m
        )
        self._depths: StampedHistory[Image] = StampedHistory(_DEPTH_HISTORY_S, _DEPTH_IMAGES_KEPT)
        self._learnt = LearntSurface()
        self._lock = threading.Lock()

    def push_range(self, message: Range) -> None:
        """Take a reading of the rangefinder; an unusable one is reported."""
        doubt = beam_warning(message.field_of_view)
        if doubt:
            self._problems.report("range_doubt", doubt)
        try:
            check_plausible(message.range, self._settings.max_range_m)
            self._ranges.push(
                stamp_ns(message.header.stamp),
                message.range,
                message.min_range,
                message.max_range,
                getattr(message, "variance", 0.0),  # since ROS 2 Jazzy
            )
        except ImplausibleRange as error:
            self._problems.report("range_implausible", f"A range was refused: {error}")
        except ValueError as error:
            self._problems.report("range_rejected", f"A range was refused: {error}. Check the rangefinder")

    def push_depth(self, message: Image) -> None:
        """Take a registered depth image; time that is set back discards the earlier ones."""
        with self._lock:
            self._depths.push(stamp_ns(message.header.stamp), message)

    def planes_at(
        self,
        image_stamp_ns: int,
        camera: CameraModel,
        motion: MovingPose | None,
        settings: Settings,
        camera_frame: str = "",
    ) -> PlaneUnder:
        """A function that gives the plane under a box of the image with this stamp; None where it is not known.

        Depth measured under the box takes precedence. A rangefinder's reading takes the direction of the map plane that
        the optical axis meets, where one is configured, else that of ``surface``; a box that shows another map plane
        than the axis meets takes that one as it stands in the map. Without map planes the reading is compared with
        those before it, from which the surface is learnt. The standoff comes last. What puts the surface so far that
        one pixel covers more than ``max_gsd_mm_per_px`` of it is reported and not used.

        Args:
            image_stamp_ns: Stamp of the image in nanoseconds.
            camera: Model of its camera.
            motion: The optical frame in the map; None when unknown.
            settings: The parameters.
            camera_frame: The image's frame_id, which a registered depth image shares; empty if unknown.
        """
        map_from_camera = motion.pose if motion is not None else None
        size_px = (camera.width_px, camera.height_px)
        depth_m = self._depth_at(image_stamp_ns, size_px, camera_frame)
        reading, missing = self._reading_at(image_stamp_ns)
        if reading is not None and self._is_too_coarse(reading, camera, settings):
            reading, missing = None, "the range is implausible"
        if reading is None and settings.standoff_m is not None:
            fallback: RangeReading | None = RangeReading(
                settings.standoff_m, settings.standoff_m * settings.standoff_relative_sigma, "standoff"
            )
        else:
            fallback = reading
        assumed = learnt = None
        if fallback is not None:
            assumed = assumed_plane(fallback, settings.surface, map_from_camera, settings.surface_normal_sigma_rad)
        if settings.learn_surface and reading is not None and motion is not None and assumed is not None:
            learnt = self._learnt.learn(image_stamp_ns, motion, reading, self._ranges, assumed, settings.noise)

        def plane_under(box: OrientedBox) -> SurfacePlane | None:
            if depth_m is not None:
                pixels, depths = depth_points(depth_m, box.corners(), size_px)
                measured = plane_from_depth(camera, pixels, depths, settings.depth_relative_sigma)
                if measured is not None and not self._is_too_coarse(measured.range, camera, settings):
                    return measured
            if map_from_camera is not None and settings.map_planes.planes:
                ray = camera.rays(box.centre_px)[0]
                known = settings.map_planes.under(map_from_camera, ray, reading, settings.noise)
                if known is not None and not self._is_too_coarse(known.range, camera, settings):
                    return known
            supposed = learnt or assumed
            if supposed is not None and not self._is_too_coarse(supposed.range, camera, settings):
                return supposed
            if supposed is None:
                self._problems.report("no_range", _no_range(missing, depth_m is not None, settings, map_from_camera))
            return None

        return plane_under

    def _is_too_coarse(self, reading: RangeReading, camera: CameraModel, settings: Settings) -> bool:
        """Whether one pixel covers more of the surface than is plausible, which is reported."""
        gsd_mm_per_px = 1000.0 * reading.range_m / camera.focal_px
        if gsd_mm_per_px <= settings.max_gsd_mm_per_px:
            return False
        self._problems.report(
            "scale_implausible",
            f"Implausible scale: GSD is {gsd_mm_per_px:.0f} mm/px at {reading.range_m:.1f} m (from {reading.source}, "
            f"focal length {camera.focal_px:.0f} px), more than max_gsd_mm_per_px. {_SCALE_QUESTIONS[reading.source]}",
        )
        return True

    def _reading_at(self, image_stamp_ns: int) -> tuple[RangeReading | None, str]:
        """The rangefinder's reading, else why there is none."""
        try:
            return self._ranges.at(image_stamp_ns), ""
        except RangeUnavailable as error:
            if self._ranges.has_any:
                self._problems.report("range_stale", f"A range was not used: {error}. Check the rangefinder's rate")
            return None, str(error)

    def _depth_at(
        self, image_stamp_ns: int, image_size_px: tuple[int, int], camera_frame: str
    ) -> npt.NDArray[np.float32] | None:
        with self._lock:
            nearest = self._depths.nearest(image_stamp_ns)
        if nearest is None:
            return None
        age_ns, depth = nearest
        if age_ns > self._settings.range_max_age_s * 1e9:
            self._problems.report(
                "depth_stale",
                f"A depth image was not used: the nearest is {age_ns / 1e6:.0f} ms from the image, more than "
                f"{self._settings.range_max_age_s * 1e3:.0f} ms. Check the depth camera's rate and clock",
            )
            return None
        try:
            check_registered((depth.width, depth.height), image_size_px)
            check_same_frame(depth.header.frame_id, camera_frame)
            unit_m, farthest_m = self._settings.depth_unit_m, self._settings.max_range_m
            return depth_in_metres(depth_of(depth), depth.encoding, unit_m, farthest_m)
        except ImplausibleRange as error:
            self._problems.report("depth_implausible", f"A depth image was not used: {error}")
            return None
        except (BadImage, ValueError) as error:
            self._problems.report("depth_rejected", f"A depth image was refused: {error}")
            return None


def _no_range(missing: str, has_depth: bool, settings: Settings, map_from_camera: Pose | None) -> str:
    """Why there is no surface under a box: everything that could have given one."""
    reasons = [missing]
    if settings.map_planes.planes:
        reasons.append(
            "the map planes need the pose"
            if map_from_camera is None
            else "no map plane lies ahead within a plausible distance"
        )
    reasons.append("standoff_m is not set")
    if has_depth:
        reasons.append("the depth image shows no surface in a part of the image")
    return f"No scale and no position: {', '.join(reasons)}"
