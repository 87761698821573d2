# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the coverage: cells, resolution, surfaces, bounds, and what is saved of them."""

from __future__ import annotations

import numpy as np
import pytest
from inspected_views import CAMERA, FOCAL_PX, looking, view_of_plane, wall_view

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.coverage import coverage as coverage_module
from crack_perception.mapping.coverage.coverage import Coverage, CoverageChanges, saved_coverage
from crack_perception.mapping.coverage.resolution import CellState, cell_states, resolvable_width_mm
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage
from crack_perception.mapping.coverage.view import InspectedView


def covered(*views: InspectedView, cell_m: float = 0.05) -> Coverage:
    coverage = Coverage(cell_m)
    for view in views:
        coverage.add(view)
    return coverage


def cells(surface: SurfaceCoverage) -> tuple[np.ndarray, np.ndarray]:
    """Centres (N, 3) and GSD (N,) of the cells that were seen."""
    rows, columns = np.nonzero(~np.isnan(surface.gsd_mm_per_px))
    return surface.centres_m(rows, columns), surface.gsd_mm_per_px[rows, columns]


def test_coverage_facing_view_has_the_gsd_of_its_distance() -> None:
    (surface,) = covered(wall_view(standoff_m=2.0)).surfaces()
    points_m, gsd = cells(surface)
    assert gsd == pytest.approx(2.0, rel=0.01)
    assert len(gsd) * surface.cell_area_m2 == pytest.approx(2.56 * 1.44, rel=0.03)
    assert points_m.min(axis=0) == pytest.approx([-1.28, 0, 0.78], abs=0.05)
    assert points_m.max(axis=0) == pytest.approx([1.28, 0, 2.22], abs=0.05)
    assert surface.normal == pytest.approx([0, -1, 0]) and surface.u_axis == pytest.approx([1, 0, 0])
    assert resolvable_width_mm(gsd) == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("turn", [{"heading_deg": 30.0}, {"elevation_deg": 25.0}, {"heading_deg": -20.0}])
def test_coverage_oblique_view_matches_the_projection(turn: dict[str, float]) -> None:
    (surface,) = covered(wall_view(**turn)).surfaces()
    points_m, gsd = cells(surface)
    turned = looking(90.0 + turn.get("heading_deg", 0.0), turn.get("elevation_deg", 0.0))
    there = [largest_pixel_mm(point, turned) for point in points_m[::37]]
    assert gsd[::37] == pytest.approx(np.array(there), rel=0.09)


def largest_pixel_mm(point_m: np.ndarray, orientation: np.ndarray) -> float:
    """Size of the pixel on the wall at a point, by moving the point in every direction."""
    from crack_perception.geometry.poses.pose import Pose

    pose = Pose(np.array([0.0, -2.0, 1.5]), orientation)
    angles = np.linspace(0, np.pi, 90)
    step = 1e-4
    around = point_m + step * np.column_stack([np.cos(angles), np.zeros(90), np.sin(angles)])
    pixels = CAMERA.project((np.vstack([point_m[None], around]) - pose.position_m) @ pose.rotation)
    return float(1000.0 * step / np.linalg.norm(pixels[1:] - pixels[0], axis=1).min())


def test_coverage_keeps_the_finest_view_of_a_cell() -> None:
    (surface,) = covered(wall_view(standoff_m=2.0), wall_view(standoff_m=1.0), wall_view(standoff_m=3.0)).surfaces()
    _, gsd = cells(surface)
    assert np.unique(gsd.round(2)) == pytest.approx([1.0, 2.0, 3.0])
    states = cell_states(surface.gsd_mm_per_px, 3.0)
    area_m2 = {state: np.count_nonzero(states == state) * surface.cell_area_m2 for state in CellState}
    assert area_m2[CellState.DONE] == pytest.approx(2.56 * 1.44, rel=0.05)
    assert area_m2[CellState.TOO_COARSE] == pytest.approx((9 - 4) * 1.28 * 0.72, rel=0.05)


