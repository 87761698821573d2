# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Ground truth of a simulated flight: data model, writer and checked reader of ``truth.json``.

Every array is float64. Points are metres in the map frame, widths millimetres, stamps integer nanoseconds; poses are
``T_map_camera`` (camera optical frame to map), quaternions ``(x, y, z, w)``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.simulation.flight.json_fields import Fields

FORMAT = "crack_perception/truth"
VERSION = 2
FILE_NAME = "truth.json"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TruthCamera:
    """Intrinsics as in sensor_msgs/CameraInfo: ``k`` row-major (9,), ``d`` as ``distortion_model`` defines it."""

    width: int
    height: int
    k: FloatArray
    d: FloatArray
    distortion_model: str


@dataclass(frozen=True, eq=False)
class TruthSurface:
    """Facet of the structure: a rectangle from ``origin_m`` by ``u_axis``, ``v_axis`` (orthonormal, (3,) each).

    The upper left corner of the texture's first pixel lies at the origin, its columns run along u and its rows along v;
    ``normal`` points to the camera's side.
    """

    origin_m: FloatArray
    u_axis: FloatArray
    v_axis: FloatArray
    size_m: FloatArray
    normal: FloatArray
    texture: str | None
    texture_mm_per_px: float

    def to_map(self, uv_m: FloatArray) -> FloatArray:
        """Return map points (N, 3) of surface coordinates (N, 2) in metres."""
        return self.origin_m + uv_m[:, :1] * self.u_axis + uv_m[:, 1:2] * self.v_axis

    def to_surface(self, points_m: FloatArray) -> FloatArray:
        """Return surface coordinates (N, 2) [m] of map points (N, 3), projected along the normal."""
        return (points_m - self.origin_m) @ np.stack([self.u_axis, self.v_axis], axis=1)


@dataclass(frozen=True, eq=False)
class TruthCrack:
    """One branch of a crack: centreline (N, 3) in metres with the width at every vertex (N,) in millimetres.

    ``surface`` is the index of its facet.
    """

    id: int
    polyline_m: FloatArray
    width_mm: FloatArray
    width_mean_mm: float
    surface: int = 0

    @property
    def length_m(self) -> float:
        """Length of the centreline."""
        return float(np.linalg.norm(np.diff(self.polyline_m, axis=0), axis=1).sum())


@dataclass(frozen=True, eq=False)
class TruthCell:
    """Labelled square of a photograph used as texture; ``corners_m`` (4, 3) in order around the square."""

    corners_m: FloatArray
    cracked: bool
    surface: int = 0


@dataclass(frozen=True)
class VisibleCrack:
    """Share of a crack's length inside an image, above 0."""

    id: int
    fraction: float


