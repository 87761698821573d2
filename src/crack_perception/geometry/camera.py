"""Camera models of sensor_msgs/CameraInfo: pixels to rays and back.

``plumb_bob`` and ``rational_polynomial`` are the Brown-Conrady models with 4 to 14 coefficients, ``equidistant`` is the
Kannala-Brandt fisheye with 4 (REP 104, OpenCV's calib3d and fisheye modules).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError

Array = npt.NDArray[np.float64]

BROWN_MODELS = ("plumb_bob", "rational_polynomial")
FISHEYE_MODELS = ("equidistant", "fisheye")
_COEFFICIENT_COUNTS = (0, 4, 5, 8, 12, 14)
_REMEDY = "Calibrate the camera (camera_calibration) and publish its camera_info"

# Between nodes this far apart the solution is near enough to a straight line for Newton's method to need one step.
_NODE_SPACING_PX = 32.0
_NEWTON_STEPS = 20
_NEWTON_TOLERANCE_PX = 1e-6
_DIFFERENCE_STEP = 1e-6


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics and distortion of a raw (unrectified) image.

    Attributes:
        width_px, height_px: Size of the image that ``k`` speaks of.
        k: 3x3 intrinsic matrix in pixels.
        d: Distortion coefficients.
        distortion_model: A name of CameraInfo; an empty name with no coefficients means a pinhole.
    """

    width_px: int
    height_px: int
    k: Array
    d: Array
    distortion_model: str

    @staticmethod
    def of(width_px: int, height_px: int, k: npt.ArrayLike, d: npt.ArrayLike, distortion_model: str) -> CameraModel:
        """A checked camera model.

        Raises:
            UserError: Empty or uncalibrated intrinsics, unknown distortion model, wrong number of coefficients.
        """
        matrix = np.asarray(k, dtype=np.float64).reshape(3, 3)
        coefficients = np.asarray(d, dtype=np.float64).ravel()
        if width_px <= 0 or height_px <= 0:
            raise UserError(f"camera_info has an empty image size {width_px}x{height_px}", _REMEDY)
        if not (np.all(np.isfinite(matrix)) and matrix[0, 0] > 0 and matrix[1, 1] > 0):
            raise UserError("camera_info is not calibrated: its matrix K has no focal length", _REMEDY)
        if not np.all(np.isfinite(coefficients)):
            raise UserError("camera_info has distortion coefficients that are not numbers", _REMEDY)
        if distortion_model in FISHEYE_MODELS:
            if coefficients.size != 4:
                raise UserError(
                    f"camera_info names the model '{distortion_model}' but has {coefficients.size} coefficients",
                    "It takes exactly 4; check the driver or the calibration file",
                )
        elif distortion_model in BROWN_MODELS or (not distortion_model and not np.any(coefficients)):
            if coefficients.size not in _COEFFICIENT_COUNTS:
                raise UserError(
                    f"camera_info names the model '{distortion_model}' but has {coefficients.size} coefficients",
                    f"It takes {', '.join(map(str, _COEFFICIENT_COUNTS))}; check the driver or the calibration file",
                )
        else:
            raise UserError(
                f"camera_info names the unknown distortion model '{distortion_model}'",
                f"Known are {', '.join(BROWN_MODELS + FISHEYE_MODELS)}",
            )
        return CameraModel(int(width_px), int(height_px), matrix, coefficients, distortion_model)

    def windowed(
        self, binning_x: int, binning_y: int, roi_x_px: int, roi_y_px: int, roi_width_px: int, roi_height_px: int
    ) -> CameraModel:
        """The model of the image that a driver really sends: CameraInfo's region of interest, then binning.

        Zero means "none" as in CameraInfo: binning 0 is 1, a region of width 0 is the whole image.
        """
        bx, by = max(1, binning_x), max(1, binning_y)
        width = roi_width_px or self.width_px
        height = roi_height_px or self.height_px
        k = self.k.copy()
        # A binned pixel covers bx source pixels, so its centre lies (bx - 1) / 2 beyond the first one's centre.
        k[0, 2] = (k[0, 2] - roi_x_px - (bx - 1) / 2) / bx
        k[1, 2] = (k[1, 2] - roi_y_px - (by - 1) / 2) / by
        k[0, 0] /= bx
        k[1, 1] /= by
        k[0, 1] /= bx
        return CameraModel(width // bx, height // by, k, self.d, self.distortion_model)

    def normalised(self, pixels: npt.ArrayLike) -> Array:
        """Undistorted image coordinates (N, 2) at depth 1 of pixels (N, 2).

        NaN for pixels that no point ahead of the camera is projected to (a fisheye's rays from 90 degrees on, corners
        that the distortion polynomial does not reach).
        """
        return self.linearised(pixels)[0]

    def linearised(self, pixels: npt.ArrayLike) -> tuple[Array, Array]:
        """``normalised``, and the derivative (N, 2, 2) of the pixels by these coordinates."""
        points = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        if self.distortion_model not in FISHEYE_MODELS and not np.any(self.d):
            return self._without_lens(points), np.tile(np.diag([self.k[0, 0], self.k[1, 1]]), (len(points), 1, 1))
        plane, jacobian = self._undistorted(points, self._near(points))
        lost = ~np.isfinite(plane[:, 0])
        if np.any(lost):
            plane[lost], jacobian[lost] = self._undistorted(points[lost], self._without_lens(points[lost]))
        return plane, jacobian

    def _without_lens(self, pixels: Array) -> Array:
        """What a pinhole of the same intrinsics would see at pixels (N, 2)."""
        return np.asarray((pixels - [self.k[0, 2], self.k[1, 2]]) / [self.k[0, 0], self.k[1, 1]])

    @cached_property
    def _nodes(self) -> Array:
        """Undistorted coordinates (rows, columns, 2) of a grid that covers the image; NaN where there are none."""
        columns, rows = (int(np.ceil(size / _NODE_SPACING_PX)) + 1 for size in (self.width_px, self.height_px))
        places = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=2).reshape(-1, 2)
        points = places.astype(np.float64) * _NODE_SPACING_PX
        return self._undistorted(points, self._without_lens(points))[0].reshape(rows, columns, 2)

    def _near(self, pixels: Array) -> Array:
        """Undistorted coordinates (N, 2) of pixels (N, 2), interpolated between the nodes; NaN where there are none."""
        nodes = self._nodes
        places = pixels / _NODE_SPACING_PX
        with np.errstate(invalid="ignore"):
            cells = np.clip(np.floor(places), 0, [nodes.shape[1] - 2, nodes.shape[0] - 2])
        x, y = np.nan_to_num(cells).astype(np.intp).T
        right, down = (places - cells).T[:, :, None]
        above = (1 - right) * nodes[y, x] + right * nodes[y, x + 1]
        below = (1 - right) * nodes[y + 1, x] + right * nodes[y + 1, x + 1]
        return np.asarray((1 - down) * above + down * below)

    def _undistorted(self, pixels: Array, start: Array) -> tuple[Array, Array]:
        """Newton's method on ``project``: coordinates (N, 2), NaN without a solution, and derivatives (N, 2, 2).

        OpenCV's fixed-point iteration is inexact in the corners of wide lenses, diverges for strong pincushion
        distortion, and does not say where it failed.
        """
        plane = start
        with np.errstate(all="ignore"):
            error_px, jacobian = self._linearised(plane, pixels)
            for _ in range(_NEWTON_STEPS):
                if not np.any(np.abs(error_px) > _NEWTON_TOLERANCE_PX):
                    break
                plane = plane + _solve_2x2(jacobian, error_px)
                error_px, jacobian = self._linearised(plane, pixels)
            # Beyond its reach the polynomial folds back on itself: a mirrored or upturned image is no solution.
            (a, b), (c, d) = jacobian.transpose(1, 2, 0)
            is_upright = (a * d - b * c > 0) & (a + d > 0)
            is_solved = np.all(np.abs(error_px) < 10 * _NEWTON_TOLERANCE_PX, axis=1)
        return np.where((is_solved & is_upright)[:, None], plane, np.nan), jacobian

    def _linearised(self, plane: Array, pixels: Array) -> tuple[Array, Array]:
        """What is left to each pixel (N, 2), and the derivative (N, 2, 2) of pixels by plane coordinates."""
        moved = np.stack([plane, plane + [_DIFFERENCE_STEP, 0.0], plane + [0.0, _DIFFERENCE_STEP]]).reshape(-1, 2)
        here, right, below = self.project(np.column_stack([moved, np.ones(len(moved))])).reshape(3, -1, 2)
        return pixels - here, np.stack([right - here, below - here], axis=2) / _DIFFERENCE_STEP

    def rays(self, pixels: npt.ArrayLike) -> Array:
        """Unit directions (N, 3) in the optical frame of pixels (N, 2); NaN as in ``normalised``."""
        plane = self.normalised(pixels)
        directions = np.column_stack([plane, np.ones(len(plane))])
        return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))

    def project(self, points_m: npt.ArrayLike) -> Array:
        """Pixels (N, 2) of points (N, 3) in the optical frame; NaN for points at or behind the camera."""
        points = np.asarray(points_m, dtype=np.float64).reshape(-1, 3)
        pixels = np.full((len(points), 2), np.nan)
        ahead = points[:, 2] > 1e-9
        if not np.any(ahead):
            return pixels
        zero = np.zeros(3)
        if self.distortion_model in FISHEYE_MODELS:
            projected, _ = cv2.fisheye.projectPoints(points[ahead].reshape(-1, 1, 3), zero, zero, self.k, self.d)
        else:
            projected, _ = cv2.projectPoints(points[ahead].reshape(-1, 1, 3), zero, zero, self.k, self.d)
        pixels[ahead] = np.asarray(projected, dtype=np.float64).reshape(-1, 2)
        return pixels

    @property
    def focal_px(self) -> float:
        """Geometric mean of the two focal lengths."""
        return float(np.sqrt(self.k[0, 0] * self.k[1, 1]))


def _solve_2x2(matrices: Array, vectors: Array) -> Array:
    """Solutions (N, 2) of N systems (N, 2, 2), (N, 2); not finite where a matrix is singular."""
    (a, b), (c, d) = matrices.transpose(1, 2, 0)
    x, y = vectors.T
    return np.asarray(np.column_stack([d * x - b * y, a * y - c * x]) / (a * d - b * c)[:, None])
