# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Types shared by all storage formats: channels, records, and the count of unreadable messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

CDR = "cdr"
ROS1 = "ros1"

# More descriptions add nothing to a report.
_MAX_TEXTS = 20


class Channel(NamedTuple):
    """Stream of messages: topic, type as ``package/msg/Name``, and serialization format."""

    topic: str
    type_name: str
    encoding: str


class Record(NamedTuple):
    """Stored message: channel, time of recording [ns], bytes."""

    channel: Channel
    stamp_ns: int
    data: bytes


class DamageError(Exception):
    """Part of a file cannot be read; the message gives the reason."""


class Losses:
    """Count of unreadable messages.

    Attributes:
        messages: Topic -> number of unreadable messages.
        texts: The first descriptions of damage, with their place.
    """

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.texts: list[str] = []

    def add(self, topic: str, count: int, text: str = "") -> None:
        """Count unreadable messages of a topic."""
        if count > 0:
            self.messages[topic] += count
            self.explain(text)

    def explain(self, text: str) -> None:
        """Keep a description of damage without counting messages."""
        if text and text not in self.texts and len(self.texts) < _MAX_TEXTS:
            self.texts.append(text)

    def __bool__(self) -> bool:
        return bool(self.texts) or self.messages.total() > 0


class StorageFile(Protocol):
    """Open file of a recording.

    Attributes:
        path: Path of the file.
        damage: Damage found while opening.
        notes: Remarks for the reader of a report; no data is lost.
        start_ns, end_ns: Times of the first and the last message; None without messages.
    """

    path: Path
    damage: list[str]
    notes: list[str]
    start_ns: int | None
    end_ns: int | None

    def counts(self) -> Mapping[Channel, int]:
        """Return the known number of messages of each channel."""

    def records(self, topics: Collection[str], losses: Losses) -> Iterator[Record]:
        """Yield the messages of these topics in order of time; unreadable ones are counted and skipped."""

    def close(self) -> None:
        """Close the file."""
