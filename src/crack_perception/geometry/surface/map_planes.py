# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Known surfaces: planes in the map, evaluated at the camera's pose.

A plane is ``normal . p = offset`` in the map, its normal pointing into the space in which the drone flies. Planes have
no edges: several of them are the faces of one space (two walls and a soffit, a tunnel), of which a ray meets the
nearest. Faces that meet in an outside corner (two sides of a pier) are not distinguished near that corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.plane import OPTICAL_AXIS, SurfacePlane
from crack_perception.geometry.surface.range import RangeReading

Array = npt.NDArray[np.float64]

_NUMBERS = 4


@dataclass(frozen=True, eq=False)
class MapPlane:
    """Plane in the map frame: unit ``normal`` (3,) and ``offset_m`` along it."""

    normal: Array
    offset_m: float


@dataclass(frozen=True, eq=False)
class MapPlanes:
    """Known planes with their standard deviations.

    Attributes:
        planes: Zero or more planes.
        sigma_m: Standard deviation of a plane's offset along its normal, in the field of view.
        normal_sigma_rad: Standard deviation of each of its two tilts.
    """

    planes: tuple[MapPlane, ...]
    sigma_m: float
    normal_sigma_rad: float

    @staticmethod
    def of(equations: Sequence[float], sigma_m: float, normal_sigma_rad: float) -> MapPlanes:
        """Create from ``nx, ny, nz, d`` per plane; normals need not have length 1, four zeros mean no plane.

        Raises:
            ValueError: The numbers are not a multiple of four, not finite, or a normal has no length.
        """
        if len(equations) % _NUMBERS:
            raise ValueError(f"a plane takes four numbers (nx, ny, nz, d), got {len(equations)}")
        planes = []
        for row in np.asarray(equations, dtype=np.float64).reshape(-1, _NUMBERS):
            length = float(np.linalg.norm(row[:3]))
            if not np.any(row):
                continue
            if not np.all(np.isfinite(row)) or length < 1e-6:
                raise ValueError(f"the plane {row.tolist()} has no normal")
            planes.append(MapPlane(row[:3] / length, float(row[3]) / length))
        return MapPlanes(tuple(planes), sigma_m, normal_sigma_rad)

    def first_met(self, map_from_camera: Pose, ray: Array) -> tuple[MapPlane, float] | None:
        """Return the plane that a unit ray (3,) of the optical frame meets first, and the distance along the ray [m].

        Only planes whose normal faces the camera count; None if the ray meets none of them.
        """
        direction = map_from_camera.rotation @ ray
        best: tuple[MapPlane, float] | None = None
        for plane in self.planes:
            height_m = float(plane.normal @ map_from_camera.position_m) - plane.offset_m
            approach = -float(plane.normal @ direction)
            # Negated, so that a pixel without a ray (NaN) meets nothing.
            if not (height_m > 0 and approach > 1e-6):
                continue
            along_m = height_m / approach
            if best is None or along_m < best[1]:
                best = plane, along_m
        return best

    def under(
        self, map_from_camera: Pose, ray: Array, reading: RangeReading | None, noise: NoiseModel
    ) -> SurfacePlane | None:
        """Return the plane that a unit ray (3,) of the optical frame meets first; None if there is none.

        Args:
            reading: A range measured along the optical axis. It takes precedence over the plane's offset if the
                axis meets the same plane as the ray, or the ray meets none.
            noise: Noise of the pose, which adds to the standard deviation of the range to a map plane.
        """
        met = self.first_met(map_from_camera, ray)
        if reading is not None:
            ahead = self.first_met(map_from_camera, OPTICAL_AXIS)
            if ahead is not None and (met is None or met[0] is ahead[0]):
                normal = map_from_camera.rotation.T @ ahead[0].normal
                return SurfacePlane(reading, normal, self.normal_sigma_rad, normal_in_map=True)
        return None if met is None else self._as_mapped(*met, map_from_camera, ray, noise)

    def _as_mapped(
        self, plane: MapPlane, along_m: float, map_from_camera: Pose, ray: Array, noise: NoiseModel
    ) -> SurfacePlane:
        normal = map_from_camera.rotation.T @ plane.normal
        cosine = float(-ray @ normal)
        tangent = np.sqrt(max(0.0, 1 - cosine**2)) / cosine
        along_sigma_m = np.hypot(
            np.hypot(self.sigma_m, noise.position_m) / cosine, along_m * tangent * noise.attitude_rad
        )
        anchor_m = along_m * ray
        return SurfacePlane(
            RangeReading(float(anchor_m[2]), float(along_sigma_m * ray[2]), "map_plane"),
            normal,
            self.normal_sigma_rad,
            normal_in_map=True,
            anchor_m=anchor_m,
            map_offset_sigma_m=self.sigma_m,
        )
