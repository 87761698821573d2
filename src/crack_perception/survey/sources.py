# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings of a survey: found in folders, assigned to structures, identified by their content."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from crack_perception.errors import UsageError, UserError
from crack_perception.evaluation.recordings.location import METADATA, RECORDING_SUFFIXES
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.vision.images.files import PICTURE_SUFFIXES, RAW_SUFFIXES

_READ_BYTES = 1 << 20
_FILE_CHARACTERS = 16
# Photographs and orthophotos that belong to a map file beside them.
_OF_MAPS = (".photographs", ".orthophoto")
_PICTURES = frozenset({*PICTURE_SUFFIXES, *RAW_SUFFIXES})
_ORIGIN_COLUMNS = ("latitude", "longitude", "height", "heading")


class SourceKind(Enum):
    """Kind of a recording."""

    BAG = "bag"
    PHOTOGRAPHS = "photographs"


FileStates = tuple[tuple[str, int, int], ...]
"""Name, size and time of change [ns] of every file of a recording."""


@dataclass(frozen=True)
class Content:
    """Content of a recording.

    Attributes:
        sha256: Of the names and contents of its files.
        files: Digest of every file that is not empty.
        state: Of the files before they were read; equal contents may differ in it.
    """

    sha256: str
    files: tuple[str, ...]
    state: FileStates = field(compare=False)


@dataclass(frozen=True)
class Source:
    """Recording of a survey.

    Attributes:
        path: Folder or file, absolute.
        kind: What it is.
        name: Path below the input.
        structure: Structure that it shows.
        top: Input below which it was found; files beside it are looked for up to there.
        origin: Place on the earth of the structure's map; None where it is not given.
    """

    path: Path
    kind: SourceKind
    name: str
    structure: str
    top: Path
    origin: GeographicOrigin | None = None

    def beside(self, *names: str) -> Path | None:
        """Return the first file of these names in its folder or the nearest folder above, up to the input."""
        for folder in (self.path, *self.path.parents):
            for name in names:
                if (folder / name).is_file():
                    return folder / name
            if folder == self.top:
                break
        return None

    def files(self) -> list[Path]:
        """Return its files, sorted by name."""
        if self.path.is_file():
            return [self.path]
        suffixes = (*RECORDING_SUFFIXES, ".db3-wal", METADATA) if self.kind is SourceKind.BAG else tuple(_PICTURES)
        names = {path.name for path in self.path.iterdir()}
        chosen = (name for name in names if name.lower().endswith(suffixes) and not _is_of_a_map(name, names))
        return sorted(path for path in map(self.path.joinpath, chosen) if path.is_file())

    @property
    def size_bytes(self) -> int:
        """Size of its files; those that cannot be read do not count."""
        total = 0
        with suppress(OSError):
            for path in self.files():
                total += path.stat().st_size
        return total

    def state(self) -> FileStates:
        """Return name, size and time of change of its files, which differ when one of them is written.

        Raises:
            UserError: A file cannot be read.
        """
        try:
            found = [(path.name, path.stat()) for path in self.files()]
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror})", "Check its permissions") from error
        return tuple((readable(name), status.st_size, status.st_mtime_ns) for name, status in found)

    def check_unchanged(self, state: FileStates) -> None:
        """Check that no file was changed, added or removed.

        Args:
            state: Earlier state.

        Raises:
            UserError: One was, or cannot be read.
        """
        if self.state() != state:
            raise UserError(
                f"{self.path}: was changed while it was read", "Run the same command again when nothing writes to it"
            )

    def content(self) -> Content:
        """Return digests of its files, whatever its path is.

        Raises:
            UserError: A file cannot be read, or is changed meanwhile.
        """
        state = self.state()
        whole, files = hashlib.sha256(self.kind.value.encode()), []
        for path in self.files():
            digest, size = hashlib.sha256(), 0
            try:
                with path.open("rb") as file:
                    while block := file.read(_READ_BYTES):
                        digest.update(block)
                        size += len(block)
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror})", "Check its permissions") from error
            # The name of a single file is its path, which does not count.
            name = "" if path == self.path else path.name
            whole.update(f"\0{name}\0{size}\0{digest.hexdigest()}".encode("utf-8", "surrogateescape"))
            if size:
                files.append(digest.hexdigest()[:_FILE_CHARACTERS])
        self.check_unchanged(state)
        return Content(whole.hexdigest(), tuple(files), state)

    def content_digest(self) -> str:
        """Return the SHA-256 of its files' names, sizes and contents, see ``content``."""
        return self.content().sha256


@dataclass(frozen=True)
class StructureTable:
    """Table of the structures, from a CSV file.

    Attributes:
        structure_of: Path of a recording or of a folder of recordings -> name of the structure.
        origins: Structure -> place of its map on the earth, where it is given.
        otherwise: Structure of all other paths; empty for that of the layout.
    """

    structure_of: dict[Path, str] = field(default_factory=dict)
    origins: dict[str, GeographicOrigin] = field(default_factory=dict)
    otherwise: str = ""

    def structure(self, path: Path) -> str | None:
        """Return the structure of a path or of its nearest folder in the table; None where there is none."""
        return next((self.structure_of[place] for place in (path, *path.parents) if place in self.structure_of), None)