def test_coverage_neighbouring_walls_are_surfaces_of_their_own() -> None:
    side = view_of_plane((-1.0, -3.0, 1.5), looking(0.0), normal=(-1.0, 0.0, 0.0), offset_m=-1.0)
    behind = view_of_plane((0.0, 3.0, 1.5), looking(-90.0), normal=(0.0, 1.0, 0.0), offset_m=0.3)
    far = view_of_plane((0.0, 2.0, 1.5), looking(90.0), offset_m=-4.0)
    coverage = covered(wall_view(), side, behind, far, wall_view(1.0))
    assert len(coverage) == 4
    normals = np.array([surface.normal for surface in coverage.surfaces()])
    assert normals == pytest.approx(np.array([[0, -1, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]))


def test_coverage_wrong_first_normal_does_not_divide_a_long_wall() -> None:
    rng = np.random.default_rng(1)
    coverage = Coverage()
    for index in range(120):
        # The first views are tilted by three degrees and all are off by centimetres.
        tilt = np.deg2rad(3.0 if index < 5 else rng.normal(0, 0.5))
        normal = (float(np.sin(tilt)), -float(np.cos(tilt)), 0.0)
        x_m = 0.25 * index
        shift = float(rng.normal(0, 0.03))
        position = (x_m, -2.0, 1.5)
        offset = float(np.dot(normal, (x_m, 0.0, 1.5))) + shift
        coverage.add(view_of_plane(position, looking(90.0), normal, offset))
    (surface,) = coverage.surfaces()
    points_m, _ = cells(surface)
    assert np.ptp(points_m[:, 0]) > 31.0
    assert np.abs(points_m[:, 1]).max() < 0.3


def test_coverage_soffit_is_seen_from_below() -> None:
    below = view_of_plane((0.0, 0.0, 1.0), looking(0.0, 90.0), normal=(0.0, 0.0, -1.0), offset_m=-3.0)
    (surface,) = covered(below).surfaces()
    points_m, gsd = cells(surface)
    assert surface.normal == pytest.approx([0, 0, -1])
    assert points_m[:, 2] == pytest.approx(3.0) and gsd == pytest.approx(2.0, rel=0.01)


def test_coverage_camera_geometry_is_recovered() -> None:
    coverage = covered(wall_view(heading_deg=20.0))
    assert coverage.camera is not None
    assert coverage.camera.focal_px == pytest.approx(FOCAL_PX, rel=0.001)
    assert (coverage.camera.width_px, coverage.camera.height_px) == pytest.approx((1280, 720))
    assert coverage.camera.distance_m(0.5) == pytest.approx(0.5)
    assert coverage.camera.footprint_m(2.0) == pytest.approx((2.56, 1.44))


def test_coverage_zoom_replaces_the_camera_and_a_part_of_the_image_does_not() -> None:
    zoomed = CameraModel.of(1280, 720, [[3000, 0, 639.5], [0, 3000, 359.5], [0, 0, 1]], [], "")
    part = CameraModel.of(640, 720, [[FOCAL_PX, 0, 319.5], [0, FOCAL_PX, 359.5], [0, 0, 1]], [], "")
    coverage = covered(wall_view())
    version = coverage.version
    coverage.add(view_of_plane((0, -2, 1.5), looking(90.0), camera=part))
    assert coverage.camera is not None and coverage.camera.width_px == 1280 and coverage.version == version
    coverage.add(view_of_plane((0, -2, 1.5), looking(90.0), camera=zoomed))
    assert coverage.camera.focal_px == pytest.approx(3000, rel=0.001) and coverage.version > version


@pytest.mark.parametrize(
    "change",
    [
        {"gsd_mm_per_px": np.full(4, np.nan)},
        {"gsd_mm_per_px": np.zeros(4)},
        {"outline_m": np.zeros((4, 3))},
        {"outline_m": np.full((4, 3), np.inf)},
        {"viewpoint_m": np.array([5.0, 0.0, 0.0])},
        {"viewpoint_m": np.full(3, np.nan)},
        {"pixels": np.full((4, 2), np.nan)},
    ],
)
def test_view_impossible_numbers_are_refused(change: dict[str, np.ndarray]) -> None:
    good = {
        "outline_m": np.array([[-1.0, 0, 1], [1, 0, 1], [1, 0, -1], [-1, 0, -1]]),
        "gsd_mm_per_px": np.ones(4),
        "pixels": np.array([[0.0, 0], [99, 0], [99, 99], [0, 99]]),
        "viewpoint_m": np.array([0.0, -2.0, 0.0]),
    }
    assert InspectedView.of(**good) is not None
    assert InspectedView.of(**(good | change)) is None


def test_view_moved_covers_the_same_area_in_the_other_frame() -> None:
    view = wall_view(standoff_m=2.0)
    turn = Pose(np.array([5.0, -3.0, 1.0]), rotations.from_rotation_vector(np.array([0.0, 0.0, 0.7])))
    one, other = (covered(each).surfaces()[0] for each in (view, view.moved(turn)))
    assert turn.rotation @ one.normal == pytest.approx(other.normal, abs=1e-6)
    assert np.isfinite(other.gsd_mm_per_px).sum() == pytest.approx(np.isfinite(one.gsd_mm_per_px).sum(), rel=0.05)
    assert np.nanmin(other.gsd_mm_per_px) == pytest.approx(float(np.nanmin(one.gsd_mm_per_px)), rel=0.01)
    moved = view.moved(turn)
    assert moved.camera == view.camera and moved.viewpoint_m is not None
    assert moved.viewpoint_m == pytest.approx(turn.transform(np.array([[0.0, -2.0, 1.5]]))[0])


def test_coverage_view_to_the_horizon_is_refused() -> None:
    corners = np.array([[-1e4, 0, 1e4], [1e4, 0, 1e4], [1e4, 0, -1e4], [-1e4, 0, -1e4]])
    view = InspectedView.of_outline(corners)
    assert view is not None
    coverage = covered(view)
    assert coverage.refused == 1 and len(coverage) == 0


def test_coverage_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_module, "_MOST_TILES", 6)
    coverage = covered(*(wall_view(3.0 * index) for index in range(10)))
    assert 0 < coverage.refused < 10
    assert sum(surface.gsd_mm_per_px.size for surface in coverage.surfaces()) <= 6 * 64 * 64


