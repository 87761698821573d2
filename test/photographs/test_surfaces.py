# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of surfaces from files: readers, local planes of meshes and point clouds, settings."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.photographs.photograph import PosedPhotograph
from crack_perception.photographs.surfaces.files import Geometry, read_geometry
from crack_perception.photographs.surfaces.geometry import GeometrySurface, SurfaceError
from crack_perception.photographs.surfaces.settings import SurfaceSettings, read_settings
from crack_perception.photographs.surfaces.sources import SurfaceSources
from crack_perception.vision.regions import OrientedBox

K = [[900.0, 0, 319.5], [0, 900.0, 239.5], [0, 0, 1]]
CAMERA = CameraModel.of(640, 480, K, [-0.2, 0.05, 0.001, 0.002, 0.0], "plumb_bob")
# At (0, -3, 1), looking along y.
POSE = Pose.of([0.0, -3.0, 1.0], rotations.from_matrix([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]))
NOISE = NoiseModel()
ERROR = SurfaceError(0.01, 0.005)
POINTS = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.5, 3.0], [0.0, 0.5, 3.0]]) - [1.0, 0.0, 0.0]


def box(x: float = 319.5, y: float = 239.5, side_px: float = 120.0) -> OrientedBox:
    return OrientedBox(np.array([x, y]), side_px, side_px, 0.0)