@dataclass(frozen=True, eq=False)
class TruthFrame:
    """Exact camera pose of one image; GSD at the image centre and range along the optical axis.

    The image shows the facet of index ``surface`` and nothing else.
    """

    stamp_ns: int
    position_m: FloatArray
    quaternion_xyzw: FloatArray
    gsd_mm_per_px: float
    range_m: float
    visible: tuple[VisibleCrack, ...]
    surface: int = 0


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth of a flight; ``complete`` if every crack is listed in ``cracks`` or ``cells``."""

    map_frame: str
    camera_frame: str
    base_frame: str
    camera: TruthCamera
    surfaces: tuple[TruthSurface, ...]
    cracks: tuple[TruthCrack, ...]
    cells: tuple[TruthCell, ...]
    complete: bool
    frames: tuple[TruthFrame, ...]


def write_truth(truth: Truth, path: Path) -> None:
    """Write the file (JSON, metres rounded to the micrometre, unit vectors to 1e-9)."""
    path.write_text(json.dumps(_to_json(truth), separators=(",", ":")) + "\n", encoding="utf-8")


def load_truth(path: Path | str) -> Truth:
    """Read and check a truth file.

    Args:
        path: The file, or the bag folder that holds ``truth.json``.

    Raises:
        UserError: The file is missing, is not JSON, has another format or version, or a field is missing or wrong;
            the message names the file and the field.
    """
    file = Path(path)
    if file.is_dir():
        file = file / FILE_NAME
    try:
        document = parse_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{file}: no such truth file", "Give the truth.json written by `crack_perception simulate`"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"{file}: cannot be read as JSON ({error})", "Give the truth.json written by `crack_perception simulate`"
        ) from None
    fields = Fields(document, str(file))
    version = fields.integer("version") if fields.text("format") == FORMAT else 0
    if not 1 <= version <= VERSION:
        raise UserError(
            f"{file}: is not a {FORMAT} file of version 1 to {VERSION}", "Simulate the flight again with this version"
        )
    return _truth(fields, version)


def _truth(fields: Fields, version: int) -> Truth:
    # Version 1 has a single surface and no surface indices.
    surfaces = tuple(
        _surface(surface) for surface in (fields.children("surfaces") if version > 1 else [fields.child("surface")])
    )
    if not surfaces:
        raise fields.wrong("surfaces", "must hold at least one surface")

    def index(item: Fields) -> int:
        return item.integer("surface", minimum=0, maximum=len(surfaces) - 1) if version > 1 else 0

    frames = tuple(_frame(frame, index(frame)) for frame in fields.children("frames"))
    stamps = [frame.stamp_ns for frame in frames]
    if any(later <= earlier for earlier, later in pairwise(stamps)):
        raise fields.wrong("frames", "must be in order of their stamps, each once")
    cracks = tuple(_crack(crack, index(crack)) for crack in fields.children("cracks"))
    known = {crack.id for crack in cracks}
    if len(known) != len(cracks):
        raise fields.wrong("cracks", "must have distinct ids")
    if any(seen.id not in known for frame in frames for seen in frame.visible):
        raise fields.wrong("frames", "must name only ids of cracks as visible")
    return Truth(
        map_frame=fields.text("map_frame"),
        camera_frame=fields.text("camera_frame"),
        base_frame=fields.text("base_frame"),
        camera=_camera(fields.child("camera")),
        surfaces=surfaces,
        cracks=cracks,
        cells=tuple(
            TruthCell(cell.numbers("corners_m", (4, 3)), cell.boolean("cracked"), index(cell))
            for cell in fields.children("cells")
        ),
        complete=fields.boolean("complete"),
        frames=frames,
    )


def _camera(fields: Fields) -> TruthCamera:
    return TruthCamera(
        width=fields.integer("width", minimum=1),
        height=fields.integer("height", minimum=1),
        k=fields.numbers("k", (9,)),
        d=fields.numbers("d", (None,)),
        distortion_model=fields.text("distortion_model"),
    )


def _surface(fields: Fields) -> TruthSurface:
    u_axis, v_axis = fields.unit_vector("u_axis", 3), fields.unit_vector("v_axis", 3)
    if abs(float(u_axis @ v_axis)) > 1e-6:
        raise fields.wrong("v_axis", "must be perpendicular to u_axis")
    return TruthSurface(
        origin_m=fields.numbers("origin_m", (3,)),
        u_axis=u_axis,
        v_axis=v_axis,
        size_m=fields.numbers("size_m", (2,)),
        normal=fields.unit_vector("normal", 3),
        texture=fields.optional_text("texture"),
        texture_mm_per_px=fields.number("texture_mm_per_px", above=0.0),
    )


def _crack(fields: Fields, surface: int) -> TruthCrack:
    polyline_m = fields.numbers("polyline_m", (None, 3))
    if len(polyline_m) < 2:
        raise fields.wrong("polyline_m", "must have at least two vertices")
    return TruthCrack(
        id=fields.integer("id"),
        polyline_m=polyline_m,
        width_mm=fields.numbers("width_mm", (len(polyline_m),)),
        width_mean_mm=fields.number("width_mean_mm", above=0.0),
        surface=surface,
    )


def _frame(fields: Fields, surface: int) -> TruthFrame:
    return TruthFrame(
        stamp_ns=fields.integer("stamp_ns", minimum=0),
        position_m=fields.numbers("position_m", (3,)),
        quaternion_xyzw=fields.unit_vector("quaternion_xyzw", 4),
        gsd_mm_per_px=fields.number("gsd_mm_per_px", above=0.0),
        range_m=fields.number("range_m", above=0.0),
        visible=tuple(
            VisibleCrack(seen.integer("id"), seen.number("fraction", above=0.0)) for seen in fields.children("visible")
        ),
        surface=surface,
    )


def _to_json(truth: Truth) -> dict[str, Any]:
    camera = truth.camera
    return {
        "format": FORMAT,
        "version": VERSION,
        "map_frame": truth.map_frame,
        "camera_frame": truth.camera_frame,
        "base_frame": truth.base_frame,
        "camera": {
            "width": camera.width,
            "height": camera.height,
            "k": camera.k.tolist(),
            "d": camera.d.tolist(),
            "distortion_model": camera.distortion_model,
        },
        "surfaces": [
            {
                "origin_m": _rounded(surface.origin_m, 6),
                "u_axis": _rounded(surface.u_axis, 9),
                "v_axis": _rounded(surface.v_axis, 9),
                "size_m": _rounded(surface.size_m, 6),
                "normal": _rounded(surface.normal, 9),
                "texture": surface.texture,
                "texture_mm_per_px": surface.texture_mm_per_px,
            }
            for surface in truth.surfaces
        ],
        "cracks": [
            {
                "id": crack.id,
                "surface": crack.surface,
                "polyline_m": _rounded(crack.polyline_m, 6),
                "width_mm": _rounded(crack.width_mm, 4),
                "width_mean_mm": round(crack.width_mean_mm, 4),
            }
            for crack in truth.cracks
        ],
        "cells": [
            {"corners_m": _rounded(cell.corners_m, 6), "cracked": cell.cracked, "surface": cell.surface}
            for cell in truth.cells
        ],
        "complete": truth.complete,
        "frames": [
            {
                "stamp_ns": frame.stamp_ns,
                "surface": frame.surface,
                "position_m": _rounded(frame.position_m, 9),
                "quaternion_xyzw": _rounded(frame.quaternion_xyzw, 9),
                "gsd_mm_per_px": round(frame.gsd_mm_per_px, 6),
                "range_m": round(frame.range_m, 6),
                "visible": [{"id": seen.id, "fraction": round(seen.fraction, 4)} for seen in frame.visible],
            }
            for frame in truth.frames
        ],
    }


def _rounded(values: FloatArray, decimals: int) -> Any:
    return np.round(values, decimals).tolist()
