# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Serialized messages: header access, deserialization, and conversion to the current ROS 2 definitions."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from crack_perception.evaluation.recordings.compression import ZSTD_MAGIC, decompress
from crack_perception.evaluation.recordings.definitions import register
from crack_perception.evaluation.recordings.storage import ROS1, DamageError

# OMG DDS-XTypes 1.3, PLAIN_CDR: the encapsulation header is two identifier bytes (lowest bit of the second one set:
# little endian) and two option bytes.
_ENCAPSULATION_BYTES = 4
_STAMP_BYTES = 8
_NS_PER_S = 1_000_000_000


class Header(NamedTuple):
    """std_msgs/Header: stamp [ns] and frame."""

    stamp_ns: int
    frame_id: str


def read_header(message: bytes | memoryview) -> Header:
    """Read the leading std_msgs/Header without deserializing the rest of a message.

    Args:
        message: CDR bytes of a message whose first field is a std_msgs/Header, or whose first two fields are those of
            one (foxglove_msgs/CompressedVideo).

    Raises:
        ValueError: The bytes contain no complete header.
    """
    try:
        order = "<" if message[1] & 1 else ">"
        seconds, nanoseconds, length = struct.unpack_from(f"{order}iII", message, _ENCAPSULATION_BYTES)
        start = _ENCAPSULATION_BYTES + 12
        text = bytes(message[start : start + length])
        if len(text) != length or not text.endswith(b"\0"):
            raise ValueError("the frame_id is truncated")
        return Header(seconds * _NS_PER_S + nanoseconds, text[:-1].decode())
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"no std_msgs/Header in a message of {len(message)} bytes: {error}") from error


def restamped(message: bytes, stamp_ns: int) -> bytes:
    """Return a copy of a serialized message with another stamp in its header.

    Args:
        message: CDR bytes of a message whose first field is a std_msgs/Header.
        stamp_ns: New stamp [ns], below 2^31 seconds.

    Raises:
        ValueError: The bytes contain no complete stamp.
    """
    end = _ENCAPSULATION_BYTES + _STAMP_BYTES
    if len(message) < end:
        raise ValueError(f"no std_msgs/Header in a message of {len(message)} bytes")
    stamp = struct.pack(f"{'<' if message[1] & 1 else '>'}iI", *divmod(stamp_ns, _NS_PER_S))
    # A join copies the payload once; slices of bytes would copy it twice.
    return b"".join((message[:_ENCAPSULATION_BYTES], stamp, memoryview(message)[end:]))


_CURRENT = get_typestore(Stores.LATEST)
register(_CURRENT)
# Up to Humble, sensor_msgs/Range has no variance.
_OLDER = get_typestore(Stores.ROS2_HUMBLE)
_ROS1 = get_typestore(Stores.ROS1_NOETIC)
_ROS1.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage"))
_ERRORS = (
    SerdeError,
    KeyError,
    ValueError,
    IndexError,
    AssertionError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
)


def deserialize(data: bytes, type_name: str) -> Any | None:
    """Deserialize a message of a standard type or of ``definitions``; None when the bytes are not such a message."""
    return _read(_CURRENT.deserialize_cdr, data, type_name)


def as_current(data: bytes, type_name: str, encoding: str) -> bytes:
    """Convert a recorded message to the current definition of its type.

    Args:
        data: Recorded bytes, possibly compressed with zstd.
        type_name: ``package/msg/Name``.
        encoding: ``cdr`` or ``ros1``.

    Returns:
        CDR bytes; messages of non-standard types are returned unchecked.

    Raises:
        DamageError: The bytes are not such a message.
    """
    # No CDR or ROS 1 message of these types starts with the zstd magic.
    if data.startswith(ZSTD_MAGIC):
        data = decompress(data, "zstd")
    if type_name not in _CURRENT.fielddefs:
        return data
    if encoding == ROS1:
        old = _read(_ROS1.deserialize_ros1, data, type_name)
    elif deserialize(data, type_name) is not None:
        return data
    else:
        old = _read(_OLDER.deserialize_cdr, data, type_name)
    if old is None:
        raise DamageError(f"it is not a {type_name}")
    return bytes(_CURRENT.serialize_cdr(_rebuilt(old, type_name), type_name))


def with_frame(data: bytes, type_name: str, frame: str) -> bytes:
    """Set the frame of a serialized message whose header names none; other messages are returned unchanged."""
    message = deserialize(data, type_name)
    if message is None or not hasattr(message, "header") or message.header.frame_id.strip("/"):
        return data
    named = type(message.header)(stamp=message.header.stamp, frame_id=frame)
    return bytes(_CURRENT.serialize_cdr(replace(message, header=named), type_name))


def _read(read: Any, data: bytes, type_name: str) -> Any | None:
    try:
        return read(data, type_name)
    except _ERRORS:
        return None


def _rebuilt(old: Any, type_name: str) -> Any:
    """Rebuild a message with the current definition; fields that the old one lacks are zero."""
    kind = _CURRENT.types[type_name]
    fields = {}
    for name, (_, detail) in _CURRENT.fielddefs[type_name][1]:
        value = getattr(old, name, getattr(old, name.upper(), None))
        inner = detail if isinstance(detail, str) else detail[0][1]
        fields[name] = _value(value, inner)
    return kind(**fields)


def _value(value: Any, inner: Any) -> Any:
    if value is None:
        return 0.0 if inner != "string" else ""
    if isinstance(value, list):
        return [_value(item, inner) for item in value]
    if hasattr(value, "__msgtype__"):
        return _rebuilt(value, str(value.__msgtype__))
    return value if not isinstance(value, np.generic) else value.item()
