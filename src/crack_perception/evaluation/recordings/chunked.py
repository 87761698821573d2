# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Base class of chunked files (MCAP, ROS 1), read chunk by chunk; damaged chunks are counted and skipped."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

from crack_perception.evaluation.recordings.compression import decompress
from crack_perception.evaluation.recordings.storage import (
    SET_BACK_NS,
    Channel,
    DamageError,
    LapCount,
    Losses,
    Record,
    is_latched,
)

# Messages outside chunks are grouped into runs of about this size.
RUN_BYTES = 4 * 1024 * 1024


class Entry(NamedTuple):
    """Message inside a chunk: channel id, time [ns], payload."""

    channel_id: int
    stamp_ns: int
    data: bytes


@dataclass
class Chunk:
    """Chunk, or run of messages outside chunks.

    Attributes:
        offset, size: Position and number of its bytes in the file.
        compression: Compression method; empty for none.
        start_ns, end_ns: Times of the first and the last message.
        raw_size, crc: Size and CRC-32 of the decompressed bytes; zero when unknown.
        counts: Channel id -> number of messages; empty when unknown.
        truncated: Whether the file ends inside the chunk.
    """

    offset: int
    size: int
    compression: str = ""
    start_ns: int = 0
    end_ns: int = 0
    raw_size: int = 0
    crc: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    truncated: bool = False


class ChunkedFile(ABC):
    """Chunked file; subclasses find the chunks and parse their content.

    Args:
        path: Path of the file.

    Raises:
        DamageError: The file is not of this format, or nothing in it can be read.
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[str] = []
        self.notes: list[str] = []
        self.channels: dict[int, Channel] = {}
        self.chunks: list[Chunk] = []
        self._has_laps: bool | None = None
        self._file: BinaryIO = path.open("rb")
        try:
            self._size = path.stat().st_size
            self._open()
        except BaseException:
            self._file.close()
            raise
        used = [chunk for chunk in self.chunks if chunk.counts]
        self.start_ns = min((chunk.start_ns for chunk in used), default=None)
        self.end_ns = max((chunk.end_ns for chunk in used), default=None)

    @abstractmethod
    def _open(self) -> None:
        """Fill ``channels``, ``chunks`` and ``damage``."""

    @abstractmethod
    def _entries(self, content: bytes) -> Iterator[Entry]:
        """Yield the messages of a chunk up to its end or the first damage, and register the channels it declares."""

    def counts(self) -> Mapping[Channel, int]:
        """Return the known number of messages of each channel."""
        total: Counter[Channel] = Counter(dict.fromkeys(self.channels.values(), 0))
        for chunk in self.chunks:
            for channel_id, number in chunk.counts.items():
                if channel_id in self.channels:
                    total[self.channels[channel_id]] += number
        return total

    def records(self, topics: Collection[str], losses: Losses, since_ns: int = 0) -> Iterator[Record]:
        """Yield the messages of these topics in order of time; see ``StorageFile``."""
        wanted = {key for key, channel in self.channels.items() if channel.topic in topics}
        waiting: list[tuple[int, int, int, Record]] = []
        order = count()
        if self._has_laps is None:
            self._has_laps = self._find_laps()
        laps = LapCount()
        for chunk in self.chunks if self._has_laps else sorted(self.chunks, key=lambda chunk: chunk.start_ns):
            while waiting and waiting[0][:2] < (laps.number, chunk.start_ns):
                yield heapq.heappop(waiting)[3]
            if chunk.counts and not wanted & chunk.counts.keys():
                continue
            if self._is_before(chunk, since_ns, wanted):
                continue
            for entry in self._readable(chunk, wanted, losses):
                record = Record(self.channels[entry.channel_id], entry.stamp_ns, entry.data)
                lap = laps.add(entry.channel_id, entry.stamp_ns) if self._has_laps else 0
                heapq.heappush(waiting, (lap, entry.stamp_ns, next(order), record))
        while waiting:
            yield heapq.heappop(waiting)[3]

    def _is_before(self, chunk: Chunk, since_ns: int, wanted: set[int]) -> bool:
        """Return whether a chunk ends before ``since_ns`` and holds no latched messages."""
        if not chunk.counts or chunk.end_ns >= since_ns or self._has_laps:
            return False
        return all(not is_latched(self.channels[key].topic) for key in wanted & chunk.counts.keys())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find_laps(self) -> bool:
        """Return whether the clock was set back during the recording.

        The content is read only where the times of the chunks permit it.
        """
        newest_ns, is_possible = None, len(self.chunks) == 1
        for chunk in self.chunks:
            is_possible |= newest_ns is not None and chunk.start_ns < newest_ns - SET_BACK_NS
            newest_ns = chunk.end_ns if newest_ns is None else max(newest_ns, chunk.end_ns)
        laps = LapCount()
        for chunk in self.chunks if is_possible else ():
            with suppress(DamageError):
                for entry in self._entries(self.content(chunk)):
                    if laps.add(entry.channel_id, entry.stamp_ns):
                        return True
        return False

    def _readable(self, chunk: Chunk, wanted: set[int], losses: Losses) -> list[Entry]:
        """Return the wanted messages of a chunk, and count as lost those that only its index lists."""
        entries: list[Entry] = []
        reason = f"{self.path.name}: the chunk at byte {chunk.offset} is damaged"
        try:
            entries = [entry for entry in self._entries(self.content(chunk)) if entry.channel_id in wanted]
        except DamageError as error:
            reason = f"{reason}: {error}"
            if not chunk.counts:
                losses.explain(f"{reason}; its number of messages is unknown")
        indexed = Counter({key: number for key, number in chunk.counts.items() if key in wanted})
        indexed.subtract(entry.channel_id for entry in entries)
        for channel_id, missing in indexed.items():
            losses.add(self.channels[channel_id].topic, missing, reason)
        return entries

    def content(self, chunk: Chunk) -> bytes:
        """Return the decompressed bytes of a chunk, checked against its size and checksum where available.

        Raises:
            DamageError: The bytes are damaged.
        """
        content = decompress(
            self._bytes_at(chunk.offset, chunk.size, chunk.truncated), chunk.compression, chunk.truncated
        )
        if chunk.truncated:
            return content
        if chunk.raw_size and len(content) != chunk.raw_size:
            raise DamageError(f"it contains {len(content)} bytes instead of {chunk.raw_size}")
        if chunk.crc and crc32(content) != chunk.crc:
            raise DamageError("its checksum is wrong")
        return content

    def _survey(self, chunk: Chunk) -> None:
        """Count the messages of a chunk and register its channels, from its content."""
        try:
            entries = list(self._entries(self.content(chunk)))
        except DamageError as error:
            self.damage.append(f"{self.path.name}: the chunk at byte {chunk.offset} is damaged: {error}")
            return
        if entries:
            chunk.counts = Counter(entry.channel_id for entry in entries)
            chunk.start_ns = min(entry.stamp_ns for entry in entries)
            chunk.end_ns = max(entry.stamp_ns for entry in entries)

    def _bytes_at(self, offset: int, size: int, truncated: bool = False) -> bytes:
        """Read bytes of the file.

        Raises:
            DamageError: The file is too short, or the disk fails.
        """
        try:
            self._file.seek(offset)
            data = self._file.read(min(size, max(self._size - offset, 0)))
        except OSError as error:
            raise DamageError(f"the disk cannot read it ({error.strerror})") from None
        if len(data) != size and not truncated:
            raise DamageError("the file ends inside it")
        return data