def test_coverage_hover_changes_nothing() -> None:
    coverage = covered(wall_view())
    coverage.take_changes()
    version = coverage.version
    for _ in range(5):
        coverage.add(wall_view(standoff_m=1.99))
    assert coverage.version == version and not coverage.take_changes()


def test_coverage_restored_from_changes_goes_on() -> None:
    first = covered(wall_view())
    saved = first.take_changes()
    first.add(wall_view(1.5))
    saved.add(first.take_changes())
    second = Coverage()
    second.restore(saved)
    assert second.camera == first.camera and not second.take_changes()
    for ours, theirs in zip(first.surfaces(), second.surfaces(), strict=True):
        assert ours.id == theirs.id and np.array_equal(ours.gsd_mm_per_px, theirs.gsd_mm_per_px, equal_nan=True)
        assert ours.corner_m == pytest.approx(theirs.corner_m)
    second.add(wall_view(3.0))
    assert len(second) == 1 and second.take_changes()


def test_coverage_of_a_map_without_resolution_is_seen_but_too_coarse() -> None:
    # As the camera sees them, clockwise: the wall y = 0 from the side of negative y.
    area_m = np.array([[0.0, 0, 2], [4, 0, 2], [4, 0, 0], [0, 0, 0]])
    coverage = saved_coverage(CoverageChanges(), [area_m])
    (surface,) = coverage.surfaces()
    assert surface.normal == pytest.approx([0, -1, 0])
    _, gsd = cells(surface)
    assert len(gsd) * surface.cell_area_m2 == pytest.approx(8.0, rel=0.03) and np.isinf(gsd).all()
    assert set(np.unique(cell_states(surface.gsd_mm_per_px, 100.0))) == {CellState.UNSEEN, CellState.TOO_COARSE}
    coverage.add(wall_view(2.0, z_m=1.0))
    assert len(coverage) == 1 and np.isfinite(cells(coverage.surfaces()[0])[1]).any()


def test_coverage_outline_of_any_shape_covers_its_inside() -> None:
    star = np.array([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]], np.float64)
    outline = np.column_stack([star[:, 0], np.zeros(5), star[:, 1]])
    view = InspectedView.of_outline(outline)
    assert view is not None
    points_m, _ = cells(covered(view).surfaces()[0])
    assert len(points_m) * 0.05**2 == pytest.approx(view.footprint.area_m2, rel=0.02)
    assert not ((np.abs(points_m[:, 0] - 2) < 0.1) & (points_m[:, 2] > 1.3)).any()
