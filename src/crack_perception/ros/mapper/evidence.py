# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs and reviewers' decisions of the map that the mapper works on: they follow its cracks."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from crack_perception.mapping.evidence.album import Album
from crack_perception.mapping.evidence.decision_transfer import DecisionBook
from crack_perception.mapping.evidence.photograph import Photograph, photograph_folder, photograph_name
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.tracks.index import MapChange
from crack_perception.ros.mapper.photographs import WaitingPhotographs
from crack_perception.ros.mapper.saver import EvidenceChanges

# Photographs that wait for a disk that is full or hangs; further ones are refused.
_MOST_UNWRITTEN_BYTES = 32_000_000


@dataclass(frozen=True)
class EvidenceFigures:
    """Counters for the diagnostics.

    Attributes:
        kept: Photographs of the map.
        kept_bytes: Size of their files.
        received: Photographs that sources have sent.
        refused: Those that were no better than others, or for which there is no room.
        without_crack: Those that show no crack of the map.
        damaged: Those that could not be read or hold impossible values.
    """

    kept: int = 0
    kept_bytes: int = 0
    received: int = 0
    refused: int = 0
    without_crack: int = 0
    damaged: int = 0


class MapEvidence:
    """Keep photographs and decisions up to date with the map.

    Args:
        crack_map: The map, with its stored cracks.
        store: Its file; None: nothing is kept.
        max_bytes: Limit for the files of all photographs; 0: those that are stored stay, no others are offered.

    Raises:
        UserError: The file or the folder of the photographs cannot be read.
    """

    def __init__(self, crack_map: GrowingMap, store: MapStore | None, max_bytes: int) -> None:
        self._map = crack_map
        self._max_bytes = max_bytes or sys.maxsize
        self._is_kept = store is not None
        self._waiting = WaitingPhotographs()
        self._files: dict[str, bytes] = {}
        self._received = self._refused = self._damaged = 0
        self._album = Album((), {}, self._max_bytes)
        self._book = DecisionBook()
        if store is not None:
            self._load(store)

    def _load(self, store: MapStore) -> None:
        photographs = store.load_photographs()
        self._book = DecisionBook(store.load_decisions())
        self._map.keep_decided(self._book.crack_ids)
        # What a crash has left; after damage to the database, files whose records are lost are worth keeping.
        rescue = store.rescue
        store.files.remove_others(
            {photograph.file for photograph in photographs}, photograph_folder(rescue.kept_at) if rescue else None
        )
        self._album = Album(photographs, store.files.sizes(), self._max_bytes)
        for crack_id in self._album.crack_ids - {crack.id for crack in self._map.cracks()}:
            self._album.remove_crack(crack_id)

    @property
    def figures(self) -> EvidenceFigures:
        """Counters for the diagnostics."""
        return EvidenceFigures(
            kept=len(self._album),
            kept_bytes=self._album.total_bytes,
            received=self._received,
            refused=self._refused,
            without_crack=self._waiting.given_up,
            damaged=self._damaged,
        )

    @property
    def rejected(self) -> frozenset[int]:
        """Ids of the cracks that a reviewer has rejected."""
        return self._book.rejected

    def count_damaged(self) -> None:
        """Count a photograph that was damaged."""
        self._received += 1
        self._damaged += 1

    def offer(self, photograph: Photograph, jpeg: bytes) -> None:
        """Accept a photograph without a crack; whether it is kept is decided when its frame has been mapped."""
        self._received += 1
        self._waiting.put(photograph, jpeg, time.monotonic())

    def place(self, unwritten_bytes: int, now_s: float) -> None:
        """Decide on the photographs whose frames have been mapped.

        Args:
            unwritten_bytes: Size of the photographs that wait for the disk.
            now_s: Monotonic clock; infinite to decide on all of them.
        """
        unwritten_bytes += sum(map(len, self._files.values()))
        for photograph, jpeg in self._waiting.place(now_s, self._map.crack_along):
            name = photograph_name(photograph, jpeg)
            named = replace(photograph, file=name)
            has_room = unwritten_bytes + len(jpeg) <= _MOST_UNWRITTEN_BYTES
            if self._is_kept and has_room and self._album.offer(named, len(jpeg)):
                self._files[name] = jpeg
                unwritten_bytes += len(jpeg)
            else:
                self._refused += 1

    def follow(self, change: MapChange, before: Mapping[int, MappedCrack]) -> None:
        """Follow the cracks that a frame has merged, divided or removed.

        Args:
            change: What has become of the cracks.
            before: Cracks before that, by id, as far as they are known.
        """
        now_ns = time.time_ns()
        for piece, whole in change.divided.items():
            self._book.divide(whole, piece, now_ns)
        for gone in sorted(change.removed):
            owner = change.owner_of(gone)
            if owner is None:
                self._album.remove_crack(gone)
                continue
            gone_m, owner_m = (before[each].length_m if each in before else 0.0 for each in (gone, owner))
            self._book.merge(gone, owner, gone_m, owner_m, now_ns)
            self._album.move(gone, partial(_given, owner))
        for reduced in change.reduced:
            if change.owner_of(reduced) == reduced:
                self._album.move(reduced, partial(self._owner_of, reduced))
        self._map.keep_decided(self._book.crack_ids)

    def note_mapped(self, source: str, stamp: int) -> None:
        """Record that a frame of a source was mapped."""
        self._waiting.note_mapped(source, stamp)

    def changes(self) -> EvidenceChanges:
        """Everything that is to be saved since the last call."""
        album = self._album.changes()
        files = {name: jpeg for name, jpeg in self._files.items() if name in album.photographs}
        self._files = {}
        return EvidenceChanges(album.photographs, files, album.removed, self._book.changes())

    def clear(self) -> None:
        """Forget everything, as the map does at a reset."""
        self._waiting.clear()
        self._files = {}
        self._album = Album((), {}, self._max_bytes)
        self._book = DecisionBook()
        self._map.keep_decided(())

    def note_emptied(self) -> None:
        """The database was emptied and its photographs archived, but the map goes on: decisions are saved again."""
        self._files = {}
        self._album = Album((), {}, self._max_bytes)
        self._book = self._book.unsaved()

    def _owner_of(self, reduced: int, photograph: Photograph) -> int:
        """The crack that a photograph of a crack that has lost a part shows."""
        owner = self._map.crack_along(photograph.lines[0].points_m)
        return reduced if owner is None else owner


def _given(owner: int, photograph: Photograph) -> int:
    """The crack that another one was merged into, for each of its photographs."""
    return owner
