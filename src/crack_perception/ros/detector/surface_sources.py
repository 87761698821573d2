# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Surface under a region, from the depth image, the rangefinder, planes known in the map, or the standoff."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.history import StampedHistory
from crack_perception.geometry.poses.motion import MovingPose
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
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.image_conversion import depth_of
from crack_perception.ros.detector.parameters import Settings
from crack_perception.vision.images.encodings import BadImage
from crack_perception.vision.regions import OrientedBox

if TYPE_CHECKING:
    from sensor_msgs.msg import Image, Range

    from crack_perception.geometry.surface.scan import BeamAhead

_DEPTH_HISTORY_S = 5.0
_DEPTH_IMAGES_KEPT = 6
# Question to the operator where the scale is implausible, by the source of the range.
_SCALE_QUESTIONS = {
    "depth": "Is the depth in millimetres (depth_unit_m)?",
    "range": "Is the range in metres?",
    "range+surface": "Is the range in metres?",
    "map_plane": "Are map_planes.equations and the pose in metres and of the same map?",
    "standoff": "Is standoff_m in metres?",
}


@dataclass(frozen=True)
class FrameSurface:
    """Surface that one frame shows, from the sources that are available for it.

    The sources in order of precedence:

    1. Depth measured under the box.
    2. Configured map planes. The plane that the optical axis meets gives the direction of the surface for a
       rangefinder's reading; a box on another map plane uses that plane as configured.
    3. The rangefinder. Without map planes, the surface is estimated from the present and past readings, or has the
       direction of the parameter ``surface``.
    4. The assumed range ``standoff_m``.

    A plane so far away that one pixel covers more than ``max_gsd_mm_per_px`` is reported and not used.

    Attributes:
        camera: Camera model of the frame.
        map_from_camera: Optical frame in the map; None when unknown.
        depth_m: Registered depth image in metres; None without one.
        reading: Reading of the rangefinder; None without one.
        missing: Reason for a missing reading.
        fallback: Estimated or assumed plane where depth and map planes give none; None without a range.
        settings: Parameters of the node.
        health: Fault counters of the node.
    """

    camera: CameraModel
    map_from_camera: Pose | None
    depth_m: npt.NDArray[np.float32] | None
    reading: RangeReading | None
    missing: str
    fallback: SurfacePlane | None
    settings: Settings
    health: Health

    def plane_under(self, box: OrientedBox) -> SurfacePlane | None:
        """Return the plane under a box of the image; None where it is unknown."""
        plane = self._measured_plane(box) or self._map_plane(box)
        if plane is not None:
            return plane
        if self.fallback is None:
            self.health.report("no_range", self._no_range())
            return None
        return self._plausible(self.fallback)

    def _measured_plane(self, box: OrientedBox) -> SurfacePlane | None:
        """Return the plane that the depth image shows under a box."""
        if self.depth_m is None:
            return None
        pixels, depths = depth_points(self.depth_m, box.corners(), (self.camera.width_px, self.camera.height_px))
        return self._plausible(plane_from_depth(self.camera, pixels, depths, self.settings.depth_relative_sigma))

    def _map_plane(self, box: OrientedBox) -> SurfacePlane | None:
        """Return the configured map plane under a box."""
        map_planes = self.settings.map_planes
        if self.map_from_camera is None or not map_planes.planes:
            return None
        ray = self.camera.rays(box.centre_px)[0]
        return self._plausible(map_planes.under(self.map_from_camera, ray, self.reading, self.settings.noise))

    def _plausible(self, plane: SurfacePlane | None) -> SurfacePlane | None:
        """Return the plane unless its scale is implausible, which is reported."""
        if plane is None or _is_too_coarse(plane.range, self.camera, self.settings, self.health):
            return None
        return plane

    def _no_range(self) -> str:
        """Return why no source gives a surface."""
        reasons = [self.missing]
        if self.settings.map_planes.planes:
            reasons.append(
                "the map planes need the pose"
                if self.map_from_camera is None
                else "no map plane lies ahead within a plausible distance"
            )
        reasons.append("standoff_m is not set")
        if self.depth_m is not None:
            reasons.append("the depth image shows no surface in a part of the image")
        return f"No scale and no position: {', '.join(reasons)}"


