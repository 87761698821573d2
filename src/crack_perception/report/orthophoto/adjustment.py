# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Adjustment of the poses of the drawn images to each other: steps at the seams become small.

Recorded poses are off by centimetres, each in its own way. Where two images overlap, the shift between them is measured
by phase correlation at several places; corrections of all poses are then found by least squares, as small as the
measured shifts allow. Cracks therefore stay where the average of the poses sees them. Nothing else is changed: images
are moved as their poses are, never bent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.report.orthophoto.choice import FrameView
from crack_perception.report.orthophoto.mosaic import source_px
from crack_perception.report.orthophoto.raster import Raster
from crack_perception.report.orthophoto.recorded_frames import PosedFrame
from crack_perception.report.orthophoto.surface import FacetSurface

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Index = npt.NDArray[np.intp]

# Images are compared at a resolution at which they are about this large.
_COMPARED_PX = 480 * 360
_MOST_BYTES = 150_000_000
_WINDOW_PX = 96
_WINDOWS = 3
_MOST_PARTNERS = 8
# Peak of the phase correlation, 0 to 1, from which on a shift is used.
_LEAST_RESPONSE = 0.12
_FINE_SIGMA_PX = 6.0
# Standard deviations of a measured shift, in pixels of the comparison, and of the recorded poses.
_SHIFT_SIGMA_PX = 0.5
_POSITION_SIGMA_M, _ATTITUDE_SIGMA_RAD = 0.02, math.radians(0.5)
_HUBER_SIGMAS = 2.0
_ROUNDS, _STEPS = 5, 300


@dataclass(frozen=True, eq=False)
class Patch:
    """An image on the facet at the resolution of the comparison.

    Attributes:
        left_px, top_px: Place in the raster of the comparison.
        grey: (H, W) uint8, 0 where the image shows nothing.
    """

    left_px: int
    top_px: int
    grey: Image

    def middle_m(self, compared: Raster) -> Array:
        """Facet coordinates (2,) of its middle."""
        height_px, width_px = self.grey.shape
        return compared.flat_m(np.array(self.left_px + width_px / 2), np.array(self.top_px + height_px / 2))


@dataclass(frozen=True, eq=False)
class Shifts:
    """Shifts between images.

    Attributes:
        first, second: (M,) indices of the images.
        points_m: (M, 2) places in facet coordinates.
        shifts_m: (M, 2) how much farther the second image shows a detail, in facet coordinates.
        sigma_m: Standard deviation of a shift.
    """

    first: Index
    second: Index
    points_m: Array
    shifts_m: Array
    sigma_m: float


@dataclass(frozen=True, eq=False)
class Adjustment:
    """Result of an adjustment.

    Attributes:
        poses: Of each image.
        places: Number of measured shifts.
        before_m, after_m: (M,) lengths of the shifts between images.
        moved_m: (N,) distance by which the middle of each image moves on the facet.
    """

    poses: tuple[Pose, ...]
    places: int
    before_m: Array
    after_m: Array
    moved_m: Array


def comparison_raster(raster: Raster, views: Sequence[FrameView]) -> Raster:
    """The raster on which the images of some views are compared: of the same corner, coarser."""
    area_m2 = float(np.median([len(view.cells) for view in views])) * raster.cell_m**2
    step_m = max(raster.m_per_px, math.sqrt(area_m2 / min(_COMPARED_PX, _MOST_BYTES / len(views))))
    size_px = (math.ceil(side * raster.m_per_px / step_m) for side in (raster.width_px, raster.height_px))
    return replace(raster, m_per_px=step_m, width_px=next(size_px), height_px=next(size_px), cell_px=1)


