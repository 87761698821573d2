# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flight logs of PX4, written after the ULog file format (version 1)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

_FORMATS = {
    "vehicle_local_position": "uint64_t timestamp;uint64_t timestamp_sample;float x;float y;float z;"
    "bool xy_valid;bool z_valid;",
    "vehicle_attitude": "uint64_t timestamp;uint64_t timestamp_sample;float[4] q;",
    "distance_sensor": "uint64_t timestamp;float min_distance;float max_distance;float current_distance;"
    "int8_t signal_quality;uint8_t orientation;",
    "sensor_gps": "uint64_t timestamp;uint64_t time_utc_usec;",
}
_PACKED = {
    "vehicle_local_position": "<QQfff??",
    "vehicle_attitude": "<QQ4f",
    "distance_sensor": "<QfffbB",
    "sensor_gps": "<QQ",
}

Row = tuple[str, tuple[float, ...]]


def write_ulog(path: Path, start_us: int, rows: Sequence[Row]) -> Path:
    """Write rows of (topic, values) in order; the first value is the time since boot [us]."""
    data = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", start_us)
    data += _message("B", bytes(40))
    names = list(_FORMATS)
    for name in names:
        data += _message("F", f"{name}:{_FORMATS[name]}".encode())
    for number, name in enumerate(names):
        data += _message("A", struct.pack("<BH", 0, number) + name.encode())
    for name, values in rows:
        data += _message("D", struct.pack("<H", names.index(name)) + struct.pack(_PACKED[name], *values))
    path.write_bytes(data)
    return path


def _message(kind: str, content: bytes) -> bytes:
    return struct.pack("<H", len(content)) + kind.encode() + content
