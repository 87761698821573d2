# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Project crack lines and image outlines onto the surface: vertices in metres, widths in millimetres.

A width is measured across the line in the image. Its size on the surface follows from the derivative of the surface
point with respect to the pixel: with ``a`` the surface step of one pixel along the line and ``b`` that of one pixel
    across it, a
strip one pixel wide is ``|a x b| / |a|`` wide on the surface, whatever the obliquity and the lens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import LEAST_COSINE
from crack_perception.geometry.surface.plane import PlaneStack, SurfacePlane
from crack_perception.geometry.vectors import dot, lengths

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

# Points around an image, four to a side, as shares of its width and height.
_SIDE = np.array([[0.0, 0.0], [0.25, 0.0], [0.5, 0.0], [0.75, 0.0]])
_BORDER = np.concatenate([_SIDE, [1.0, 0.0] + _SIDE[:, ::-1], 1.0 - _SIDE, [0.0, 1.0] - _SIDE[:, ::-1]])
_OUTLINE_STEPS = 16

# Steps of a tenth of a standard deviation keep difference quotients linear, as in the projection of regions.
_SIGMA_STEP = 0.1


@dataclass(frozen=True, eq=False)
class LiftedLine:
    """One crack line on the surface, in the optical frame or, after ``moved``, in the map.

    Attributes:
        points_m: (N, 3) vertices in order along the crack, N >= 2.
        normal: (3,) unit surface normal towards the camera.
        width_mm: (N,) crack width at the vertices, ``nan`` where not measured.
        width_sigma_mm: (N,) standard deviation of the width; its part from range and tilt is common to all vertices.
        gsd_mm_per_px: (N,) size of one pixel across the line on the surface.
        scale_sigma: (N,) relative standard deviation of ``gsd_mm_per_px``.
        vertex_lengths_m: (N,) length assigned to each vertex: half of the steps before and after it.
        rank: Index of the line among those of its region.
    """

    points_m: Array
    normal: Array
    width_mm: Array
    width_sigma_mm: Array
    gsd_mm_per_px: Array
    scale_sigma: Array
    vertex_lengths_m: Array
    rank: int

    @property
    def length_m(self) -> float:
        """Length of the polyline."""
        return float(self.vertex_lengths_m.sum())


@dataclass(frozen=True, eq=False)
class SurfaceOutline:
    """Outline of the part of a surface that an image shows.

    Attributes:
        points_m: (M, 3) its corners in the optical frame; (0, 3) if the image shows none of the surface.
        pixels: (M, 2) the same points in the image.
    """

    points_m: Array
    pixels: Array


class ImageLine(Protocol):
    """Measured crack line in pixels of the original image."""

    @property
    def points_px(self) -> Array:
        """(N, 2) vertices in order along the crack."""
        ...

    @property
    def width_px(self) -> Array:
        """(N,) width across the line, ``nan`` where unknown."""
        ...

    @property
    def width_sigma_px(self) -> Array:
        """(N,) standard deviation of the width."""
        ...


def lift_lines(
    camera: CameraModel, planes: PlaneStack, lines: Sequence[Sequence[ImageLine]]
) -> list[tuple[LiftedLine, ...]]:
    """Project the crack lines of R regions onto the regions' planes, in the optical frame.

    All lines are computed together, because undistortion has a cost per call. Each line is reduced to its longest
    stretch whose rays meet the surface at a usable angle; lines without one are skipped.
    """
    every = [line for of_region in lines for line in of_region]
    if not every:
        return [() for _ in lines]
    points_px = np.concatenate([line.points_px for line in every])
    sizes = np.array([len(line.points_px) for line in every])
    ends = np.cumsum(sizes)
    starts = ends - sizes
    region = np.repeat(np.arange(len(lines)), [sum(len(line.points_px) for line in of_region) for of_region in lines])
    middle, jacobian = camera.linearised(points_px)
    steps = _pixel_steps(jacobian, _directions(points_px, starts, ends))
    points_m, gsd_mm, scale_sigma = _on_planes(planes, region, middle, *steps)
    usable = _is_usable(middle, planes.normals[region])
    width_mm = np.concatenate([line.width_px for line in every]) * gsd_mm
    width_sigma_px = np.concatenate([line.width_sigma_px for line in every])
    width_sigma_mm = np.hypot(width_sigma_px * gsd_mm, width_mm * scale_sigma)
    is_last = np.zeros(len(points_px), np.bool_)
    is_last[ends - 1] = True
    lengths_m = _vertex_lengths(points_m, usable[:-1] & usable[1:] & ~is_last[:-1])
    runs = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    if not usable.all():
        runs = [_longest_run(usable, run.start, run.stop) for run in runs]
    following = iter(runs)
    return [
        tuple(
            LiftedLine(
                *(points_m[run], normal, width_mm[run], width_sigma_mm[run]),
                *(gsd_mm[run], scale_sigma[run], lengths_m[run], rank),
            )
            for rank, run in enumerate(islice(following, len(of_region)))
            if run.stop - run.start >= 2
        )
        for of_region, normal in zip(lines, planes.normals, strict=True)
    ]


