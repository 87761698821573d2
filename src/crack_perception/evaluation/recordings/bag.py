# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Uniform access to recordings (rosbag2 MCAP or sqlite3, ROS 1; also compressed or damaged): topics and messages."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from crack_perception.evaluation.recordings.location import Location, open_location
from crack_perception.evaluation.recordings.messages import as_current, deserialize
from crack_perception.evaluation.recordings.storage import (
    CDR,
    ROS1,
    SET_BACK_NS,
    DamageError,
    Losses,
    Record,
    is_latched,
)

__all__ = ["WHOLE", "Bag", "BagMessage", "BagTopic", "Losses", "Window", "deserialize", "open_bag"]

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class BagTopic:
    """Topic of a bag: name, type as ``package/msg/Name`` and number of messages."""

    name: str
    type_name: str
    count: int


class BagMessage(NamedTuple):
    """Recorded message: topic, time of recording [ns], CDR bytes."""

    topic: str
    stamp_ns: int
    data: bytes

    def add_to(self, digest: hashlib._Hash) -> None:
        """Update a digest with topic, stamp, length and payload."""
        digest.update(f"{self.topic}\0{self.stamp_ns}\0{len(self.data)}\0".encode())
        digest.update(self.data)


class Window(NamedTuple):
    """Part of a recording: start after the first message [s] and duration [s]."""

    start_s: float = 0.0
    duration_s: float = float("inf")


WHOLE = Window()


@contextmanager
def open_bag(path: Path | str) -> Iterator[Bag]:
    """Open a recording, given by its folder, its metadata.yaml or one of its files.

    Raises:
        UserError: The path does not exist, or nothing there can be read.
    """
    with ExitStack() as stack:
        yield Bag(Path(path), open_location(Path(path), stack))


class Bag:
    """Open recording.

    Attributes:
        path: Path given by the user.
        topics: Topics, sorted by name.
        notes: Remarks for the reader of a report; no data is lost.
        damage: Damage found while opening.
    """

    def __init__(self, path: Path, location: Location) -> None:
        self.path = path
        self._files = location.files
        self._expected = location.expected
        self.notes = tuple(location.notes)
        self.damage = tuple(location.damage)
        counts: dict[tuple[str, str], int] = {}
        for file in self._files:
            for channel, number in file.counts().items():
                if channel.encoding in (CDR, ROS1):
                    key = (channel.topic, channel.type_name)
                    counts[key] = counts.get(key, 0) + number
        self._found = counts
        self.topics = tuple(BagTopic(name, type_name, count) for (name, type_name), count in sorted(counts.items()))
        starts = [file.start_ns for file in self._files if file.start_ns is not None]
        ends = [file.end_ns for file in self._files if file.end_ns is not None]
        self.start_ns = min(starts, default=0)
        self.end_ns = max(ends, default=0)

    @property
    def duration_s(self) -> float:
        """Time from the first message to the last [s]."""
        return (self.end_ns - self.start_ns) / _NS_PER_S

    def topic(self, name: str) -> BagTopic | None:
        """Return the topic of this name, or None."""
        return next((topic for topic in self.topics if topic.name == name), None)

    def messages(
        self, topics: Iterable[str], losses: Losses | None = None, window: Window = WHOLE
    ) -> Iterator[BagMessage]:
        """Yield the messages of these topics in order of time; unreadable ones are counted and skipped.

        Where the clock was set back during the recording, the messages before that come first.

        Args:
            topics: Names of the topics.
            losses: Updated with the unreadable messages, those found while opening included.
            window: Part of the recording; earlier static transforms are included.
        """
        losses = Losses() if losses is None else losses
        for _, message in self.elapsed_messages(topics, losses, window):
            yield message

    def elapsed_messages(
        self, topics: Iterable[str], losses: Losses, window: Window = WHOLE
    ) -> Iterator[tuple[int, BagMessage]]:
        """Yield (time since the start [ns], message) like ``messages``; the time goes on where the clock was set back.

        Parts before the window are skipped unread where the file has an index.
        """
        wanted = set(topics)
        self._add_opening_losses(wanted, losses)
        begin_ns = self.start_ns + round(window.start_s * _NS_PER_S)
        end_ns = begin_ns + window.duration_s * _NS_PER_S
        before_ns = lap_ns = 0
        for record in self._records(wanted, losses, begin_ns):
            # Where the clock was set back, the window goes on from the time before that.
            lap_ns += max(before_ns - record.stamp_ns, 0)
            before_ns = record.stamp_ns
            if record.stamp_ns + lap_ns >= end_ns:
                break
            if record.stamp_ns + lap_ns < begin_ns:
                if not is_latched(record.channel.topic):
                    continue
                record = record._replace(stamp_ns=begin_ns - lap_ns)
            topic, type_name, encoding = record.channel
            if encoding not in (CDR, ROS1):
                continue
            try:
                data = as_current(record.data, type_name, encoding)
            except DamageError as error:
                losses.add(topic, 1, f"a message of {topic} is damaged: {error}")
                continue
            yield record.stamp_ns + lap_ns - self.start_ns, BagMessage(topic, record.stamp_ns, data)

    def first_message(self, topic: BagTopic) -> Any | None:
        """Return the first readable message of a topic of a standard type, deserialized; None when there is none."""
        for message in self.messages([topic.name]):
            return deserialize(message.data, topic.type_name)
        return None

    def _records(self, topics: set[str], losses: Losses, since_ns: int) -> Iterator[Record]:
        """Yield the records of all files; files that do not overlap in time are read one after the other.

        Records before ``since_ns`` may be skipped, see ``StorageFile``.
        """
        files = sorted(self._files, key=lambda file: file.start_ns or 0)
        ends = [file.end_ns or 0 for file in files]
        if self._continue_over_a_loop():
            for file in self._files:
                yield from file.records(topics, losses)
        elif all(end <= (later.start_ns or 0) for end, later in zip(ends, files[1:], strict=False)):
            for file in files:
                yield from file.records(topics, losses, since_ns)
        else:
            streams = [file.records(topics, losses, since_ns) for file in files]
            yield from heapq.merge(*streams, key=lambda record: record.stamp_ns)

    def _continue_over_a_loop(self) -> bool:
        """Return whether a file continues the topics of the file before it after the clock was set back."""
        return any(
            (later.start_ns or 0) < (file.end_ns or 0) - SET_BACK_NS
            and any(not is_latched(channel.topic) for channel in file.counts().keys() & later.counts().keys())
            for file, later in pairwise(self._files)
        )

    def _add_opening_losses(self, topics: set[str], losses: Losses) -> None:
        for text in self.damage:
            losses.explain(text)
        for (topic, type_name), expected in self._expected.items():
            if topic in topics:
                losses.add(topic, expected - self._found.get((topic, type_name), 0))
