# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Conversion of the nodes' result messages to plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PolygonStamped
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray

from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections, ObservedLine, PublishedRegion
from crack_perception.recognition.severity import NO_STRUCTURE, UNDETERMINED
from crack_perception.vision.regions import OrientedBox

# Prefixes of the diagnostics keys of the fault counters.
PROBLEM_COUNT, PROBLEM_TEXT = "problems_", "last_problem_"


@dataclass(frozen=True)
class NodeProblem:
    """Fault reported by a node: kind, count and last message."""

    kind: str
    count: int
    text: str


def node_problems(status: Mapping[str, str]) -> tuple[NodeProblem, ...]:
    """Extract the faults by kind from the key-value pairs of a node's diagnostics."""
    found = []
    for key, count in status.items():
        kind = key.removeprefix(PROBLEM_COUNT)
        if key.startswith(PROBLEM_COUNT) and count.isdigit() and int(count):
            found.append(NodeProblem(kind, int(count), status.get(f"{PROBLEM_TEXT}{kind}", "")))
    return tuple(found)


def stamp_ns(header: Header) -> int:
    """Return the stamp of a header [ns]."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def frame_detections(flat: Detection2DArray, located: Detection3DArray | None) -> FrameDetections:
    """Convert the detections of one frame; 2D and 3D detections are matched by id."""
    in_space = {detection.id: detection for detection in located.detections} if located is not None else {}
    regions = tuple(_region(detection, in_space.get(detection.id)) for detection in flat.detections)
    return FrameDetections(stamp_ns(flat.header), regions)


def node_status(message: DiagnosticArray, target: str) -> Mapping[str, str] | None:
    """Return the key-value pairs of the status of a node, given by its full name; None when there is no such status."""
    for status in message.status:
        if status.name.startswith(f"{target}:"):
            return {item.key: item.value for item in status.values}
    return None


def polygon_m(message: PolygonStamped) -> FloatArray:
    """Return the corners (M, 3) of a polygon."""
    return np.array([(point.x, point.y, point.z) for point in message.polygon.points], np.float64).reshape(-1, 3)


def _region(flat: Detection2D, located: Detection3D | None) -> PublishedRegion:
    centre = flat.bbox.center
    box = OrientedBox(
        np.array([centre.position.x, centre.position.y]), flat.bbox.size_x, flat.bbox.size_y, centre.theta
    )
    hypotheses = [(result.hypothesis.class_id, float(result.hypothesis.score)) for result in flat.results]
    hypotheses = [(label, score) for label, score in hypotheses if label != NO_STRUCTURE]
    severity = hypotheses[0][0] if hypotheses else UNDETERMINED
    score = _crack_score(hypotheses)
    if located is None or not located.results or not flat.results:
        return PublishedRegion(box, score, severity)
    position, seen_at = located.bbox.center.position, flat.results[0].pose.pose.position
    return PublishedRegion(
        box,
        score,
        severity,
        width_mm=1000.0 * located.bbox.size.y,
        length_m=located.bbox.size.x,
        position_m=np.array([position.x, position.y, position.z]),
        covariance_m2=np.array(located.results[0].pose.covariance).reshape(6, 6)[:3, :3],
        seen_at_m=np.array([seen_at.x, seen_at.y, seen_at.z]) if seen_at.z > 0 else None,
    )


def _crack_score(hypotheses: Iterable[tuple[str, float]]) -> float:
    """Return the crack probability: that of ``undetermined``, else the sum over the severity classes."""
    scores = dict(hypotheses)
    return scores[UNDETERMINED] if UNDETERMINED in scores else sum(scores.values())


_TYPES = {PointField.FLOAT32: "f4", PointField.UINT32: "u4"}


def observed_lines(points: PointCloud2, located: Detection3DArray) -> list[ObservedLine]:
    """Return the lines of a crack_points cloud with the covariances of the detections of the same stamp.

    Lines without two distinct finite vertices, and lines of missing detections, are skipped.
    """
    vertices_m = np.stack([_column(points, name) for name in ("x", "y", "z")], axis=1).astype(np.float64)
    lines, detections = _column(points, "line"), _column(points, "detection")
    found = []
    for line in np.unique(lines):
        of_line = lines == line
        line_m = vertices_m[of_line]
        line_m = line_m[np.all(np.isfinite(line_m), axis=1)]
        index = int(detections[of_line][0])
        if len(line_m) >= 2 and np.ptp(line_m, axis=0).any() and index < len(located.detections):
            found.append(ObservedLine(stamp_ns(points.header), line_m, _covariance(located, index)))
    return found


def _covariance(located: Detection3DArray, index: int) -> FloatArray:
    results = located.detections[index].results
    if not results:
        return np.full((3, 3), np.nan)
    return np.array(results[0].pose.covariance).reshape(6, 6)[:3, :3]


def _column(points: PointCloud2, name: str) -> np.ndarray:
    """Return one field of all points, (N,)."""
    field = next(field for field in points.fields if field.name == name)
    kind = np.dtype(
        {
            "names": [name],
            "formats": [_TYPES[field.datatype]],
            "offsets": [field.offset],
            "itemsize": points.point_step,
        }
    )
    return np.frombuffer(points.data, kind, points.width * points.height)[name]
