"""Findings for rviz: a bar along each crack, coloured by severity, and a line of text."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.detection_messages import pose_message
from crack_perception.ros.frame_analysis import Finding
from crack_perception.vision.annotate import severity_colour

_LIFETIME = Duration(sec=1)
_TEXT_HEIGHT_M = 0.06


def markers(header: Header, map_frame: str, findings: Sequence[Finding], scale: SeverityScale) -> MarkerArray:
    """Markers of one frame's located regions; they replace those of the frame before."""
    map_header = Header(stamp=header.stamp, frame_id=map_frame)
    array = MarkerArray(markers=[Marker(header=map_header, action=Marker.DELETEALL)])
    for index, finding in enumerate(findings):
        if finding.location is None or finding.patch is None:
            continue
        blue, green, red = severity_colour(scale.relative_severity(finding.severity.verdict))
        pose = pose_message(finding.location)
        thickness_m = finding.patch.gsd_mm_per_px * finding.crack.region.box.width_px / 1000.0
        bar = Marker(header=map_header, ns="cracks", id=index, type=Marker.CUBE, action=Marker.ADD, pose=pose)
        bar.scale = Vector3(x=finding.patch.length_m, y=thickness_m, z=0.005)
        bar.color = ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=0.35)
        bar.lifetime = _LIFETIME
        text = Marker(header=map_header, ns="labels", id=index, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        text.pose.position = pose.position
        text.scale.z = _TEXT_HEIGHT_M
        text.color = ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=0.9)
        text.text = finding.summary()
        text.lifetime = _LIFETIME
        array.markers += [bar, text]
    return array
