"""Files of chunks (MCAP, ROS 1): read chunk by chunk in order of time, damaged chunks counted and skipped."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

from crack_perception.evaluation.recordings.compression import decompress
from crack_perception.evaluation.recordings.storage import Channel, DamageError, Losses, Record

# Messages outside chunks are gathered to runs of about this size.
RUN_BYTES = 4 * 1024 * 1024


class Entry(NamedTuple):
    """A message inside a chunk: id of its channel, time in nanoseconds, payload."""

    channel_id: int
    stamp_ns: int
    data: bytes


@dataclass
class Chunk:
    """A chunk, or a run of messages outside of chunks.

    Attributes:
        offset, size: Where its bytes lie in the file.
        compression: How they are compressed; empty for none.
        start_ns, end_ns: Times of its first and last message.
        raw_size, crc: Size and CRC-32 of the decompressed bytes; zero when not known.
        counts: Channel id -> messages; empty when not known.
        cut_off: The file ends inside.
    """

    offset: int
    size: int
    compression: str = ""
    start_ns: int = 0
    end_ns: int = 0
    raw_size: int = 0
    crc: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    cut_off: bool = False


class ChunkedFile(ABC):
    """A file of chunks; subclasses find the chunks and parse their content.

    Args:
        path: The file.

    Raises:
        DamageError: It is not of this format, or nothing in it can be read.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[str] = []
        self.notes: list[str] = []
        self.channels: dict[int, Channel] = {}
        self.chunks: list[Chunk] = []
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
        """Messages of a chunk's content up to its end or to the first damage; adds the channels it declares."""

    def counts(self) -> Mapping[Channel, int]:
        """Channel -> number of its messages, as far as it is known."""
        total: Counter[Channel] = Counter(dict.fromkeys(self.channels.values(), 0))
        for chunk in self.chunks:
            for channel_id, number in chunk.counts.items():
                if channel_id in self.channels:
                    total[self.channels[channel_id]] += number
        return total

    def records(self, topics: Collection[str], losses: Losses) -> Iterator[Record]:
        """Messages of these topics in order of time; what cannot be read is counted and skipped."""
        wanted = {key for key, channel in self.channels.items() if channel.topic in topics}
        waiting: list[tuple[int, int, Record]] = []
        order = count()
        for chunk in sorted(self.chunks, key=lambda chunk: chunk.start_ns):
            while waiting and waiting[0][0] < chunk.start_ns:
                yield heapq.heappop(waiting)[2]
            if chunk.counts and not wanted & chunk.counts.keys():
                continue
            for entry in self._readable(chunk, wanted, losses):
                record = Record(self.channels[entry.channel_id], entry.stamp_ns, entry.data)
                heapq.heappush(waiting, (entry.stamp_ns, next(order), record))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _readable(self, chunk: Chunk, wanted: set[int], losses: Losses) -> list[Entry]:
        """The wanted messages of a chunk; those that its index promises beyond them are counted as lost."""
        entries: list[Entry] = []
        reason = f"{self.path.name}: the chunk at byte {chunk.offset} is damaged"
        try:
            entries = [entry for entry in self._entries(self.content(chunk)) if entry.channel_id in wanted]
        except DamageError as error:
            reason = f"{reason}: {error}"
            if not chunk.counts:
                losses.explain(f"{reason}; how many messages it held is not known")
        promised = Counter({key: number for key, number in chunk.counts.items() if key in wanted})
        promised.subtract(entry.channel_id for entry in entries)
        for channel_id, missing in promised.items():
            losses.add(self.channels[channel_id].topic, missing, reason)
        return entries

    def content(self, chunk: Chunk) -> bytes:
        """The decompressed bytes of a chunk, checked against its size and checksum where the file has them.

        Raises:
            DamageError: They are not what was recorded.
        """
        content = decompress(self._bytes_at(chunk.offset, chunk.size, chunk.cut_off), chunk.compression, chunk.cut_off)
        if chunk.cut_off:
            return content
        if chunk.raw_size and len(content) != chunk.raw_size:
            raise DamageError(f"it holds {len(content)} bytes instead of {chunk.raw_size}")
        if chunk.crc and crc32(content) != chunk.crc:
            raise DamageError("its checksum is wrong")
        return content

    def _survey(self, chunk: Chunk) -> None:
        """Count a chunk's messages and learn its channels from its content."""
        try:
            entries = list(self._entries(self.content(chunk)))
        except DamageError as error:
            self.damage.append(f"{self.path.name}: the chunk at byte {chunk.offset} is damaged: {error}")
            return
        if entries:
            chunk.counts = Counter(entry.channel_id for entry in entries)
            chunk.start_ns = min(entry.stamp_ns for entry in entries)
            chunk.end_ns = max(entry.stamp_ns for entry in entries)

    def _bytes_at(self, offset: int, size: int, cut_off: bool = False) -> bytes:
        """Bytes of the file.

        Raises:
            DamageError: The file ends before, or the disk fails.
        """
        try:
            self._file.seek(offset)
            data = self._file.read(min(size, max(self._size - offset, 0)))
        except OSError as error:
            raise DamageError(f"the disk cannot read it ({error.strerror})") from None
        if len(data) != size and not cut_off:
            raise DamageError("the file ends inside it")
        return data
