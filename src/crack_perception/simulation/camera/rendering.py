# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Render the light on the sensor: the wall seen through the lens at a pose, blurred by the lens and by motion.

Brightness is handled in the stored 8-bit levels of texture and image alike, without a response curve between them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.flight.truth import TruthSurface

_LENS_SIGMA_PX = 0.45
_LENS_NODES = 24
_ROI_MARGIN_PX = 3
_LEVELS_PER_OCTAVE = 2


class CameraRenderer:
    """Render a wall by inverse mapping: undistorted directions are computed once, texture points per frame.

    Args:
        camera: Intrinsics and distortion.
        surface: Plane of the wall.
        texture: ``(H, W, 3)`` uint8 of the wall.
    """

    def __init__(self, camera: CameraModel, surface: TruthSurface, texture: NDArray[np.uint8]) -> None:
        self._camera = camera
        self._surface = surface
        self._pyramid = TexturePyramid(texture, surface.texture_mm_per_px)
        self._directions = undistorted_grid(camera)

    def render(self, pose: Pose, before: Pose, after: Pose) -> NDArray[np.uint8]:
        """Render the image of one exposure.

        Args:
            pose: ``T_map_camera`` in the middle of the exposure.
            before: Pose at the start of the exposure.
            after: Pose at its end.

        Returns:
            ``(H, W, 3)`` uint8 BGR without noise.
        """
        view = SurfaceView(self._camera, self._surface, pose)
        picture, pixels_of_surface = self._pyramid.at(view.gsd_mm_per_px)
        # Sampling a window of the level keeps float32 coordinates exact and any level below OpenCV's size limit.
        outline = view.seen_at(view.outline_px) @ pixels_of_surface[:2, :2].T + pixels_of_surface[:2, 2]
        height, width = picture.shape[:2]
        left, top = np.clip(np.floor(outline.min(axis=0)) - _ROI_MARGIN_PX, 0, [width - 1, height - 1]).astype(int)
        right, bottom = np.clip(
            np.ceil(outline.max(axis=0)) + _ROI_MARGIN_PX, [left + 1, top + 1], [width, height]
        ).astype(int)
        shift = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
        lookup = cv2.perspectiveTransform(self._directions, shift @ pixels_of_surface @ view.homography)
        window = picture[top:bottom, left:right]
        lookup_x, lookup_y = cv2.split(lookup)
        sharp = cv2.remap(window, lookup_x, lookup_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        motion_px = self._motion_px(view, before, after)
        blurred = cv2.filter2D(sharp, -1, blur_kernel(motion_px), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(blurred, np.uint8)

    def _motion_px(self, view: SurfaceView, before: Pose, after: Pose) -> NDArray[np.float64]:
        """Return the displacement (2,) of the central surface point in the image during the exposure."""
        centre_m = view.seen_at(view.centre_px[None])
        first, last = (
            SurfaceView(self._camera, self._surface, pose).pixels_of(centre_m)[0] for pose in (before, after)
        )
        return np.asarray(last - first)


def blur_kernel(motion_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the point spread of the lens along a motion (2,) in pixels: (rows, columns) float32 with sum 1."""
    along = np.linspace(-0.5, 0.5, 2 * int(np.ceil(np.hypot(*motion_px) * 2)) + 1)
    spread_x, spread_y = (_point_spread(along * motion) for motion in motion_px)
    kernel = np.einsum("ny,nx->yx", spread_y, spread_x)
    return (kernel / kernel.sum()).astype(np.float32)


def _point_spread(centres_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the point spread along one axis (N, K) for every centre (N,), wide enough for all."""
    reach = int(np.ceil(np.abs(centres_px).max() + 3 * _LENS_SIGMA_PX))
    offsets_px = np.arange(-reach, reach + 1)
    return np.asarray(np.exp(-0.5 * ((offsets_px - centres_px[:, None]) / _LENS_SIGMA_PX) ** 2))


def undistorted_grid(camera: CameraModel) -> NDArray[np.float32]:
    """Return undistorted image coordinates (H, W, 2) float32 at depth 1 of every pixel.

    Chebyshev interpolation between a few hundred exactly undistorted points, which is accurate for smooth lenses.
    """
    weights_x, nodes_x = _chebyshev_interpolation(camera.width_px)
    weights_y, nodes_y = _chebyshev_interpolation(camera.height_px)
    pixels = np.stack(np.meshgrid(nodes_x, nodes_y), axis=-1).reshape(-1, 2)
    exact = camera.normalised(pixels).reshape(_LENS_NODES, _LENS_NODES, 2)
    return np.stack([weights_y @ exact[..., axis] @ weights_x.T for axis in (0, 1)], axis=-1).astype(np.float32)


def _chebyshev_interpolation(length_px: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix (length, nodes) from node values to pixel values, and the positions of the nodes."""
    nodes = np.cos(np.pi * (np.arange(_LENS_NODES) + 0.5) / _LENS_NODES)
    pixels = 2 * np.arange(length_px) / (length_px - 1) - 1
    degree = _LENS_NODES - 1
    weights = chebvander(pixels, degree) @ np.linalg.inv(chebvander(nodes, degree))
    return weights, (nodes + 1) / 2 * (length_px - 1)


class TexturePyramid:
    """Texture at resolutions half an octave apart, so that a distant camera averages over texture pixels.

    Each level is computed by exact area averaging on first use.

    Args:
        texture: ``(H, W, 3)`` uint8 at the finest resolution.
        mm_per_px: Pixel size of the texture.
    """

    def __init__(self, texture: NDArray[np.uint8], mm_per_px: float) -> None:
        self._mm_per_px = mm_per_px
        self._levels = {0: texture}

    def at(self, gsd_mm_per_px: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Return the coarsest level that is at least as fine as the image.

        Returns:
            The picture of the level, and the matrix (3, 3) from surface metres (u, v, 1) to its pixels.
        """
        octaves = np.log2(max(gsd_mm_per_px / self._mm_per_px, 1.0))
        level = int(octaves * _LEVELS_PER_OCTAVE)
        if level not in self._levels:
            finest = self._levels[0]
            height, width = (max(1, round(n / 2 ** (level / _LEVELS_PER_OCTAVE))) for n in finest.shape[:2])
            resized = cv2.resize(finest, (width, height), interpolation=cv2.INTER_AREA)
            self._levels[level] = np.asarray(resized, np.uint8)
        picture = self._levels[level]
        size_m = np.array(self._levels[0].shape[1::-1]) * self._mm_per_px / 1000
        scale_x, scale_y = np.array(picture.shape[1::-1]) / size_m
        return picture, np.array([[scale_x, 0.0, -0.5], [0.0, scale_y, -0.5], [0.0, 0.0, 1.0]])
