# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Size of the pictures as the coded packets of a video state it.

A stream may change its size on the way (cameras that switch the resolution, streams over a network, files that were
joined). OpenCV scales such pictures to the size of the first one, where a crack has another width in pixels.
"""

from __future__ import annotations

from crack_perception.vision.images import h264, h265
from crack_perception.vision.images.nal_units import Bits

Size = tuple[int, int]

_VP8_START = b"\x9d\x01\x2a"
_VP8_HEAD_BYTES = 10
_VP9_SYNC = 0x498342
_VP9_RGB = 7


def coded_size(packet: bytes, codec: bytes) -> Size | None:
    """Return width and height of the coded pictures [px], before cropping, that a packet states; None if it does not.

    Args:
        packet: With start codes for H.264 and H.265.
        codec: Four-character code of the codec.
    """
    try:
        if codec.lower() in (b"h264", b"avc1", b"x264"):
            return h264.coded_size(packet)
        if codec.lower() in (b"hevc", b"hev1", b"hvc1", b"h265"):
            return h265.coded_size(packet)
        if codec == b"VP80":
            return _size_of_vp8(packet)
        if codec == b"VP90":
            return _size_of_vp9(packet)
    except (ValueError, IndexError):  # a damaged packet
        pass
    return None


def _size_of_vp8(packet: bytes) -> Size | None:
    """Source: RFC 6386, 9.1; only keyframes state the size."""
    if len(packet) < _VP8_HEAD_BYTES or packet[0] & 1 or packet[3:6] != _VP8_START:
        return None
    return int.from_bytes(packet[6:8], "little") & 0x3FFF, int.from_bytes(packet[8:10], "little") & 0x3FFF


def _size_of_vp9(packet: bytes) -> Size | None:
    """Source: VP9 bitstream specification, 6.2; only keyframes state the size in full."""
    bits = Bits(packet[:32], is_escaped=False)
    bits.fixed(2)
    profile = bits.fixed(1) + 2 * bits.fixed(1)
    if profile == 3:
        bits.fixed(1)
    if bits.fixed(1) or bits.fixed(1):  # shows an earlier frame, or is no keyframe
        return None
    bits.fixed(2)
    if bits.fixed(24) != _VP9_SYNC:
        return None
    if profile >= 2:
        bits.fixed(1)
    is_rgb = bits.fixed(3) == _VP9_RGB
    if not is_rgb:
        bits.fixed(1)
    if profile in (1, 3):
        bits.fixed(1 if is_rgb else 3)
    return bits.fixed(16) + 1, bits.fixed(16) + 1
