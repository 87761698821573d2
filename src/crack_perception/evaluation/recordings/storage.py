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

_LATCHED = "/tf_static"

# More descriptions add nothing to a report.
_MAX_TEXTS = 20


# Recorders write messages slightly out of order. A topic that steps back in the file by more than this was recorded
# over a clock that was set back (with the simulated time of a bag that loops or of a simulator).
SET_BACK_NS = 1_000_000_000


def is_latched(topic: str) -> bool:
    """Return whether messages of a topic hold from then on: earlier ones belong to every part of a recording.

    These are static transforms, also in the namespace of a drone (``/drone1/tf_static``).
    """
    return topic.endswith(_LATCHED)


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


class LapCount:
    """Number of times that the clock was set back, from the messages in the order of recording.

    Attributes:
        number: That number so far.
    """

    def __init__(self) -> None:
        self.number = 0
        self._newest_ns: dict[int, int] = {}

    def add(self, channel_id: int, stamp_ns: int) -> int:
        """Add the time of recording of the next message; return its lap."""
        newest_ns = self._newest_ns.get(channel_id, stamp_ns)
        if stamp_ns < newest_ns - SET_BACK_NS:
            self.number += 1
            self._newest_ns.clear()
            newest_ns = stamp_ns
        self._newest_ns[channel_id] = max(newest_ns, stamp_ns)
        return self.number


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

    def records(self, topics: Collection[str], losses: Losses, since_ns: int = 0) -> Iterator[Record]:
        """Yield the messages of these topics in order of time; unreadable ones are counted and skipped.

        Where the clock was set back during the recording, the messages before that come first.

        Args:
            topics: Names of the topics.
            losses: Updated with the unreadable messages.
            since_ns: Earlier messages, except latched ones, may be skipped; all are read where the clock was set back.
        """

    def close(self) -> None:
        """Close the file."""
