"""Crack lines as a PointCloud2: every vertex of every measured line with its width, normal and resolution.

Consecutive points with the same ``line`` are the vertices of one polyline in order. ``detection`` is the index of the
line's region in the Detection3DArray of the same stamp, whose covariance is that of the line's position.

Where lines are missing, because there was no time to look for them in every region or a region has no place in the map,
the last point is one without a place (``nan``), of no detection and of a line of its own: then a line that is not here
says nothing.
"""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from crack_perception.geometry.line_lifting import LiftedLine
from crack_perception.recognition.measurement import line_score
from crack_perception.ros.detector.analysis import Finding, placed

CRACK_POINT = np.dtype(
    [
        *((name, "<f4") for name in ("x", "y", "z", "normal_x", "normal_y", "normal_z")),
        *((name, "<f4") for name in ("width_mm", "width_sigma_mm", "gsd_mm_per_px", "score")),
        *((name, "<u4") for name in ("detection", "line")),
    ]
)
"""One vertex: metres in the cloud's frame, ``nan`` for a width that could not be measured; ``gsd_mm_per_px`` is across
the line, ``score`` the probability that the whole line is a crack."""

_FLOATS = sum(CRACK_POINT[name].kind == "f" for name in CRACK_POINT.names or ())
_DATATYPES = {np.dtype("<f4"): PointField.FLOAT32, np.dtype("<u4"): PointField.UINT32}

NO_DETECTION = 2**32 - 1
"""Stands for the detection of a point without a place."""


def crack_points(header: Header, map_frame: str, findings: Sequence[Finding]) -> PointCloud2:
    """The measured lines of a frame's located regions in the map; empty where there are none."""
    lines = [
        (line, detection, finding.crack.region.score * line_score(finding.lines[line.rank]))
        for detection, (_, finding, _) in enumerate(placed(findings))
        for line in finding.map_lines
    ]
    is_complete = all(finding.is_measured and finding.location is not None for finding in findings)
    sizes = [len(line.points_m) for line, _, _ in lines]
    count = sum(sizes)
    rows = np.zeros(count if is_complete else count + 1, CRACK_POINT)
    if lines:
        _write(rows[:count], lines, sizes)
    if not is_complete:
        rows[-1] = (*[np.nan] * _FLOATS, NO_DETECTION, len(lines))
    return cloud_of(Header(stamp=header.stamp, frame_id=map_frame), rows)


def cloud_of(header: Header, rows: npt.NDArray[np.void]) -> PointCloud2:
    """A message of rows (N,) of ``CRACK_POINT``."""
    message = PointCloud2(
        header=header,
        height=1,
        width=len(rows),
        fields=_fields(),
        is_bigendian=False,
        point_step=CRACK_POINT.itemsize,
        row_step=len(rows) * CRACK_POINT.itemsize,
        is_dense=bool(np.isfinite(rows["x"]).all()),
    )
    # The generated setter checks every element of anything but array('B').
    data = array.array("B")
    data.frombytes(rows.tobytes())
    message.data = data
    return message


def rows_of(message: PointCloud2) -> npt.NDArray[np.void]:
    """The rows (N,) of ``CRACK_POINT`` in a message, whatever other fields it has and in whatever order.

    Raises:
        ValueError: A field is missing or of another type, or the sizes contradict each other.
    """
    given = {field.name: field for field in message.fields}
    for name in CRACK_POINT.names or ():
        field = given.get(name)
        if field is None or field.datatype != _DATATYPES[CRACK_POINT[name]] or field.count != 1:
            raise ValueError(f"the cloud has no field '{name}' of one {CRACK_POINT[name].name}")
        if field.offset + CRACK_POINT[name].itemsize > message.point_step:
            raise ValueError(f"the cloud's field '{name}' lies beyond its point_step of {message.point_step}")
    if message.row_step < message.width * message.point_step or len(message.data) < message.height * message.row_step:
        raise ValueError(f"the cloud announces {message.height} x {message.width} points but holds less")
    order = ">" if message.is_bigendian else "<"
    stored = np.dtype(
        {
            "names": list(CRACK_POINT.names or ()),
            "formats": [order + CRACK_POINT[name].str[1:] for name in CRACK_POINT.names or ()],
            "offsets": [given[name].offset for name in CRACK_POINT.names or ()],
            "itemsize": message.point_step,
        }
    )
    strides = (message.row_step, message.point_step)
    grid: npt.NDArray[np.void] = np.ndarray((message.height, message.width), stored, message.data, 0, strides)
    return grid.ravel().astype(CRACK_POINT)


def tells_of_missing_lines(rows: npt.NDArray[np.void]) -> bool:
    """Whether rows (N,) of ``CRACK_POINT`` say that the frame shows more cracks than these."""
    return bool((rows["detection"] == NO_DETECTION).any())


def _write(rows: npt.NDArray[np.void], lines: Sequence[tuple[LiftedLine, int, float]], sizes: Sequence[int]) -> None:
    """Fill rows (N,) of ``CRACK_POINT`` with lines of so many vertices, each with its detection and score."""
    lifted, detections, scores = zip(*lines, strict=True)
    rows["x"], rows["y"], rows["z"] = np.concatenate([line.points_m for line in lifted]).T
    normals = np.array([line.normal for line in lifted])
    rows["normal_x"], rows["normal_y"], rows["normal_z"] = np.repeat(normals, sizes, axis=0).T
    for name in ("width_mm", "width_sigma_mm", "gsd_mm_per_px"):
        rows[name] = np.concatenate([getattr(line, name) for line in lifted])
    for name, values in (("score", scores), ("detection", detections), ("line", range(len(lifted)))):
        rows[name] = np.repeat(np.array(values), sizes)


def _fields() -> list[PointField]:
    """New ones for every message: whoever changes a message changes no other."""
    assert CRACK_POINT.fields is not None  # it is a structured type
    return [
        PointField(name=name, offset=offset, datatype=_DATATYPES[kind], count=1)
        for name, (kind, offset, *_) in CRACK_POINT.fields.items()
    ]
