"""CameraInfo messages to camera models, matched with images by stamp."""

from __future__ import annotations

import threading
from collections import OrderedDict

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo

from crack_perception.errors import UserError
from crack_perception.geometry.camera import CameraModel


def stamp_ns(stamp: Time) -> int:
    """A message's stamp as integer nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def camera_model(message: CameraInfo) -> CameraModel:
    """The model of the image that belongs to this message: intrinsics, region of interest, binning.

    Raises:
        UserError: The message holds no usable calibration.
    """
    full = CameraModel.of(message.width, message.height, message.k, message.d, message.distortion_model)
    roi = message.roi
    return full.windowed(message.binning_x, message.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height)


class CameraInfos:
    """The last few camera_info messages; filled by the executor, asked by the worker."""

    _KEPT = 20

    def __init__(self) -> None:
        self._messages: OrderedDict[int, CameraInfo] = OrderedDict()
        self._latest: CameraInfo | None = None
        self._cached: tuple[tuple[object, ...], CameraModel] | None = None
        self._lock = threading.Lock()

    def push(self, message: CameraInfo) -> None:
        """Remember a message."""
        with self._lock:
            self._latest = message
            self._messages[stamp_ns(message.header.stamp)] = message
            while len(self._messages) > self._KEPT:
                self._messages.popitem(last=False)

    def model_for(self, image_stamp_ns: int, width_px: int, height_px: int) -> CameraModel:
        """The model for an image: of its own stamp, else the newest.

        Raises:
            UserError: No camera_info yet, an unusable one, or one for images of another size.
        """
        with self._lock:
            message = self._messages.get(image_stamp_ns, self._latest)
        if message is None:
            raise UserError("no camera_info has been received", "Remap 'camera_info' to the camera's topic")
        model = self._model_of(message)
        if (model.width_px, model.height_px) != (width_px, height_px):
            raise UserError(
                f"camera_info is for {model.width_px}x{model.height_px} px but the image has {width_px}x{height_px} px",
                "Publish the calibration of the resolution in use",
            )
        return model

    def _model_of(self, message: CameraInfo) -> CameraModel:
        roi = message.roi
        key = (
            *(message.width, message.height, message.distortion_model, tuple(message.k), tuple(message.d)),
            *(message.binning_x, message.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height),
        )
        if self._cached is None or self._cached[0] != key:
            self._cached = (key, camera_model(message))
        return self._cached[1]
