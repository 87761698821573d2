# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera models from camera_info messages, matched with images by stamp."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from crack_perception.errors import UserError
from crack_perception.geometry.camera.calibration import Calibration, calibration_of
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.ros.common.stamps import stamp_ns

if TYPE_CHECKING:
    from sensor_msgs.msg import CameraInfo

# Relative change of the focal length between two frames that is reported; focusing changes it less.
_LEAST_ZOOM = 0.05


class CameraInfos:
    """The last camera_info messages; filled by the executor, read by the worker.

    Args:
        image_is_rectified: Images are rectified: use P and no distortion.
        image_topic: Name of the image topic.

    Attributes:
        warnings: Possible faults of the calibration that ``model_for`` returned last.
    """

    _KEPT = 20

    def __init__(self, image_is_rectified: bool = False, image_topic: str = "") -> None:
        self._is_rectified = image_is_rectified
        self._image_topic = image_topic
        self._messages: OrderedDict[int, CameraInfo] = OrderedDict()
        self._latest: CameraInfo | None = None
        self._cached: tuple[tuple[object, ...], tuple[Calibration, CameraModel, list[str]]] | None = None
        self._lock = threading.Lock()
        self._focal_share: float | None = None
        self.warnings: list[str] = []

    def push(self, message: CameraInfo) -> None:
        """Add a message."""
        with self._lock:
            self._latest = message
            self._messages[stamp_ns(message.header.stamp)] = message
            while len(self._messages) > self._KEPT:
                self._messages.popitem(last=False)

    def model_for(self, image_stamp_ns: int, width_px: int, height_px: int, camera_frame: str = "") -> CameraModel:
        """Return the camera model for an image: of the message with its stamp, else of the newest.

        Args:
            image_stamp_ns: Stamp of the image in nanoseconds.
            width_px, height_px: Size of the image.
            camera_frame: The image's frame_id.

        Raises:
            UserError: There is no camera_info, it is unusable, or it is for images of another size.
        """
        self.warnings = []
        with self._lock:
            message = self._messages.get(image_stamp_ns, self._latest)
        if message is None:
            raise UserError("no camera_info has been received", "Remap 'camera_info' to the camera's topic")
        calibration, model, warnings = self._model_of(message)
        if (model.width_px, model.height_px) != (width_px, height_px):
            raise UserError(
                f"camera_info is for {model.width_px}x{model.height_px} px but the image has {width_px}x{height_px} px",
                "Set its binning to 0, as its size and K are those of the image"
                if (calibration.width_px, calibration.height_px) == (width_px, height_px) and max(calibration.binning)
                else "Publish the calibration of the resolution in use",
            )
        frame = message.header.frame_id.lstrip("/")
        if frame and camera_frame.lstrip("/") and frame != camera_frame.lstrip("/"):
            warnings = [
                *warnings,
                f"camera_info has the frame_id '{frame}' but the image '{camera_frame}'. "
                "Is 'camera_info' remapped to the camera of 'image'?",
            ]
        self.warnings = [*warnings, *self._zoom_warning(calibration)]
        return model

    def _zoom_warning(self, calibration: Calibration) -> list[str]:
        """Return a warning if the focal length is another than that of the frame before."""
        share, before = calibration.focal_share(self._is_rectified), self._focal_share
        self._focal_share = share
        if before is None or abs(share / before - 1.0) < _LEAST_ZOOM:
            return []
        return [
            f"camera_info changed its focal length from {before * calibration.width_px:.0f} to "
            f"{share * calibration.width_px:.0f} px (of {calibration.width_px} px). If the camera has not zoomed, do "
            "two cameras publish on this topic?"
        ]

    def _model_of(self, message: CameraInfo) -> tuple[Calibration, CameraModel, list[str]]:
        roi = message.roi
        # Bytes, because NaN does not equal itself, and tuples of numbers take longer.
        key = (
            *(message.width, message.height, message.distortion_model, message.binning_x, message.binning_y),
            *(roi.x_offset, roi.y_offset, roi.width, roi.height),
            *(message.k.tobytes(), message.d.tobytes(), message.r.tobytes(), message.p.tobytes()),
        )
        if self._cached is None or self._cached[0] != key:
            calibration = calibration_of(message)
            model = calibration.camera(self._is_rectified)
            warnings = calibration.warnings(self._is_rectified, self._image_topic)
            self._cached = (key, (calibration, model, warnings))
        return self._cached[1]