class SurfaceSources:
    """Collect range and depth messages and return the surface that they show in a frame."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._ranges = RangeBuffer(
            settings.range_max_age_s, settings.range_relative_sigma, settings.range_floor_sigma_m
        )
        self._depths: StampedHistory[Image] = StampedHistory(_DEPTH_HISTORY_S, _DEPTH_IMAGES_KEPT, _is_same_image)
        self._learnt = LearntSurface()
        self._lock = threading.Lock()

    def push_range(self, message: Range | BeamAhead) -> None:
        """Add a reading of the rangefinder; an unusable one is reported."""
        doubt = beam_warning(message.field_of_view)
        if doubt:
            self._health.report("range_doubt", doubt)
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
            self._health.report("range_implausible", f"A range was refused: {error}")
        except ValueError as error:
            self._health.report("range_rejected", f"A range was refused: {error}. Check the rangefinder")

    def push_depth(self, message: Image) -> None:
        """Add a registered depth image; if time is set back, the earlier ones are discarded."""
        with self._lock:
            self._depths.push(stamp_ns(message.header.stamp), message)

    def set_back(self, now_ns: int) -> None:
        """Drop ranges and depth images from before the clock was set back to ``now_ns``."""
        self._ranges.set_back(now_ns)
        with self._lock:
            self._depths.set_back(now_ns)

    def surface_at(
        self,
        image_stamp_ns: int,
        camera: CameraModel,
        motion: MovingPose | None,
        settings: Settings,
        camera_frame: str = "",
    ) -> FrameSurface:
        """Return the surface that the image with this stamp shows.

        Args:
            image_stamp_ns: Stamp of the image in nanoseconds.
            camera: Model of its camera.
            motion: Optical frame in the map; None when unknown.
            settings: Parameters of the node.
            camera_frame: The image's frame_id, which a registered depth image shares; empty if unknown.
        """
        map_from_camera = motion.pose if motion is not None else None
        depth_m = self._depth_at(image_stamp_ns, (camera.width_px, camera.height_px), camera_frame)
        reading, missing = self._reading_at(image_stamp_ns)
        if reading is not None and _is_too_coarse(reading, camera, settings, self._health):
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
        return FrameSurface(
            camera, map_from_camera, depth_m, reading, missing, learnt or assumed, settings, self._health
        )

    def _reading_at(self, image_stamp_ns: int) -> tuple[RangeReading | None, str]:
        """Return the reading of the rangefinder, or the reason why there is none."""
        try:
            return self._ranges.at(image_stamp_ns), ""
        except RangeUnavailable as error:
            if self._ranges.has_any:
                self._health.report("range_stale", f"A range was not used: {error}. Check the rangefinder's rate")
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
            self._health.report(
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
            self._health.report("depth_implausible", f"A depth image was not used: {error}")
            return None
        except (BadImage, ValueError) as error:
            self._health.report("depth_rejected", f"A depth image was refused: {error}")
            return None


def _is_same_image(one: Image, other: Image) -> bool:
    # Comparing the pixels would cost more than it saves.
    return one is other


def _is_too_coarse(reading: RangeReading, camera: CameraModel, settings: Settings, health: Health) -> bool:
    """Return whether one pixel covers more of the surface than is plausible, which is reported."""
    gsd_mm_per_px = 1000.0 * reading.range_m / camera.focal_px
    if gsd_mm_per_px <= settings.max_gsd_mm_per_px:
        return False
    health.report(
        "scale_implausible",
        f"Implausible scale: GSD is {gsd_mm_per_px:.0f} mm/px at {reading.range_m:.1f} m (from {reading.source}, "
        f"focal length {camera.focal_px:.0f} px), more than max_gsd_mm_per_px. {_SCALE_QUESTIONS[reading.source]}",
    )
    return True