def write(path: Path, kind: str) -> Path:
    """Write the quadrilateral of ``POINTS`` as a file of this kind."""
    rows = [" ".join(f"{value:.6f}" for value in point) for point in POINTS]
    vertices = "property float x\nproperty float y\nproperty float z\n"
    if kind == "ascii.ply":
        head = f"ply\nformat ascii 1.0\nelement vertex 4\n{vertices}property uchar red\n"
        head += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        body = "".join(f"{row} 200\n" for row in rows) + "4 0 1 2 3\n"
        path.write_text(head + body)
    elif kind in ("little.ply", "big.ply", "mixed.ply"):
        order, name = ("<", "little") if kind != "big.ply" else (">", "big")
        faces = [(0, 1, 2, 3)] if kind == "mixed.ply" else [(0, 1, 2), (0, 2, 3)]
        head = f"ply\nformat binary_{name}_endian 1.0\ncomment made\nelement vertex 4\n{vertices}"
        head += f"element face {len(faces)}\nproperty list uchar uint vertex_index\nend_header\n"
        body = np.array(POINTS, f"{order}f4").tobytes()
        for face in faces:
            body += struct.pack(f"{order}B{len(face)}I", len(face), *face)
        path.write_bytes(head.encode() + body)
    elif kind == "quad.obj":
        path.write_text("# wall\n" + "".join(f"v {row}\nvt 0 0\n" for row in rows) + "f 1/1 2/2/1 -2//1 4\n")
    elif kind == "points.las":
        header = bytearray(375)
        header[:4], header[24:26] = b"LASF", bytes([1, 2])
        struct.pack_into("<I", header, 96, 375)
        struct.pack_into("<BHI", header, 104, 0, 20, 4)
        struct.pack_into("<6d", header, 131, 0.001, 0.001, 0.001, 500.0, 0.0, 0.0)
        numbers = np.round((POINTS - [500.0, 0.0, 0.0]) / 0.001).astype("<i4")
        path.write_bytes(bytes(header) + b"".join(row.tobytes() + bytes(8) for row in numbers))
    elif kind == "points3D.txt":
        lines = [f"{number} {row} 200 190 180 0.5 1 17 2 {number}" for number, row in enumerate(rows)]
        path.write_text("\n".join(["# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]", *lines]))
    elif kind == "points3D.bin":
        data = struct.pack("<Q", len(POINTS))
        for number, point in enumerate(POINTS):
            data += struct.pack("<Q3d3BdQ", number, *point, 1, 2, 3, 0.5, number) + bytes(8 * number)
        path.write_bytes(data)
    else:
        path.write_text("# x y z\n" + "".join(f"{row}\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("kind", "triangles"),
    [
        ("ascii.ply", 2),
        ("little.ply", 2),
        ("big.ply", 2),
        ("mixed.ply", 2),
        ("quad.obj", 2),
        ("points.las", 0),
        ("points.xyz", 0),
        ("points3D.txt", 0),
        ("points3D.bin", 0),
    ],
)
def test_geometry_file_is_read(tmp_path: Path, kind: str, triangles: int) -> None:
    geometry = read_geometry(write(tmp_path / kind, kind))
    np.testing.assert_allclose(geometry.points, POINTS, atol=1e-6)
    assert len(geometry.triangles) == triangles
    if triangles:
        area = 0.5 * np.linalg.norm(np.cross(*_edges(geometry)), axis=1).sum()
        assert area == pytest.approx(2.0 * np.hypot(0.5, 3.0), rel=1e-6)


def _edges(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = geometry.points[geometry.triangles].transpose(1, 0, 2)
    return b - a, c - a


@pytest.mark.parametrize(
    "kind", ["ascii.ply", "little.ply", "quad.obj", "points.las", "points.xyz", "points3D.txt", "points3D.bin"]
)
def test_geometry_damaged_file_names_itself(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / kind, kind)
    data = path.read_bytes()
    for cut in (0, 3, len(data) // 3, len(data) - 3):
        path.write_bytes(data[:cut])
        try:
            geometry = read_geometry(path)
        except UserError as error:
            assert str(path) in str(error)
        else:
            assert np.isfinite(geometry.points).all()
    path.write_bytes(data.replace(b"vertex 4", b"vertex 999999999").replace(b"f 1/1", b"f 99"))
    if not kind.startswith("points"):
        with pytest.raises(UserError, match=r"damaged|vertex|ends"):
            read_geometry(path)


def test_geometry_with_laspy(tmp_path: Path) -> None:
    laspy = pytest.importorskip("laspy", reason="LAZ needs laspy, the extra photographs")
    las = laspy.create()
    las.x, las.y, las.z = POINTS.T
    las.write(tmp_path / "points.laz")
    np.testing.assert_allclose(read_geometry(tmp_path / "points.laz").points, POINTS, atol=0.01)


def wall(normal_tilt: float = 0.2, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return a fine mesh of the plane y = tilt * x, from -2 to 2 m."""
    u, v = (each.ravel() for each in np.meshgrid(np.linspace(-2, 2, count), np.linspace(-1, 3, count)))
    points = np.column_stack([u, normal_tilt * u, v])
    index = np.arange(count * count).reshape(count, count)
    a, b, c, d = (each.ravel() for each in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    return points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


@pytest.mark.parametrize("is_mesh", [True, False])
def test_surface_gives_the_plane_under_a_box(is_mesh: bool) -> None:
    points, triangles = wall(count=200 if not is_mesh else 60)
    surface = GeometrySurface(points, triangles if is_mesh else triangles[:0], ERROR)
    view = surface.view(CAMERA, POSE, NOISE)
    for place in ((319.5, 239.5), (100.0, 100.0), (600.0, 400.0)):
        plane = view.plane_under(box(*place))
        assert plane is not None and plane.normal_in_map and plane.map_offset_sigma_m == 0.01
        normal = POSE.rotation @ plane.normal
        np.testing.assert_allclose(normal, np.array([0.2, -1.0, 0.0]) / np.hypot(0.2, 1.0), atol=5e-3)
        point = POSE.transform(plane.meet(CAMERA.rays(np.array([place]))))[0]
        assert abs(point[1] - 0.2 * point[0]) < 2e-3


def test_surface_huge_triangles_around_the_camera_are_met() -> None:
    """Two triangles of a floor that reaches far behind the camera."""
    points = np.array([[-500.0, -500, 0], [500, -500, 0], [500, 500, 0], [-500, 500, 0]])
    surface = GeometrySurface(points, np.array([[0, 1, 2], [0, 2, 3]]), ERROR)
    down = Pose.of([3.0, 4.0, 2.0], rotations.from_matrix([[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]]))
    plane = surface.view(CAMERA, down, NOISE).plane_under(box())
    assert plane is not None and plane.range.range_m == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("is_mesh", [True, False])
def test_surface_behind_the_front_is_not_taken(is_mesh: bool) -> None:
    points, triangles = wall(0.0, 150)
    both = np.concatenate([points + [0.0, 2.0, 0.0], points])
    indices = np.concatenate([triangles, triangles + len(points)])
    surface = GeometrySurface(both, indices if is_mesh else indices[:0], ERROR)
    plane = surface.view(CAMERA, POSE, NOISE).plane_under(box())
    assert plane is not None and plane.range.range_m == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("is_mesh", [True, False])
def test_surface_outside_the_view_gives_no_plane(is_mesh: bool) -> None:
    points, triangles = wall()
    surface = GeometrySurface(points, triangles if is_mesh else triangles[:0], ERROR)
    away = Pose.of([0.0, -3.0, 1.0], rotations.from_matrix([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]]))
    assert surface.view(CAMERA, away, NOISE).plane_under(box()) is None
    far = Pose.of([50.0, -3.0, 1.0], POSE.quaternion)
    assert surface.view(CAMERA, far, NOISE).plane_under(box()) is None


def photograph(range_m: float | None = None) -> PosedPhotograph:
    return PosedPhotograph(Path("a.jpg"), "a.jpg", 1, CAMERA, POSE, np.full(3, 0.01), 0.002, "camera", range_m=range_m)


def sources(geometry: GeometrySurface | None = None, **changes: Any) -> SurfaceSources:
    settings = SurfaceSettings(**changes)
    return SurfaceSources(settings, settings.planes(np.zeros(3), 1.0, Pose.identity()), geometry)


# The wall y = 0, seen from y = -3.
WALL = (0.0, -1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("given", "range_m", "source", "distance_m"),
    [
        ({"equations": WALL}, None, "map_plane", 3.0),
        ({"equations": WALL}, 2.9, "range", 2.9),
        ({}, 2.9, "range", 2.9),
        ({"standoff_m": 4.0}, None, "standoff", 4.0),
        ({"standoff_m": 4.0}, 2.9, "range", 2.9),
    ],
)
def test_sources_take_precedence_as_in_the_node(
    given: dict[str, Any], range_m: float | None, source: str, distance_m: float
) -> None:
    plane = sources(**given).under(photograph(range_m), NOISE)(box())
    assert plane is not None
    assert (plane.range.source, plane.range.range_m) == (source, pytest.approx(distance_m, rel=1e-3))


def test_sources_mesh_precedes_planes_and_planes_serve_where_it_ends() -> None:
    points, triangles = wall(0.0)
    mesh = GeometrySurface(points - [2.3, 0.5, 0.0], triangles, ERROR)
    plane_under = sources(mesh, equations=WALL).under(photograph(), NOISE)
    left, right = plane_under(box(60.0)), plane_under(box(600.0))
    assert left is not None and right is not None
    assert (left.range.range_m, right.range.range_m) == pytest.approx((2.5, 3.0), abs=0.01)


def test_sources_implausibly_coarse_plane_is_none() -> None:
    assert sources(standoff_m=100.0).under(photograph(), NOISE)(box()) is None
    assert sources().under(photograph(), NOISE)(box()) is None


def test_settings_take_the_names_of_the_node(tmp_path: Path) -> None:
    path = tmp_path / "surface.yaml"
    path.write_text("map_planes:\n  equations: [0, -2, 0, 4]\n  sigma_m: 0.02\nstandoff_m: 0.0\nsurface: facing\n")
    settings = read_settings(path)
    assert settings == SurfaceSettings(equations=(0, -2, 0, 4), sigma_m=0.02, surface="facing")
    (plane,) = settings.planes(np.array([0.0, 10.0, 0.0]), 1.0, Pose.identity()).planes
    np.testing.assert_allclose([*plane.normal, plane.offset_m], [0, -1, 0, 2.0 + 10.0])


def test_settings_take_a_parameter_file_of_the_node(tmp_path: Path) -> None:
    path = tmp_path / "drone.yaml"
    path.write_text("/**:\n  ros__parameters:\n    model: nano\n    map_planes.equations: [1, 0, 0, 2]\n")
    assert read_settings(path).equations == (1, 0, 0, 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("standof_m: 2\n", "standof_m.* is unknown"),
        ("standoff_m: near\n", "standoff_m is 'near'"),
        ("surface: round\n", "surface is 'round'"),
        ("map_planes: {equations: [1, 2, x]}\n", "map_planes.equations"),
        ("a: [1\n", "no YAML"),
        ("", "no settings"),
    ],
)
def test_settings_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "surface.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=problem):
        read_settings(path)
