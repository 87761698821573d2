# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Geometry of Parquet files: WKB and the metadata of GeoParquet 1.1 (https://geoparquet.org)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

VERSION = "1.1.0"
METADATA_KEY = b"geo"

_LITTLE_ENDIAN = 1
# ISO WKB: types with z have 1000 added.
_LINE_STRING_Z, _POLYGON_Z, _MULTI_LINE_STRING_Z = 1002, 1003, 1005
_HEAD = struct.Struct("<BII")


def line_wkb(points: Array) -> bytes:
    """Return points (N, 3) as a LineString Z."""
    return _HEAD.pack(_LITTLE_ENDIAN, _LINE_STRING_Z, len(points)) + _coordinates(points)


def lines_wkb(lines: Sequence[Array]) -> bytes:
    """Return lines (N, 3) as a MultiLineString Z."""
    return _HEAD.pack(_LITTLE_ENDIAN, _MULTI_LINE_STRING_Z, len(lines)) + b"".join(map(line_wkb, lines))


def polygon_wkb(corners: Array) -> bytes:
    """Return corners (M, 3), in order, as a Polygon Z."""
    ring = np.concatenate([corners, corners[:1]])
    return _HEAD.pack(_LITTLE_ENDIAN, _POLYGON_Z, 1) + struct.pack("<I", len(ring)) + _coordinates(ring)


def line_of(wkb: bytes) -> Array:
    """Return the points (N, 3) of ``line_wkb``, exactly."""
    return _points(wkb, _HEAD.size)


def corners_of(wkb: bytes) -> Array:
    """Return the corners (M, 3) of ``polygon_wkb``, exactly."""
    return _points(wkb, _HEAD.size + 4)[:-1]


def metadata(columns: Mapping[str, tuple[Sequence[str], bool]], primary: str, boxes: Mapping[str, Array]) -> bytes:
    """Return the value of the metadata key ``geo``.

    Args:
        columns: Name -> (geometry types, True for longitude, latitude and height on WGS 84, False for metres of a map
            frame, which no reference system describes).
        primary: Name of the primary column.
        boxes: Name -> (2, 3) least and greatest coordinates, where there are any.
    """
    described: dict[str, Any] = {}
    for name, (types, is_geographic) in columns.items():
        described[name] = {"encoding": "WKB", "geometry_types": list(types)}
        if not is_geographic:  # without the member, OGC:CRS84 applies
            described[name]["crs"] = None
        if name in boxes:
            described[name]["bbox"] = boxes[name].ravel().tolist()
    return json.dumps({"version": VERSION, "primary_column": primary, "columns": described}).encode()


def box_of(points: Sequence[Array]) -> Array | None:
    """Return the least and greatest coordinates (2, 3) of points (N, 3); None without points."""
    if not points:
        return None
    together = np.concatenate(list(points))
    return np.stack([together.min(axis=0), together.max(axis=0)])


def _coordinates(points: Array) -> bytes:
    return np.ascontiguousarray(points, dtype="<f8").tobytes()


def _points(wkb: bytes, offset: int) -> Array:
    return np.frombuffer(wkb, "<f8", offset=offset).reshape(-1, 3).astype(np.float64)
