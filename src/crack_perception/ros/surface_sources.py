"""The surface under a region: from the depth image, else the rangefinder, else the configured standoff."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image, Range

from crack_perception.geometry.camera import CameraModel
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.range_sources import (
    RangeBuffer,
    RangeReading,
    RangeUnavailable,
    depth_in_metres,
    depth_points,
)
from crack_perception.geometry.surface import SurfacePlane, assumed_plane, plane_from_depth
from crack_perception.ros.camera_infos import stamp_ns
from crack_perception.ros.frame_analysis import PlaneUnder
from crack_perception.ros.image_conversion import depth_of
from crack_perception.ros.parameters import Settings
from crack_perception.ros.problems import Problems
from crack_perception.vision.encodings import BadImage
from crack_perception.vision.regions import OrientedBox

_DEPTH_IMAGES_KEPT = 6


class SurfaceSources:
    """Collects range and depth messages and answers for a frame."""

    def __init__(self, settings: Settings, problems: Problems) -> None:
        self._settings = settings
        self._problems = problems
        self._ranges = RangeBuffer(
            settings.range_max_age_s, settings.range_relative_sigma, settings.range_floor_sigma_m
        )
        self._depths: deque[Image] = deque(maxlen=_DEPTH_IMAGES_KEPT)
        self._lock = threading.Lock()

    def push_range(self, message: Range) -> None:
        """Take a reading of the rangefinder; an unusable one is reported."""
        try:
            self._ranges.push(stamp_ns(message.header.stamp), message.range, message.min_range, message.max_range)
        except ValueError as error:
            self._problems.report("range_rejected", f"A range was refused: {error}. Check the rangefinder")

    def push_depth(self, message: Image) -> None:
        """Take a registered depth image."""
        with self._lock:
            self._depths.append(message)

    def planes_at(
        self, image_stamp_ns: int, camera: CameraModel, map_from_camera: Pose | None, settings: Settings
    ) -> PlaneUnder:
        """A function that gives the plane under a box of the image with this stamp."""
        assumed: SurfacePlane | None = None
        missing = ""
        try:
            reading = self._reading_at(image_stamp_ns, settings)
            assumed = assumed_plane(reading, settings.surface, map_from_camera, settings.surface_normal_sigma_rad)
        except RangeUnavailable as error:
            missing = f"No scale and no position: {error}, and standoff_m is not set"
        depth_m = self._depth_at(image_stamp_ns)
        if depth_m is None:
            if missing:
                self._problems.report("no_range", missing)
            return lambda box: assumed
        size = (camera.width_px, camera.height_px)

        def plane_under(box: OrientedBox) -> SurfacePlane | None:
            pixels, depths = depth_points(depth_m, box.corners(), size)
            measured = plane_from_depth(camera, pixels, depths, settings.depth_relative_sigma)
            if measured is None and missing:
                self._problems.report("no_range", f"{missing}; the depth image shows no surface in a part of the image")
            return measured or assumed

        return plane_under

    def _depth_at(self, image_stamp_ns: int) -> npt.NDArray[np.float32] | None:
        depth = self._depth_near(image_stamp_ns)
        if depth is None:
            return None
        try:
            return depth_in_metres(depth_of(depth), depth.encoding)
        except (BadImage, ValueError) as error:
            self._problems.report("depth_rejected", f"A depth image was refused: {error}")
            return None

    def _reading_at(self, image_stamp_ns: int, settings: Settings) -> RangeReading:
        """The rangefinder's reading, else the standoff; RangeUnavailable where there is neither."""
        try:
            return self._ranges.at(image_stamp_ns)
        except RangeUnavailable:
            if settings.standoff_m is None:
                raise
        return RangeReading(settings.standoff_m, settings.standoff_m * settings.standoff_relative_sigma, "standoff")

    def _depth_near(self, image_stamp_ns: int) -> Image | None:
        with self._lock:
            depths = list(self._depths)
        if not depths:
            return None
        nearest = min(depths, key=lambda message: abs(stamp_ns(message.header.stamp) - image_stamp_ns))
        age_ns = abs(stamp_ns(nearest.header.stamp) - image_stamp_ns)
        return nearest if age_ns <= self._settings.range_max_age_s * 1e9 else None
