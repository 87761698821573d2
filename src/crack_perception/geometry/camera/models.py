# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera models of sensor_msgs/CameraInfo: pixels to rays and back.

``plumb_bob`` and ``rational_polynomial`` are the Brown-Conrady models with 4 to 14 coefficients, ``equidistant`` is the
Kannala-Brandt fisheye with 4 (REP 104, OpenCV's calib3d and fisheye modules).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.geometry.camera.lens import BrownLens, FisheyeLens, Lens
from crack_perception.geometry.vectors import lengths

Array = npt.NDArray[np.float64]

BROWN_MODELS = ("plumb_bob", "rational_polynomial")
FISHEYE_MODELS = ("equidistant", "fisheye")
_COEFFICIENT_COUNTS = (0, 4, 5, 8, 12, 14)
_REMEDY = "Calibrate the camera (camera_calibration) and publish its camera_info"

# Between nodes at this spacing the solution is nearly linear, so that one Newton step is enough.
_NODE_SPACING_PX = 32.0
_NEWTON_STEPS = 20
_NEWTON_TOLERANCE_PX = 1e-6


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics and distortion of a raw (unrectified) image.

    Attributes:
        width_px, height_px: Size of the image that ``k`` refers to.
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
        """Create a checked camera model.

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
                    "This model takes exactly 4; check driver and calibration file",
                )
        elif distortion_model in BROWN_MODELS or (not distortion_model and not np.any(coefficients)):
            if coefficients.size not in _COEFFICIENT_COUNTS:
                raise UserError(
                    f"camera_info names the model '{distortion_model}' but has {coefficients.size} coefficients",
                    f"This model takes {', '.join(map(str, _COEFFICIENT_COUNTS))}; check driver and calibration file",
                )
        else:
            raise UserError(
                f"camera_info names the unknown distortion model '{distortion_model}'",
                f"Supported models: {', '.join(BROWN_MODELS + FISHEYE_MODELS)}",
            )
        return CameraModel(int(width_px), int(height_px), matrix, coefficients, distortion_model)

    def windowed(
        self, binning_x: int, binning_y: int, roi_x_px: int, roi_y_px: int, roi_width_px: int, roi_height_px: int
    ) -> CameraModel:
        """Return the model of the image after CameraInfo's region of interest, then binning.

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
        """Return undistorted image coordinates (N, 2) at depth 1 of pixels (N, 2).

        NaN for pixels onto which no point in front of the camera projects (fisheye rays from 90 degrees on, corners
        beyond the range of the distortion polynomial).
        """
        return self.linearised(pixels)[0]

    def linearised(self, pixels: npt.ArrayLike) -> tuple[Array, Array]:
        """Return ``normalised`` and the derivative (N, 2, 2) of the pixels with respect to these coordinates."""
        points = np.asarray(pixels, dtype=np.float64).reshape(-1, 2).T
        straight = self._without_lens(points)
        if self._is_pinhole:
            jacobian = np.zeros((len(straight[0]), 2, 2))
            jacobian[:, 0, 0], jacobian[:, 1, 1] = self.k[0, 0], self.k[1, 1]
            return straight.T, jacobian
        plane, jacobian = self._undistorted(straight, self._near(points))
        unsolved = np.isnan(plane[0])
        if unsolved.any():
            plane[:, unsolved], jacobian[:, :, unsolved] = self._undistorted(
                straight[:, unsolved], straight[:, unsolved]
            )
        return plane.T, jacobian.transpose(2, 0, 1)

    @cached_property
    def _is_pinhole(self) -> bool:
        return self.distortion_model not in FISHEYE_MODELS and not np.any(self.d)

    @cached_property
    def _lens(self) -> Lens:
        coefficients = self.d.tolist()
        if self.distortion_model in FISHEYE_MODELS:
            return FisheyeLens(tuple(coefficients))
        return BrownLens.of(coefficients)

    @cached_property
    def _focal_and_centre(self) -> tuple[Array, Array]:
        """Focal lengths and principal point in pixels, each (2, 1)."""
        return self.k[[0, 1], [0, 1]][:, None], self.k[:2, 2:]

    def _without_lens(self, pixels: Array) -> Array:
        """Return coordinates at depth 1 of pixels for a pinhole of the same intrinsics; both (2, N)."""
        focal, centre = self._focal_and_centre
        return np.asarray((pixels - centre) / focal)

    @cached_property
    def _nodes(self) -> tuple[Array, int, int]:
        """Undistorted coordinates (2, rows * columns) of a grid over the image (NaN: no solution), rows, columns."""
        columns, rows = (int(np.ceil(size / _NODE_SPACING_PX)) + 1 for size in (self.width_px, self.height_px))
        places = np.stack(np.meshgrid(np.arange(columns), np.arange(rows))).reshape(2, -1)
        straight = self._without_lens(_NODE_SPACING_PX * places.astype(np.float64))
        return self._undistorted(straight, straight)[0], rows, columns

    def _near(self, pixels: Array) -> Array:
        """Interpolate undistorted coordinates of pixels between the nodes; both (2, N); NaN without a solution."""
        nodes, rows, columns = self._nodes
        places = pixels / _NODE_SPACING_PX
        # fmin and fmax ignore NaN, so that pixels without coordinates get a cell, too.
        cells = np.fmin(np.fmax(np.floor(places), 0.0), [[columns - 2.0], [rows - 2.0]])
        right, down = places - cells
        above = (cells[1] * columns + cells[0]).astype(np.intp)
        below = above + columns
        upper = nodes[:, above] * (1.0 - right) + nodes[:, above + 1] * right
        lower = nodes[:, below] * (1.0 - right) + nodes[:, below + 1] * right
        return np.asarray(upper * (1.0 - down) + lower * down)

    def _undistorted(self, straight: Array, start: Array) -> tuple[Array, Array]:
        """Invert the lens by Newton's method: coordinates (2, N), NaN without a solution, and derivatives (2, 2, N).

        OpenCV's fixed-point iteration is inexact in the corners of wide lenses, diverges for strong pincushion
        distortion, and does not report where it failed.

        Args:
            straight: (2, N) as in ``_without_lens``.
            start: (2, N) coordinates near the solution.
        """
        focal, _ = self._focal_and_centre
        tolerance = _NEWTON_TOLERANCE_PX / float(focal.max())
        with np.errstate(all="ignore"):
            x, y = start
            for step in range(_NEWTON_STEPS + 1):
                bent = self._lens.distorted(x, y)
                error_x, error_y = straight[0] - bent.x, straight[1] - bent.y
                error = np.maximum(np.abs(error_x), np.abs(error_y))
                determinant = bent.xx * bent.yy - bent.xy * bent.yx
                if step == _NEWTON_STEPS or not (error > tolerance).any():
                    break
                x = x + (bent.yy * error_x - bent.xy * error_y) / determinant
                y = y + (bent.xx * error_y - bent.yx * error_x) / determinant
            # Outside its valid range the polynomial folds back: a mirrored or inverted image is not a solution.
            is_solved = (error < 10 * tolerance) & (determinant > 0) & (bent.xx + bent.yy > 0)
        jacobian = np.array([[bent.xx, bent.xy], [bent.yx, bent.yy]]) * focal[:, None]
        return np.where(is_solved, np.stack([x, y]), np.nan), jacobian

    def rays(self, pixels: npt.ArrayLike) -> Array:
        """Return unit directions (N, 3) in the optical frame of pixels (N, 2); NaN as in ``normalised``."""
        plane = self.normalised(pixels)
        directions = np.ones((len(plane), 3))
        directions[:, :2] = plane
        directions /= lengths(directions)[:, None]
        return directions

    def project(self, points_m: npt.ArrayLike) -> Array:
        """Project points (N, 3) in the optical frame to pixels (N, 2); NaN at or behind the camera."""
        x, y, z = np.asarray(points_m, dtype=np.float64).reshape(-1, 3).T
        depth = np.where(z > 1e-9, z, np.nan)
        focal, centre = self._focal_and_centre
        # Impossible poses give points that overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            bent = self._lens.distorted(x / depth, y / depth)
            return np.asarray((np.stack([bent.x, bent.y]) * focal + centre).T)

    @property
    def focal_px(self) -> float:
        """Geometric mean of the two focal lengths."""
        return float(np.sqrt(self.k[0, 0] * self.k[1, 1]))
