"""What all storage formats have in common: channels, records, and the account of what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

CDR = "cdr"
ROS1 = "ros1"

# More texts of the same kind say nothing new.
_MOST_TEXTS = 20


class Channel(NamedTuple):
    """A stream of messages: topic, type as ``package/msg/Name``, and how its messages are serialized."""

    topic: str
    type_name: str
    encoding: str


class Record(NamedTuple):
    """A message as stored: its channel, time of recording in nanoseconds, bytes."""

    channel: Channel
    stamp_ns: int
    data: bytes


class DamageError(Exception):
    """A part of a file cannot be read; the text says why."""


class Losses:
    """Counts the messages that could not be read.

    Attributes:
        messages: Topic -> unreadable messages.
        texts: What is damaged, and where; the first ones only.
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
        """Keep a text about damage whose messages cannot be counted, or are counted elsewhere."""
        if text and text not in self.texts and len(self.texts) < _MOST_TEXTS:
            self.texts.append(text)

    def __bool__(self) -> bool:
        return bool(self.texts) or self.messages.total() > 0


class StorageFile(Protocol):
    """One opened file of a recording.

    Attributes:
        path: Where it lies.
        damage: What was found damaged when it was opened.
        notes: What a reader of the report should know although nothing is lost.
        start_ns, end_ns: Times of the first and the last message; None without messages.
    """

    path: Path
    damage: list[str]
    notes: list[str]
    start_ns: int | None
    end_ns: int | None

    def counts(self) -> Mapping[Channel, int]:
        """Channel -> number of its messages, as far as it is known."""

    def records(self, topics: Collection[str], losses: Losses) -> Iterator[Record]:
        """Messages of these topics in order of time; what cannot be read is counted and skipped."""

    def close(self) -> None:
        """Close the file."""
