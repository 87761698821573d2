# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Surface under the regions of one photograph, from the sources that the user gave."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.map_planes import MapPlanes
from crack_perception.geometry.surface.plane import SurfacePlane, assumed_plane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.inspection.analysis import PlaneUnder
from crack_perception.photographs.photograph import PosedPhotograph
from crack_perception.photographs.surfaces.geometry import GeometrySurface
from crack_perception.photographs.surfaces.settings import SurfaceSettings
from crack_perception.vision.regions import OrientedBox


@dataclass(frozen=True)
class SurfaceSources:
    """Sources of the surface in order of precedence, as in the node.

    1. A mesh or point cloud.
    2. Planes in the map; with a range, the plane that the optical axis meets gives only the direction.
    3. A range with the assumed direction of the surface.
    4. The assumed distance ``standoff_m``.

    Attributes:
        settings: Settings.
        planes: Planes in the map.
        geometry: Mesh or point cloud in the map; None without one.
    """

    settings: SurfaceSettings
    planes: MapPlanes
    geometry: GeometrySurface | None = None

    def under(self, photograph: PosedPhotograph, noise: NoiseModel) -> PlaneUnder:
        """Return the function that gives the plane under a box of a photograph."""
        camera, pose, settings = photograph.camera, photograph.pose, self.settings
        reading = self._reading(photograph)
        assumed: SurfacePlane | None = None
        if reading is not None or settings.standoff_m is not None:
            distance = reading or RangeReading(
                settings.standoff_m or 0.0, (settings.standoff_m or 0.0) * settings.standoff_relative_sigma, "standoff"
            )
            assumed = assumed_plane(distance, settings.surface, pose, math.radians(settings.surface_normal_sigma_deg))
        view = None if self.geometry is None else self.geometry.view(camera, pose, noise)

        def plane_under(box: OrientedBox) -> SurfacePlane | None:
            plane = None if view is None else view.plane_under(box)
            if plane is None and self.planes.planes:
                plane = self.planes.under(pose, camera.rays(box.centre_px)[0], reading, noise)
            plane = plane or assumed
            return None if plane is None or self._is_too_coarse(plane, camera) else plane

        return plane_under

    def _reading(self, photograph: PosedPhotograph) -> RangeReading | None:
        range_m = photograph.range_m
        if range_m is None:
            return None
        sigma_m = math.hypot(self.settings.range_floor_sigma_m, self.settings.range_relative_sigma * range_m)
        return RangeReading(range_m, sigma_m, "range")

    def _is_too_coarse(self, plane: SurfacePlane, camera: CameraModel) -> bool:
        return 1000.0 * plane.range.range_m / camera.focal_px > self.settings.max_gsd_mm_per_px
