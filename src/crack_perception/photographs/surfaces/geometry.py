# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Local planes of a mesh or a point cloud under the regions of a photograph.

Rays through a grid of pixels meet the mesh, or the points of the cloud that project near a region take their place;
a robust plane is fitted to the depths. What lies behind the front of the surface is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.plane import SurfacePlane, plane_from_depth
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.vision.regions import OrientedBox

Array = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_GRID = 13
_LEAST_SIDE_PX = 48.0
_NEAREST_M = 0.05
# Share of depth by which points behind the nearest of their cell still belong to the front.
_FRONT_SHARE = 0.03
_CELLS = 8
_LEAST_POINTS = 30
_ENLARGEMENTS = (1.0, 2.0, 4.0, 8.0)
_BLOCK_M = 1.0


@dataclass(frozen=True)
class SurfaceError:
    """Standard deviations of a surface: along its normal [m], and of its direction [rad]."""

    sigma_m: float
    normal_sigma_rad: float


class GeometrySurface:
    """A mesh or a point cloud in the map.

    Args:
        points_m: (N, 3) vertices or points.
        triangles: (T, 3) indices of the vertices; none for a point cloud.
        error: Standard deviations.
    """

    def __init__(self, points_m: Array, triangles: Triangles, error: SurfaceError) -> None:
        self._points_m, self._triangles, self._error = points_m, triangles, error
        self._blocks = None if len(triangles) else _Blocks.of(points_m)

    def view(self, camera: CameraModel, pose: Pose, noise: NoiseModel) -> GeometryView:
        """Return what a camera sees of the surface."""
        if self._blocks is not None:
            return GeometryView(camera, noise, self._error, self._blocks.in_front(camera, pose), None)
        return GeometryView(camera, noise, self._error, pose.inverse().transform(self._points_m), self._triangles)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Points sorted by cubes, so that a photograph handles only those in its view.

    Attributes:
        points_m: (N, 3) sorted.
        starts: (B + 1,) first point of each cube.
        centres_m, radii_m: (B, 3) and (B,) balls around the points of each cube.
    """

    points_m: Array
    starts: npt.NDArray[np.int64]
    centres_m: Array
    radii_m: Array

    @staticmethod
    def of(points_m: Array) -> _Blocks:
        cells = np.floor((points_m - points_m.min(axis=0)) / _BLOCK_M).astype(np.int64)
        sizes = cells.max(axis=0) + 1
        keys = (cells[:, 0] * sizes[1] + cells[:, 1]) * sizes[2] + cells[:, 2]
        order = np.argsort(keys, kind="stable")
        starts = np.concatenate([[0], np.flatnonzero(np.diff(keys[order])) + 1, [len(keys)]])
        ordered = points_m[order]
        low = np.minimum.reduceat(ordered, starts[:-1])
        high = np.maximum.reduceat(ordered, starts[:-1])
        return _Blocks(ordered, starts, 0.5 * (low + high), 0.5 * np.linalg.norm(high - low, axis=1))

    def in_front(self, camera: CameraModel, pose: Pose) -> Array:
        """Return the points (M, 3) near the camera's field of view, in the optical frame."""
        to_camera = pose.inverse()
        centres = to_camera.transform(self.centres_m)
        border = camera.normalised(
            np.array([[x, y] for x in (0, camera.width_px - 1) for y in (0, camera.height_px - 1)], np.float64)
        )
        widest = 1.2 * np.nanmax(np.abs(border), axis=0, initial=1.0)
        reach = self.radii_m * np.sqrt(1.0 + widest.max() ** 2)
        chosen = (centres[:, 2] > -self.radii_m) & (
            np.abs(centres[:, :2]) <= widest * np.maximum(centres[:, 2:], 0.0) + reach[:, None]
        ).all(axis=1)
        parts = [self.points_m[self.starts[block] : self.starts[block + 1]] for block in np.flatnonzero(chosen)]
        return to_camera.transform(np.concatenate(parts)) if parts else np.empty((0, 3))


