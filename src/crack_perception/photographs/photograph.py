# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One photograph with its camera and pose, and the kinds of photographs that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.photographs.table import Array, Unusable
from crack_perception.vision.images.files import read_picture

Image = npt.NDArray[np.uint8]

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "no_pose": "have no pose in the table of poses",
        "no_position": "have no position in their tags",
        "no_direction": "have a position but no gimbal angles in their tags",
        "implausible_pose": "have an implausible pose",
        "ambiguous_name": "have a name that is not unique",
        "no_camera": "have no calibration and no focal length in their tags",
        "unsupported_camera": "have a camera that is not supported",
        "other_size": "have another size than their camera",
        "mirrored": "are mirrored by their orientation tag",
        "thermal": "are of a thermal camera",
        "damaged": "are damaged or no pictures",
        "too_large": "have too many pixels",
        "no_surface": "show no part of the surface",
        "failed": "could not be processed",
    }
)
"""Kind -> what its photographs have in common."""

_UNTURN = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True, eq=False)
class PosedPhotograph:
    """One photograph.

    Attributes:
        path: The file.
        name: Path relative to the folder.
        stamp_ns: Time of exposure [ns since 1970]; of photographs without one, an artificial time in order of names.
        camera: Camera of the pixels that ``read`` returns.
        pose: Optical frame of these pixels in the map.
        position_sigma_m: (3,) standard deviation of the position, map axes.
        attitude_sigma_rad: Standard deviation of the attitude, each axis.
        source: Name of the camera; errors of one camera are correlated in time.
        turned_deg: Clockwise turn that the orientation tag asks for; ``read`` undoes it.
        range_m: Distance along the optical axis; None where it was not measured.
        is_estimated: The camera is only estimated from its nominal focal length.
    """

    path: Path
    name: str
    stamp_ns: int
    camera: CameraModel
    pose: Pose
    position_sigma_m: Array
    attitude_sigma_rad: float
    source: str
    turned_deg: int = 0
    range_m: float | None = None
    is_estimated: bool = False

    @property
    def noise(self) -> NoiseModel:
        """Standard deviations of camera and pose."""
        return NoiseModel(
            attitude_rad=self.attitude_sigma_rad,
            position_m=float(np.sqrt(np.mean(self.position_sigma_m**2))),
            time_s=0.0,
        )

    @property
    def covariance(self) -> Array:
        """Covariance (6, 6) of position and attitude, map axes."""
        return np.diag([*self.position_sigma_m**2, *[self.attitude_sigma_rad**2] * 3])

    @property
    def plain(self) -> list[Any]:
        """Everything that locations depend on except the pixels and the time, as JSON can hold it."""
        camera, pose = self.camera, self.pose
        return [
            self.name,
            self.source,
            self.turned_deg,
            self.range_m,
            [camera.width_px, camera.height_px, camera.distortion_model],
            [*camera.k.ravel().tolist(), *camera.d.tolist()],
            [*pose.position_m.tolist(), *pose.quaternion.tolist()],
            [*self.position_sigma_m.tolist(), self.attitude_sigma_rad],
        ]

    def read(self) -> Image:
        """Read the picture, BGR (H, W, 3), in the orientation of ``camera`` and ``pose``.

        Raises:
            Unusable: It is damaged, or has another size than its tags announce.
        """
        try:
            picture = read_picture(self.path)
        except UserError as error:
            raise Unusable("damaged", error.problem.replace(f"{self.path}: ", "")) from error
        if self.turned_deg:
            picture = np.asarray(cv2.rotate(picture, _UNTURN[self.turned_deg]), np.uint8)
        size_px = (picture.shape[1], picture.shape[0])
        if size_px != (self.camera.width_px, self.camera.height_px):
            raise Unusable("other_size", f"it has {size_px[0]}x{size_px[1]} px, its camera {size_text(self.camera)}")
        return picture


def size_text(camera: CameraModel) -> str:
    """Return the size of a camera's picture."""
    return f"{camera.width_px}x{camera.height_px} px"
