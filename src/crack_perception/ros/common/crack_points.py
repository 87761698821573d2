# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Layout of crack lines in a PointCloud2: every vertex of every measured line with its width, normal and resolution.

Consecutive points with the same ``line`` are the vertices of one polyline in order. ``detection`` is the index of the
line's region in the Detection3DArray of the same stamp, whose covariance is that of the line's position.

Where lines are missing, because a region was not measured completely or has no location in the map, the last point has
no position (``nan``), no detection and a line number of its own: the absence of a line then means nothing.
"""

from __future__ import annotations

import array

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

CRACK_POINT = np.dtype(
    [
        *((name, "<f4") for name in ("x", "y", "z", "normal_x", "normal_y", "normal_z")),
        *((name, "<f4") for name in ("width_mm", "width_sigma_mm", "gsd_mm_per_px", "score")),
        *((name, "<u4") for name in ("detection", "line")),
    ]
)
"""One vertex: metres in the cloud's frame, ``nan`` for a width that could not be measured; ``gsd_mm_per_px`` is across
the line, ``score`` the probability that the whole line is a crack."""

_DATATYPES = {np.dtype("<f4"): PointField.FLOAT32, np.dtype("<u4"): PointField.UINT32}

NO_DETECTION = 2**32 - 1
"""Value of ``detection`` for a point without position."""


def cloud_of(header: Header, rows: npt.NDArray[np.void]) -> PointCloud2:
    """Return a message of rows (N,) of ``CRACK_POINT``, or of another type with fields of float32 and uint32 alone."""
    message = PointCloud2(
        header=header,
        height=1,
        width=len(rows),
        fields=_fields(rows.dtype),
        is_bigendian=False,
        point_step=rows.dtype.itemsize,
        row_step=len(rows) * rows.dtype.itemsize,
        is_dense=bool(np.isfinite(rows["x"]).all()),
    )
    # The generated setter checks every element of anything but array('B').
    data = array.array("B")
    data.frombytes(rows.tobytes())
    message.data = data
    return message


def rows_of(message: PointCloud2, kind: np.dtype[np.void] = CRACK_POINT) -> npt.NDArray[np.void]:
    """Return the rows (N,) of ``kind`` in a message, which may have other fields and any order of fields.

    Raises:
        ValueError: A field is missing or of another type, or the sizes contradict each other.
    """
    given = {field.name: field for field in message.fields}
    for name in kind.names or ():
        field = given.get(name)
        if field is None or field.datatype != _DATATYPES[kind[name]] or field.count != 1:
            raise ValueError(f"the cloud has no field '{name}' of one {kind[name].name}")
        if field.offset + kind[name].itemsize > message.point_step:
            raise ValueError(f"the cloud's field '{name}' lies beyond its point_step of {message.point_step}")
    if message.row_step < message.width * message.point_step or len(message.data) < message.height * message.row_step:
        raise ValueError(f"the cloud announces {message.height} x {message.width} points but holds less")
    order = ">" if message.is_bigendian else "<"
    stored = np.dtype(
        {
            "names": list(kind.names or ()),
            "formats": [order + kind[name].str[1:] for name in kind.names or ()],
            "offsets": [given[name].offset for name in kind.names or ()],
            "itemsize": message.point_step,
        }
    )
    strides = (message.row_step, message.point_step)
    grid: npt.NDArray[np.void] = np.ndarray((message.height, message.width), stored, message.data, 0, strides)
    return grid.ravel().astype(kind)


def lacks_lines(rows: npt.NDArray[np.void]) -> bool:
    """Return whether rows (N,) of ``CRACK_POINT`` mark a frame that shows more cracks than these."""
    return bool((rows["detection"] == NO_DETECTION).any())


def _fields(kind: np.dtype[np.void]) -> list[PointField]:
    """Return new fields for every message, so that a change of one message affects no other."""
    assert kind.fields is not None  # it is a structured type
    return [
        PointField(name=name, offset=offset, datatype=_DATATYPES[number], count=1)
        for name, (number, offset, *_) in kind.fields.items()
    ]
