# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Find the poses of a folder of photographs and read them in their format."""

from __future__ import annotations

from pathlib import Path

from crack_perception.errors import UsageError, UserError
from crack_perception.photographs.documents import read_xml
from crack_perception.photographs.poses import colmap, context_capture, csv_table, metashape, opendronemap
from crack_perception.photographs.table import Array, PoseTable

# Folders below that of the photographs in which programs leave their results.
_FOLDERS = ("", "sparse/0", "sparse", "odm_report", "opensfm", "..", "../sparse/0", "../odm_report")
_SNIFFED_BYTES = 4096
_TEXT_SUFFIXES = (".csv", ".txt", ".tsv")


def read_poses(folder: Path, given: Path | None, scale: float, wanted: Array | None) -> PoseTable | None:
    """Read the poses of photographs.

    Args:
        folder: The photographs.
        given: File or folder with the poses; None: a known file near the photographs.
        scale: Metres per unit of their positions.
        wanted: Origin of the map in the coordinates of the poses, or latitude, longitude and height.

    Returns:
        None where there is no such file: the poses may be in the tags of the photographs.

    Raises:
        UserError: A file cannot be read, is of no known format, or several were found.
    """
    path = _found(folder) if given is None else _in(given)
    if path is None:
        return None
    if path.name in colmap.NAMES:
        return colmap.read(path, scale, wanted)
    suffix = path.suffix.lower()
    if suffix in (".geojson", ".json"):
        return opendronemap.read(path, scale, wanted)
    if suffix == ".xml":
        root = read_xml(path)
        if metashape.is_metashape(root):
            return metashape.read(path, scale, wanted)
        if context_capture.is_context_capture(root):
            return context_capture.read(path, scale, wanted)
        raise UserError(
            f"{path}: <{root.tag}> is no known table of poses", "Export the cameras as Agisoft XML or BlocksExchange"
        )
    if suffix in _TEXT_SUFFIXES:
        return csv_table.read(path, scale, wanted)
    raise UserError(
        f"{path}: is no known table of poses",
        "Give a COLMAP model, shots.geojson, an XML of Metashape or ContextCapture, or a CSV table",
    )


def _in(given: Path) -> Path:
    """Return the file of poses that the user gave, in a folder the one that it holds."""
    if not given.exists():
        raise UserError(f"{given}: no such file or folder", "Check --poses")
    if given.is_file():
        if given.name.startswith("cameras.") and given.with_name(f"images{given.suffix}").is_file():
            return given.with_name(f"images{given.suffix}")
        return given
    found = _found(given)
    if found is None:
        raise UserError(f"{given}: holds no known table of poses", "Give the file with --poses")
    return found


def _looks_known(path: Path) -> bool:
    """Return whether an XML file begins as one with poses; others may lie beside photographs."""
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED_BYTES).replace(b"\x00", b"")
    except OSError:
        return False
    return b"<BlocksExchange" in start or b"<document" in start


def _found(folder: Path) -> Path | None:
    """Return the one table of poses near a folder.

    Raises:
        UsageError: There are several of different formats.
    """
    found: dict[str, Path] = {}
    for below in _FOLDERS:
        place = folder / below
        for kind, names in ((colmap.FORMAT, colmap.NAMES), (opendronemap.FORMAT, opendronemap.NAMES)):
            path = next((place / name for name in names if (place / name).is_file()), None)
            if path is not None:
                found.setdefault(kind, path)
    for path in sorted(folder.glob("*.xml")):
        if _looks_known(path):
            found[str(path)] = path
    for path in sorted(folder.glob("poses.*")):
        if path.suffix.lower() in _TEXT_SUFFIXES:
            found[str(path)] = path
    if len(found) > 1:
        raise UsageError(
            f"{folder}: there are several tables of poses: {', '.join(map(str, found.values()))}",
            "Give one of them with --poses",
        )
    return next(iter(found.values()), None)
