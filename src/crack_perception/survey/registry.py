# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings that an archive holds from all its runs, identified by the contents of their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from crack_perception.documents import parse_json
from crack_perception.errors import UsageError, UserError
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.survey.settings import FORMAT
from crack_perception.survey.sources import StructureTable
from crack_perception.survey.storage import Storage

SUMMARY = "survey.json"


@dataclass(frozen=True)
class Entry:
    """Recording of an archive.

    Attributes:
        structure: Structure that it shows.
        plain: Its values in the summary.
    """

    structure: str
    plain: dict[str, Any]

    @property
    def is_finished(self) -> bool:
        """Return whether it has results."""
        return not self.plain.get("problem") and bool(self.plain.get("key"))

    @property
    def name(self) -> str:
        """Name below its input."""
        return str(self.plain["name"])

    @property
    def marks(self) -> Iterator[str]:
        """Yield everything that a recording which takes its place may share with it."""
        for name in ("path", "key"):
            if self.plain.get(name):
                yield f"{name} {self.plain[name]}"
        yield from self._files

    @cached_property
    def _files(self) -> frozenset[str]:
        return frozenset(self.plain.get("files") or ())

    def is_replaced_by(self, newer: Entry) -> bool:
        """Return whether a recording of a later run takes its place.

        It does where it holds all of its files, whatever their path is, or where it has the same path and some of them:
        a folder of photographs that was added to, or a bag that was repaired. Other files at the same path, as on an
        exchanged memory card, are another recording.
        """
        is_same_path = self.plain["path"] == newer.plain["path"]
        if not newer.is_finished:
            return is_same_path and not self.is_finished
        if not self.plain.get("key"):
            return is_same_path
        own, other = self._files, newer._files
        return (
            self.plain["key"] == newer.plain["key"]
            or (bool(own) and own <= other)
            or (is_same_path and (not own or not own.isdisjoint(other)))
        )


@dataclass(frozen=True)
class Registry:
    """Recordings and structures of an archive.

    Attributes:
        entries: Recordings.
        origins: Structure -> place of its map on the earth, where it was given.
        structures: Structure -> its values in the summary, without recordings.
        stored: Content of the summary; None where there is none.
    """

    entries: tuple[Entry, ...] = ()
    origins: dict[str, GeographicOrigin] = field(default_factory=dict)
    structures: dict[str, dict[str, Any]] = field(default_factory=dict)
    stored: bytes | None = None

    def with_origins(self, table: StructureTable) -> StructureTable:
        """Return a table with the places of earlier runs where it gives none."""
        return replace(table, origins=self.origins | table.origins)

    def without(self, names: Sequence[str]) -> tuple[Registry, tuple[Entry, ...]]:
        """Return the registry without some recordings, and these.

        Args:
            names: Names or keys of recordings, or names of structures for all of their recordings.

        Raises:
            UsageError: There is none of a name.
        """
        removed: list[Entry] = []
        for name in names:
            found = [each for each in self.entries if name in (each.structure, each.name, each.plain.get("key"))]
            if not found:
                raise UsageError(
                    f"--remove {name}: the archive has no such structure or recording",
                    f"Its structures are {', '.join(sorted({each.structure for each in self.entries})) or 'none'}; "
                    f"{SUMMARY} has the names and keys of the recordings",
                )
            removed += [each for each in found if not any(each is other for other in removed)]
        kept = tuple(each for each in self.entries if not any(each is other for other in removed))
        return replace(self, entries=kept), tuple(removed)

    def replacing(self, newer: Sequence[Entry]) -> list[list[int]]:
        """Return for every recording the indices of the recordings of a later run that take its place."""
        places: dict[str, set[int]] = {}
        for index, each in enumerate(newer):
            for mark in each.marks:
                places.setdefault(mark, set()).add(index)
        found = []
        for entry in self.entries:
            near = set().union(*(places.get(mark, ()) for mark in entry.marks))
            found.append([index for index in sorted(near) if entry.is_replaced_by(newer[index])])
        return found


def read_registry(storage: Storage) -> Registry:
    """Read the registry of an archive; an empty one where there is no archive yet.

    Raises:
        UserError: It cannot be read.
    """
    data = storage.read(SUMMARY)
    if data is None:
        return Registry()
    try:
        return replace(_registry(parse_json(data)), stored=data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{storage.url}/{SUMMARY}: is damaged ({error})",
            "Restore it, or remove it and give all recordings of the archive again",
        ) from error


def check_unchanged(storage: Storage, registry: Registry) -> None:
    """Check that nobody has written to an archive since its registry was read: in object storage nothing prevents it.

    Raises:
        UserError: Somebody has, or it cannot be read.
    """
    if storage.read(SUMMARY) != registry.stored:
        raise UserError(
            f"{storage.url}/{SUMMARY}: was changed by another run meanwhile",
            "Run the same command again when no other one writes to the archive: finished recordings are kept",
        )


def _registry(summary: dict[str, Any]) -> Registry:
    entries: list[Entry] = []
    origins: dict[str, GeographicOrigin] = {}
    structures: dict[str, dict[str, Any]] = {}
    for each in summary["structures"]:
        name = str(each["structure"])
        entries += [Entry(name, _readable(plain)) for plain in each["recordings"]]
        structures[name] = {key: value for key, value in each.items() if key != "recordings"}
        if each.get("given_origin"):
            origins[name] = GeographicOrigin(**each["given_origin"])
    return Registry(tuple(entries), origins, structures)


def _readable(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a recording of an earlier run; one whose tables this version does not read has a problem."""
    if plain.get("key") and not plain.get("problem") and plain.get("format") != FORMAT:
        plain = {**plain, "problem": "its results are of another version of crack_perception: give its files again"}
    return {**plain, "is_resumed": True}


def plain_origin(origin: GeographicOrigin | None) -> dict[str, Any] | None:
    """Return a place as stored in the summary."""
    return None if origin is None else asdict(origin)