def moved(lines: Sequence[LiftedLine], parent_from_here: Pose) -> tuple[LiftedLine, ...]:
    """Transform lines of one surface into the parent frame."""
    if not lines:
        return ()
    normal = parent_from_here.rotation @ lines[0].normal
    points_m = parent_from_here.transform(np.concatenate([line.points_m for line in lines]))
    ends = accumulate(len(line.points_m) for line in lines)
    return tuple(
        replace(line, points_m=points_m[end - len(line.points_m) : end], normal=normal)
        for line, end in zip(lines, ends, strict=True)
    )


def outline_on_surface(
    camera: CameraModel, plane: SurfacePlane, window_px: tuple[int, int, int, int] | None = None
) -> SurfaceOutline:
    """Return the part of the surface plane that the image shows, as a polygon.

    The outline ends where the incidence is too flat, at the horizon, or where the lens gives no ray: the polygon holds
    no more of the plane than the image shows.

    Args:
        window_px: Left, top, right, bottom (exclusive) of the part of the image that is used; None: the whole image.
    """
    left, top, right, bottom = window_px or (0, 0, camera.width_px, camera.height_px)
    corner_px, edges_px = np.array([left, top]), np.array([right - left - 1, bottom - top - 1])
    normal = plane.normal[None]
    pixels = corner_px + _BORDER * edges_px
    on_border = camera.normalised(pixels)
    if not _is_usable(on_border, normal).all():
        # From the centre of the window outwards, as far as the surface is visible.
        fractions = np.arange(_OUTLINE_STEPS + 1)[:, None, None] / _OUTLINE_STEPS
        outwards_px = corner_px + (0.5 + fractions * (_BORDER - 0.5)) * edges_px
        inside = camera.normalised(outwards_px.reshape(-1, 2))
        usable = np.logical_and.accumulate(_is_usable(inside, normal).reshape(len(fractions), -1), axis=0)
        if not usable[1].all():
            return SurfaceOutline(np.empty((0, 3)), np.empty((0, 2)))
        farthest = usable.sum(axis=0) - 1, np.arange(len(_BORDER))
        on_border, pixels = inside.reshape(len(fractions), -1, 2)[farthest], outwards_px[farthest]
    return SurfaceOutline(plane.meet(np.column_stack([on_border, np.ones(len(on_border))])), pixels)


def largest_gsd_mm_per_px(camera: CameraModel, plane: SurfacePlane, pixels: Array) -> Array:
    """Return the size of pixels (N, 2) on the surface in the direction in which it is largest (N,) [mm].

    Whatever its direction, a crack is resolved at least as finely as that.
    """
    middle, jacobian = camera.linearised(pixels)
    rays = np.column_stack([middle, np.ones(len(middle))])
    # A ray r at depth 1 meets the plane at c r / (n . r); its step for a step d of the ray is
    # c (d - r (n . d) / (n . r)) / (n . r).
    along = rays @ plane.normal
    steps = np.zeros((len(rays), 3, 2))
    steps[:, :2] = np.linalg.inv(jacobian)
    towards = plane.normal @ steps
    steps -= rays[:, :, None] * (towards / along[:, None])[:, None]
    steps *= (float(plane.normal @ plane.point_m) / along)[:, None, None]
    (a, b), (_, d) = np.einsum("nki,nkj->ijn", steps, steps)
    return np.asarray(1000.0 * np.sqrt(0.5 * (a + d) + np.sqrt(0.25 * (a - d) ** 2 + b * b)))


def _directions(points_px: Array, starts: Indices, ends: Indices) -> Array:
    """Return unit tangents (N, 2) at the vertices of polylines that begin at ``starts`` and end before ``ends``.

    ``nan`` where neighbours coincide.
    """
    chords = np.empty_like(points_px)
    chords[1:-1] = points_px[2:] - points_px[:-2]
    chords[starts] = points_px[starts + 1] - points_px[starts]
    chords[ends - 1] = points_px[ends - 1] - points_px[ends - 2]
    with np.errstate(invalid="ignore"):
        chords /= lengths(chords)[:, None]
    return chords


