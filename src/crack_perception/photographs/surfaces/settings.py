# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Settings of the surface and the measurements, with the names of the node's parameters."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from crack_perception.documents import parse_yaml
from crack_perception.errors import UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.map_planes import MapPlane, MapPlanes
from crack_perception.geometry.surface.plane import SURFACE_ASSUMPTIONS
from crack_perception.photographs.table import Array

_MOST_BYTES = 1 << 20
_LEAF = "ros__parameters"


@dataclass(frozen=True)
class SurfaceSettings:
    """Settings of the surface; the names in brackets are those of the node's parameters.

    Attributes:
        equations: (``map_planes.equations``) nx, ny, nz, d of each plane.
        sigma_m: (``map_planes.sigma_m``) of the planes, a mesh or a point cloud, along the normal.
        normal_sigma_deg: (``map_planes.normal_sigma_deg``) of their direction.
        standoff_m: (``standoff_m``) distance where nothing else gives one; None: no assumption.
        standoff_relative_sigma: (``standoff_relative_sigma``) of it.
        surface: (``surface``) direction of a surface of which only the distance is known.
        surface_normal_sigma_deg: (``surface_normal_sigma_deg``) of that direction.
        range_relative_sigma, range_floor_sigma_m: (same names) of a rangefinder.
        max_gsd_mm_per_px: (``max_gsd_mm_per_px``) coarsest plausible ground sampling distance.
        max_crack_width_mm: (``max_crack_width_mm``) widest plausible crack.
        resolvable_width_px: (``resolvable_width_px``) finest width that the camera resolves.
        pixel_px: (``noise.pixel_px``) of a region's centre.
    """

    equations: tuple[float, ...] = ()
    sigma_m: float = 0.05
    normal_sigma_deg: float = 1.0
    standoff_m: float | None = None
    standoff_relative_sigma: float = 0.1
    surface: str = SURFACE_ASSUMPTIONS[0]
    surface_normal_sigma_deg: float = 5.0
    range_relative_sigma: float = 0.01
    range_floor_sigma_m: float = 0.01
    max_gsd_mm_per_px: float = 30.0
    max_crack_width_mm: float = 300.0
    resolvable_width_px: float = 1.0
    pixel_px: float = 2.0

    def planes(self, shift_m: Array, scale: float, turn: Pose) -> MapPlanes:
        """Return the planes in the frame of the map.

        Args:
            shift_m: (3,) coordinates [m] of the map's origin in the coordinates of the planes.
            scale: Metres per unit of the planes' coordinates.
            turn: Rotation and shift to the map, after scale and origin.

        Raises:
            UserError: A plane has no normal.
        """
        try:
            given = MapPlanes.of(self.equations, self.sigma_m, math.radians(self.normal_sigma_deg))
        except ValueError as error:
            raise UserError(f"map_planes.equations: {error}", "Give nx, ny, nz, d of each plane") from error
        moved = []
        for each in given.planes:
            normal = turn.rotation @ each.normal
            offset_m = scale * each.offset_m - float(each.normal @ shift_m) + float(normal @ turn.position_m)
            moved.append(MapPlane(normal, offset_m))
        return replace(given, planes=tuple(moved))


_NAMES: Mapping[str, str] = {
    "map_planes.equations": "equations",
    "map_planes.sigma_m": "sigma_m",
    "map_planes.normal_sigma_deg": "normal_sigma_deg",
    "noise.pixel_px": "pixel_px",
    **{each.name: each.name for each in fields(SurfaceSettings)[3:-1]},
}
"""Name of the parameter -> field."""


def read_settings(path: Path) -> SurfaceSettings:
    """Read settings from YAML: the parameters by name, or a parameter file of the node.

    Raises:
        UserError: The file cannot be read, a name is unknown or a value impossible.
    """
    return settings_of(read_values(path), str(path))


def settings_of(parameters: Mapping[str, Any], where: str) -> SurfaceSettings:
    """Return the settings of parameters by name; those of other parts of the node are left out.

    Args:
        parameters: Their values.
        where: Where they come from, for messages.

    Raises:
        UserError: A value is impossible.
    """
    values = {_NAMES[name]: _value(where, name, value) for name, value in parameters.items() if name in _NAMES}
    # The node's zero means "none".
    if not values.get("standoff_m"):
        values.pop("standoff_m", None)
    for name in ("max_gsd_mm_per_px", "max_crack_width_mm"):
        if values.get(name) == 0:
            values[name] = math.inf
    return SurfaceSettings(**values)


def read_values(path: Path) -> dict[str, Any]:
    """Read the parameters of a file by name, as for ``read_settings``.

    Raises:
        UserError: The file cannot be read, or a name is unknown.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: is no file of settings, it has {path.stat().st_size} bytes", "Check the path")
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})", "Check the path") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is no YAML ({str(error).splitlines()[0]})", "Check its indentation") from error
    blocks = list(_leaves(document))
    is_node_file = bool(blocks)
    found: dict[str, Any] = {}
    for block in blocks or [document]:
        if isinstance(block, Mapping):
            found |= dict(_flat(block))
    if not found:
        raise UserError(f"{path}: holds no settings", "Give map_planes.equations or standoff_m")
    unknown = sorted(set(found) - set(_NAMES))
    if unknown and not is_node_file:
        near = difflib.get_close_matches(unknown[0], _NAMES, 1)
        raise UserError(f"{path}: the setting '{unknown[0]}' is unknown", f"Known: {', '.join(near or sorted(_NAMES))}")
    return found


def _value(where: str, name: str, value: Any) -> Any:
    if name == "map_planes.equations":
        numbers = [value] if isinstance(value, int | float) else value
        if not isinstance(numbers, list) or not all(_is_number(each) for each in numbers):
            raise UserError(f"{where}: {name} is {value!r}", "Give a list of numbers, nx, ny, nz, d of each plane")
        return () if not any(numbers) else tuple(float(each) for each in numbers)
    if name == "surface":
        if value not in SURFACE_ASSUMPTIONS:
            raise UserError(f"{where}: {name} is {value!r}", f"Known: {', '.join(SURFACE_ASSUMPTIONS)}")
        return value
    if not _is_number(value) or value < 0:
        raise UserError(f"{where}: {name} is {value!r}", "Give a number, 0 or more")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _leaves(document: Any) -> Iterator[Any]:
    if isinstance(document, Mapping):
        for key, value in document.items():
            if key == _LEAF:
                yield value
            else:
                yield from _leaves(value)


def _flat(block: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
