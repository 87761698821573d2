# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detections of a frame as messages: boxes, poses with covariance, line points, footprint, labels and markers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Point32, PolygonStamped, PoseWithCovariance, Vector3
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import (
    BoundingBox2D,
    BoundingBox3D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    LabelInfo,
    VisionClass,
)
from visualization_msgs.msg import Marker, MarkerArray

from crack_perception.geometry.line_lifting import LiftedLine
from crack_perception.geometry.projection import LocatedRegion
from crack_perception.inspection.analysis import CrackDetection, located
from crack_perception.recognition.measurement import line_score
from crack_perception.recognition.severity import NO_STRUCTURE, UNDETERMINED, SeverityScale
from crack_perception.ros.common.crack_points import CRACK_POINT, NO_DETECTION, cloud_of
from crack_perception.ros.common.footprint_points import footprint_rows
from crack_perception.ros.common.messages import hypotheses, located_hypotheses, pose_message
from crack_perception.ros.detector.processor import InspectedSurface
from crack_perception.vision.annotate import severity_colour

_POINT_FLOATS = sum(CRACK_POINT[name].kind == "f" for name in CRACK_POINT.names or ())
_MARKER_LIFETIME = Duration(sec=1)
_TEXT_HEIGHT_M = 0.06
# Lines are as thick as the crack is wide, but at least this, which is visible from some metres away.
_LEAST_THICKNESS_M = 0.003


def detection_id(header: Header, rank: int) -> str:
    """Return the id that a region's 2D and 3D detections share: the image's stamp and the region's rank."""
    return f"{header.stamp.sec}.{header.stamp.nanosec:09d}/{rank}"


def detections_2d(header: Header, detections: Sequence[CrackDetection], scale: SeverityScale) -> Detection2DArray:
    """Return all regions of a frame, in pixels of the original image, with the image's own header.

    Where the range is known, the pose of the hypotheses is that of the same point of the crack as in 3D, in the optical
    frame that the header names (position only).
    """
    array = Detection2DArray(header=header)
    for rank, detection in enumerate(detections):
        region = detection.crack.region
        bbox = BoundingBox2D(size_x=region.box.length_px, size_y=region.box.width_px)
        bbox.center.position.x = float(region.box.centre_px[0])
        bbox.center.position.y = float(region.box.centre_px[1])
        bbox.center.theta = region.box.angle_rad
        pose = PoseWithCovariance()
        if detection.patch is not None:
            x, y, z = detection.patch.point_m.tolist()
            pose.pose.position = Point(x=x, y=y, z=z)
        message = Detection2D(header=header, id=detection_id(header, rank), bbox=bbox)
        message.results = hypotheses(region.score, detection.severity, scale, pose, detection.crack.no_structure_score)
        array.detections.append(message)
    return array


def detections_3d(
    header: Header, map_frame: str, detections: Sequence[CrackDetection], scale: SeverityScale
) -> Detection3DArray:
    """Return the located regions of a frame in the map; bbox.size is (length, crack width, 0) in metres.

    The pose is that of the longest measured line: its middle, x along its chord, z along the surface normal. The length
    is that of all lines. Without a line, pose and length are those of the region's box.
    """
    map_header = Header(stamp=header.stamp, frame_id=map_frame)
    array = Detection3DArray(header=map_header)
    for rank, detection, location in located(detections):
        width_mm = detection.width_mm.width if detection.width_mm else float("nan")
        size = Vector3(x=detection.length_m, y=width_mm / 1000.0, z=0.0)
        bbox = BoundingBox3D(center=pose_message(location.pose), size=size)
        message = Detection3D(header=map_header, id=detection_id(header, rank), bbox=bbox)
        crack = detection.crack
        message.results = located_hypotheses(
            crack.region.score, detection.severity, scale, location, crack.no_structure_score
        )
        array.detections.append(message)
    return array


def label_info(header: Header, scale: SeverityScale, threshold: float, has_structure_score: bool = False) -> LabelInfo:
    """Return the class names in ascending severity, then ``undetermined``, and ``no_structure`` if the model tells."""
    names = (*scale.labels, UNDETERMINED, *((NO_STRUCTURE,) if has_structure_score else ()))
    classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(names)]
    return LabelInfo(header=header, class_map=classes, threshold=threshold)


def footprint(header: Header, map_frame: str, corners_m: npt.NDArray[np.float64]) -> PolygonStamped:
    """Return the inspected surface as a polygon of corners (M, 3) in the map; empty where it is unknown."""
    message = PolygonStamped(header=Header(stamp=header.stamp, frame_id=map_frame))
    message.polygon.points = [Point32(x=x, y=y, z=z) for x, y, z in corners_m.tolist()]
    return message


