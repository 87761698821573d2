# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reference pictures of H.265 packets, which show that pictures are missing (ITU-T H.265, 7.3, 8.3.1 and 8.3.2).

Every picture lists the pictures that the decoder must still have, by their order of output. So the loss of a picture is
noticed by the first one that refers to it, also where pictures are reordered (B frames).
"""

from __future__ import annotations

from dataclasses import dataclass

from crack_perception.vision.images.nal_units import Bits, units

_SEQUENCE, _PICTURE = 33, 34
_PICTURES = range(22)
# Pictures without references: all, those that start anew, and those that start anew at number 0.
_INTRA, _CLEAN_START, _IDR = range(16, 24), range(16, 21), (19, 20)
# Pictures before a random access point in the order of output: all, and those that may refer to pictures before it.
_LEADING, _SKIPPED_LEADING = range(6, 10), (8, 9)
_MOST_SETS, _MOST_REFERENCES = 64, 16


@dataclass(frozen=True)
class _ReferenceSet:
    """Differences of the order numbers of the pictures to keep, and whether the picture itself refers to each."""

    before: tuple[tuple[int, bool], ...]
    after: tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class _Sequence:
    """Sequence parameters: bits of an order number, colour planes, reordering, and sets of reference pictures."""

    order_bits: int
    has_colour_planes: bool
    may_reorder: bool
    sets: tuple[_ReferenceSet, ...]


@dataclass(frozen=True)
class _PictureParameters:
    """Picture parameters: number of the sequence's, and the bits before the type of a slice and after it."""

    sequence: int
    has_output_flag: bool
    extra_bits: int


class ReferencePictures:
    """Check that the pictures of a stream find the pictures that they refer to.

    Streams whose parameters cannot be read are never reported.
    """

    def __init__(self) -> None:
        self._sequences: dict[int, _Sequence] = {}
        self._parameters: dict[int, _PictureParameters] = {}
        self._present: set[int] = set()
        self._previous_order = 0
        self._is_first = True
        self._starts_at_entry = True

    @property
    def may_reorder(self) -> bool:
        """True if pictures may be sent in another order than they are shown."""
        return any(sequence.may_reorder for sequence in self._sequences.values())

    def has_gap(self, data: bytes) -> bool:
        """Return whether a picture in this packet refers to one that has not arrived."""
        has_gap = False
        for unit in units(data):
            if len(unit) < 3 or unit[0] & 1 or unit[1] >> 3:  # damaged, or of another layer than the base
                continue
            try:
                has_gap = self._take(unit) or has_gap
            except (ValueError, KeyError):
                continue
        return has_gap

    def _take(self, unit: bytes) -> bool:
        kind = unit[0] >> 1 & 0x3F
        if kind == _SEQUENCE:
            number, sequence = _sequence_of(unit)
            self._sequences[number] = sequence
        elif kind == _PICTURE:
            bits = Bits(unit[2:])
            number, of_sequence = bits.golomb(), bits.golomb()
            bits.fixed(1)
            self._parameters[number] = _PictureParameters(of_sequence, bool(bits.fixed(1)), bits.fixed(3))
        elif kind in _PICTURES:
            return self._follows_gap(unit, kind)
        return False

    def _follows_gap(self, unit: bytes, kind: int) -> bool:
        bits = Bits(unit[2:])
        if not bits.fixed(1):  # a further slice of the same picture
            return False
        if kind in _INTRA:
            bits.fixed(1)
        parameters = self._parameters[bits.golomb()]
        sequence = self._sequences[parameters.sequence]
        bits.fixed(parameters.extra_bits)
        bits.golomb()
        if parameters.has_output_flag:
            bits.fixed(1)
        if sequence.has_colour_planes:
            bits.fixed(2)
        if kind in _INTRA:
            self._starts_at_entry = self._is_first or kind in _CLEAN_START
        if kind in _SKIPPED_LEADING and self._starts_at_entry:
            return False  # its references lie before the start: decoders leave it out
        low, references = 0, _ReferenceSet((), ())
        if kind not in _IDR:
            low = bits.fixed(sequence.order_bits)
            references = _references_of(bits, sequence)
        order = self._order_of(low, kind, sequence)
        self._is_first = False
        if (unit[1] & 7) == 1 and kind not in _LEADING and not (kind < 16 and kind % 2 == 0):
            self._previous_order = order
        if kind in _INTRA and self._starts_at_entry:
            self._present = {order}
            return False
        kept = {order + difference: is_used for difference, is_used in (*references.before, *references.after)}
        is_missing = any(is_used and number not in self._present for number, is_used in kept.items())
        self._present = (self._present & kept.keys()) | {order}
        return is_missing

    def _order_of(self, low: int, kind: int, sequence: _Sequence) -> int:
        """Return the order number of a picture from its lower bits (8.3.1)."""
        if kind in _INTRA and self._starts_at_entry:
            return low
        size = 1 << sequence.order_bits
        previous_low = self._previous_order % size
        high = self._previous_order - previous_low
        if low < previous_low and previous_low - low >= size // 2:
            high += size
        elif low > previous_low and low - previous_low > size // 2:
            high -= size
        return high + low


