# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses in a table: one row a photograph, columns by name, separated by commas, semicolons, tabs or spaces.

=====================  ==========================================================================================
``file``               name of the picture
``x``, ``y``, ``z``    position [m], or ``latitude``, ``longitude`` [deg] and ``altitude`` [m above the ellipsoid]
``yaw``, ``pitch``,    [deg] clockwise from north (the y axis), upwards from the horizon, clockwise about the
``roll``               viewing direction, as a gimbal reports them
``omega``, ``phi``,    [deg] photogrammetric angles, in place of these
``kappa``
``qx`` ... ``qw``      quaternion from the optical frame to the map, in place of these
=====================  ==========================================================================================

Optional are ``time`` [s since 1970, or ISO 8601 text], ``camera``, ``position_sigma`` [m], ``attitude_sigma`` [deg],
and the lens in pixels of the picture: ``fx``, ``fy``, ``cx``, ``cy``, ``k1``, ``k2``, ``k3``, ``p1``, ``p2``,
``width``, ``height``. Tables of Metashape and Pix4D are read as ``table_rows`` describes. Numbers have a decimal point
or, in the whole table, a decimal comma.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.earth import (
    check_place,
    levelled_camera,
    local_position,
    nadir_camera,
    photogrammetric_camera,
)
from crack_perception.photographs.lenses import brown_camera
from crack_perception.photographs.poses.table_rows import BEYOND, DISABLED, read_rows
from crack_perception.photographs.table import Array, PoseTable, TableEntry, Unusable, shift_of, shifted
from crack_perception.photographs.tags import time_ns

FORMAT = "CSV"

_ATTITUDES = (("qx", "qy", "qz", "qw"), ("omega", "phi", "kappa"), ("yaw", "pitch", "roll"))
_LOCAL, _ON_EARTH = ("x", "y", "z"), ("latitude", "longitude", "altitude")
_LENS = ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "p1", "p2", "width", "height")
# Of a quaternion; tables hold rounded numbers.
_LENGTH_TOLERANCE = 0.05
_SIGMAS = ("position_sigma", "attitude_sigma")
_NUMBERS = frozenset({*_LOCAL, *_ON_EARTH, *(name for names in _ATTITUDES for name in names), *_LENS, *_SIGMAS})
# The year 2286: larger numbers are no seconds since 1970 but milliseconds or less.
_LATEST_S = 1e10
_POINT = re.compile(r"\d\.\d|^[+-]?\.\d|\d\.$|\d\.[eE]")
_COMMA = re.compile(r"\d,\d|^[+-]?,\d|\d,$")
_WITHOUT_SECONDS = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_ZONE = re.compile(r"(?P<text>.*\d)\s*(?:(?P<utc>[Zz]|UTC)|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)$")


def read(path: Path, scale: float, wanted: Array | None) -> PoseTable:
    """Read a table.

    Args:
        path: The file.
        scale: Factor on x, y and z.
        wanted: Origin of the map: latitude, longitude and height for a table of places, else coordinates [m].

    Raises:
        UserError: The file is no such table.
    """
    table = read_rows(path)
    rows = _with_points(path, table.rows)
    columns = set(rows[0]) if rows else set()
    missing = {"file"} - columns
    is_on_earth = not set(_LOCAL) <= columns
    attitude = next((names for names in _ATTITUDES if set(names) <= columns), None)
    if missing or attitude is None or (is_on_earth and not set(_ON_EARTH) <= columns):
        raise UserError(
            f"{path}: the columns {', '.join(sorted(columns)) or 'are missing'} are no table of poses",
            "Name them file, x, y, z (or latitude, longitude, altitude) and yaw, pitch, roll (or omega, phi, kappa, or "
            "qx, qy, qz, qw)",
        )
    places: dict[str, tuple[Array, dict[str, str]]] = {}
    unusable: dict[str, Unusable] = {}
    for row in rows:
        name = row.get("file", "").strip()
        try:
            if BEYOND in row:
                raise Unusable(
                    "implausible_pose",
                    "its row has more fields than the table has columns; separate them with ; where numbers "
                    "have commas",
                )
            if DISABLED in row:
                raise Unusable("no_pose", "it is disabled in the program that wrote the table")
            position = np.array([_number(row, each) for each in (_ON_EARTH if is_on_earth else _LOCAL)])
            if is_on_earth and (problem := check_place(*position.tolist())):
                raise Unusable("implausible_pose", problem)
            if name in places:
                raise Unusable("ambiguous_name", "the table has several rows for it")
            places[name] = position if is_on_earth else scale * position, row
        except Unusable as problem_found:
            unusable[name] = problem_found
    positions = np.array([position for position, _ in places.values()]).reshape(-1, 3)
    origin: GeographicOrigin | None = None
    shift_m = np.zeros(3)
    if is_on_earth and len(positions):
        origin = GeographicOrigin(*(np.median(positions, axis=0) if wanted is None else wanted).tolist())
    elif not is_on_earth:
        shift_m = shift_of(positions, wanted)
    entries: dict[str, TableEntry] = {}
    for name, (place, values) in places.items():
        try:
            position_m = local_position(origin, *place.tolist()) if origin is not None else place
            entries[name] = _entry(values, position_m, attitude, shift_m, table.is_nadir)
        except Unusable as problem_found:
            unusable[name] = problem_found
    notes = (*table.notes, *_ignored([values for _, values in places.values()]))
    return PoseTable(FORMAT, entries, unusable, origin, shift_m, notes)