def footprint_points(header: Header, map_frame: str, surface: InspectedSurface) -> PointCloud2:
    """Return the inspected surface with its resolution as rows of ``FOOTPRINT_POINT``; none where it is unknown."""
    viewpoint_m = surface.view.map_from_camera.position_m if surface.view else np.full(3, np.nan)
    rows = footprint_rows(surface.outline_m, viewpoint_m, surface.pixels, surface.gsd_mm_per_px())
    return cloud_of(Header(stamp=header.stamp, frame_id=map_frame), rows)


def crack_points(header: Header, map_frame: str, detections: Sequence[CrackDetection]) -> PointCloud2:
    """Return the measured lines of a frame's located regions in the map as rows of ``CRACK_POINT``.

    Where lines are missing, because a region was not measured completely or has no location, a last point without
    position marks the frame as incomplete.
    """
    lines = [
        (line, index, detection.crack.region.score * line_score(detection.lines[line.rank]))
        for index, (_, detection, _) in enumerate(located(detections))
        for line in detection.map_lines
    ]
    is_complete = all(detection.is_measured and detection.location is not None for detection in detections)
    sizes = [len(line.points_m) for line, _, _ in lines]
    count = sum(sizes)
    rows = np.zeros(count if is_complete else count + 1, CRACK_POINT)
    if lines:
        _write_lines(rows[:count], lines, sizes)
    if not is_complete:
        rows[-1] = (*[np.nan] * _POINT_FLOATS, NO_DETECTION, len(lines))
    return cloud_of(Header(stamp=header.stamp, frame_id=map_frame), rows)


def _write_lines(
    rows: npt.NDArray[np.void], lines: Sequence[tuple[LiftedLine, int, float]], sizes: Sequence[int]
) -> None:
    """Fill rows (N,) of ``CRACK_POINT`` with lines of these numbers of vertices, each with its detection and score."""
    lifted, detections, scores = zip(*lines, strict=True)
    rows["x"], rows["y"], rows["z"] = np.concatenate([line.points_m for line in lifted]).T
    normals = np.array([line.normal for line in lifted])
    rows["normal_x"], rows["normal_y"], rows["normal_z"] = np.repeat(normals, sizes, axis=0).T
    for name in ("width_mm", "width_sigma_mm", "gsd_mm_per_px"):
        rows[name] = np.concatenate([getattr(line, name) for line in lifted])
    for name, values in (("score", scores), ("detection", detections), ("line", range(len(lifted)))):
        rows[name] = np.repeat(np.array(values), sizes)


def markers(header: Header, map_frame: str, detections: Sequence[CrackDetection], scale: SeverityScale) -> MarkerArray:
    """Return markers of a frame's located regions, coloured by severity; they replace those of the previous frame.

    A region is shown by its measured lines, or by a bar where it has none, and by a line of text.
    """
    map_header = Header(stamp=header.stamp, frame_id=map_frame)
    array = MarkerArray(markers=[Marker(header=map_header, action=Marker.DELETEALL)])
    for rank, detection, location in located(detections):
        blue, green, red = severity_colour(scale.relative_severity(detection.severity.verdict))
        has_lines = bool(detection.map_lines)
        shapes = _line_strips(map_header, detection) if has_lines else [_bar(map_header, detection, location)]
        text = Marker(header=map_header, ns="labels", id=rank, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        text.pose.position = pose_message(location.pose).position
        text.scale.z = _TEXT_HEIGHT_M
        text.text = detection.summary()
        for marker in (*shapes, text):
            alpha = 0.35 if marker.type == Marker.CUBE else 0.9
            marker.color = ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=alpha)
            marker.lifetime = _MARKER_LIFETIME
        for marker in shapes:
            marker.id = len(array.markers)
            array.markers.append(marker)
        array.markers.append(text)
    return array


def _line_strips(map_header: Header, detection: CrackDetection) -> list[Marker]:
    width_mm = detection.width_mm.width if detection.width_mm else 0.0
    strips = []
    for line in detection.map_lines:
        strip = Marker(header=map_header, ns="cracks", type=Marker.LINE_STRIP, action=Marker.ADD)
        strip.pose.orientation.w = 1.0
        strip.scale.x = max(_LEAST_THICKNESS_M, width_mm / 1000.0)
        strip.points = [Point(x=x, y=y, z=z) for x, y, z in line.points_m.tolist()]
        strips.append(strip)
    return strips


def _bar(map_header: Header, detection: CrackDetection, location: LocatedRegion) -> Marker:
    """Return a bar of the length and width of the region's box."""
    bar = Marker(header=map_header, ns="cracks", type=Marker.CUBE, action=Marker.ADD, pose=pose_message(location.pose))
    gsd_mm_per_px = detection.patch.gsd_mm_per_px if detection.patch else 0.0
    bar.scale = Vector3(x=detection.length_m, y=gsd_mm_per_px * detection.crack.region.box.width_px / 1000.0, z=0.005)
    return bar
