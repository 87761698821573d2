# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A camera in front of a plane, against individually intersected rays."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.flight.presets import LENSES
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.wall.facet import Wall

WALL = Wall(np.zeros((100, 200, 3), np.uint8), 10.0, None, None)


def view_from(distance_m: float, tilt_rad: tuple[float, float, float], distortion: str = "plumb_bob") -> SurfaceView:
    """A camera in front of the centre of the wall, tilted from the perpendicular."""
    surface = WALL.surface
    square = np.stack([surface.u_axis, surface.v_axis, -surface.normal], axis=1)
    tilted = rotations.multiply(rotations.from_matrix(square), rotations.from_rotation_vector(tilt_rad))
    middle_m = surface.to_map(WALL.size_m[None] / 2)[0]
    camera = FlightSettings(width=320, height=240, distortion=distortion).camera
    return SurfaceView(camera, surface, Pose.of(middle_m + distance_m * surface.normal, tilted))


@pytest.mark.parametrize("distortion", list(LENSES))
def test_seen_at_matches_ray_intersection(distortion: str) -> None:
    view = view_from(0.8, (0.05, -0.08, 0.2), distortion)
    pixels = np.array([[0.0, 0.0], [319, 239], [160, 120], [17.25, 200.5]])
    seen_m = view.seen_at(pixels)
    for pixel, uv_m in zip(pixels, seen_m, strict=True):
        ray = view.map_from_camera.rotation @ view.camera.rays(pixel[None])[0]
        to_wall = (WALL.surface.origin_m - view.map_from_camera.position_m) @ WALL.surface.normal
        point_m = view.map_from_camera.position_m + ray * to_wall / (ray @ WALL.surface.normal)
        np.testing.assert_allclose(WALL.surface.to_surface(point_m[None])[0], uv_m, atol=1e-9)
    np.testing.assert_allclose(view.pixels_of(seen_m), pixels, atol=1e-4)


def test_view_perpendicular_has_textbook_gsd_and_range() -> None:
    view = view_from(1.2, (0.0, 0.0, 0.0), "none")
    assert view.range_m == pytest.approx(1.2)
    assert view.gsd_mm_per_px == pytest.approx(1200 / view.camera.focal_px)
    np.testing.assert_allclose(view.seen_at(view.centre_px[None])[0], WALL.size_m / 2, atol=1e-9)
    right_m, below_m = view.seen_at(view.centre_px + [[10.0, 0.0], [0.0, 10.0]]) - WALL.size_m / 2
    assert right_m[0] > 0 and abs(right_m[1]) < 1e-9
    assert below_m[1] > 0 and abs(below_m[0]) < 1e-9


def test_view_tilted_camera_range_is_along_axis() -> None:
    assert view_from(1.0, (0.0, np.deg2rad(30), 0.0)).range_m == pytest.approx(1 / np.cos(np.deg2rad(30)))


def test_visible_fraction_is_share_of_length_in_image() -> None:
    view = view_from(1.0, (0.0, 0.0, 0.0), "none")
    middle_m = WALL.size_m / 2
    half_width_m = 320 / 2 / view.camera.focal_px
    through_the_edge_m = np.array([middle_m, middle_m + [2 * half_width_m, 0.0]])
    assert view.visible_fraction(through_the_edge_m) == pytest.approx(0.5, abs=0.01)
    assert view.visible_fraction(np.array([middle_m, middle_m + [0.1, 0.05]])) == 1.0
    assert view.visible_fraction(np.array([[0.0, 0.0], [0.1, 0.0]])) == 0.0
