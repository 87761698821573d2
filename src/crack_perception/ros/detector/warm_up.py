# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Warm-up of the steps that follow the model.

Libraries are loaded and pages are read from the disk when code runs for the first time: without a warm-up, the first
real frame takes several times as long as the others, and the next frame is dropped.
"""

from __future__ import annotations

import cv2
import numpy as np
from std_msgs.msg import Header

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.geometry.surface.plane import assumed_plane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.inspection.analysis import SeverityConfig, analyse
from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.ros.detector.messages import crack_points, detections_2d, detections_3d, markers
from crack_perception.ros.detector.parameters import Settings
from crack_perception.vision.regions import build_regions
from crack_perception.vision.tiling import plan_tiles

_WIDTH_PX, _HEIGHT_PX, _TILE_PX = 1920, 1080, 256
_FOCAL_PX = 1500.0
_RANGE = RangeReading(2.0, 0.1, "standoff")


def warm_up(settings: Settings) -> int:
    """Process a synthetic diagonal crack from scores to messages; nothing is published.

    Returns:
        Number of regions that were located in the map.
    """
    grid = plan_tiles(_WIDTH_PX, _HEIGHT_PX, _TILE_PX)
    scores = np.eye(grid.rows, grid.columns).ravel()
    cracks = [CrackRegion(region, WidthEstimate(0.7, 0.2), 0.5) for region in build_regions(grid, scores, 0.5)]
    frame = np.full((_HEIGHT_PX, _WIDTH_PX, 3), 160, np.uint8)
    cv2.line(frame, (0, 0), (_HEIGHT_PX, _HEIGHT_PX), (60, 60, 60), 3, cv2.LINE_AA)
    regions = RegionMeasurement().measure(frame, grid, cracks)
    k = [_FOCAL_PX, 0, _WIDTH_PX / 2, 0, _FOCAL_PX, _HEIGHT_PX / 2, 0, 0, 1]
    camera = CameraModel.of(_WIDTH_PX, _HEIGHT_PX, k, [-0.1, 0.01, 0, 0, 0], "plumb_bob")
    motion = MovingPose(Pose.of([0, 0, 0], FORWARD_LOOKING_OPTICAL), np.zeros(3), np.zeros(3))
    plane = assumed_plane(_RANGE, settings.surface, motion.pose, settings.surface_normal_sigma_rad)
    config = SeverityConfig(settings.severity, settings.resolvable_width_px)
    detections = analyse(regions, config, camera, lambda box: plane, motion, settings.noise)
    header = Header(frame_id="warm_up")
    detections_2d(header, detections, settings.severity)
    crack_points(header, settings.map_frame, detections)
    markers(header, settings.map_frame, detections, settings.severity)
    return len(detections_3d(header, settings.map_frame, detections, settings.severity).detections)