class GeometryView:
    """The surface in the optical frame of one photograph.

    Args:
        camera: Its camera.
        noise: Noise of its pose.
        error: Standard deviations of the surface.
        points_m: (N, 3) in the optical frame.
        triangles: (T, 3); None for a point cloud.
    """

    def __init__(
        self, camera: CameraModel, noise: NoiseModel, error: SurfaceError, points_m: Array, triangles: Triangles | None
    ) -> None:
        self._camera, self._noise, self._error = camera, noise, error
        self._is_mesh = triangles is not None
        if triangles is None:
            points_m = points_m[points_m[:, 2] > _NEAREST_M]
            self._points_m, self._flat = points_m, points_m[:, :2] / points_m[:, 2:]
            return
        self._corners_m, self._low, self._high = _projected(points_m, triangles)

    def plane_under(self, box: OrientedBox) -> SurfacePlane | None:
        """Return the local plane under a box of the picture; None where it shows no surface."""
        for factor in _ENLARGEMENTS:
            pixels = _grid_px(box, factor, self._camera)
            flat = self._camera.normalised(pixels)
            is_ray = np.isfinite(flat).all(axis=1)
            if not is_ray.any():
                return None
            pixels, flat = pixels[is_ray], flat[is_ray]
            if self._is_mesh:
                depths_m = self._depths(flat)
                is_hit = np.isfinite(depths_m)
                pixels, depths_m = pixels[is_hit], depths_m[is_hit]
            else:
                front = self._front(flat)
                pixels, depths_m = self._camera.project(front), front[:, 2]
            if len(depths_m) >= _LEAST_POINTS:
                return self._fitted(pixels, depths_m)
            if self._is_mesh:
                return None
        return None

    def _fitted(self, pixels: Array, depths_m: Array) -> SurfacePlane | None:
        sigma_m = self._error.sigma_m
        plane = plane_from_depth(self._camera, pixels, depths_m, max(sigma_m / float(np.median(depths_m)), 1e-6))
        if plane is None:
            return None
        range_m = plane.range.range_m
        cosine = max(float(-plane.normal @ plane.point_m) / float(np.linalg.norm(plane.point_m)), 0.1)
        tangent = np.sqrt(1.0 - min(cosine, 1.0) ** 2) / cosine
        along_m = np.hypot(
            np.hypot(sigma_m, self._noise.position_m) / cosine, range_m * tangent * self._noise.attitude_rad
        )
        assert plane.tilt_covariance is not None  # a fitted plane has one
        across = np.eye(3) - np.outer(plane.normal, plane.normal)
        tilts = plane.tilt_covariance + self._error.normal_sigma_rad**2 * across
        return replace(
            plane,
            range=RangeReading(range_m, float(along_m), "map_plane"),
            normal_sigma_rad=float(np.sqrt(np.linalg.eigvalsh(tilts)[-1])),
            tilt_covariance=tilts,
            normal_in_map=True,
            map_offset_sigma_m=sigma_m,
        )

    def _depths(self, flat: Array) -> Array:
        """Return the depths (K,) at which rays, given at depth 1 (K, 2), first meet the mesh; NaN for a miss."""
        low, high = flat.min(axis=0), flat.max(axis=0)
        near = np.flatnonzero(((self._low <= high) & (self._high >= low)).all(axis=1))
        depths_m = np.full(len(flat), np.inf)
        rays = np.column_stack([flat, np.ones(len(flat))])
        for chunk in np.array_split(near, max(1, len(near) // 4096)):
            a, b, c = self._corners_m[chunk].transpose(1, 0, 2)
            # Volumes of the ray with two corners each have one sign where the ray passes inside (Moeller, Trumbore).
            u, v, w = (rays @ np.cross(first, second).T for first, second in ((b, c), (c, a), (a, b)))
            total = u + v + w
            is_inside = ((u >= 0) & (v >= 0) & (w >= 0)) | ((u <= 0) & (v <= 0) & (w <= 0))
            with np.errstate(divide="ignore", invalid="ignore"):
                at_m = np.einsum("td,td->t", a, np.cross(b, c)) / total
            at_m = np.where(is_inside & (at_m > _NEAREST_M), at_m, np.inf)
            depths_m = np.minimum(depths_m, at_m.min(axis=1, initial=np.inf))
        return np.where(np.isfinite(depths_m), depths_m, np.nan)

    def _front(self, flat: Array) -> Array:
        """Return the points (M, 3) of the front of the cloud within the outline of rays at depth 1 (K, 2)."""
        low, high = flat.min(axis=0), flat.max(axis=0)
        inside = ((self._flat >= low) & (self._flat <= high)).all(axis=1)
        points_m, at = self._points_m[inside], self._flat[inside]
        if not len(points_m):
            return points_m
        cells = np.minimum((at - low) / np.maximum(high - low, 1e-12) * _CELLS, _CELLS - 1).astype(int)
        keys = cells[:, 0] * _CELLS + cells[:, 1]
        nearest = np.full(_CELLS * _CELLS, np.inf)
        np.minimum.at(nearest, keys, points_m[:, 2])
        return np.asarray(points_m[points_m[:, 2] <= nearest[keys] * (1.0 + _FRONT_SHARE) + 0.02])


def _projected(points_m: Array, triangles: Triangles) -> tuple[Array, Array, Array]:
    """Return the corners (T, 3, 3) of triangles in front of the camera, and their bounds at depth 1 (T, 2), (T, 2).

    A triangle that reaches behind the camera has no bounds.
    """
    depth = points_m[:, 2][triangles]
    triangles = triangles[(depth > _NEAREST_M).any(axis=1)]
    is_behind = (points_m[:, 2][triangles] <= _NEAREST_M).any(axis=1)
    flat = points_m[:, :2] / np.where(points_m[:, 2:] > _NEAREST_M, points_m[:, 2:], np.nan)
    corners = flat[triangles]
    low, high = corners.min(axis=1), corners.max(axis=1)
    low[is_behind], high[is_behind] = -np.inf, np.inf
    return points_m[triangles], low, high


def _grid_px(box: OrientedBox, factor: float, camera: CameraModel) -> Array:
    """Return a grid of pixels (K, 2) over an enlarged box, inside the picture."""
    half = 0.5 * factor * np.maximum([box.length_px, box.width_px], _LEAST_SIDE_PX)
    along = np.array([np.cos(box.angle_rad), np.sin(box.angle_rad)])
    across = np.array([-along[1], along[0]])
    steps = np.linspace(-1.0, 1.0, _GRID)
    u, v = (each.ravel()[:, None] for each in np.meshgrid(steps * half[0], steps * half[1]))
    pixels = box.centre_px + u * along + v * across
    inside = (pixels >= 0).all(axis=1) & (pixels <= [camera.width_px - 1, camera.height_px - 1]).all(axis=1)
    return np.asarray(pixels[inside])
