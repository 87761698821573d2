# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Conversion of image messages to BGR frames, without a copy where possible.

Only the attributes of messages are read, so that recorded messages are converted where no ROS is installed.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.vision.images.blank import lost_part
from crack_perception.vision.images.encodings import BadImage, decode_compressed, decode_depth, decode_raw
from crack_perception.vision.images.samples import SampleScaler
from crack_perception.vision.images.thermal import reason_for_refusal
from crack_perception.vision.images.video_packets import pixels_of

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage, Image
    from std_msgs.msg import Header

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class VideoFrame:
    """A decoded picture of a video.

    Attributes:
        header: Of the packet that holds it.
        picture: As PyAV decoded it; converted to pixels when it is processed.
    """

    header: Header
    picture: Any


ImageInput: TypeAlias = "Image | CompressedImage | VideoFrame"
"""What the image topic gives."""


class FrameConverter:
    """Convert Image and CompressedImage messages, and pictures of a video, to BGR frames.

    Args:
        bridge: ``own`` (built-in converter), or ``cv_bridge`` for raw images.
        image_bits: Bits that the sensor stores in a 16-bit sample; 0: estimated from the images.

    Raises:
        UserError: cv_bridge is selected but cannot be imported.
    """

    def __init__(self, bridge: str = "own", image_bits: int = 0) -> None:
        self._scaler = SampleScaler(image_bits)
        self._is_visible = image_bits > 0
        self._cv_bridge = _open_cv_bridge() if bridge == "cv_bridge" else None

    def frame_of(self, message: ImageInput) -> Frame:
        """Return the image as BGR (H, W, 3); a view of the message's bytes for bgr8 with the built-in converter.

        Raises:
            BadImage: The data do not agree with the size or encoding of the message, or a part of the picture is lost.
        """
        before = copy.copy(self._scaler)
        frame = self._decoded(message)
        lost = lost_part(frame)
        if lost:
            self._scaler = before  # a refused frame does not decide about the bits of the next ones
            raise BadImage(f"{lost}; check the camera's exposure, driver and cable")
        return frame

    def _decoded(self, message: ImageInput) -> Frame:
        if isinstance(message, VideoFrame):
            return pixels_of(message.picture)
        # CompressedImage is the type with this field.
        compressed_format = getattr(message, "format", None)
        if compressed_format is not None:
            return decode_compressed(np.frombuffer(message.data, np.uint8), compressed_format, self._scaler)
        self._check_visible(message)
        if self._cv_bridge is not None:
            try:
                return np.asarray(self._cv_bridge.imgmsg_to_cv2(message, "bgr8"), dtype=np.uint8)
            except Exception as error:  # CvBridgeError and exceptions of its compiled part
                raise BadImage(f"cv_bridge cannot convert the image: {error}") from error
        data = np.frombuffer(message.data, np.uint8)
        big_endian = bool(message.is_bigendian)
        return decode_raw(data, message.width, message.height, message.step, message.encoding, big_endian, self._scaler)

    def _check_visible(self, message: Image) -> None:
        """Check that an image is one of visible light.

        Raises:
            BadImage: It is a thermal or a depth image.
        """
        samples = None
        if message.encoding == "mono16":
            data = np.frombuffer(message.data, np.uint8)
            samples = decode_depth(
                data, message.width, message.height, message.step, message.encoding, bool(message.is_bigendian)
            )
        refusal = reason_for_refusal(message.encoding, message.header.frame_id, samples, self._is_visible)
        if refusal:
            raise BadImage(refusal)


def _open_cv_bridge() -> Any:
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise UserError(
            f"image_bridge is 'cv_bridge' but it cannot be imported ({error})",
            "Install it (ros-$ROS_DISTRO-cv-bridge) or set image_bridge to 'own'",
        ) from error
    return CvBridge()


def depth_of(message: Image) -> npt.NDArray[Any]:
    """Return the depth image (H, W) of a message as stored.

    Raises:
        BadImage: Unsupported encoding or inconsistent sizes.
    """
    data = np.frombuffer(message.data, np.uint8)
    return decode_depth(data, message.width, message.height, message.step, message.encoding, bool(message.is_bigendian))