def _ignored(rows: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return remarks about optional values that cannot be read; their photographs are used without them."""
    remarks = []
    readers = {"time": _stamp_ns, **dict.fromkeys(_SIGMAS, _sigma)}
    for name, reader in readers.items():
        bad = [text for row in rows if (text := row.get(name, "").strip()) and reader(text) is None]
        if bad:
            remarks.append(f"{len(bad)} values of the column {name} cannot be read and are ignored, such as '{bad[0]}'")
    return tuple(remarks)


def _with_points(path: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return rows whose numbers have decimal points, whatever the table has.

    Raises:
        UserError: Some numbers have a decimal point and others a comma, so that 1,234 may be either of two numbers.
    """
    with_point = with_comma = ""
    for row in rows:
        for name in _NUMBERS & row.keys():
            text = row[name].strip()
            # Of a number with both, the last one is the decimal one.
            if _COMMA.search(text) and text.rfind(",") > text.rfind("."):
                with_comma = with_comma or text
            elif _POINT.search(text):
                with_point = with_point or text
    if not with_comma:
        return [row | {name: row[name].replace(",", "") for name in _NUMBERS & row.keys()} for row in rows]
    if with_point:
        raise UserError(
            f"{path}: has numbers with a decimal comma ('{with_comma}') and with a decimal point ('{with_point}')",
            "Export it with one of them",
        )
    return [
        row | {name: row[name].replace(".", "").replace(",", ".") for name in _NUMBERS & row.keys()} for row in rows
    ]


def _number(row: Mapping[str, str], name: str, default: float | None = None) -> float:
    text = (row.get(name) or "").strip()
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Unusable("implausible_pose" if text else "no_pose", f"its {name} is '{text}'")
    return value


def _entry(
    row: Mapping[str, str], position_m: Array, attitude: tuple[str, ...], shift_m: Array, is_nadir: bool
) -> TableEntry:
    numbers = [_number(row, name) for name in attitude]
    is_level = False
    if attitude[0] == "yaw" and is_nadir:
        quaternion, is_level = nadir_camera(*numbers), True
    elif attitude[0] == "yaw":
        quaternion, is_level = levelled_camera(*numbers), True
    elif attitude[0] == "omega":
        quaternion = photogrammetric_camera(*numbers)
    else:
        quaternion = np.array(numbers)
        length = float(np.linalg.norm(quaternion))
        if abs(length - 1.0) > _LENGTH_TOLERANCE:
            raise Unusable("implausible_pose", f"its quaternion has the length {length:g}, not one")
    try:
        pose = shifted(Pose.of(position_m, quaternion), shift_m)
    except ValueError as error:
        raise Unusable("implausible_pose", str(error)) from error
    sigma_m, sigma_deg = (_sigma(row.get(name, "").strip()) for name in _SIGMAS)
    return TableEntry(
        pose=pose,
        camera=_camera(row),
        camera_name=(row.get("camera") or "").strip(),
        position_sigma_m=np.full(3, sigma_m) if sigma_m else None,
        attitude_sigma_rad=math.radians(sigma_deg) if sigma_deg else None,
        stamp_ns=_stamp_ns(row.get("time", "").strip()),
        is_level=is_level,
    )


def _sigma(text: str) -> float | None:
    """Return a standard deviation; None where it is none, 0 where it is not known."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 <= value < math.inf else None


def _stamp_ns(text: str) -> int | None:
    """Return the nanoseconds of seconds since 1970 or another moment, or of a date and time; None where it is none."""
    try:
        seconds = float(text.replace(",", "."))
    except ValueError:
        zone = ""
        if (match := _ZONE.fullmatch(text)) is not None:
            text = match["text"]
            zone = "" if match["utc"] else f"{match['sign']}{match['hours']}:{match['minutes'] or '00'}"
        text += ":00" if _WITHOUT_SECONDS.fullmatch(text) else ""
        return time_ns(text.replace(",", "."), zone=zone)
    return round(seconds * 1e9) if 0.0 < seconds < _LATEST_S else None


def _camera(row: Mapping[str, str]) -> CameraModel | None:
    if not (row.get("fx") or "").strip():
        return None
    size_px = (int(_number(row, "width")), int(_number(row, "height")))
    fx = _number(row, "fx")
    centre_px = (_number(row, "cx", (size_px[0] - 1) / 2), _number(row, "cy", (size_px[1] - 1) / 2))
    radial = [_number(row, name, 0.0) for name in ("k1", "k2", "k3")]
    tangential = (_number(row, "p1", 0.0), _number(row, "p2", 0.0))
    return brown_camera(size_px, (fx, _number(row, "fy", fx)), centre_px, radial, tangential)
