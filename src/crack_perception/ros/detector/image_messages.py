# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Image messages of BGR frames."""

from __future__ import annotations

import array

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from crack_perception.vision.images.encodings import encode_jpeg

Frame = npt.NDArray[np.uint8]


def image_message(frame: Frame, header: Header) -> Image:
    """Return a bgr8 message of a BGR frame."""
    message = Image(
        header=header, height=frame.shape[0], width=frame.shape[1], encoding="bgr8", step=frame.shape[1] * 3
    )
    message.data = _bytes(frame)
    return message


def jpeg_message(frame: Frame, header: Header, quality: int) -> CompressedImage:
    """Return a JPEG message of a BGR frame."""
    return encoded_message(encode_jpeg(frame, quality), header)


def encoded_message(jpeg: bytes | Frame, header: Header) -> CompressedImage:
    """Return a message of JPEG bytes (n,) of a BGR frame."""
    message = CompressedImage(header=header, format="bgr8; jpeg compressed bgr8")
    message.data = _bytes(np.frombuffer(jpeg, np.uint8))
    return message


def _bytes(values: Frame) -> array.array[int]:
    # The generated setter checks every element of anything but array('B'): 150 ms to 1 s for a 1080p frame.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data
