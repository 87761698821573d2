# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tables of the map database for the coverage: one row per surface, per tile of its grid, and one for the camera."""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from crack_perception.documents import parse_json
from crack_perception.mapping.coverage.coverage import CoverageChanges
from crack_perception.mapping.coverage.surface_grid import TILE_CELLS, Cells, SurfaceFrame
from crack_perception.mapping.coverage.view import CameraGeometry

COVERAGE_TABLES = ("coverage_tile", "coverage_surface", "coverage_camera")

_SHAPES = {"origin_m": (3,), "axes": (3, 3), "moments": (3, 4)}
# Half floats keep three digits, which is more than a ground sampling distance is known to.
_STORED = np.dtype("<f2")
_TILE_BYTES = TILE_CELLS * TILE_CELLS * _STORED.itemsize
_WHOLE_CAMERA = 1


def create_coverage_tables(database: sqlite3.Connection) -> None:
    """Create the tables where they are missing."""
    database.execute("CREATE TABLE IF NOT EXISTS coverage_surface (id INTEGER PRIMARY KEY, record TEXT NOT NULL)")
    database.execute(
        "CREATE TABLE IF NOT EXISTS coverage_tile (surface_id INTEGER NOT NULL, tile_row INTEGER NOT NULL, "
        "tile_column INTEGER NOT NULL, gsd BLOB NOT NULL, PRIMARY KEY (surface_id, tile_row, tile_column)) "
        "WITHOUT ROWID"
    )
    database.execute("CREATE TABLE IF NOT EXISTS coverage_camera (id INTEGER PRIMARY KEY, record TEXT NOT NULL)")


def write_coverage(database: sqlite3.Connection, changes: CoverageChanges) -> None:
    """Insert or replace changed surfaces, tiles and the camera."""
    database.executemany(
        "INSERT OR REPLACE INTO coverage_surface (id, record) VALUES (?, ?)",
        ((frame.id, json.dumps(_plain(frame))) for frame in changes.frames.values()),
    )
    database.executemany(
        "INSERT OR REPLACE INTO coverage_tile (surface_id, tile_row, tile_column, gsd) VALUES (?, ?, ?, ?)",
        ((*key, _packed(tile)) for key, tile in changes.tiles.items()),
    )
    if changes.camera is not None:
        database.execute(
            "INSERT OR REPLACE INTO coverage_camera (id, record) VALUES (?, ?)",
            (_WHOLE_CAMERA, json.dumps(asdict(changes.camera))),
        )


def read_coverage(database: sqlite3.Connection) -> CoverageChanges:
    """Read everything, as the changes that lead to it.

    Raises:
        ValueError: A row holds something else; it is named.
    """
    found = CoverageChanges()
    for frame in read_surface_frames(database):
        found.frames[frame.id] = frame
    for key, tile in read_coverage_tiles(database):
        found.tiles[key] = tile
    found.camera = read_camera(database)
    return found


def read_surface_frames(database: sqlite3.Connection, order: str = "ASC") -> Iterator[SurfaceFrame]:
    """Axes and planes of all surfaces by id, ``order`` ASC or DESC.

    Raises:
        ValueError: A row is not a surface; its id is named.
    """
    for surface_id, record in database.execute(f"SELECT id, record FROM coverage_surface ORDER BY id {order}"):
        try:
            yield _frame_of(surface_id, parse_json(record))
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"coverage of surface {surface_id}: {error}") from error


def read_coverage_tiles(
    database: sqlite3.Connection, order: str = "ASC"
) -> Iterator[tuple[tuple[int, int, int], Cells]]:
    """All tiles with their surface, row and column, ``order`` ASC or DESC.

    Raises:
        ValueError: A row is not a tile; its key is named.
    """
    for surface_id, row, column, data in database.execute(
        f"SELECT surface_id, tile_row, tile_column, gsd FROM coverage_tile "
        f"ORDER BY surface_id {order}, tile_row {order}, tile_column {order}"
    ):
        try:
            yield (int(surface_id), int(row), int(column)), _unpacked(data)
        except (TypeError, ValueError) as error:
            raise ValueError(f"coverage tile {surface_id}/{row}/{column}: {error}") from error


def read_camera(database: sqlite3.Connection) -> CameraGeometry | None:
    """The camera; None where it is not known.

    Raises:
        ValueError: The row is not a camera.
    """
    row = database.execute("SELECT record FROM coverage_camera WHERE id = ?", (_WHOLE_CAMERA,)).fetchone()
    if row is None:
        return None
    try:
        camera = CameraGeometry(**{name: float(value) for name, value in parse_json(row[0]).items()})
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"camera of the coverage: {error}") from error
    if not all(0.0 < value < math.inf for value in asdict(camera).values()):
        raise ValueError(f"camera of the coverage: {camera}")
    return camera


def _plain(frame: SurfaceFrame) -> dict[str, Any]:
    return {"cell_m": frame.cell_m} | {name: getattr(frame, name).tolist() for name in _SHAPES}


def _frame_of(surface_id: int, record: dict[str, Any]) -> SurfaceFrame:
    cell_m = float(record["cell_m"])
    arrays = {name: np.array(record[name], np.float64) for name in _SHAPES}
    for name, shape in _SHAPES.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not a finite array of the shape {shape}")
    if not 0.0 < cell_m < math.inf:
        raise ValueError(f"cell_m is {cell_m}")
    if not np.allclose(arrays["axes"] @ arrays["axes"].T, np.eye(3), atol=1e-6):
        raise ValueError("axes are not orthonormal")
    return SurfaceFrame(int(surface_id), cell_m, **arrays)


def _packed(tile: Cells) -> bytes:
    with np.errstate(over="ignore"):
        return zlib.compress(tile.astype(_STORED).tobytes(), 1)


def _unpacked(data: bytes) -> Cells:
    unpacker = zlib.decompressobj()
    try:
        cells = unpacker.decompress(data, _TILE_BYTES + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(cells) != _TILE_BYTES:
        raise ValueError(f"it holds {len(cells)} bytes instead of {_TILE_BYTES}")
    gsd = np.frombuffer(cells, _STORED).reshape(TILE_CELLS, TILE_CELLS).astype(np.float32)
    if not (np.isnan(gsd) | (gsd >= 0.0)).all():
        raise ValueError("it holds negative numbers")
    return gsd
