# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frame numbers of H.264 packets, which show that pictures are missing in between (ITU-T H.264, 7.3 and 7.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_START_CODE = re.compile(rb"\x00\x00\x01")
_SLICE, _IDR_SLICE, _PARAMETERS = 1, 5, 7
# Profiles whose sequence parameters describe the chroma format.
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
# Bytes of a unit that hold the fields that are read here.
_MOST_READ = 64


def units(data: bytes) -> Iterator[bytes]:
    """Yield the first bytes of each NAL unit of a packet in Annex B format."""
    for match in _START_CODE.finditer(data):
        unit = data[match.end() : match.end() + _MOST_READ]
        if unit:
            yield unit


class _Bits:
    """Reader of the fields of a NAL unit, after its header byte."""

    def __init__(self, unit: bytes) -> None:
        payload = unit[1:].replace(b"\x00\x00\x03", b"\x00\x00")
        self._text = "".join(f"{byte:08b}" for byte in payload)
        self._place = 0

    def fixed(self, bits: int) -> int:
        """Return a number of a fixed number of bits.

        Raises:
            ValueError: The unit has ended.
        """
        text = self._text[self._place : self._place + bits]
        self._place += bits
        if len(text) < bits:
            raise ValueError("the unit is too short")
        return int(text or "0", 2)

    def golomb(self) -> int:
        """Return an exponential-Golomb number; errors as in ``fixed``."""
        zeros = 0
        while self.fixed(1) == 0:
            zeros += 1
        return (1 << zeros) - 1 + self.fixed(zeros)


class FrameNumbers:
    """Check that the frame numbers of a stream follow each other.

    Streams whose parameters cannot be read (scaling matrices, separate colour planes, fields, permitted gaps) are never
    reported.
    """

    def __init__(self) -> None:
        self._bits: int | None = None
        self._last: int | None = None

    def has_gap(self, data: bytes) -> bool:
        """Return whether pictures are missing between the previous packet and this one."""
        try:
            return self._has_gap(data)
        except ValueError:
            return False

    def _has_gap(self, data: bytes) -> bool:
        for unit in units(data):
            kind = unit[0] & 0x1F
            if kind == _PARAMETERS:
                self._bits = _number_bits(unit)
            elif kind in (_SLICE, _IDR_SLICE):
                return self._follows_gap(unit, kind, unit[0] >> 5 & 3)
        return False

    def _follows_gap(self, unit: bytes, kind: int, reference: int) -> bool:
        """Return whether this picture follows a gap; only pictures that others refer to advance the number."""
        if self._bits is None:
            return False
        last = self._last
        bits = _Bits(unit)
        for _ in range(3):  # first macroblock, slice type, picture parameters
            bits.golomb()
        number = bits.fixed(self._bits)
        if reference:
            self._last = number
        if kind == _IDR_SLICE or last is None:
            return False
        return number not in (last, (last + 1) % (1 << self._bits))


def _number_bits(unit: bytes) -> int | None:
    """Return the number of bits of frame numbers; None where gaps are permitted or it cannot be read."""
    bits = _Bits(unit)
    profile = bits.fixed(8)
    bits.fixed(16)
    bits.golomb()
    if profile in _HIGH_PROFILES:
        if bits.golomb() == 3:
            return None
        bits.golomb()
        bits.golomb()
        bits.fixed(1)
        if bits.fixed(1):
            return None
    number_bits = bits.golomb() + 4
    order_type = bits.golomb()
    if order_type == 0:
        bits.golomb()
    elif order_type == 1:
        return None
    bits.golomb()
    permits_gaps = bits.fixed(1)
    return None if permits_gaps else number_bits
