"""What light arrives on the sensor: the wall seen through the lens at a pose, blurred by the lens and by motion.

Brightness is handled in the stored 8-bit levels of texture and image alike, without a response curve between them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from crack_perception.geometry.camera import CameraModel
from crack_perception.geometry.pose import Pose
from crack_perception.simulation.surface_view import SurfaceView
from crack_perception.simulation.texture_pyramid import TexturePyramid
from crack_perception.simulation.truth import TruthSurface

_LENS_SIGMA_PX = 0.45
_GRID_BLOCK_ROWS = 64
_ROI_MARGIN_PX = 3


class CameraRenderer:
    """Renders a wall by inverse mapping: undistorted directions are computed once, texture points for every frame.

    Args:
        camera: Intrinsics and distortion.
        surface: The wall's plane.
        texture: ``(H, W, 3)`` uint8 of the wall.
    """

    def __init__(self, camera: CameraModel, surface: TruthSurface, texture: NDArray[np.uint8]) -> None:
        self._camera = camera
        self._surface = surface
        self._pyramid = TexturePyramid(texture, surface.texture_mm_per_px)
        self._directions = _undistorted_grid(camera)

    def render(self, pose: Pose, before: Pose, after: Pose) -> NDArray[np.uint8]:
        """The image of one exposure.

        Args:
            pose: ``T_map_camera`` in the middle of the exposure.
            before: The pose when the exposure begins.
            after: The pose when it ends.

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
        """How far (2,) the surface point in the middle of the image travels during the exposure."""
        centre_m = view.seen_at(view.centre_px[None])
        first, last = (
            SurfaceView(self._camera, self._surface, pose).pixels_of(centre_m)[0] for pose in (before, after)
        )
        return np.asarray(last - first)


def blur_kernel(motion_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """The lens's point spread drawn out along a motion (2,) in pixels; (K, K) float32 that sums to 1."""
    reach = int(np.ceil(np.abs(motion_px).max() / 2 + 3 * _LENS_SIGMA_PX))
    offsets = np.arange(-reach, reach + 1)
    along = np.linspace(-0.5, 0.5, 2 * int(np.ceil(np.hypot(*motion_px) * 2)) + 1)
    spread_x, spread_y = (
        np.exp(-0.5 * ((offsets[None, :] - along[:, None] * motion) / _LENS_SIGMA_PX) ** 2) for motion in motion_px
    )
    kernel = np.einsum("ny,nx->yx", spread_y, spread_x)
    return (kernel / kernel.sum()).astype(np.float32)


def _undistorted_grid(camera: CameraModel) -> NDArray[np.float32]:
    """Undistorted image coordinates (H, W, 2) float32 at depth 1 of every pixel."""
    grid = np.empty((camera.height_px, camera.width_px, 2), np.float32)
    columns = np.arange(camera.width_px, dtype=np.float64)
    for top in range(0, camera.height_px, _GRID_BLOCK_ROWS):
        block = grid[top : top + _GRID_BLOCK_ROWS]
        rows = np.arange(top, top + len(block), dtype=np.float64)
        pixels = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        block[:] = camera.normalised(pixels).reshape(block.shape)
    return grid
