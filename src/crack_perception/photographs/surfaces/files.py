# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Readers of point clouds and meshes: PLY, OBJ, XYZ, LAS, LAZ with laspy, and the points of a COLMAP model."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError

Array = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]

SUFFIXES = (".ply", ".obj", ".las", ".laz", ".xyz")
COLMAP_NAMES = ("points3D.txt", "points3D.bin")

_MOST_BYTES = 8 << 30
_PLY_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
_MOST_HEADER_LINES = 1000
_LISTS = ("vertex_indices", "vertex_index")

_Elements = list[tuple[str, int, list[list[str]]]]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Points (N, 3) in the coordinates of the file, and triangles (T, 3) of their indices; T is 0 for a point cloud."""

    points: Array
    triangles: Triangles


def is_geometry(path: Path) -> bool:
    """Return whether a file is named as a point cloud or a mesh."""
    return path.suffix.lower() in SUFFIXES or path.name in COLMAP_NAMES


def read_geometry(path: Path) -> Geometry:
    """Read a point cloud or a mesh.

    Raises:
        UserError: The file cannot be read, is damaged, of another kind or holds no points.
    """
    readers = {".ply": _ply, ".obj": _obj, ".las": _las, ".laz": _laz, ".xyz": _xyz}
    readers |= {".bin": _colmap_binary, ".txt": _colmap_text}
    if not is_geometry(path):
        raise UserError(f"{path}: is no point cloud or mesh", f"Give a file of {', '.join((*SUFFIXES, *COLMAP_NAMES))}")
    reader = readers[path.suffix.lower()]
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: is larger than {_MOST_BYTES >> 30} GiB", "Thin it out")
        geometry = reader(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path and its permissions") from error
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise UserError(f"{path}: is damaged or of another format ({error})", "Export it again") from error
    points, triangles = geometry.points, geometry.triangles
    if len(triangles) and not (triangles.min() >= 0 and triangles.max() < len(points)):
        raise UserError(f"{path}: a face names a vertex that is missing", "Export it again")
    is_finite = np.asarray(np.isfinite(points).all(axis=1))
    if len(triangles):
        triangles = triangles[is_finite[triangles].all(axis=1)]
        points = np.where(is_finite[:, None], points, 0.0)
    else:
        points = points[is_finite]
    if not len(points) or (len(geometry.triangles) and not len(triangles)):
        raise UserError(f"{path}: holds no points", "Export it again")
    return Geometry(points, triangles)


def _ply(path: Path) -> Geometry:
    with path.open("rb") as file:
        if file.readline().strip() != b"ply":
            raise ValueError("it does not begin with 'ply'")
        form = ""
        elements: _Elements = []
        for _ in range(_MOST_HEADER_LINES):
            line = file.readline().decode("ascii", "replace").split()
            if not line:
                continue
            if line[0] == "format":
                form = line[1]
            elif line[0] == "element":
                elements.append((line[1], int(line[2]), []))
            elif line[0] == "property":
                elements[-1][2].append(line[1:])
            elif line[0] == "end_header":
                break
        else:
            raise ValueError("its header does not end")
        data = file.read()
    if form == "ascii":
        return _ply_ascii(data.decode("ascii", "replace"), elements)
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}[form]
    return _ply_binary(data, elements, order)


def _ply_ascii(text: str, elements: _Elements) -> Geometry:
    rows = text.splitlines()
    points, faces, at = np.empty((0, 3)), [], 0
    for name, count, properties in elements:
        lines = rows[at : at + count]
        if len(lines) < count:
            raise ValueError(f"it ends after {len(lines)} of {count} {name} elements")
        at += count
        if name == "vertex":
            names = [each[-1] for each in properties]
            columns = [names.index(axis) for axis in "xyz"]
            points = np.array([[float(fields[column]) for column in columns] for fields in map(str.split, lines)])
        elif name == "face":
            faces = [[int(value) for value in fields[1 : 1 + int(fields[0])]] for fields in map(str.split, lines)]
    return Geometry(points.reshape(-1, 3), _fans(faces))


def _ply_binary(data: bytes, elements: _Elements, order: str) -> Geometry:
    points, triangles, at = np.empty((0, 3)), np.empty((0, 3), np.int64), 0
    for name, count, properties in elements:
        lists = [each for each in properties if each[0] == "list"]
        if not lists:
            kind = np.dtype([(each[1], order + _PLY_TYPES[each[0]]) for each in properties])
            if len(data) - at < count * kind.itemsize:
                raise ValueError(f"it ends within its {name} elements")
            rows = np.frombuffer(data, kind, count, at)
            at += count * kind.itemsize
            if name == "vertex":
                points = np.stack([rows[axis].astype(np.float64) for axis in "xyz"], axis=1)
        elif name == "face":
            triangles, at = _binary_faces(data, at, count, properties, order)
        else:
            break  # elements after the faces are not needed
    return Geometry(points, triangles)


def _binary_faces(data: bytes, at: int, count: int, properties: list[list[str]], order: str) -> tuple[Triangles, int]:
    """Return the triangles of face elements that begin at a byte, and where they end."""
    triangle = np.dtype(
        [
            (each[3], [("n", order + _PLY_TYPES[each[1]]), ("i", order + _PLY_TYPES[each[2]], (3,))])
            if each[0] == "list"
            else (each[1], order + _PLY_TYPES[each[0]])
            for each in properties
        ]
    )
    indices = next(each[-1] for each in properties if each[-1] in _LISTS)
    if len(data) - at >= count * triangle.itemsize and sum(each[0] == "list" for each in properties) == 1:
        rows = np.frombuffer(data, triangle, count, at)
        if (rows[indices]["n"] == 3).all():
            return rows[indices]["i"].astype(np.int64), at + count * triangle.itemsize
    faces: list[list[int]] = []
    for _ in range(count):
        for each in properties:
            if each[0] != "list":
                at += np.dtype(_PLY_TYPES[each[0]]).itemsize
                continue
            size, item = np.dtype(order + _PLY_TYPES[each[1]]), np.dtype(order + _PLY_TYPES[each[2]])
            (length,) = np.frombuffer(data, size, 1, at).tolist()
            at += size.itemsize
            if each[-1] == indices:
                faces.append(np.frombuffer(data, item, length, at).tolist())
            at += length * item.itemsize
    return _fans(faces), at


def _obj(path: Path) -> Geometry:
    points, faces = [], []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split()
            if not fields:
                continue
            if fields[0] == "v":
                points.append([float(value) for value in fields[1:4]])
            elif fields[0] == "f":
                numbers = [int(field.split("/")[0]) for field in fields[1:]]
                # Indices count from 1, negative ones from the last vertex so far.
                faces.append([number - 1 if number > 0 else len(points) + number for number in numbers])
    return Geometry(np.array(points, np.float64).reshape(-1, 3), _fans(faces))


def _fans(faces: list[list[int]]) -> Triangles:
    """Return polygons as triangles around their first vertices."""
    triangles = [(face[0], face[n], face[n + 1]) for face in faces for n in range(1, len(face) - 1)]
    return np.array(triangles, np.int64).reshape(-1, 3)


def _las(path: Path) -> Geometry:
    """Read uncompressed LAS 1.0 to 1.4 (ASPRS)."""
    with path.open("rb") as file:
        header = file.read(375)
        if header[:4] != b"LASF":
            raise ValueError("it does not begin with 'LASF'")
        (offset,) = struct.unpack_from("<I", header, 96)
        kind, size, count = struct.unpack_from("<BHI", header, 104)
        if kind & 0xC0:
            raise ValueError("its points are compressed")
        if header[25] >= 4 and len(header) >= 255:
            (long_count,) = struct.unpack_from("<Q", header, 247)
            count = long_count or count
        scales, offsets = (
            np.array(struct.unpack_from("<3d", header, 131)),
            np.array(struct.unpack_from("<3d", header, 155)),
        )
        if size < 12 or not np.isfinite([*scales, *offsets]).all():
            raise ValueError("its header is damaged")
        available = (path.stat().st_size - offset) // size
        if available < count:
            raise ValueError(f"it ends after {max(available, 0)} of {count} points")
        file.seek(offset)
        rows = np.fromfile(file, np.dtype({"names": ["p"], "formats": ["(3,)<i4"], "itemsize": size}), count)
    return Geometry(rows["p"] * scales + offsets, np.empty((0, 3), np.int64))


def _laz(path: Path) -> Geometry:
    try:
        import laspy
    except ImportError as error:
        raise UserError(
            f"{path}: compressed LAZ needs laspy", "pip install 'crack_perception[photographs]', or convert it to LAS"
        ) from error
    try:
        points = laspy.read(path).xyz
    except (laspy.errors.LaspyException, RuntimeError) as error:
        raise ValueError(str(error)) from error
    return Geometry(np.asarray(points, np.float64).reshape(-1, 3), np.empty((0, 3), np.int64))


def _xyz(path: Path) -> Geometry:
    with path.open(encoding="utf-8", errors="replace") as file:
        rows = [line.replace(",", " ").split()[:3] for line in file if line.strip() and not line.startswith("#")]
    return Geometry(np.array(rows, np.float64).reshape(-1, 3), np.empty((0, 3), np.int64))


def _colmap_text(path: Path) -> Geometry:
    with path.open(encoding="utf-8", errors="replace") as file:
        rows = [line.split(maxsplit=4)[1:4] for line in file if line.strip() and not line.startswith("#")]
    return Geometry(np.array(rows, np.float64).reshape(-1, 3), np.empty((0, 3), np.int64))


def _colmap_binary(path: Path) -> Geometry:
    data = path.read_bytes()
    (count,) = struct.unpack_from("<Q", data)
    if count * 51 > len(data):
        raise ValueError(f"it ends within its {count} points")
    points, at = np.empty((count, 3)), 8
    for index in range(count):
        # Number, position, colour, error, and the length of the track of (image, feature).
        points[index] = struct.unpack_from("<3d", data, at + 8)
        (track,) = struct.unpack_from("<Q", data, at + 43)
        at += 51 + 8 * track
    return Geometry(points, np.empty((0, 3), np.int64))