def read_structure_table(path: Path) -> StructureTable:
    """Read a CSV table with the columns ``path`` (relative to the table) and ``structure``.

    The columns ``latitude``, ``longitude``, ``height`` and ``heading`` are optional: place of the map's origin on the
    earth (WGS 84, degrees, metres above the ellipsoid) and heading of its x axis (degrees clockwise from north).

    Raises:
        UserError: The file cannot be read, or a row is incomplete.
    """
    table = StructureTable()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})", "Give a CSV file in UTF-8") from error
    for number, row in enumerate(rows, start=2):
        place, structure = (row.get("path") or "").strip(), (row.get("structure") or "").strip()
        if not place or not structure:
            raise UserError(f"{path}, line {number}: path or structure is empty", "Give the columns path,structure")
        table.structure_of[(path.absolute().parent / place).resolve()] = structure
        origin = [(row.get(name) or "").strip() for name in _ORIGIN_COLUMNS]
        if any(origin):
            try:
                table.origins[structure] = GeographicOrigin(
                    *(float(text or default) for text, default in zip(origin, ("nan", "nan", "0", "90"), strict=True))
                )
            except ValueError as error:
                raise UserError(f"{path}, line {number}: {error}", "Give numbers") from error
    return table


def find_sources(inputs: Sequence[Path], table: StructureTable, out: Path | None = None) -> list[Source]:
    """Find the recordings of the inputs, sorted by structure and name.

    A folder with a ``metadata.yaml`` is a bag; without one, each of its bag files is one. A folder with pictures is a
    recording of photographs, unless they belong to a map file. Links to folders are followed. The structure is that of
    the table, else the first folder below the input, else, of a file in the input itself, the input's own name, else,
    where the input is itself a recording, its folder.

    Args:
        inputs: Files, or folders that are searched with their subfolders.
        table: Structures by path.
        out: Output folder, which is not searched; None where it is not a local folder.

    Raises:
        UsageError: An input does not exist or contains no recording.
    """
    found: dict[Path, Source] = {}
    for given in inputs:
        top = given.absolute()
        if not top.exists():
            raise UsageError(f"{given} does not exist", "Give folders or files of recordings")
        recordings = list(_recordings(top, out))
        if not recordings:
            raise UsageError(
                f"{given}: contains neither bags ({', '.join(RECORDING_SUFFIXES[:3])}) nor pictures", "Check the path"
            )
        for path, kind in recordings:
            below = path.relative_to(top).parts
            if below:
                # A file is in its folder; a folder that is a recording may be that of a structure.
                layout, name = (
                    top.name if path.is_file() and len(below) == 1 else below[0],
                    "/".join((top.name, *below)),
                )
            else:
                layout, name = path.parent.name, path.name
            resolved = path.resolve()
            named = table.structure(resolved) or table.structure(path) or table.otherwise
            structure = named or readable(layout) or "structure"
            origin = table.origins.get(structure)
            found.setdefault(resolved, Source(path, kind, readable(name), structure, top, origin))
    return sorted(found.values(), key=lambda source: (source.structure, source.name))


def readable(name: str) -> str:
    """Return the name of a file as text: one that is not in UTF-8 is read as Latin-1, as older systems write it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("latin-1")
    return name


def _recordings(top: Path, out: Path | None) -> Iterator[tuple[Path, SourceKind]]:
    if top.is_file():
        if top.suffix.lower() in _PICTURES:
            raise UsageError(f"{readable(str(top))} is a single picture", "Give the folder of the photographs")
        yield top, SourceKind.BAG
        return
    left_out = None if out is None else out.resolve()
    visited = {top.resolve()}
    for parent, folders, names in os.walk(top, followlinks=True):
        folder = Path(parent)
        kept = []
        for name in sorted(folders):
            resolved = (folder / name).resolve()  # a link may lead back to a folder above
            if resolved != left_out and resolved not in visited and not name.lower().endswith(_OF_MAPS):
                visited.add(resolved)
                kept.append(name)
        folders[:] = kept
        if METADATA in names:
            yield folder, SourceKind.BAG
            folders.clear()
            continue
        bags = [name for name in sorted(names) if name.lower().endswith(RECORDING_SUFFIXES)]
        yield from ((folder / name, SourceKind.BAG) for name in bags)
        if any(Path(name).suffix.lower() in _PICTURES and not _is_of_a_map(name, names) for name in names):
            yield folder, SourceKind.PHOTOGRAPHS


def _is_of_a_map(name: str, names: Collection[str]) -> bool:
    """Return whether a file is the plan of a map file beside it."""
    return f"{Path(name).stem}.sqlite" in names
