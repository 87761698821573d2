# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""NAL units of H.264 and H.265 packets in Annex B format, and the numbers in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

_START_CODE = re.compile(rb"\x00\x00\x01")
# Bytes of a unit that hold the fields that are read: parameter sets with scaling lists are the longest.
_MOST_READ = 2048
_MOST_ZEROS = 32


def units(data: bytes) -> Iterator[bytes]:
    """Yield each NAL unit of a packet, or its first bytes; a long one may be followed by a part of the next."""
    for match in _START_CODE.finditer(data):
        unit = data[match.end() : match.end() + _MOST_READ]
        if unit:
            yield unit


class Bits:
    """Reader of the bit fields of a NAL unit or another header.

    Args:
        payload: The unit without its header.
        is_escaped: Whether it holds the bytes that prevent start codes, as in NAL units.
    """

    def __init__(self, payload: bytes, is_escaped: bool = True) -> None:
        if is_escaped:
            payload = payload.replace(b"\x00\x00\x03", b"\x00\x00")
        self._length = 8 * len(payload)
        self._number = int.from_bytes(payload, "big")
        self._place = 0

    def fixed(self, bits: int) -> int:
        """Return a number of a fixed number of bits.

        Raises:
            ValueError: The unit has ended.
        """
        self._place += bits
        if self._place > self._length:
            raise ValueError("the unit is too short")
        return self._number >> (self._length - self._place) & ((1 << bits) - 1)

    def golomb(self) -> int:
        """Return an exponential-Golomb number; errors as in ``fixed``."""
        zeros = 0
        while self.fixed(1) == 0:
            zeros += 1
            if zeros > _MOST_ZEROS:
                raise ValueError("the number is too large")
        return (1 << zeros) - 1 + self.fixed(zeros)

    def signed(self) -> int:
        """Return a signed exponential-Golomb number; errors as in ``fixed``."""
        number = self.golomb()
        return (number + 1) // 2 if number % 2 else -(number // 2)
