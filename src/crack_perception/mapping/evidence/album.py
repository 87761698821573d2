# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The photographs of a map: the best few of every crack, in a bounded number of bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from crack_perception.mapping.evidence.choice import PhotographView, choose, ranked_values, surplus
from crack_perception.mapping.evidence.photograph import Photograph


def view_of(photograph: Photograph) -> PhotographView:
    """Criteria for the choice of photographs; the first line is that of the crack.

    Raises:
        ValueError: The place of the first line is not known.
    """
    line_m = photograph.lines[0].points_m if photograph.lines else np.empty((0, 3))
    if len(line_m) < 2:
        raise ValueError("a photograph needs the place of its first line")
    return PhotographView.of(photograph.quality, photograph.stamp_ns, line_m)


@dataclass(eq=False)
class AlbumChange:
    """Changes since the last call of ``Album.changes``.

    Attributes:
        photographs: New records and those of another crack than before, by file.
        removed: Files that are no longer wanted.
    """

    photographs: dict[str, Photograph] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.photographs or self.removed)


@dataclass(frozen=True, eq=False)
class _Kept:
    photograph: Photograph
    view: PhotographView
    size: int


class Album:
    """The records of all photographs of a map.

    Args:
        photographs: Those that are stored.
        sizes: Bytes of each file; a photograph without one is dropped.
        max_bytes: Limit for all files.
    """

    def __init__(self, photographs: Iterable[Photograph], sizes: Mapping[str, int], max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._cracks: dict[int, list[_Kept]] = defaultdict(list)
        self._change = AlbumChange()
        self.total_bytes = 0
        """Of all files."""
        for photograph in photographs:
            size = sizes.get(photograph.file)
            try:
                view = view_of(photograph)
            except ValueError:
                size = None
            if size is None:
                self._change.removed.add(photograph.file)
            else:
                self._cracks[photograph.crack_id].append(_Kept(photograph, view, size))
                self.total_bytes += size
        self._shrink(None)

    def __len__(self) -> int:
        return sum(map(len, self._cracks.values()))

    @property
    def crack_ids(self) -> set[int]:
        """The cracks that have photographs."""
        return {crack_id for crack_id, kept in self._cracks.items() if kept}

    def of(self, crack_id: int) -> tuple[Photograph, ...]:
        """The photographs of a crack."""
        return tuple(kept.photograph for kept in self._cracks.get(crack_id, ()))

    def changes(self) -> AlbumChange:
        """Return the changes since the last call."""
        change, self._change = self._change, AlbumChange()
        return change

    def offer(self, photograph: Photograph, size: int) -> bool:
        """Keep a photograph of its crack if it is worth it; return whether it is kept.

        Args:
            photograph: Its record, with file and crack.
            size: Bytes of its file.
        """
        kept = self._cracks[photograph.crack_id]
        new = _Kept(photograph, view_of(photograph), size)
        choice = choose([each.view for each in kept], new.view)
        if not choice.is_kept or size > self._max_bytes:
            return False
        for index in sorted(choice.replaced, reverse=True):
            self._drop(kept.pop(index))
        kept.append(new)
        self.total_bytes += size
        self._change.photographs[photograph.file] = photograph
        self._change.removed.discard(photograph.file)
        return self._shrink(new)

    def remove_crack(self, crack_id: int) -> None:
        """Remove the photographs of a crack that is no more."""
        for each in self._cracks.pop(crack_id, []):
            self._drop(each)

    def move(self, crack_id: int, owner_of: Callable[[Photograph], int]) -> None:
        """Give the photographs of a crack to others, after it was merged into one or a part of it became one.

        Args:
            crack_id: The crack that had them.
            owner_of: Returns the crack that a photograph shows now.
        """
        for each in self._cracks.pop(crack_id, []):
            owner = owner_of(each.photograph)
            if owner != crack_id:
                moved = replace(each.photograph, crack_id=owner)
                self._change.photographs[moved.file] = moved
                each = replace(each, photograph=moved)
            self._cracks[owner].append(each)
            kept = self._cracks[owner]
            for index in reversed(surplus([each.view for each in kept])):
                self._drop(kept.pop(index))

    def _drop(self, kept: _Kept) -> None:
        self.total_bytes -= kept.size
        self._change.photographs.pop(kept.photograph.file, None)
        self._change.removed.add(kept.photograph.file)

    def _shrink(self, newest: _Kept | None) -> bool:
        """Remove the least valuable photographs beyond the limit; return whether the newest one is still there.

        A crack's second and third photographs go before the only one of another crack.
        """
        if self.total_bytes <= self._max_bytes:
            return True
        ranked: list[tuple[int, float, int, _Kept]] = []
        for crack_id, kept in self._cracks.items():
            values = ranked_values([each.view for each in kept])
            order = sorted(range(len(kept)), key=lambda index: -values[index])
            ranked += [(-rank, values[index], crack_id, kept[index]) for rank, index in enumerate(order)]
        ranked.sort(key=lambda item: item[:3])
        is_kept = True
        for _, _, crack_id, each in ranked:
            if self.total_bytes <= self._max_bytes:
                break
            self._cracks[crack_id].remove(each)
            self._drop(each)
            is_kept = is_kept and each is not newest
        return is_kept
