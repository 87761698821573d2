"""The first fields of a serialized message, without deserializing the rest (OMG DDS-XTypes 1.3, PLAIN_CDR)."""

from __future__ import annotations

import struct
from typing import NamedTuple

# The encapsulation header is two identifier bytes (the second one's lowest bit set: little endian) and two options.
_ENCAPSULATION_BYTES = 4
_STAMP_BYTES = 8
_NS_PER_S = 1_000_000_000


class Header(NamedTuple):
    """std_msgs/Header: stamp in nanoseconds and frame."""

    stamp_ns: int
    frame_id: str


def read_header(message: bytes | memoryview) -> Header:
    """The std_msgs/Header that a serialized message begins with.

    Args:
        message: CDR bytes of a message whose first field is a std_msgs/Header.

    Raises:
        ValueError: The bytes end before the header does, or hold none.
    """
    try:
        order = "<" if message[1] & 1 else ">"
        seconds, nanoseconds, length = struct.unpack_from(f"{order}iII", message, _ENCAPSULATION_BYTES)
        start = _ENCAPSULATION_BYTES + 12
        text = bytes(message[start : start + length])
        if len(text) != length or not text.endswith(b"\0"):
            raise ValueError("the frame_id is cut off")
        return Header(seconds * _NS_PER_S + nanoseconds, text[:-1].decode())
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"no std_msgs/Header in a message of {len(message)} bytes: {error}") from error


def restamped(message: bytes, stamp_ns: int) -> bytes:
    """A copy of a serialized message with another stamp in its header.

    Args:
        message: CDR bytes of a message whose first field is a std_msgs/Header.
        stamp_ns: Nanoseconds, with at most 2^31 seconds.

    Raises:
        ValueError: The bytes end before the stamp does.
    """
    end = _ENCAPSULATION_BYTES + _STAMP_BYTES
    if len(message) < end:
        raise ValueError(f"no std_msgs/Header in a message of {len(message)} bytes")
    stamp = struct.pack(f"{'<' if message[1] & 1 else '>'}iI", *divmod(stamp_ns, _NS_PER_S))
    # A join copies the payload once; slices of bytes would copy it twice.
    return b"".join((message[:_ENCAPSULATION_BYTES], stamp, memoryview(message)[end:]))
