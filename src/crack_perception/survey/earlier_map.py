# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Remade map of a structure as the continuation of the earlier one: ids of cracks and decisions of reviewers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from crack_perception.errors import UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.evidence.decision_transfer import DecisionBook
from crack_perception.mapping.evidence.decisions import Decision
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.file_lock import holder_of
from crack_perception.survey.storage import Storage

_COMPANIONS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, eq=False)
class EarlierMap:
    """Contents of the map file that a new one takes the place of.

    Attributes:
        cracks: By ascending id.
        decisions: Of reviewers, the first one first.
        next_id: An id that no crack has ever had.
        photographs: Records of all photographs.
    """

    cracks: tuple[MappedCrack, ...] = ()
    decisions: tuple[Decision, ...] = ()
    next_id: int = 1
    photographs: tuple[Photograph, ...] = ()

    def moved(self, transform: Pose | None) -> EarlierMap:
        """Return the map in another frame; None for the same frame."""
        if transform is None:
            return self
        return replace(
            self,
            cracks=tuple(crack.moved(transform.transform, transform.rotation) for crack in self.cracks),
            photographs=tuple(photograph.moved(transform) for photograph in self.photographs),
        )


@dataclass(frozen=True, eq=False)
class ContinuedMap:
    """A new map with the ids and the decisions of the earlier one.

    Attributes:
        cracks: By ascending id.
        decisions: Of reviewers, the first one first.
        next_id: An id that no crack has ever had.
        ids: Id in the new map as it was made -> id of the same crack.
        earlier_photographs: Those of cracks that are not found again but stay in the map.
    """

    cracks: tuple[MappedCrack, ...]
    decisions: tuple[Decision, ...]
    next_id: int
    ids: Mapping[int, int]
    earlier_photographs: tuple[Photograph, ...] = ()


class ReplaceableMap:
    """Map file of a structure in the storage, held while it is read and replaced, so that no decision comes between.

    Args:
        storage: Of the archive.
        name: Path of the file below it.
        store: The open file; None where there is none, or only a copy of it could be read.
        earlier: Its contents; empty where there is none.
    """

    def __init__(self, storage: Storage, name: str, store: MapStore | None, earlier: EarlierMap) -> None:
        self._storage, self._name, self._store = storage, name, store
        self.earlier = earlier

    def replace(self, path: Path) -> None:
        """Replace it with a local map file, whole or not at all.

        Raises:
            UserError: It cannot be written.
        """
        if self._store is not None:
            self._store.replace(path)
            return
        self._storage.upload(self._name, path)
        for end in _COMPANIONS:  # a log without its file would be played into the new one
            self._storage.remove(f"{self._name}{end}")


@contextmanager
def replaceable_map(storage: Storage, name: str) -> Iterator[ReplaceableMap]:
    """Open a map file for being replaced.

    Raises:
        UserError: Another program has it open, or it cannot be read.
    """
    folder = storage.folder
    if folder is None:
        yield ReplaceableMap(storage, name, None, _downloaded(storage, name))
        return
    path = folder / name
    if not path.exists():
        for end in _COMPANIONS:
            storage.remove(f"{name}{end}")
        yield ReplaceableMap(storage, name, None, EarlierMap())
        return
    holder = holder_of(path)
    if holder is not None:
        raise UserError(
            f"{path}: is in use by process {holder}",
            "Close the desk or crack_mapper that has the map, and run the same command again",
        )
    with closing(MapStore(path)) as store:
        yield ReplaceableMap(storage, name, store, _contents(store, path))


def _downloaded(storage: Storage, name: str) -> EarlierMap:
    data = storage.read(name)
    if data is None:
        return EarlierMap()
    with TemporaryDirectory(prefix="crack_perception_survey_") as temporary:
        path = Path(temporary) / "map.sqlite"
        path.write_bytes(data)
        log = storage.read(f"{name}-wal")
        if log is not None:
            path.with_name(f"{path.name}-wal").write_bytes(log)
        with closing(MapStore(path)) as store:
            return _contents(store, f"{storage.url}/{name}")


def _contents(store: MapStore, shown: object) -> EarlierMap:
    cracks, decisions, next_id, photographs = (
        store.load(),
        store.load_decisions(),
        store.next_id,
        store.load_photographs(),
    )
    if store.rescue is not None:
        raise UserError(f"{shown}: {store.rescue}", "Check its decisions in the desk, then run the same command again")
    return EarlierMap(cracks, decisions, next_id, photographs)


