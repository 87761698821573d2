# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frame numbers of H.264 packets, which show that pictures are missing in between (ITU-T H.264, 7.3 and 7.4)."""

from __future__ import annotations

from dataclasses import dataclass

from crack_perception.vision.images.nal_units import Bits, units

_SLICE, _IDR_SLICE, _PARAMETERS = 1, 5, 7
_BASELINE = 66
_OWN_ASPECT = 255
_MACROBLOCK_PX = 16
# Profiles whose sequence parameters describe the chroma format.
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


@dataclass(frozen=True)
class _Sequence:
    """Sequence parameters.

    Attributes:
        number_bits: Bits of a frame number.
        has_colour_planes: Whether a slice names its colour plane before it.
        may_reorder: Whether pictures may be sent in another order than they are shown.
    """

    number_bits: int
    has_colour_planes: bool
    may_reorder: bool


class FrameNumbers:
    """Check that the frame numbers of a stream follow each other.

    Only pictures that others refer to are numbered; the loss of another one harms no other and is not reported. Streams
    that permit gaps are never reported.
    """

    def __init__(self) -> None:
        self._sequence: _Sequence | None = None
        self._last: int | None = None

    @property
    def may_reorder(self) -> bool:
        """True if pictures may be sent in another order than they are shown; False where gaps are not checked."""
        return self._sequence is not None and self._sequence.may_reorder

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
                self._sequence = _sequence_of(unit)
            elif kind in (_SLICE, _IDR_SLICE):
                return self._follows_gap(unit, kind, unit[0] >> 5 & 3)
        return False

    def _follows_gap(self, unit: bytes, kind: int, reference: int) -> bool:
        """Return whether this picture follows a gap; only pictures that others refer to advance the number."""
        if self._sequence is None:
            return False
        last = self._last
        bits = Bits(unit[1:])
        for _ in range(3):  # first macroblock, slice type, picture parameters
            bits.golomb()
        if self._sequence.has_colour_planes:
            bits.fixed(2)
        number = bits.fixed(self._sequence.number_bits)
        if reference:
            self._last = number
        if kind == _IDR_SLICE or last is None:
            return False
        return number not in (last, (last + 1) % (1 << self._sequence.number_bits))


def coded_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height [px], before cropping, that a packet's sequence parameters state; None without them.

    Raises:
        ValueError: They are damaged.
    """
    unit = next((unit for unit in units(data) if unit[0] & 0x1F == _PARAMETERS), None)
    if unit is None:
        return None
    bits = _after_head(unit)[0]
    bits.fixed(1)
    width, height = _MACROBLOCK_PX * (bits.golomb() + 1), _MACROBLOCK_PX * (bits.golomb() + 1)
    return width, height if bits.fixed(1) else 2 * height  # of fields, only every second row is counted


def _sequence_of(unit: bytes) -> _Sequence | None:
    """Return the sequence parameters; None where gaps are permitted."""
    bits, number_bits, profile, has_colour_planes = _after_head(unit)
    permits_gaps = bits.fixed(1)
    if permits_gaps:
        return None
    return _Sequence(number_bits, has_colour_planes, profile != _BASELINE and _may_reorder(bits))


def _after_head(unit: bytes) -> tuple[Bits, int, int, bool]:
    """Read sequence parameters up to the permission of gaps; return also number_bits, profile and colour planes."""
    bits = Bits(unit[1:])
    profile = bits.fixed(8)
    bits.fixed(16)
    bits.golomb()
    has_colour_planes = False
    if profile in _HIGH_PROFILES:
        chroma_format = bits.golomb()
        if chroma_format == 3:
            has_colour_planes = bool(bits.fixed(1))
        bits.golomb()
        bits.golomb()
        bits.fixed(1)
        if bits.fixed(1):
            for index in range(12 if chroma_format == 3 else 8):
                if bits.fixed(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    number_bits = bits.golomb() + 4
    order_type = bits.golomb()
    if order_type == 0:
        bits.golomb()
    elif order_type == 1:
        bits.fixed(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.golomb()):
            bits.signed()
    bits.golomb()
    return bits, number_bits, profile, has_colour_planes


def _may_reorder(bits: Bits) -> bool:
    """Return whether the rest of sequence parameters permits pictures to be reordered (E.1.1); True if it is silent."""
    bits.golomb()
    bits.golomb()
    if not bits.fixed(1):  # fields
        bits.fixed(1)
    bits.fixed(1)
    if bits.fixed(1):  # cropping
        for _ in range(4):
            bits.golomb()
    try:
        if not bits.fixed(1):
            return True
        if bits.fixed(1) and bits.fixed(8) == _OWN_ASPECT:
            bits.fixed(32)
        if bits.fixed(1):  # overscan
            bits.fixed(1)
        if bits.fixed(1):  # video signal
            bits.fixed(4)
            if bits.fixed(1):
                bits.fixed(24)
        if bits.fixed(1):  # place of the colour samples
            bits.golomb()
            bits.golomb()
        if bits.fixed(1):  # timing
            bits.fixed(65)
        has_buffers = [_skip_buffer(bits) for _ in range(2)]
        if any(has_buffers):
            bits.fixed(1)
        bits.fixed(1)
        if not bits.fixed(1):
            return True
        bits.fixed(1)
        for _ in range(4):
            bits.golomb()
        return bits.golomb() > 0
    except ValueError:
        return True


def _skip_buffer(bits: Bits) -> bool:
    """Read over the parameters of a decoder's buffer; return whether there are any."""
    if not bits.fixed(1):
        return False
    count = bits.golomb() + 1
    bits.fixed(8)
    for _ in range(count):
        bits.golomb()
        bits.golomb()
        bits.fixed(1)
    bits.fixed(20)
    return True


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """Read over a scaling list; it ends early where a scale is 0."""
    last = 8
    for _ in range(size):
        last = (last + bits.signed()) % 256
        if last == 0:
            return
