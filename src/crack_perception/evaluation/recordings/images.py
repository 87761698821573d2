# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pictures in recorded messages of every type that the node accepts: raw, compressed, and packets of a video."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.recordings.bag import Bag, BagTopic
from crack_perception.evaluation.recordings.definitions import VIDEO_TYPES
from crack_perception.evaluation.recordings.messages import Header, deserialize, read_header
from crack_perception.vision.images.encodings import BadImage, decode_compressed, decode_raw
from crack_perception.vision.images.samples import SampleScaler
from crack_perception.vision.images.video_packets import PacketDecoder, packet_in, pixels_of

Image = npt.NDArray[np.uint8]

RAW = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"


class ImageReader:
    """Reader of the pictures of one topic.

    Every packet of a video must be read in its order, because the pictures of the later ones depend on it.

    Args:
        type_name: Type of the topic's messages.

    Raises:
        UserError: It is a video and PyAV is not installed.
    """

    def __init__(self, type_name: str) -> None:
        self._type_name = type_name
        self._scaler = SampleScaler()
        self._decoder = PacketDecoder() if type_name in VIDEO_TYPES else None

    def read(self, data: bytes) -> list[tuple[Header, Callable[[], Image]]]:
        """Return what a message shows: header and a function that decodes the picture to BGR (H, W, 3).

        The functions raise BadImage where a picture is damaged. A packet of a video may give no picture, or several.

        Raises:
            BadImage: The message is damaged, or a part of the video before it is missing.
        """
        try:
            header = read_header(data)
        except ValueError as error:
            raise BadImage(str(error)) from error
        if self._decoder is None:
            return [(header, lambda: self._decoded(self._message(data)))]
        pictures = self._decoder.decode(packet_in(self._message(data)), header)
        return [(of_picture, _converter(picture)) for picture, of_picture in pictures]

    def _message(self, data: bytes) -> Any:
        message = deserialize(data, self._type_name)
        if message is None:
            raise BadImage(f"it is no {self._type_name}")
        return message

    def _decoded(self, image: Any) -> Image:
        pixels = np.asarray(image.data, np.uint8)
        if self._type_name == COMPRESSED:
            return decode_compressed(pixels, image.format, self._scaler)
        size = image.width, image.height, image.step
        return decode_raw(pixels, *size, image.encoding, bool(image.is_bigendian), self._scaler)


def first_picture(bag: Bag, topic: BagTopic, tries: int = 50) -> Image | None:
    """Return the first picture of a topic that can be decoded; None if there is none in its first messages.

    Raises:
        UserError: It is a video and PyAV is not installed.
    """
    reader = ImageReader(topic.type_name)
    for message in islice(bag.messages([topic.name]), tries):
        with suppress(BadImage):
            for _, decode in reader.read(message.data):
                return decode()
    return None


def _converter(picture: Any) -> Callable[[], Image]:
    return lambda: pixels_of(picture)
