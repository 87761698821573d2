# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Find rows that hold no picture: what a driver leaves where it has lost data, or a camera without light."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

LEAST_SIDE_PX = 16
"""Width and height of a picture that can show a crack [px]."""

# A few equal rows occur at the edge of rendered or upscaled pictures.
_LEAST_ROWS = 8
_JPEG_GREY = 128


def blank_rows(pixels: Image) -> npt.NDArray[np.bool_]:
    """(H,) where all pixels of a row of a frame (H, W, 3) have exactly one colour, which noise never leaves."""
    first, width = pixels[:, 0], pixels.shape[1]
    # Three columns exclude nearly all rows of a picture.
    equal = (pixels[:, width // 3] == first) & (pixels[:, 2 * width // 3] == first)
    blank = np.asarray(equal.all(axis=1), np.bool_)
    candidates = np.flatnonzero(blank)
    if candidates.size:
        rows = pixels[candidates].reshape(candidates.size, -1)
        blank[candidates] = (rows[:, 3:] == rows[:, :-3]).all(axis=1)
    return blank


def _is_void(colour: npt.NDArray[np.uint8]) -> bool:
    """Whether a colour (3,) is one that lost data leave: zeros of RGB, grey or YUV, all bits set, the grey of JPEG."""
    blue, green, red = colour.tolist()
    return blue == red and (blue == 0 or (blue == green and blue in (_JPEG_GREY, 255)))


def lost_part(pixels: Image) -> str:
    """What of a camera's frame (H, W, 3) holds no picture; empty where it is whole.

    Bands that touch the upper or lower edge are accepted: letterboxes, and the borders of rectified pictures.
    """
    blank = blank_rows(pixels)
    if not blank.any():
        return ""
    if blank.all() and _is_void(pixels[0, 0]) and (pixels[:, 0] == pixels[0, 0]).all():
        return f"all of its pixels have the same colour (BGR {pixels[0, 0].tolist()})"
    steps = np.diff(np.concatenate([[False], blank, [False]]).astype(np.int8))
    for start, stop in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        is_inside = start > 0 and stop < blank.size and stop - start >= _LEAST_ROWS
        if is_inside and _is_void(pixels[start, 0]) and (pixels[start:stop, 0] == pixels[start, 0]).all():
            return f"rows {start} to {stop - 1} have the same colour (BGR {pixels[start, 0].tolist()})"
    return ""
