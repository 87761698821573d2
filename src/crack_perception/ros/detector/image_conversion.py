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
from crack_perception.vision.images.blank import LEAST_SIDE_PX, lost_part
from crack_perception.vision.images.encodings import BadImage, decode_compressed, decode_depth, decode_raw
from crack_perception.vision.images.samples import SampleScaler
from crack_perception.vision.images.thermal import refusal_by_name, refusal_by_samples
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


class _SamplesOfLight(SampleScaler):
    """Scaler that refuses temperatures.

    Args:
        scaler: Scales the samples.
    """

    def __init__(self, scaler: SampleScaler) -> None:
        super().__init__()
        self._scaler = scaler

    def to_8_bit(
        self, pixels: npt.NDArray[np.uint16], has_data: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Scale a picture.

        Raises:
            BadImage: It shows temperatures.
        """
        if refusal := refusal_by_samples(pixels):
            raise BadImage(refusal)
        return self._scaler.to_8_bit(pixels, has_data)


class FrameConverter:
    """Convert Image and CompressedImage messages, and pictures of a video, to BGR frames.

    Args:
        bridge: ``own`` (built-in converter), or ``cv_bridge`` for raw images.
        image_bits: Bits that the sensor stores in a 16-bit sample; 0: estimated from the images. Another number than 0
            declares that the samples are no temperatures.
        topic: Name of the images' topic.
        is_visible_light: The user declares that the camera is none of temperatures.

    Raises:
        UserError: cv_bridge is selected but cannot be imported.
    """

    def __init__(
        self, bridge: str = "own", image_bits: int = 0, topic: str = "", is_visible_light: bool = False
    ) -> None:
        self._scaler = SampleScaler(image_bits)
        self._topic = topic
        self._is_visible_light = is_visible_light
        self._checks_samples = not is_visible_light and image_bits == 0
        self._cv_bridge = _open_cv_bridge() if bridge == "cv_bridge" else None

    def frame_of(self, message: ImageInput) -> Frame:
        """Return the image as BGR (H, W, 3); a view of the message's bytes for bgr8 with the built-in converter.

        Raises:
            BadImage: The data do not agree with the size or encoding of the message, the image is too small to show a
                crack, or a part of it is lost.
        """
        before = copy.copy(self._scaler)
        try:
            return self._checked(self._decoded(message))
        except BadImage:
            self._scaler = before  # a refused frame does not decide about the bits of the next ones
            raise

    def _checked(self, frame: Frame) -> Frame:
        if min(frame.shape[:2]) < LEAST_SIDE_PX:
            raise BadImage(
                f"the image is too small to show a crack ({frame.shape[1]}x{frame.shape[0]} px); send images of "
                f"{LEAST_SIDE_PX} px a side or more"
            )
        lost = lost_part(frame)
        if lost:
            raise BadImage(f"{lost}; check the camera's exposure, driver and cable")
        return frame

    def _decoded(self, message: ImageInput) -> Frame:
        if isinstance(message, VideoFrame):
            self._check_names("", message)
            return pixels_of(message.picture)
        # CompressedImage is the type with this field.
        compressed_format = getattr(message, "format", None)
        if compressed_format is not None:
            encoding, separator, _ = compressed_format.partition(";")
            self._check_names(encoding if separator else "", message)
            scaler = _SamplesOfLight(self._scaler) if self._checks_samples else self._scaler
            return decode_compressed(np.frombuffer(message.data, np.uint8), compressed_format, scaler)
        self._check_names(message.encoding, message)
        if message.encoding == "mono16" and self._checks_samples and (refusal := refusal_by_samples(depth_of(message))):
            raise BadImage(refusal)
        if self._cv_bridge is not None:
            try:
                return np.asarray(self._cv_bridge.imgmsg_to_cv2(message, "bgr8"), dtype=np.uint8)
            except Exception as error:  # CvBridgeError and exceptions of its compiled part
                raise BadImage(f"cv_bridge cannot convert the image: {error}") from error
        data = np.frombuffer(message.data, np.uint8)
        big_endian = bool(message.is_bigendian)
        return decode_raw(data, message.width, message.height, message.step, message.encoding, big_endian, self._scaler)

    def _check_names(self, encoding: str, message: ImageInput) -> None:
        """Check that the names of an image are those of a camera of visible light.

        Raises:
            BadImage: They are those of a thermal or a depth camera.
        """
        if not self._is_visible_light:
            refusal = refusal_by_name(encoding, message.header.frame_id, self._topic)
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
