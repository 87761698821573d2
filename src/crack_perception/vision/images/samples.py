# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scale 16-bit samples to 8 bits by the range that the sensor really uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SAMPLE_BITS = (0, 8, 10, 12, 14, 16)
"""Bits that a sensor stores in a 16-bit sample; 0 finds out."""

# Beyond these shares of the samples lie dead pixels and no-data values.
_DARKEST, _BRIGHTEST = 0.0005, 0.9995
# A thermal camera's scene fills less than this share of the bits that its counts need.
_NARROW_SHARE = 1 / 16
_INSPECTED_PER_SIDE = 160


class SampleScaler:
    """Scales the 16-bit pictures of one camera to 8 bits, in the same way from frame to frame.

    With ``bits`` 0 the largest sample decides between 10, 12, 14 and 16 bits. Samples that fill only a narrow part of
    that, such as thermal counts, are stretched over the range seen so far. Bits and range only grow, so the brightness
    of a steady scene does not flicker.

    Args:
        bits: One of ``SAMPLE_BITS``.

    Raises:
        ValueError: Another number of bits.
    """

    def __init__(self, bits: int = 0) -> None:
        if bits not in SAMPLE_BITS:
            raise ValueError(f"samples have {', '.join(map(str, SAMPLE_BITS))} bits, got {bits}")
        self._fixed_bits = bits
        self._bits = bits or SAMPLE_BITS[1]
        self._low, self._high = float("inf"), float("-inf")
        self._table = np.empty(0, np.uint8)
        self._table_range = (self._low, self._high)

    def to_8_bit(
        self, pixels: npt.NDArray[np.uint16], has_data: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Scaled copy of a picture (H, W) or (H, W, C).

        Args:
            has_data: (H, W) of the samples that decide about bits and range; all when None.
        """
        if not self._fixed_bits:
            self._inspect(pixels, has_data)
            if self._high - self._low < _NARROW_SHARE * (1 << self._bits):
                return self._stretched(pixels)
        if self._bits == 16:
            return (pixels >> 8).astype(np.uint8)
        shift = self._bits - 8
        return np.asarray(np.minimum(pixels >> shift, 255), np.uint8)

    def _inspect(self, pixels: npt.NDArray[np.uint16], has_data: npt.NDArray[np.bool_] | None) -> None:
        largest = int((pixels if has_data is None else pixels[has_data]).max())
        self._bits = next(bits for bits in SAMPLE_BITS[1:] if bits >= self._bits and largest < 1 << bits)
        step = max(1, min(pixels.shape[:2]) // _INSPECTED_PER_SIDE)
        samples = pixels[::step, ::step]
        if has_data is not None and has_data[::step, ::step].any():
            samples = samples[has_data[::step, ::step]]
        low, high = np.quantile(samples, (_DARKEST, _BRIGHTEST))
        self._low, self._high = min(self._low, float(low)), max(self._high, float(high))

    def _stretched(self, pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        if self._table_range != (self._low, self._high):
            # A flat picture has nothing to stretch: fewer than 256 counts would only enlarge noise.
            scale = 255.0 / max(self._high - self._low, 255.0)
            levels = (np.arange(1 << 16) - self._low) * scale
            self._table = np.clip(np.round(levels), 0, 255).astype(np.uint8)
            self._table_range = self._low, self._high
        return self._table[pixels]
