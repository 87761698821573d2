"""Findings as vision_msgs: oriented boxes in the image, poses with covariance in the map."""

from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import Point, PoseWithCovariance, Quaternion, Vector3
from geometry_msgs.msg import Pose as PoseMessage
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    BoundingBox3D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    VisionClass,
)

from crack_perception.geometry.projection import LocatedRegion
from crack_perception.recognition.severity import UNDETERMINED, Severity, SeverityScale
from crack_perception.ros.detector.analysis import Finding, placed


def hypotheses(finding: Finding, scale: SeverityScale) -> list[tuple[str, float]]:
    """What a region may be, as ``ranked_classes`` says."""
    return ranked_classes(finding.crack.region.score, finding.severity, scale)


def ranked_classes(crack_score: float, severity: Severity, scale: SeverityScale) -> list[tuple[str, float]]:
    """(class, score) pairs, strongest first; the first is the verdict.

    A class scores the probability that it is a crack, and of that class. Where no class is certain enough the first
    entry is ``undetermined`` with the probability that it is a crack at all.
    """
    ranked = sorted(
        ((label, crack_score * p) for label, p in zip(scale.labels, severity.probabilities, strict=False)),
        key=lambda pair: -pair[1],
    )
    if severity.verdict == UNDETERMINED:
        return [(UNDETERMINED, crack_score), *ranked]
    return ranked


def placed_hypotheses(
    crack_score: float, severity: Severity, scale: SeverityScale, location: LocatedRegion
) -> list[ObjectHypothesisWithPose]:
    """The hypotheses, each with the same pose and covariance."""
    pose = PoseWithCovariance(pose=pose_message(location), covariance=location.covariance.ravel())
    return [_hypothesis(label, score, pose) for label, score in ranked_classes(crack_score, severity, scale)]


def detection_id(header: Header, index: int) -> str:
    """The same for a region's 2D and 3D detection: the image's stamp and the region's rank in it."""
    return f"{header.stamp.sec}.{header.stamp.nanosec:09d}/{index}"


def detections_2d(header: Header, findings: Sequence[Finding], scale: SeverityScale) -> Detection2DArray:
    """All regions of a frame, in pixels of the original image, with the image's own header.

    Where the range is known, the pose of the hypotheses is that of the same point of the crack as in 3D, in the optical
    frame that the header names (position only).
    """
    array = Detection2DArray(header=header)
    for index, finding in enumerate(findings):
        box = finding.crack.region.box
        bbox = BoundingBox2D(size_x=box.length_px, size_y=box.width_px)
        bbox.center.position.x = float(box.centre_px[0])
        bbox.center.position.y = float(box.centre_px[1])
        bbox.center.theta = box.angle_rad
        detection = Detection2D(header=header, id=detection_id(header, index), bbox=bbox)
        pose = PoseWithCovariance()
        if finding.patch is not None:
            x, y, z = finding.patch.point_m.tolist()
            pose.pose.position = Point(x=x, y=y, z=z)
        detection.results = [_hypothesis(label, score, pose) for label, score in hypotheses(finding, scale)]
        array.detections.append(detection)
    return array


def detections_3d(
    header: Header, map_frame: str, findings: Sequence[Finding], scale: SeverityScale
) -> Detection3DArray:
    """The located regions of a frame in the map; bbox.size is (length, crack width, 0) in metres.

    The pose is that of the longest measured line: its middle, x along its chord, z along the surface normal. The length
    is that of all lines. Without a line, pose and length are those of the region's box.
    """
    map_header = Header(stamp=header.stamp, frame_id=map_frame)
    array = Detection3DArray(header=map_header)
    for rank, finding, location in placed(findings):
        pose = pose_message(location)
        width_mm = finding.width_mm.width if finding.width_mm else float("nan")
        size = Vector3(x=finding.length_m, y=width_mm / 1000.0, z=0.0)
        results = placed_hypotheses(finding.crack.region.score, finding.severity, scale, location)
        bbox = BoundingBox3D(center=pose, size=size)
        detection = Detection3D(header=map_header, id=detection_id(header, rank), bbox=bbox, results=results)
        array.detections.append(detection)
    return array


def pose_message(location: LocatedRegion) -> PoseMessage:
    """The pose of a located region."""
    x, y, z = location.pose.position_m.tolist()
    qx, qy, qz, qw = location.pose.quaternion.tolist()
    return PoseMessage(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def label_info(header: Header, scale: SeverityScale, threshold: float) -> LabelInfo:
    """The classes in ascending severity, ``undetermined`` last."""
    names = (*scale.labels, UNDETERMINED)
    classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(names)]
    return LabelInfo(header=header, class_map=classes, threshold=threshold)


def _hypothesis(label: str, score: float, pose: PoseWithCovariance) -> ObjectHypothesisWithPose:
    return ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=label, score=score), pose=pose)
