# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Structures whose maps are made again, each as soon as the last of its recordings is over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Recording = TypeVar("Recording", bound=Hashable)


class AwaitedMaps(Generic[Recording]):
    """Recordings that maps wait for, in a time that does not grow with their number.

    Args:
        structures: Names of the structures.
    """

    def __init__(self, structures: Iterable[str] = ()) -> None:
        self._left = dict.fromkeys(sorted(structures), 0)
        self._by_recording: defaultdict[Recording, set[str]] = defaultdict(set)

    def wait_for(self, recording: Recording, structure: str) -> None:
        """Let the map of a structure, if it is made again, wait for a recording."""
        if structure in self._left and structure not in self._by_recording[recording]:
            self._by_recording[recording].add(structure)
            self._left[structure] += 1

    def complete(self) -> list[str]:
        """Return the structures that wait for nothing."""
        return [name for name, number in self._left.items() if not number]

    def end(self, recording: Recording) -> list[str]:
        """Note that a recording is over; return the structures of which it was the last one."""
        last = []
        for structure in sorted(self._by_recording.pop(recording, ())):
            self._left[structure] -= 1
            if not self._left[structure]:
                last.append(structure)
        return last
