"""Whether JPEG bytes are whole: OpenCV may fill what is missing with grey, which would be judged as concrete."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_START_OF_IMAGE = b"\xff\xd8"
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA


def is_cut_off(data: npt.NDArray[np.uint8]) -> bool:
    """Whether these bytes (n,) begin as a JPEG but hold no end marker after its picture data.

    Thumbnails, which have end markers of their own, lie in segments before the picture data and are passed over; what
    follows the end (padding, a second picture) does not matter. Source: ITU-T T.81, annex B.
    """
    raw = data.tobytes()
    if not raw.startswith(_START_OF_IMAGE):
        return False
    position = len(_START_OF_IMAGE)
    while position + 4 <= len(raw) and raw[position] == 0xFF and raw[position + 1] != _START_OF_SCAN:
        is_fill_byte = raw[position + 1] == 0xFF
        position += 1 if is_fill_byte else 2 + int.from_bytes(raw[position + 2 : position + 4], "big")
    return raw.find(_END_OF_IMAGE, position) < 0
