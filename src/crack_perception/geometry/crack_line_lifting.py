"""Crack lines and image outlines from pixels onto the surface: vertices in metres, widths in millimetres.

A width is measured across the line in the image. What it is on the surface follows from the derivative of the surface
point by the pixel: with ``a`` the surface step of one pixel along the line and ``b`` that of one pixel across it, a
strip one pixel wide is ``|a x b| / |a|`` wide on the surface, whatever the obliquity and the lens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera import CameraModel
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.projection import MAX_INCIDENCE_RAD
from crack_perception.geometry.surface import SurfacePlane

Array = npt.NDArray[np.float64]

_OUTLINE_POINTS_PER_SIDE = 4
_OUTLINE_STEPS = 16

# A tenth of a sigma keeps the difference quotients linear, as in the projection of regions.
_SIGMA_STEP = 0.1


@dataclass(frozen=True, eq=False)
class LiftedLine:
    """One crack line on the surface, in the optical frame or, once moved, in the map.

    Attributes:
        points_m: (N, 3) vertices in order along the crack, N >= 2.
        normal: (3,) unit surface normal towards the camera.
        width_mm: (N,) crack width at the vertices, ``nan`` where it could not be measured.
        width_sigma_mm: (N,) its standard deviation; the share of range and tilt in it is common to all vertices.
        gsd_mm_per_px: (N,) what one pixel across the line covers on the surface.
        scale_sigma: (N,) standard deviation of ``gsd_mm_per_px`` as a share of it.
        rank: Which of the image's lines it is.
    """

    points_m: Array
    normal: Array
    width_mm: Array
    width_sigma_mm: Array
    gsd_mm_per_px: Array
    scale_sigma: Array
    rank: int

    @property
    def length_m(self) -> float:
        """Length along the vertices."""
        return float(self.vertex_lengths_m.sum())

    @property
    def vertex_lengths_m(self) -> Array:
        """(N,) the length that every vertex stands for: half of the steps before and after it."""
        return np.convolve(np.linalg.norm(np.diff(self.points_m, axis=0), axis=1), [0.5, 0.5])

    def moved(self, parent_from_here: Pose) -> LiftedLine:
        """The same line in the parent frame."""
        return replace(
            self,
            points_m=parent_from_here.transform(self.points_m),
            normal=parent_from_here.rotation @ self.normal,
        )


class ImageLine(Protocol):
    """A crack line in pixels of the original image, as the measurement gives it."""

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
        """(N,) its standard deviation."""
        ...


def lift_lines(camera: CameraModel, plane: SurfacePlane, lines: Sequence[ImageLine]) -> list[LiftedLine]:
    """Crack lines of the image on the surface plane, in the optical frame; all at once, since lenses cost time.

    Of every line the longest stretch whose rays meet the surface at a usable angle; lines that have none are left out.
    """
    if not lines:
        return []
    points_px = np.concatenate([line.points_px for line in lines])
    directions = np.concatenate([_directions(line.points_px) for line in lines])
    width_px = np.concatenate([line.width_px for line in lines])
    width_sigma_px = np.concatenate([line.width_sigma_px for line in lines])
    middle, jacobian = camera.linearised(points_px)
    along, across = _pixel_steps(jacobian, directions)
    around = np.stack([middle, middle + along, middle - along, middle + across, middle - across])
    rays = np.concatenate([around, np.ones((*around.shape[:2], 1))], axis=2).reshape(-1, 3)
    points = _on_varied(plane, rays).reshape(4, 5, -1, 3)
    steps_along, steps_across = points[:, 1] - points[:, 2], points[:, 3] - points[:, 4]
    with np.errstate(divide="ignore", invalid="ignore"):
        strips = np.linalg.norm(np.cross(steps_along, steps_across), axis=2) / np.linalg.norm(steps_along, axis=2)
        gsd_mm = 1000.0 * strips[0]
        scale_sigma = np.linalg.norm((strips[1:] / strips[0] - 1.0) / _SIGMA_STEP, axis=0)
    width_mm = width_px * gsd_mm
    width_sigma_mm = np.hypot(width_sigma_px * gsd_mm, width_mm * scale_sigma)
    usable = _is_usable(rays[: len(points_px)], plane)
    ends = np.cumsum([len(line.points_px) for line in lines])
    runs = [_longest_run(usable, end - len(line.points_px), end) for line, end in zip(lines, ends, strict=True)]
    return [
        LiftedLine(
            points[0, 0, run],
            plane.normal,
            width_mm[run],
            width_sigma_mm[run],
            gsd_mm[run],
            scale_sigma[run],
            rank,
        )
        for rank, run in enumerate(runs)
        if run.stop - run.start >= 2
    ]


def outline_on_surface(
    camera: CameraModel, plane: SurfacePlane, window_px: tuple[int, int, int, int] | None = None
) -> Array:
    """The part of the surface plane that the image shows, as a polygon (M, 3) in the optical frame.

    Where the image looks at the surface too flat, beyond its horizon, or where the lens gives no ray, the outline stays
    before it: the polygon holds no more of the plane than the image shows. (0, 3) where that is none.

    Args:
        window_px: Left, top, right, bottom (exclusive) of the part of the image that counts; all of it when None.
    """
    steps = np.arange(_OUTLINE_POINTS_PER_SIDE) / _OUTLINE_POINTS_PER_SIDE
    zero, one = np.zeros_like(steps), np.ones_like(steps)
    sides = [(steps, zero), (one, steps), (1 - steps, one), (zero, 1 - steps)]
    border = np.concatenate([np.column_stack(side) for side in sides]) - 0.5
    left, top, right, bottom = window_px or (0, 0, camera.width_px, camera.height_px)
    corner_px, edges_px = np.array([left, top]), np.array([right - left - 1, bottom - top - 1])
    rays = camera.rays(corner_px + (border + 0.5) * edges_px)
    if not _is_usable(rays, plane).all():
        # From the middle of the window outwards, as far as the surface is seen.
        fractions = np.arange(_OUTLINE_STEPS + 1)[:, None, None] / _OUTLINE_STEPS
        inside = camera.rays((corner_px + (fractions * border + 0.5) * edges_px).reshape(-1, 2))
        usable = np.logical_and.accumulate(_is_usable(inside, plane).reshape(len(fractions), -1), axis=0)
        if not usable[1].all():
            return np.empty((0, 3))
        farthest = usable.sum(axis=0) - 1
        rays = inside.reshape(len(fractions), -1, 3)[farthest, np.arange(len(border))]
    return plane.meet(rays)


def _directions(points_px: Array) -> Array:
    """Unit tangents (N, 2) of a polyline at its vertices; ``nan`` where neighbours coincide."""
    ahead = np.vstack([points_px[1:], points_px[-1:]])
    behind = np.vstack([points_px[:1], points_px[:-1]])
    chords = ahead - behind
    with np.errstate(invalid="ignore"):
        return np.asarray(chords / np.linalg.norm(chords, axis=1, keepdims=True))


def _pixel_steps(jacobian: Array, directions: Array) -> tuple[Array, Array]:
    """What half a pixel along and across unit directions (N, 2) of the image is at depth 1, each (N, 2).

    Args:
        jacobian: (N, 2, 2) derivative of the pixels by the coordinates at depth 1.
    """
    (a, b), (c, d) = jacobian.transpose(1, 2, 0)
    x, y = directions.T
    with np.errstate(divide="ignore", invalid="ignore"):
        # The inverse of [[a, b], [c, d]] takes pixels to the plane at depth 1.
        half = 0.5 / (a * d - b * c)
        along = np.column_stack([d * x - b * y, a * y - c * x]) * half[:, None]
        across = np.column_stack([-d * y - b * x, a * x + c * y]) * half[:, None]
    return along, across


def _on_varied(plane: SurfacePlane, rays: Array) -> Array:
    """Points (4, N, 3) where rays (N, 3) meet the plane, and where they would if it lay farther or were tilted."""
    normals, anchors = plane.varied(_SIGMA_STEP)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.sum(normals * anchors, axis=1)[:, None] / (normals @ rays.T)
        return np.asarray(distances[..., None] * rays)


def _is_usable(rays: Array, plane: SurfacePlane) -> npt.NDArray[np.bool_]:
    """Which rays (N, 3) of any length meet the plane from its front and not too flat."""
    with np.errstate(invalid="ignore"):
        return np.asarray(-(rays @ plane.normal) >= np.cos(MAX_INCIDENCE_RAD) * np.linalg.norm(rays, axis=1))


def _longest_run(mask: npt.NDArray[np.bool_], first: int, end: int) -> slice:
    """The longest stretch of true values from index ``first`` to before ``end``; empty when there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask[first:end].astype(np.int8), [0]])))
    if not len(edges):
        return slice(first, first)
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return slice(first + int(starts[longest]), first + int(stops[longest]))
