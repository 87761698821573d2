"""The crack lines of single frames out of their messages."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from vision_msgs.msg import Detection3DArray

from crack_perception.evaluation.metrics.map_accuracy import ObservedLine
from crack_perception.evaluation.replay.detections import FloatArray
from crack_perception.evaluation.replay.result_messages import stamp_ns

_TYPES = {PointField.FLOAT32: "f4", PointField.UINT32: "u4"}


def observed_lines(points: PointCloud2, located: Detection3DArray) -> list[ObservedLine]:
    """The lines of a crack_points cloud with the covariances of the detections of the same stamp.

    Lines without two distinct finite vertices, and those of detections that are not there, are left out.
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
    """One field of all points, (N,)."""
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