def patch_of(
    frame: PosedFrame, picture: Image, view: FrameView, raster: Raster, compared: Raster, surface: FacetSurface
) -> Patch:
    """Project an image (H, W, 3) onto the raster of the comparison."""
    rows, columns = np.divmod(view.cells, raster.cells[1])
    scale = raster.cell_m / compared.m_per_px
    left, top = int(columns.min() * scale), int(rows.min() * scale)
    right = min(math.ceil((columns.max() + 1) * scale), compared.width_px)
    bottom = min(math.ceil((rows.max() + 1) * scale), compared.height_px)
    gsd_m = float(np.median(view.gsd_mm_per_px)) / 1000
    factor = max(1, int(compared.m_per_px / gsd_m))
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    if factor > 1:
        whole = grey[: grey.shape[0] // factor * factor, : grey.shape[1] // factor * factor]
        grey = cv2.resize(whole, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    map_x, map_y = source_px(compared, surface, frame, (left, top), (right - left, bottom - top), factor)
    drawn = cv2.remap(np.maximum(grey, 1), map_x, map_y, cv2.INTER_LINEAR, borderValue=0.0)
    return Patch(left, top, np.asarray(drawn, np.uint8))


def measured_shifts(patches: Sequence[Patch], compared: Raster) -> Shifts:
    """Measure the shifts between images that overlap."""
    window = cv2.createHanningWindow((_WINDOW_PX, _WINDOW_PX), cv2.CV_32F)
    first, second, points, shifts = [], [], [], []
    for one, other in _partners(patches):
        for x_px, y_px in _places(patches[one], patches[other]):
            blocks = [_block(patches[index], x_px, y_px) for index in (one, other)]
            if any((block == 0).any() for block in blocks):
                continue
            (shift_x, shift_y), response = cv2.phaseCorrelate(_fine(blocks[0]), _fine(blocks[1]), window)
            if response < _LEAST_RESPONSE:
                continue
            first.append(one)
            second.append(other)
            points.append((x_px + (_WINDOW_PX - 1) / 2, y_px + (_WINDOW_PX - 1) / 2))
            shifts.append((shift_x * compared.m_per_px, -shift_y * compared.m_per_px))
    places = np.array(points, np.float64).reshape(-1, 2)
    return Shifts(
        np.array(first, np.intp),
        np.array(second, np.intp),
        compared.flat_m(places[:, 0], places[:, 1]),
        np.array(shifts, np.float64).reshape(-1, 2),
        _SHIFT_SIGMA_PX * compared.m_per_px,
    )


def adjusted(poses: Sequence[Pose], shifts: Shifts, surface: FacetSurface, middles_m: Array) -> Adjustment:
    """Correct the poses of N images so that the shifts between them become small.

    Args:
        middles_m: (N, 2) facet coordinates of the middle of each image.
    """
    points_m = surface.to_map(shifts.points_m)
    one, other = (
        np.stack([_derivative(poses[index], point_m, surface) for index, point_m in zip(which, points_m, strict=True)])
        if len(which)
        else np.zeros((0, 2, 6))
        for which in (shifts.first.tolist(), shifts.second.tolist())
    )
    prior = np.array([_POSITION_SIGMA_M] * 3 + [_ATTITUDE_SIGMA_RAD] * 3)
    one, other = one * prior, other * prior
    corrections = np.zeros((len(poses), 6))
    remaining_m = shifts.shifts_m
    for _ in range(_ROUNDS):
        off = np.linalg.norm(remaining_m, axis=1) / shifts.sigma_m
        weights = np.minimum(1.0, _HUBER_SIGMAS / np.maximum(off, 1e-9)) / shifts.sigma_m**2
        corrections = _solve(one, other, shifts, weights, len(poses))
        remaining_m = shifts.shifts_m + _moved(one, other, shifts, corrections)
    corrections = corrections * prior
    turned = tuple(_corrected(pose, correction) for pose, correction in zip(poses, corrections, strict=True))
    moved_m = [
        float(np.linalg.norm(_derivative(pose, middle_m, surface) @ correction))
        for pose, middle_m, correction in zip(poses, surface.to_map(middles_m), corrections, strict=True)
    ]
    return Adjustment(
        turned,
        len(shifts.first),
        np.linalg.norm(shifts.shifts_m, axis=1),
        np.linalg.norm(remaining_m, axis=1),
        np.array(moved_m),
    )


def _partners(patches: Sequence[Patch]) -> Iterator[tuple[int, int]]:
    """Pairs of images that overlap most."""
    lows = np.array([[patch.left_px, patch.top_px] for patch in patches], float)
    highs = lows + np.array([patch.grey.shape[::-1] for patch in patches], float)
    pairs: set[tuple[int, int]] = set()
    for index in range(len(patches)):
        common = np.minimum(highs, highs[index]) - np.maximum(lows, lows[index])
        areas = np.where((common >= _WINDOW_PX).all(axis=1), common.prod(axis=1), 0.0)
        areas[index] = 0.0
        for partner in np.argsort(-areas)[:_MOST_PARTNERS].tolist():
            if areas[partner] > 0:
                pairs.add((min(index, partner), max(index, partner)))
    yield from sorted(pairs)


def _places(one: Patch, other: Patch) -> Iterator[tuple[int, int]]:
    """Upper left corners of the windows in which two images are compared."""
    left, top = max(one.left_px, other.left_px), max(one.top_px, other.top_px)
    right = min(each.left_px + each.grey.shape[1] for each in (one, other))
    bottom = min(each.top_px + each.grey.shape[0] for each in (one, other))
    xs, ys = (
        np.unique(np.linspace(low, high - _WINDOW_PX, min(_WINDOWS, (high - low) // _WINDOW_PX + 1)).astype(int))
        for low, high in ((left, right), (top, bottom))
    )
    for y in ys.tolist():
        for x in xs.tolist():
            yield x, y


def _block(patch: Patch, x_px: int, y_px: int) -> Image:
    top, left = y_px - patch.top_px, x_px - patch.left_px
    return patch.grey[top : top + _WINDOW_PX, left : left + _WINDOW_PX]


def _fine(block: Image) -> npt.NDArray[np.float32]:
    """Details without differences of brightness."""
    values = block.astype(np.float32)
    return np.asarray(values - cv2.GaussianBlur(values, (0, 0), _FINE_SIGMA_PX), np.float32)


def _derivative(pose: Pose, point_m: Array, surface: FacetSurface) -> Array:
    """Jacobian (2, 6) of a point in facet coordinates by position and attitude of the camera."""
    ray = point_m - pose.position_m
    moved = np.hstack([np.eye(3), -rotations.skew(ray)])  # of the ray's end, by a shift and a small rotation
    on_plane = moved - np.outer(ray, surface.normal @ moved) / (surface.normal @ ray)
    return (surface.to_flat(on_plane.T + surface.origin_m)).T


def _moved(one: Array, other: Array, shifts: Shifts, corrections: Array) -> Array:
    """(M, 2) change of the shifts by corrections (N, 6)."""
    return np.asarray(
        np.einsum("mij,mj->mi", other, corrections[shifts.second])
        - np.einsum("mij,mj->mi", one, corrections[shifts.first])
    )


def _solve(one: Array, other: Array, shifts: Shifts, weights: Array, count: int) -> Array:
    """Corrections (N, 6) in standard deviations of the poses, by conjugate gradients on the normal equations."""

    def gather(residuals: Array) -> Array:
        total = np.zeros((count, 6))
        weighted = residuals * weights[:, None]
        np.add.at(total, shifts.second, np.einsum("mij,mi->mj", other, weighted))
        np.add.at(total, shifts.first, -np.einsum("mij,mi->mj", one, weighted))
        return total

    solution = np.zeros((count, 6))
    residual = -gather(shifts.shifts_m)
    direction, square = residual.copy(), float((residual * residual).sum())
    limit = 1e-12 * max(square, 1e-30)
    for _ in range(_STEPS):
        if square <= limit:
            break
        image = direction + gather(_moved(one, other, shifts, direction))
        step = square / float((direction * image).sum())
        solution += step * direction
        residual -= step * image
        square, before = float((residual * residual).sum()), square
        direction = residual + square / before * direction
    return solution


def _corrected(pose: Pose, correction: Array) -> Pose:
    turn = rotations.from_rotation_vector(correction[3:])
    return Pose.of(pose.position_m + correction[:3], rotations.multiply(turn, pose.quaternion))
