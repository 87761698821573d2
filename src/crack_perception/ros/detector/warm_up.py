"""A dry run of everything that happens to a frame after the model.

Libraries load, and pages come in from the disk, when code runs for the first time: on a machine that has just started,
the first real frame would otherwise take several times as long as the others, and the one behind it would be dropped.
"""

from __future__ import annotations

import cv2
import numpy as np
from std_msgs.msg import Header

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.buffer import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.geometry.surface.plane import assumed_plane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.ros.common.crack_points import crack_points
from crack_perception.ros.detector.analysis import Judgement, analyse
from crack_perception.ros.detector.detection_messages import detections_2d, detections_3d
from crack_perception.ros.detector.markers import markers
from crack_perception.ros.detector.parameters import Settings
from crack_perception.vision.regions import build_regions
from crack_perception.vision.tiling import plan_tiles

_WIDTH_PX, _HEIGHT_PX, _TILE_PX = 1920, 1080, 256
_FOCAL_PX = 1500.0
_RANGE = RangeReading(2.0, 0.1, "standoff")


def rehearse(settings: Settings) -> int:
    """Take a made-up diagonal crack from scores to messages; nothing is published.

    Returns:
        How many regions went all the way.
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
    judgement = Judgement(settings.severity, settings.resolvable_width_px)
    findings = analyse(regions, judgement, camera, lambda box: plane, motion, settings.noise)
    header = Header(frame_id="rehearsal")
    detections_2d(header, findings, settings.severity)
    crack_points(header, settings.map_frame, findings)
    markers(header, settings.map_frame, findings, settings.severity)
    return len(detections_3d(header, settings.map_frame, findings, settings.severity).detections)
