# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Build and check a camera model from the numbers of sensor_msgs/CameraInfo.

A raw image is described by K, D and the distortion model, a rectified one by the left 3x3 part of P (no distortion);
both for the full resolution, before region of interest and binning. Impossible numbers are refused, unlikely ones
reported. As in image_geometry, the rays of a rectified image are taken in the frame of its header: R is checked but not
applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel

Array = npt.NDArray[np.float64]

_CALIBRATE = "Calibrate the camera (camera_calibration) and publish its camera_info"
_CHECK = "Check the driver or the calibration file"
# No lens for inspection has a focal length outside these shares of the image's longer side.
_FOCAL_SHARES = (0.05, 200.0)
# Pixels are square; line-skipping sensors make them up to twice as high as wide.
_MOST_FOCAL_RATIO = 2.5
# Largest distance of the principal point beyond an edge of the image (shifted lens), as a share of the side.
_FARTHEST_SHARE = 0.5
# A principal point farther from the centre than this share of the side is reported.
_OFF_CENTRE_SHARE = 0.2
_CENTRED_SHARE = 0.1
_ROTATION_TOLERANCE = 1e-3
_SKEW_SHARE = 0.01


@dataclass(frozen=True)
class Calibration:
    """Numbers of one CameraInfo message.

    Attributes:
        width_px, height_px: Size of the full resolution.
        k, r: (9,) matrices by rows.
        p: (12,) matrix by rows.
        d: Distortion coefficients.
        distortion_model: Name of the model.
        binning: In x and y; 0 means 1.
        window_px: x, y, width and height of the region of interest; a width or height of 0 means all.
    """

    width_px: int
    height_px: int
    k: tuple[float, ...]
    d: tuple[float, ...]
    distortion_model: str
    r: tuple[float, ...] = (0.0,) * 9
    p: tuple[float, ...] = (0.0,) * 12
    binning: tuple[int, int] = (0, 0)
    window_px: tuple[int, int, int, int] = (0, 0, 0, 0)

    def camera(self, is_rectified: bool) -> CameraModel:
        """Return the camera model of the image, after region of interest and binning.

        Args:
            is_rectified: The image is rectified.

        Raises:
            UserError: The numbers cannot be those of the image's camera.
        """
        name, matrix = self._matrix(is_rectified)
        lens: tuple[tuple[float, ...], str] = ((), "") if is_rectified else (self.d, self.distortion_model)
        self._check_focal_lengths(name, matrix)
        full = CameraModel.of(self.width_px, self.height_px, matrix, *lens)
        self._check_matrix(name, matrix)
        self._check_window()
        x, y, width, height = self.window_px
        return full.windowed(*self.binning, x, y, width, height)

    def focal_share(self, is_rectified: bool) -> float:
        """Return the focal length as a share of the image width, which does not depend on the resolution.

        Raises:
            UserError: The matrix is not filled in.
        """
        return float(self._matrix(is_rectified)[1][0, 0] / self.width_px)

    def warnings(self, is_rectified: bool, topic: str) -> list[str]:
        """Return warnings about unlikely numbers, one or two sentences each.

        Args:
            is_rectified: The image is treated as rectified.
            topic: Name of the image topic, which by convention indicates rectified images (``image_rect``).
        """
        name, matrix = self._matrix(is_rectified)
        found = []
        shift = (matrix[:2, 2] + 0.5) / self._size - 0.5
        if np.abs(shift).max() > _OFF_CENTRE_SHARE:
            found.append(
                f"camera_info has its principal point at {_point(matrix)} px of {self.width_px}x{self.height_px} px. "
                f"Is its {name} that of another resolution or region of interest?"
            )
        if abs(matrix[0, 1]) > _SKEW_SHARE * matrix[0, 0]:
            found.append(f"camera_info has a skew of {matrix[0, 1]:g} px in {name}, which is ignored. {_CHECK}")
        if any(self.r) and not _is_rotation(self.r):
            found.append(f"camera_info has a matrix R that is no rotation. {_CHECK}")
        if is_rectified and any(abs(offset) > 1e-6 for offset in (self.p[3], self.p[7])):
            found.append(
                f"camera_info is of the second camera of a stereo pair, {-self.p[3] / self.p[0]:.3f} m beside the "
                "first. Does the image's frame_id name the second camera's own frame?"
            )
        named_rectified = names_rectified(topic)
        if named_rectified and not is_rectified and any(self.d):
            found.append(
                f"The name of the topic '{topic}' stands for rectified images, but D is applied to them. "
                "Set image_is_rectified if they are rectified"
            )
        if is_rectified and not named_rectified and topic.rstrip("/").endswith("image_raw"):
            found.append(
                f"image_is_rectified is set, but the topic '{topic}' is named as raw. Are its images rectified?"
            )
        return found

    @property
    def _size(self) -> Array:
        return np.array([self.width_px, self.height_px], np.float64)

    def _matrix(self, is_rectified: bool) -> tuple[str, Array]:
        """Return name and value (3, 3) of the intrinsic matrix that applies to the image.

        Raises:
            UserError: The matrix is not filled in.
        """
        k, p = np.array(self.k).reshape(3, 3), np.array(self.p).reshape(3, 4)[:, :3]
        has_k, has_p = bool(np.any(k)), bool(np.any(p))
        if is_rectified:
            if has_p:
                return "P", p
            if has_k and not any(self.d):
                return "K", k
            raise UserError("image_is_rectified is set, but camera_info has no matrix P", _CALIBRATE)
        if not has_k and has_p:
            raise UserError(
                "camera_info has no matrix K but a matrix P, as for rectified images",
                "Set image_is_rectified if they are; else calibrate the camera (camera_calibration)",
            )
        return "K", k

    def _check_focal_lengths(self, name: str, matrix: Array) -> None:
        """Check that the matrix has positive focal lengths.

        Raises:
            UserError: An element is not finite or a focal length is not positive.
        """
        fx, fy = matrix[0, 0], matrix[1, 1]
        if not np.isfinite(matrix).all():
            raise UserError(f"camera_info has a matrix {name} with elements that are not numbers", _CHECK)
        if not fx and not fy:
            raise UserError(f"camera_info is not calibrated: its matrix {name} has no focal length", _CALIBRATE)
        if fx <= 0 or fy <= 0:
            raise UserError(f"camera_info has the focal lengths {fx:g} and {fy:g} px in {name}", _CHECK)

    def _check_matrix(self, name: str, matrix: Array) -> None:
        """Check that the intrinsics are plausible for the image size.

        Raises:
            UserError: They are not.
        """
        fx, fy = float(matrix[0, 0]), float(matrix[1, 1])
        if not np.allclose(matrix[2], [0.0, 0.0, 1.0]) or matrix[1, 0]:
            raise UserError(
                f"camera_info has a matrix {name} with {matrix[1, 0]:g} below the diagonal and the last row "
                f"{', '.join(f'{value:g}' for value in matrix[2])} instead of 0, 0, 1",
                f"{_CHECK}: is it stored by columns?",
            )
        if not 1 / _MOST_FOCAL_RATIO <= fx / fy <= _MOST_FOCAL_RATIO:
            raise UserError(f"camera_info has the focal lengths {fx:g} and {fy:g} px in {name}", _CHECK)
        longest = float(self._size.max())
        if not _FOCAL_SHARES[0] * longest <= fx <= _FOCAL_SHARES[1] * longest:
            raise UserError(
                f"camera_info has a focal length of {fx:g} px for images of {self.width_px}x{self.height_px} px",
                f"{_CHECK}: is {name} in pixels?",
            )
        centre = matrix[:2, 2]
        if ((centre < -_FARTHEST_SHARE * self._size) | (centre > (1 + _FARTHEST_SHARE) * self._size)).any():
            raise UserError(
                f"camera_info has its principal point at {_point(matrix)} px, far outside the image of "
                f"{self.width_px}x{self.height_px} px",
                f"{_CHECK}: is {name} that of another resolution?",
            )
        self._check_binning(name, centre)

    def _check_binning(self, name: str, centre: Array) -> None:
        """Check that the principal point (2,) refers to the full resolution.

        Raises:
            UserError: It refers to the binned image, so that binning would be applied twice.
        """
        binning = np.maximum(self.binning, 1)
        if (binning == 1).all():
            return
        as_full = np.abs((centre + 0.5) / self._size - 0.5)
        as_binned = np.abs((centre + 0.5) * binning / self._size - 0.5)
        if (as_binned < _CENTRED_SHARE).all() and (as_full > _OFF_CENTRE_SHARE)[binning > 1].all():
            raise UserError(
                f"camera_info has a matrix {name} of the binned image (principal point {centre[0]:g}, {centre[1]:g} "
                f"px), but {self.width_px}x{self.height_px} px and binning {binning[0]}x{binning[1]}",
                f"Publish {name} of the full resolution, or the binned image's size and binning 0",
            )

    def _check_window(self) -> None:
        """Check that the region of interest lies inside the full resolution.

        Raises:
            UserError: It does not, or the binning leaves no pixel of it.
        """
        x, y, width, height = self.window_px
        if x + width > self.width_px or y + height > self.height_px or x >= self.width_px or y >= self.height_px:
            raise UserError(
                f"camera_info has a region of interest of {width}x{height} px at {x}, {y} in "
                f"{self.width_px}x{self.height_px} px",
                _CHECK,
            )
        bx, by = (max(1, binning) for binning in self.binning)
        if not ((width or self.width_px) // bx and (height or self.height_px) // by):
            raise UserError(f"camera_info has a binning of {bx}x{by} that leaves no image", _CHECK)


def calibration_of(message: Any) -> Calibration:
    """Return the numbers of a message with the fields of sensor_msgs/CameraInfo, received or recorded."""
    roi = message.roi
    return Calibration(
        width_px=int(message.width),
        height_px=int(message.height),
        k=tuple(message.k),
        d=tuple(message.d),
        distortion_model=message.distortion_model,
        r=tuple(message.r),
        p=tuple(message.p),
        binning=(int(message.binning_x), int(message.binning_y)),
        window_px=(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
    )


def _is_rotation(r: tuple[float, ...]) -> bool:
    matrix = np.array(r).reshape(3, 3)
    if not np.isfinite(matrix).all() or np.abs(matrix).max() > 2:
        return False
    is_orthonormal = np.allclose(matrix @ matrix.T, np.eye(3), atol=_ROTATION_TOLERANCE)
    return is_orthonormal and float(np.linalg.det(matrix)) > 0


def names_rectified(topic: str) -> bool:
    """Return whether a topic is named as image_proc names rectified images (``image_rect``, ``image_rect_color``)."""
    return any(part == "rect" or part == "rectified" for part in topic.replace("/", "_").split("_"))


def _point(matrix: Array) -> str:
    return f"{matrix[0, 2]:g}, {matrix[1, 2]:g}"
