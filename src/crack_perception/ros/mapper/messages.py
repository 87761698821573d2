# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cracks of the map as messages: detections with covariance, points and markers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import BoundingBox3D, Detection3D
from visualization_msgs.msg import Marker

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import LocatedRegion
from crack_perception.mapping.export.crack_report import CrackReport, crack_report, middle_m, position_sigma_m, width_of
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.common.crack_points import CRACK_POINT
from crack_perception.ros.common.messages import located_hypotheses, pose_message
from crack_perception.vision.annotate import severity_colour

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.void]

_ALPHA = {CrackState.CONFIRMED: 1.0, CrackState.NEW: 0.5, CrackState.LOST: 0.2}
_LEAST_THICKNESS_M = 0.006
_TEXT_HEIGHT_M = 0.08
_TEXT_STANDOFF_M = 0.05


def detection_id(crack: MappedCrack) -> str:
    """Return the tracking id of a crack."""
    return f"crack-{crack.id}"


def located(crack: MappedCrack, rotation_sigma_rad: float) -> LocatedRegion:
    """Return the middle of a crack, x along its chord and z along the normal, with the covariance of the line.

    The covariance of the orientation is that of a straight line of this length whose ends have the covariance of the
    position, plus the direction error of a view.
    """
    normal = crack.normal
    chord = crack.line_m[-1] - crack.line_m[0]
    along = chord - (chord @ normal) * normal
    if np.linalg.norm(along) < 1e-6:  # a closed line, or one along the normal
        along = np.cross(normal, [1.0, 0.0, 0.0] if abs(normal[0]) < 0.9 else [0.0, 1.0, 0.0])
    along = along / np.linalg.norm(along)
    pose = Pose(middle_m(crack), rotations.from_matrix(np.column_stack([along, np.cross(normal, along), normal])))
    ends_sigma_rad = np.sqrt(2.0) * (position_sigma_m(crack) or 0.0) / max(crack.length_m, 1e-3)
    covariance = np.eye(6) * (ends_sigma_rad**2 + rotation_sigma_rad**2)
    covariance[:3, :3] = crack.covariance_m2
    return LocatedRegion(pose, covariance)


def detection(crack: MappedCrack, map_frame: str, scale: SeverityScale, rotation_sigma_rad: float) -> Detection3D:
    """Return a crack as a detection; the stamp is that of the last frame that showed it."""
    place = located(crack, rotation_sigma_rad)
    size = Vector3(x=crack.length_m, y=crack.mean_width_mm / 1000.0, z=0.0)
    message = Detection3D(header=_header(crack, map_frame), id=detection_id(crack))
    message.bbox = BoundingBox3D(center=pose_message(place.pose), size=size)
    message.results = located_hypotheses(crack.score, scale.classify(width_of(crack)), scale, place)
    return message


def point_rows(crack: MappedCrack) -> Rows:
    """Return rows (N,) of ``CRACK_POINT``; ``detection`` and ``line`` are both the id of the crack."""
    rows = np.zeros(len(crack.line_m), CRACK_POINT)
    rows["x"], rows["y"], rows["z"] = crack.line_m.T
    rows["normal_x"], rows["normal_y"], rows["normal_z"] = crack.normal
    rows["width_mm"], rows["width_sigma_mm"] = crack.width_mm, crack.width_sigma_mm
    rows["gsd_mm_per_px"], rows["score"] = crack.gsd_mm_per_px, crack.score
    rows["detection"] = rows["line"] = crack.id
    return rows


def inside(rows: Rows, centre_m: Sequence[float], radius_m: float, lengths_m: Sequence[float]) -> Rows:
    """Return the rows within a ball, or if the radius is 0 within a box of these edge lengths along the map's axes."""
    offsets = np.stack([rows[axis].astype(np.float64) for axis in "xyz"], axis=1) - np.asarray(centre_m)
    if radius_m:
        within = np.linalg.norm(offsets, axis=1) <= radius_m
    else:
        within = (np.abs(offsets) <= 0.5 * np.asarray(lengths_m)).all(axis=1)
    return np.asarray(rows[within])


def markers(crack: MappedCrack, map_frame: str, scale: SeverityScale) -> list[Marker]:
    """Return a line as thick as the crack is wide, and its label; transparent until confirmed and when lost."""
    report = crack_report(crack, scale)
    blue, green, red = severity_colour(scale.relative_severity(report.severity.verdict))
    colour = ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=_ALPHA[crack.state])
    header = Header(frame_id=map_frame)
    strip = Marker(header=header, ns="cracks", id=crack.id, type=Marker.LINE_STRIP, action=Marker.ADD, color=colour)
    strip.pose.orientation.w = 1.0
    strip.scale.x = max(_LEAST_THICKNESS_M, (report.max_width_mm or 0.0) / 1000.0)
    strip.points = [Point(x=x, y=y, z=z) for x, y, z in crack.line_m.tolist()]
    text = Marker(header=header, ns="labels", id=crack.id, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
    text.color = colour
    x, y, z = (middle_m(crack) + _TEXT_STANDOFF_M * crack.normal).tolist()
    text.pose.position = Point(x=x, y=y, z=z)
    text.pose.orientation.w = 1.0
    text.scale.z = _TEXT_HEIGHT_M
    text.text = label(report)
    return [strip, text]


def label(report: CrackReport) -> str:
    """Return number, length and width, for example ``#12 0.84 m, 0.35 mm``."""
    width = "" if report.mean_width_mm is None else f", {report.mean_width_mm:.2f} mm"
    return f"#{report.id} {report.length_m:.2f} m{width}"


def _header(crack: MappedCrack, map_frame: str) -> Header:
    seconds, nanoseconds = divmod(crack.last_seen_ns, 1_000_000_000)
    # The seconds of a message end in 2038, which a clock that is set wrong may exceed.
    seconds = min(max(seconds, -(2**31)), 2**31 - 1)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=map_frame)
