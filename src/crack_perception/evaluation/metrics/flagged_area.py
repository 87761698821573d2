# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Share of the image area, and of the intact surface, that is flagged as cracked."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections
from crack_perception.evaluation.metrics.frame_view import FrameView
from crack_perception.evaluation.metrics.line_pieces import CrackSamples
from crack_perception.simulation.flight.truth import Truth

_GRID_PX = 32
# A crack closer than this may share a 256 px tile with the point, so flagging the point is correct.
_NEAR_PX = 128.0
_COARSE_PX = 8.0
_MARGIN = int(_NEAR_PX / _COARSE_PX)


class FlaggedArea:
    """Accumulate flagged shares over frames, sampled on a grid over the image.

    A point is background when it lies on the surface more than 128 px away from all cracks and cracked squares.

    Args:
        truth: Truth of the flight.
        cracks: True cracks, cut into pieces.
    """

    def __init__(self, truth: Truth, cracks: list[CrackSamples]) -> None:
        xs = np.arange(_GRID_PX / 2, truth.camera.width, _GRID_PX)
        ys = np.arange(_GRID_PX / 2, truth.camera.height, _GRID_PX)
        self._size_px = (truth.camera.width, truth.camera.height)
        self._grid_px = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
        self._truth = truth
        points = [(samples.surface, samples.points_m) for samples in cracks]
        points += [(cell.surface, _points_in(cell.corners_m)) for cell in truth.cells if cell.cracked]
        self._cracked_m = [
            np.concatenate([np.empty((0, 3)), *(near_m for on, near_m in points if on == surface)])
            for surface in range(len(truth.surfaces))
        ]
        self._points = self._flagged = self._background = self._background_flagged = 0

    def add(self, view: FrameView, detections: FrameDetections) -> None:
        """Evaluate one processed frame."""
        flagged = detections.cover(self._grid_px)
        on_surface = view.on_surface(self._grid_px)
        with np.errstate(invalid="ignore"):
            background = np.all((on_surface >= 0) & (on_surface <= self._truth.surfaces[view.surface].size_m), axis=1)
        background &= ~self._near(view.project(self._cracked_m[view.surface]))
        self._points += len(flagged)
        self._flagged += int(flagged.sum())
        self._background += int(background.sum())
        self._background_flagged += int((background & flagged).sum())

    @property
    def share(self) -> float | None:
        """Flagged share of the image area; None without frames."""
        return self._flagged / self._points if self._points else None

    @property
    def background_share(self) -> float | None:
        """Flagged share of the background; None when no background was visible."""
        return self._background_flagged / self._background if self._background else None

    def _near(self, cracked_px: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which grid points are close to a crack, from a distance transform at a coarser scale."""
        columns, rows = (int(side // _COARSE_PX) + 1 + 2 * _MARGIN for side in self._size_px)
        with np.errstate(invalid="ignore"):
            cells = np.floor(cracked_px / _COARSE_PX) + _MARGIN
            cells = cells[np.all((cells >= 0) & (cells < (columns, rows)), axis=1)].astype(int)
        if not len(cells):
            return np.zeros(len(self._grid_px), dtype=bool)
        free = np.ones((rows, columns), np.uint8)
        free[cells[:, 1], cells[:, 0]] = 0
        distance_px = _COARSE_PX * cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        at = np.floor(self._grid_px / _COARSE_PX).astype(int) + _MARGIN
        return np.asarray(distance_px[at[:, 1], at[:, 0]] <= _NEAR_PX)


def _points_in(corners_m: FloatArray) -> FloatArray:
    """Return points (25, 3) distributed over a square."""
    steps = np.linspace(0.0, 1.0, 5)
    a, b = (grid.reshape(-1, 1) for grid in np.meshgrid(steps, steps))
    p, q, r, s = corners_m
    return np.asarray((1 - a) * (1 - b) * p + a * (1 - b) * q + a * b * r + (1 - a) * b * s)