def _references_of(bits: Bits, sequence: _Sequence) -> _ReferenceSet:
    """Return the reference pictures of a slice: a set of the sequence, or one of its own."""
    if not bits.fixed(1):
        return _reference_set(bits, len(sequence.sets), sequence.sets, is_in_slice=True)
    index = bits.fixed((len(sequence.sets) - 1).bit_length()) if len(sequence.sets) > 1 else 0
    if index >= len(sequence.sets):
        raise ValueError("the slice names a set of references that its sequence lacks")
    return sequence.sets[index]


def _reference_set(bits: Bits, index: int, sets: tuple[_ReferenceSet, ...], is_in_slice: bool = False) -> _ReferenceSet:
    """Read a set of reference pictures (7.3.7), which may be given by differences from an earlier one."""
    if not index or not bits.fixed(1):
        count_before, count_after = bits.golomb(), bits.golomb()
        if count_before + count_after > _MOST_REFERENCES:
            raise ValueError("the set has too many references")
        return _ReferenceSet(_differences(bits, count_before, -1), _differences(bits, count_after, 1))
    back = bits.golomb() + 1 if is_in_slice else 1
    if back > index:
        raise ValueError("the set refers to one that does not exist")
    source = sets[index - back]
    sign = bits.fixed(1)
    shift = (1 - 2 * sign) * (bits.golomb() + 1)
    # Of each picture of the source, before those after, and of the source's own: whether it is used, and kept.
    marks = []
    for _ in range(len(source.before) + len(source.after) + 1):
        is_used = bool(bits.fixed(1))
        marks.append((is_used, is_used or bool(bits.fixed(1))))
    numbers = [difference + shift for difference, _ in (*source.before, *source.after)] + [shift]
    kept = sorted((number, is_used) for number, (is_used, is_kept) in zip(numbers, marks, strict=True) if is_kept)
    # The order inside a set matters for the next one that is derived from it: from the nearest outwards.
    before = tuple(sorted(((n, used) for n, used in kept if n < 0), reverse=True))
    return _ReferenceSet(before, tuple((n, used) for n, used in kept if n > 0))


def _differences(bits: Bits, count: int, sign: int) -> tuple[tuple[int, bool], ...]:
    found, at = [], 0
    for _ in range(count):
        at += sign * (bits.golomb() + 1)
        found.append((at, bool(bits.fixed(1))))
    return tuple(found)


def coded_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height [px], before cropping, that a packet's sequence parameters state; None without them.

    Raises:
        ValueError: They are damaged.
    """
    unit = next((unit for unit in units(data) if unit[0] >> 1 & 0x3F == _SEQUENCE), None)
    if unit is None:
        return None
    bits = _after_head(unit)[0]
    return bits.golomb(), bits.golomb()


def _after_head(unit: bytes) -> tuple[Bits, int, int, bool]:
    """Read sequence parameters up to the size; return also the number of layers, their own, and colour planes."""
    bits = Bits(unit[2:])
    bits.fixed(4)
    layers = bits.fixed(3)
    bits.fixed(1)
    _skip_profile(bits, layers)
    number = bits.golomb()
    return bits, layers, number, bits.golomb() == 3 and bool(bits.fixed(1))


def _sequence_of(unit: bytes) -> tuple[int, _Sequence]:
    """Return number and content of sequence parameters (7.3.2.2)."""
    bits, layers, number, has_colour_planes = _after_head(unit)
    bits.golomb()
    bits.golomb()
    if bits.fixed(1):  # conformance window
        for _ in range(4):
            bits.golomb()
    bits.golomb()
    bits.golomb()
    order_bits = bits.golomb() + 4
    may_reorder = False
    for _ in range(layers + 1 if bits.fixed(1) else 1):
        bits.golomb()
        may_reorder = bits.golomb() > 0 or may_reorder
        bits.golomb()
    for _ in range(6):  # sizes and depths of blocks
        bits.golomb()
    if bits.fixed(1) and bits.fixed(1):
        _skip_scaling_lists(bits)
    bits.fixed(2)
    if bits.fixed(1):  # blocks of plain samples
        bits.fixed(8)
        bits.golomb()
        bits.golomb()
        bits.fixed(1)
    count = bits.golomb()
    if count > _MOST_SETS or order_bits > 16:
        raise ValueError("the sequence parameters are damaged")
    sets: tuple[_ReferenceSet, ...] = ()
    for index in range(count):
        sets = (*sets, _reference_set(bits, index, sets))
    return number, _Sequence(order_bits, has_colour_planes, may_reorder, sets)


def _skip_profile(bits: Bits, layers: int) -> None:
    """Read over profile, tier and level (7.3.3)."""
    bits.fixed(96)
    present = [(bits.fixed(1), bits.fixed(1)) for _ in range(layers)]
    if layers:
        bits.fixed(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.fixed(88 * has_profile + 8 * has_level)


def _skip_scaling_lists(bits: Bits) -> None:
    """Read over the scaling lists (7.3.4)."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.fixed(1):
                bits.golomb()
                continue
            for _ in range((size > 1) + min(64, 1 << (4 + 2 * size))):
                bits.signed()
