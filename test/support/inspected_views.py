# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Views of a flat wall by a camera of known geometry."""

from __future__ import annotations

import numpy as np

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.line_lifting import largest_gsd_mm_per_px, outline_on_surface
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import SurfacePlane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.mapping.coverage.view import InspectedView

FOCAL_PX = 1000.0
CAMERA = CameraModel.of(1280, 720, [[FOCAL_PX, 0, 639.5], [0, FOCAL_PX, 359.5], [0, 0, 1]], [], "")


def looking(heading_deg: float, elevation_deg: float = 0.0) -> np.ndarray:
    """Orientation of an optical frame with its axis towards a heading (0: +x, 90: +y) and elevation."""
    turn = rotations.from_rotation_vector(np.array([0.0, 0.0, np.deg2rad(heading_deg)]))
    tilt = rotations.from_rotation_vector(np.array([0.0, -np.deg2rad(elevation_deg), 0.0]))
    return rotations.multiply(rotations.multiply(turn, tilt), rotations.FORWARD_LOOKING_OPTICAL)


def view_of_plane(
    position_m: tuple[float, float, float],
    orientation: np.ndarray,
    normal: tuple[float, float, float] = (0.0, -1.0, 0.0),
    offset_m: float = 0.0,
    camera: CameraModel = CAMERA,
) -> InspectedView:
    """The view of the plane ``normal . p = offset`` from a pose in front of it."""
    pose = Pose(np.array(position_m), orientation)
    towards = pose.rotation.T @ np.array(normal, np.float64)
    height_m = float(np.array(normal) @ pose.position_m) - offset_m
    range_m = -height_m / towards[2]
    plane = SurfacePlane(RangeReading(range_m, 0.0, "range"), towards, 0.0, normal_in_map=False)
    outline = outline_on_surface(camera, plane)
    gsd = largest_gsd_mm_per_px(camera, plane, outline.pixels)
    view = InspectedView.of(pose.transform(outline.points_m), gsd, outline.pixels, pose.position_m)
    assert view is not None
    return view


def wall_view(x_m: float = 0.0, standoff_m: float = 2.0, z_m: float = 1.5, **changes: float) -> InspectedView:
    """The view straight ahead at the wall y = 0, from the side of negative y."""
    turned = looking(90.0 + changes.get("heading_deg", 0.0), changes.get("elevation_deg", 0.0))
    return view_of_plane((x_m, -standoff_m, z_m), turned)
