# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ROS 1 bags (format 2.0, http://wiki.ros.org/Bags/Format/2.0), read chunk by chunk with or without an index."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator

from crack_perception.evaluation.recordings.chunked import RUN_BYTES, Chunk, ChunkedFile, Entry
from crack_perception.evaluation.recordings.storage import ROS1, Channel, DamageError

MAGIC = b"#ROSBAG V2.0\n"

_MESSAGE, _BAG_HEADER, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = 2, 3, 4, 5, 6, 7
_MAX_HEADER_BYTES = 1 << 20
_CHUNK_FIELD = b"\x04\0\0\0op=\x05"
# Upper limit of a chunk's header, which has the fields op, compression and size.
_CHUNK_HEADER_BYTES = 64
_WINDOW_BYTES = 1 << 20
_MOVED_TYPES = {"tf/tfMessage": "tf2_msgs/msg/TFMessage"}

Fields = dict[bytes, bytes]


class Ros1File(ChunkedFile):
    """ROS 1 ``.bag`` file; see ``ChunkedFile``."""

    def _open(self) -> None:
        if self._bytes_at(0, len(MAGIC), truncated=True) != MAGIC:
            raise DamageError("it is not a ROS 1 bag of format 2.0")
        self._scan()
        for chunk in self.chunks:
            if not chunk.counts or not chunk.counts.keys() <= self.channels.keys():
                self._survey(chunk)
        if any(chunk.truncated for chunk in self.chunks):
            self.damage.append(f"{self.path.name}: it ends inside a chunk, because its recorder did not close it")

    def _entries(self, content: bytes) -> Iterator[Entry]:
        position = 0
        while position < len(content):
            try:
                fields, start, size = _record(content, position)
            except DamageError:
                return
            position = start + size
            if position > len(content):
                return
            op = fields.get(b"op")
            if op == bytes([_CONNECTION]):
                self._declare(fields, content[start:position])
            elif op == bytes([_MESSAGE]) and len(fields.get(b"time", b"")) == 8 and len(fields.get(b"conn", b"")) == 4:
                yield Entry(_number(fields[b"conn"]), _stamp_ns(fields[b"time"]), content[start:position])

    def _declare(self, fields: Fields, content: bytes) -> None:
        """Register a connection record."""
        try:
            inner = _fields(content)
            key, topic = _number(fields[b"conn"]), fields[b"topic"].decode()
            package, _, name = inner[b"type"].decode().rpartition("/")
        except (KeyError, UnicodeDecodeError, DamageError):
            return
        type_name = _MOVED_TYPES.get(f"{package}/{name}", f"{package}/msg/{name}")
        self.channels.setdefault(key, Channel("/" + topic.strip("/"), type_name, ROS1))

    def _scan(self) -> None:
        """Find all chunks, chunk indexes and connections."""
        position, lost = len(MAGIC), 0
        chunk: Chunk | None = None
        while position < self._size:
            try:
                fields, start, size = self._record_at(position)
                op = fields[b"op"][0]
            except (DamageError, KeyError, IndexError):
                after = self._next_chunk(position + 1)
                lost += min(after, self._size) - position
                position = after
                continue
            after = start + size
            if op == _CHUNK:
                compression = fields.get(b"compression", b"none").decode("ascii", "replace")
                raw_size = _number(fields.get(b"size", b""))
                # An unfinished chunk has a size of zero: its records are read as if they were outside chunks.
                chunk = Chunk(start, size, compression, raw_size=raw_size, truncated=after > self._size)
                if size:
                    self.chunks.append(chunk)
            elif op == _INDEX and chunk is not None and after <= self._size:
                self._add_index(chunk, fields, self._bytes_at(start, size))
            elif op == _CONNECTION and after <= self._size:
                self._declare(fields, self._bytes_at(start, size))
            elif op == _MESSAGE and after <= self._size and len(fields.get(b"time", b"")) == 8:
                self._add_to_run(position, after, fields)
            elif after > self._size:
                lost += self._size - position
            position = after
        if lost:
            self.damage.append(f"{self.path.name}: {lost} bytes are not complete records")

    def _add_index(self, chunk: Chunk, fields: Fields, content: bytes) -> None:
        stamps = [_stamp_ns(content[at : at + 8]) for at in range(0, len(content) - 11, 12)]
        if not stamps or b"conn" not in fields:
            return
        first = not chunk.counts
        chunk.start_ns = min(stamps) if first else min(chunk.start_ns, *stamps)
        chunk.end_ns = max(stamps) if first else max(chunk.end_ns, *stamps)
        chunk.counts += Counter({_number(fields[b"conn"]): len(stamps)})

    def _add_to_run(self, position: int, after: int, fields: Fields) -> None:
        """Add a message outside chunks to the last run, or start a new run."""
        stamp_ns = _stamp_ns(fields[b"time"])
        run = self.chunks[-1] if self.chunks else None
        if run is None or run.raw_size or run.offset + run.size != position or run.size > RUN_BYTES:
            run = Chunk(position, 0, start_ns=stamp_ns, end_ns=stamp_ns)
            self.chunks.append(run)
        run.size = after - run.offset
        run.start_ns, run.end_ns = min(run.start_ns, stamp_ns), max(run.end_ns, stamp_ns)
        run.counts[_number(fields.get(b"conn", b""))] += 1

    def _record_at(self, position: int) -> tuple[Fields, int, int]:
        """Return the header fields of a record, with the position and size of its data."""
        size = _number(self._bytes_at(position, 4))
        if not 0 < size <= _MAX_HEADER_BYTES:
            raise DamageError("a record has no header")
        head = self._bytes_at(position + 4, size + 4)
        return _fields(head[:-4]), position + 8 + size, _number(head[-4:])

    def _next_chunk(self, position: int) -> int:
        """Return the position of the next chunk record; the end of the file when there is none."""
        while position < self._size:
            window = self._bytes_at(position, _WINDOW_BYTES, truncated=True)
            at = window.find(_CHUNK_FIELD)
            while at >= 0:
                for begin in range(at - 4, max(at - _CHUNK_HEADER_BYTES, -1), -1):
                    if self._is_chunk(position + begin):
                        return position + begin
                at = window.find(_CHUNK_FIELD, at + 1)
            position += max(len(window) - 2 * _CHUNK_HEADER_BYTES, 2 * _CHUNK_HEADER_BYTES)
        return self._size

    def _is_chunk(self, position: int) -> bool:
        try:
            fields, _, _ = self._record_at(position)
        except DamageError:
            return False
        return fields.get(b"op") == bytes([_CHUNK]) and b"compression" in fields


def _record(content: bytes, position: int) -> tuple[Fields, int, int]:
    size = _number(content[position : position + 4])
    start = position + 4 + size
    if size > _MAX_HEADER_BYTES or start + 4 > len(content):
        raise DamageError("a record is truncated")
    return _fields(content[position + 4 : start]), start + 4, _number(content[start : start + 4])


def _fields(header: bytes) -> Fields:
    """Parse the ``name=value`` fields of a header."""
    fields: Fields = {}
    position = 0
    while position < len(header):
        size = _number(header[position : position + 4])
        name, separator, value = header[position + 4 : position + 4 + size].partition(b"=")
        position += 4 + size
        if not separator or position > len(header):
            raise DamageError("a header is damaged")
        fields[name] = value
    return fields


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _stamp_ns(data: bytes) -> int:
    seconds, nanoseconds = struct.unpack("<II", data)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