def _vertex_lengths(points_m: Array, is_step: Mask) -> Array:
    """Return the length (N,) assigned to each vertex (N, 3); ``is_step`` (N - 1,) selects the steps that count."""
    halves_m = np.where(is_step, 0.5 * lengths(points_m[1:] - points_m[:-1]), 0.0)
    lengths_m = np.zeros(len(points_m))
    lengths_m[:-1] = halves_m
    lengths_m[1:] += halves_m
    return lengths_m


def _pixel_steps(jacobian: Array, directions: Array) -> tuple[Array, Array]:
    """Return half a pixel along and across unit directions (N, 2) of the image at depth 1, each as x, y (2, N).

    Args:
        jacobian: (N, 2, 2) derivative of the pixels with respect to the coordinates at depth 1.
    """
    (a, b), (c, d) = jacobian.transpose(1, 2, 0)
    x, y = directions.T
    with np.errstate(divide="ignore", invalid="ignore"):
        # The inverse of [[a, b], [c, d]] takes pixels to the plane at depth 1.
        half = 0.5 / (a * d - b * c)
        along = np.stack([d * x - b * y, a * y - c * x]) * half
        across = np.stack([-d * y - b * x, a * x + c * y]) * half
    return along, across


def _on_planes(
    planes: PlaneStack, region: Indices, middle: Array, along: Array, across: Array
) -> tuple[Array, Array, Array]:
    """Return vertices on the surface (N, 3), size of a pixel across the line there [mm] (N,), and its relative sigma.

    A ray ``r`` at depth 1 meets the plane ``n . p = c`` at ``c r / (n . r)``. From ``r - d`` to ``r + d`` that is a
    step of ``2 c u / (s^2 - t^2)`` with ``s = n . r``, ``t = n . d``, ``u = s d - t r``; and of two such steps,
    ``u_a x u_b`` is as long as ``s |n| (d_a x d_b)``.

    Args:
        region: (N,) index of the plane of each vertex.
        middle: (N, 2) the vertices at depth 1.
        along, across: (2, N) half a pixel along and across the line at depth 1.
    """
    # Nominal planes, and the same planes tilted by each of the two errors.
    normals = np.repeat(planes.normals[:, None], 3, axis=1)
    normals[:, 1:] += _SIGMA_STEP * planes.tilt_sigmas_rad[..., None] * planes.tilt_directions
    offsets = dot(normals, planes.points_m[:, None])
    nx, ny, nz = normals.transpose(2, 1, 0)[:, :, region]
    factors = (2.0 * offsets * lengths(normals)).T[:, region]
    (x, y), (ax, ay), (bx, by) = middle.T, along, across
    s, t, t_across = nx * x + ny * y + nz, nx * ax + ny * ay, nx * bx + ny * by
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = np.sqrt((s * ax - t * x) ** 2 + (s * ay - t * y) ** 2 + t * t)
        strips = np.abs(factors * s * (ax * by - ay * bx) / ((s * s - t_across * t_across) * flat))
        of_tilts = (strips[1:] / strips[0] - 1.0) / _SIGMA_STEP
        depths_m = offsets[:, 0][region] / s[0]
    of_range = (planes.range_sigmas_m / planes.ranges_m)[region]
    scale_sigma = np.sqrt(of_range**2 + of_tilts[0] ** 2 + of_tilts[1] ** 2)
    points_m = np.stack([x * depths_m, y * depths_m, depths_m], axis=1)
    return points_m, 1000.0 * strips[0], scale_sigma


def _is_usable(plane: Array, normals: Array) -> Mask:
    """Return which rays, given at depth 1 (N, 2), meet planes (N or 1, 3) from the front at a usable angle."""
    x, y = plane.T
    nx, ny, nz = normals.T
    return np.asarray(-(nx * x + ny * y + nz) >= LEAST_COSINE * np.sqrt(x * x + y * y + 1.0))


def _longest_run(mask: Mask, first: int, end: int) -> slice:
    """Return the longest run of true values from index ``first`` to before ``end``; empty when there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask[first:end].astype(np.int8), [0]])))
    if not len(edges):
        return slice(first, first)
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return slice(first + int(starts[longest]), first + int(stops[longest]))