def continued(fresh: GrowingMap, earlier: EarlierMap, settings: MapSettings) -> ContinuedMap:
    """Give the cracks of a new map the ids, and the decisions, of the same cracks of the earlier one.

    A crack that is found again in pieces keeps its id for the piece that is nearest to the whole; the others get its
    verdict. Decisions on a crack that has become a part of another one follow it. A crack with decisions that is not
    found again stays in the map as a lost one.

    Args:
        fresh: The new map.
        earlier: The earlier one, in the same frame.
        settings: Settings of the map.
    """
    cracks = fresh.cracks()
    if not earlier.cracks and not earlier.decisions:
        next_id = max(fresh.next_id, earlier.next_id)
        return ContinuedMap(cracks, (), next_id, {crack.id: crack.id for crack in cracks})
    match = _matched(fresh, cracks, earlier, settings)
    now_ns = time.time_ns()
    book = DecisionBook(earlier.decisions)
    for piece, whole in match.pieces:
        book.divide(whole, piece, now_ns)
    decided = DecisionBook(earlier.decisions).crack_ids
    kept = []
    for crack in match.missing:
        survivor = match.survivor_of(crack, book)
        if survivor is not None:
            book.merge(crack.id, survivor, crack.length_m, match.length_m(survivor), now_ns)
        elif crack.id in decided:
            kept.append(replace(crack, state=CrackState.LOST))
    renamed = [_renamed(crack, match.ids) for crack in cracks]
    decisions = book.unsaved().changes()
    lost = {crack.id for crack in kept}
    return ContinuedMap(
        tuple(sorted([*renamed, *kept], key=lambda crack: crack.id)),
        tuple(decisions[number] for number in sorted(decisions)),
        match.next_id,
        match.ids,
        tuple(photograph for photograph in earlier.photographs if photograph.crack_id in lost),
    )


@dataclass(eq=False)
class _Match:
    """Cracks of the new map that are cracks of the earlier one.

    Attributes:
        ids: Id in the new map -> id that it gets.
        pieces: (id, id of the earlier crack) of further pieces.
        missing: Cracks of the earlier map that none has the id of.
        along: Id of one of them -> id of the crack along which it runs.
        earlier: Cracks of the earlier map by id.
        fresh: Cracks of the new map by the id that they get.
        next_id: An id that no crack has ever had.
    """

    ids: dict[int, int]
    pieces: list[tuple[int, int]]
    missing: list[MappedCrack]
    along: dict[int, int]
    earlier: dict[int, MappedCrack]
    fresh: dict[int, MappedCrack]
    next_id: int

    def survivor_of(self, gone: MappedCrack, book: DecisionBook) -> int | None:
        """Return the crack that an earlier one has become a part of; None where there is none.

        A crack that the earlier map held apart from it is another one. A rejected crack that is not found again says
        nothing about a known crack beside it.
        """
        survivor = self.along.get(gone.id)
        known = None if survivor is None else self.earlier.get(survivor)
        if known is not None and (gone.id in book.rejected or known.id in gone.apart_from):
            return None
        return survivor

    def length_m(self, identifier: int) -> float:
        """Return the length of a crack before a part was added to it."""
        return (self.earlier.get(identifier) or self.fresh[identifier]).length_m


def _matched(fresh: GrowingMap, cracks: Sequence[MappedCrack], earlier: EarlierMap, settings: MapSettings) -> _Match:
    before = GrowingMap(settings)
    before.restore(earlier.cracks, earlier.next_id)
    known = {crack.id: crack for crack in earlier.cracks}
    fresh_along = {crack.id: fresh.crack_along(crack.line_m) for crack in earlier.cracks}
    candidates: defaultdict[int, list[MappedCrack]] = defaultdict(list)
    for crack in cracks:
        identifier = before.crack_along(crack.line_m)
        if identifier is not None:
            candidates[identifier].append(crack)
    ids: dict[int, int] = {}
    parts: dict[int, int] = {}
    for identifier, alike in candidates.items():
        alike.sort(key=lambda crack: (crack.id != fresh_along[identifier], -crack.length_m, crack.id))
        ids[alike[0].id] = identifier
        parts |= {crack.id: identifier for crack in alike[1:]}
    next_id = earlier.next_id
    for crack in cracks:
        if crack.id not in ids:
            ids[crack.id] = next_id
            next_id += 1
    taken = set(ids.values())
    missing = [crack for crack in earlier.cracks if crack.id not in taken]
    along = {crack.id: ids[whole] for crack in missing if (whole := fresh_along[crack.id]) is not None}
    pieces = [(ids[piece], identifier) for piece, identifier in sorted(parts.items())]
    return _Match(ids, pieces, missing, along, known, {ids[crack.id]: crack for crack in cracks}, next_id)


def _renamed(crack: MappedCrack, ids: Mapping[int, int]) -> MappedCrack:
    apart = [ids[other] for other in crack.apart_from.tolist() if other in ids]
    return replace(crack, id=ids[crack.id], apart_from=np.array(sorted(apart), np.int64))
