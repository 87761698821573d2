"""Findings for rviz: the crack lines, or a bar where none was measured, coloured by severity, and a line of text."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from crack_perception.geometry.projection import LocatedRegion
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.detector.analysis import Finding, placed
from crack_perception.ros.detector.detection_messages import pose_message
from crack_perception.vision.annotate import severity_colour

_LIFETIME = Duration(sec=1)
_TEXT_HEIGHT_M = 0.06

# Lines are as thick as the crack is wide, but at least this, which is still seen from some metres away.
_LEAST_THICKNESS_M = 0.003


def markers(header: Header, map_frame: str, findings: Sequence[Finding], scale: SeverityScale) -> MarkerArray:
    """Markers of one frame's located regions; they replace those of the frame before."""
    map_header = Header(stamp=header.stamp, frame_id=map_frame)
    array = MarkerArray(markers=[Marker(header=map_header, action=Marker.DELETEALL)])
    for rank, finding, location in placed(findings):
        blue, green, red = severity_colour(scale.relative_severity(finding.severity.verdict))
        shapes = _lines(map_header, finding) if finding.map_lines else [_bar(map_header, finding, location)]
        text = Marker(header=map_header, ns="labels", id=rank, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        text.pose.position = pose_message(location).position
        text.scale.z = _TEXT_HEIGHT_M
        text.text = finding.summary()
        for marker in (*shapes, text):
            marker.color = ColorRGBA(
                r=red / 255, g=green / 255, b=blue / 255, a=0.35 if marker.type == Marker.CUBE else 0.9
            )
            marker.lifetime = _LIFETIME
        for marker in shapes:
            marker.id = len(array.markers)
            array.markers.append(marker)
        array.markers.append(text)
    return array


def _lines(map_header: Header, finding: Finding) -> list[Marker]:
    width_mm = finding.width_mm.width if finding.width_mm else 0.0
    strips = []
    for line in finding.map_lines:
        strip = Marker(header=map_header, ns="cracks", type=Marker.LINE_STRIP, action=Marker.ADD)
        strip.pose.orientation.w = 1.0
        strip.scale.x = max(_LEAST_THICKNESS_M, width_mm / 1000.0)
        strip.points = [Point(x=x, y=y, z=z) for x, y, z in line.points_m.tolist()]
        strips.append(strip)
    return strips


def _bar(map_header: Header, finding: Finding, location: LocatedRegion) -> Marker:
    """As long and as wide as the region's box."""
    bar = Marker(header=map_header, ns="cracks", type=Marker.CUBE, action=Marker.ADD, pose=pose_message(location))
    gsd_mm_per_px = finding.patch.gsd_mm_per_px if finding.patch else 0.0
    bar.scale = Vector3(x=finding.length_m, y=gsd_mm_per_px * finding.crack.region.box.width_px / 1000.0, z=0.005)
    return bar
