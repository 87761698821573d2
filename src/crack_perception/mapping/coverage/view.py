# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Part of a surface that one image shows, with the ground sampling distance (GSD) around it, and the camera behind."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.footprint import Footprint

Array = npt.NDArray[np.float64]

# Largest plausible angles of view; anything else is a wrong message.
_WIDEST_RAD = math.radians(175.0)
_NARROWEST_RAD = math.radians(0.2)


@dataclass(frozen=True)
class CameraGeometry:
    """Size of an image and focal length of its camera, in pixels.

    Attributes:
        width_px, height_px: Of the inspected part of the image.
        focal_px: Focal length of a pinhole camera with this angle of view.
    """

    width_px: float
    height_px: float
    focal_px: float

    def distance_m(self, gsd_mm_per_px: float) -> float:
        """Distance from a surface at which images straight ahead have this GSD."""
        return gsd_mm_per_px * self.focal_px / 1000.0

    def gsd_mm_per_px(self, distance_m: float) -> float:
        """GSD of images straight ahead at this distance from a surface."""
        return 1000.0 * distance_m / self.focal_px

    def footprint_m(self, distance_m: float) -> tuple[float, float]:
        """Width and height of the surface that an image straight ahead shows."""
        return self.width_px * distance_m / self.focal_px, self.height_px * distance_m / self.focal_px


@dataclass(frozen=True, eq=False)
class InspectedView:
    """The surface that one image shows.

    Attributes:
        footprint: Outline in the map, with its normal towards the camera.
        gsd_mm_per_px: (M,) largest size of a pixel on the surface at the corners; ``inf`` where it is not known.
        camera: Geometry of the camera; None where it is not known.
        viewpoint_m: (3,) position of the camera in the map; None where it is not known.
    """

    footprint: Footprint
    gsd_mm_per_px: Array
    camera: CameraGeometry | None = None
    viewpoint_m: Array | None = None

    @classmethod
    def of(cls, outline_m: Array, gsd_mm_per_px: Array, pixels: Array, viewpoint_m: Array) -> InspectedView | None:
        """Return the view of an image.

        Args:
            outline_m: (M, 3) outline of the surface, map frame.
            gsd_mm_per_px: (M,) largest size of a pixel on the surface there.
            pixels: (M, 2) the same points in the image.
            viewpoint_m: (3,) position of the camera in the map.

        Returns:
            None where the outline has no area, is seen from within its plane, or holds impossible numbers.
        """
        view = cls.by_camera(outline_m, gsd_mm_per_px, None, viewpoint_m)
        if view is None or not np.isfinite(pixels).all():
            return None
        rays = view.footprint.corners_m - viewpoint_m
        rays /= np.sqrt(np.einsum("ij,ij->i", rays, rays))[:, None]
        return replace(view, camera=_camera_of(rays, pixels))

    @classmethod
    def by_camera(
        cls, outline_m: Array, gsd_mm_per_px: Array, camera: CameraGeometry | None, viewpoint_m: Array
    ) -> InspectedView | None:
        """Return the view of an image whose camera is known already, or unknown; otherwise as ``of``."""
        footprint = Footprint.of(outline_m)
        gsd = np.asarray(gsd_mm_per_px, np.float64)
        if (
            footprint is None
            or len(gsd) != len(footprint.corners_m)
            or not (np.isfinite(gsd).all() and (gsd > 0).all())
        ):
            return None
        rays = footprint.corners_m - viewpoint_m
        height_m = float((viewpoint_m - footprint.corners_m.mean(axis=0)) @ footprint.normal)
        nearest_m = math.sqrt(float(np.einsum("ij,ij->i", rays, rays).min()))
        if not abs(height_m) > 1e-3 * nearest_m > 0.0:
            return None
        normal = footprint.normal if height_m > 0 else -footprint.normal
        return cls(Footprint(footprint.corners_m, normal, footprint.area_m2), gsd, camera, viewpoint_m)

    @classmethod
    def of_outline(cls, outline_m: Array) -> InspectedView | None:
        """Return the view of an image of unknown resolution; None where the outline has no area.

        Args:
            outline_m: (M, 3) corners, clockwise as the camera sees them, which is the order of an image's corners.
        """
        footprint = Footprint.of(outline_m)
        if footprint is None:
            return None
        # Newell's normal points away from an observer who sees the corners clockwise.
        towards = Footprint(footprint.corners_m, -footprint.normal, footprint.area_m2)
        return cls(towards, np.full(len(footprint.corners_m), np.inf))

    def moved(self, transform: Pose) -> InspectedView:
        """Return the view in another frame."""
        footprint = Footprint(
            transform.transform(self.footprint.corners_m),
            transform.rotation @ self.footprint.normal,
            self.footprint.area_m2,
        )
        viewpoint_m = None if self.viewpoint_m is None else transform.transform(self.viewpoint_m[None])[0]
        return replace(self, footprint=footprint, viewpoint_m=viewpoint_m)


def _camera_of(rays: Array, pixels: Array) -> CameraGeometry | None:
    """Return the geometry that gives these unit rays (M, 3) and pixels (M, 2); None where there is none."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    # The two points farthest apart in the image, nearly opposite corners.
    first = int(((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1).argmax())
    apart_px = np.sqrt(((pixels - pixels[first]) ** 2).sum(axis=1))
    last = int(apart_px.argmax())
    angle = 2.0 * math.asin(min(1.0, 0.5 * float(np.linalg.norm(rays[first] - rays[last]))))
    if not _NARROWEST_RAD < angle < _WIDEST_RAD or not (high > low).all():
        return None
    focal_px = 0.5 * float(apart_px[last]) / math.tan(0.5 * angle)
    width_px, height_px = (high - low + 1.0).tolist()
    return CameraGeometry(width_px, height_px, focal_px)
