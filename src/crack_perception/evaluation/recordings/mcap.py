# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""MCAP files (https://mcap.dev/spec), read through their index if it is intact, else record by record."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from zlib import crc32

from crack_perception.evaluation.recordings.chunked import RUN_BYTES, Chunk, ChunkedFile, Entry
from crack_perception.evaluation.recordings.storage import CDR, ROS1, Channel, DamageError

MAGIC = b"\x89MCAP0\r\n"

_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x02, 0x03, 0x04, 0x05, 0x06
_MESSAGE_INDEX, _CHUNK_INDEX, _STATISTICS, _DATA_END, _LAST_OPCODE = 0x07, 0x08, 0x0B, 0x0F, 0x0F
_HEAD_BYTES = 9  # opcode and length
_FOOTER_BYTES = _HEAD_BYTES + 20 + len(MAGIC)
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_CHUNK_HEAD = struct.Struct("<QQQI")
# Length of a chunk's head with the size field, without the name of the compression.
_CHUNK_HEAD_BYTES = _CHUNK_HEAD.size + 4 + 4 + 8
_CHUNK_PATTERN = re.compile(rb"\x06.{36}(?:\x04\0\0\0zstd|\x03\0\0\0lz4|\0\0\0\0)", re.DOTALL)
_WINDOW_BYTES = 1 << 20


class McapFile(ChunkedFile):
    """MCAP file; see ``ChunkedFile``."""

    def _open(self) -> None:
        self._schemas: dict[int, str] = {}
        self._channel_schemas: dict[int, tuple[str, str, int]] = {}
        if self._bytes_at(0, len(MAGIC), truncated=True) != MAGIC:
            raise DamageError("it does not start with the MCAP magic")
        try:
            self._read_index()
        except DamageError as error:
            self.chunks.clear()
            self._scan(str(error))

    def _entries(self, content: bytes) -> Iterator[Entry]:
        position = 0
        while position + _HEAD_BYTES <= len(content):
            opcode, size = content[position], int.from_bytes(content[position + 1 : position + _HEAD_BYTES], "little")
            start = position + _HEAD_BYTES
            position = start + size
            if position > len(content) or not 0 < opcode <= _LAST_OPCODE:
                return
            if opcode == _MESSAGE and size >= _MESSAGE_HEAD.size:
                channel_id, _, stamp_ns, _ = _MESSAGE_HEAD.unpack_from(content, start)
                yield Entry(channel_id, stamp_ns, content[start + _MESSAGE_HEAD.size : position])
            elif opcode in (_SCHEMA, _CHANNEL):
                self._declare(opcode, content[start:position])

    def _declare(self, opcode: int, content: bytes) -> None:
        """Register a schema or channel record."""
        try:
            number = int.from_bytes(content[:2], "little")
            if opcode == _SCHEMA:
                self._schemas[number], _ = _text(content, 2)
            else:
                topic, after = _text(content, 4)
                encoding, _ = _text(content, after)
                self._channel_schemas[number] = (topic, encoding, int.from_bytes(content[2:4], "little"))
        except DamageError:
            return
        for key, (topic, encoding, schema) in self._channel_schemas.items():
            if key not in self.channels and schema in self._schemas:
                parts = self._schemas[schema].split("/")
                name = f"{parts[0]}/msg/{parts[-1]}" if encoding == ROS1 and len(parts) == 2 else "/".join(parts)
                self.channels[key] = Channel(topic, name, encoding or CDR)

    # By the index

    def _read_index(self) -> None:
        """Read chunks and channels from the summary at the end of the file.

        Raises:
            DamageError: The summary is missing, damaged or incomplete.
        """
        footer = self._bytes_at(self._size - _FOOTER_BYTES, _FOOTER_BYTES) if self._size > _FOOTER_BYTES else b""
        if footer[:1] != bytes([_FOOTER]) or not footer.endswith(MAGIC):
            raise DamageError("it was not closed by its recorder, or its end is missing")
        start, _, crc = struct.unpack_from("<QQI", footer, _HEAD_BYTES)
        end = self._size - _FOOTER_BYTES
        if not start:
            raise DamageError("")  # complete, but written without an index
        if not len(MAGIC) < start <= end:
            raise DamageError("its index is damaged")
        summary = self._bytes_at(start, end - start)
        # The checksum covers the footer up to itself.
        if crc and crc32(summary + footer[: _HEAD_BYTES + 16]) != crc:
            raise DamageError("its index is damaged")
        chunks, messages, indexed = 0, 0, 0
        for opcode, content in _records(summary):
            if opcode in (_SCHEMA, _CHANNEL):
                self._declare(opcode, content)
            elif opcode == _CHUNK_INDEX:
                self.chunks.append(self._indexed_chunk(content))
                indexed += 1
            elif opcode == _STATISTICS:
                messages, chunks = struct.unpack_from("<Q", content)[0], struct.unpack_from("<I", content, 22)[0]
        known = all(chunk.counts and chunk.counts.keys() <= self.channels.keys() for chunk in self.chunks)
        if indexed < chunks or (messages and not indexed) or not known:
            raise DamageError("")  # the index does not cover every message

    def _indexed_chunk(self, content: bytes) -> Chunk:
        try:
            start_ns, end_ns, offset, length, map_bytes = struct.unpack_from("<QQQQI", content)
            offsets = sorted((at, key) for key, at in struct.iter_unpack("<HQ", content[36 : 36 + map_bytes]))
            (index_bytes,) = struct.unpack_from("<Q", content, 36 + map_bytes)
            compression, after = _text(content, 44 + map_bytes)
            size, raw_size = struct.unpack_from("<QQ", content, after)
        except struct.error:
            raise DamageError("its index is damaged") from None
        # A message index has 15 bytes, plus 16 for each message.
        ends = [at for at, _ in offsets[1:]] + [offset + length + index_bytes]
        counts = Counter({key: (end - at - 15) // 16 for (at, key), end in zip(offsets, ends, strict=False)})
        data_at = offset + _HEAD_BYTES + _CHUNK_HEAD_BYTES - 4 + len(compression)
        # The checksum is stored in the chunk itself and is usable only when the chunk's head is intact.
        head = self._bytes_at(offset, _HEAD_BYTES + _CHUNK_HEAD.size, truncated=True)
        crc = int.from_bytes(head[-4:], "little") if head[:1] == bytes([_CHUNK]) else 0
        return Chunk(data_at, size, compression, start_ns, end_ns, raw_size, crc, counts)

    # Record by record

    def _scan(self, reason: str) -> None:
        """Read chunks and channels record by record, skipping bytes that are not records."""
        position, lost, ended = len(MAGIC), 0, False
        chunk: Chunk | None = None
        while position < self._size and not ended:
            opcode, size = self._head(position)
            ended = opcode in (_DATA_END, _FOOTER)
            after = position + _HEAD_BYTES + size
            whole = after <= self._size
            if ended:
                break
            if opcode == _CHUNK and (found := self._scanned_chunk(position, size)) is not None:
                chunk = found
                self.chunks.append(chunk)
            elif opcode == _MESSAGE and whole and size >= _MESSAGE_HEAD.size:
                chunk = None
                self._add_to_run(position, after)
            elif opcode == _MESSAGE_INDEX and whole and chunk is not None:
                number, listed = struct.unpack("<HI", self._bytes_at(position + _HEAD_BYTES, 6))
                chunk.counts[number] += listed // 16
            elif opcode in (_SCHEMA, _CHANNEL) and whole:
                self._declare(opcode, self._bytes_at(position + _HEAD_BYTES, size))
            elif not (whole and 0 < opcode <= _LAST_OPCODE):
                after = self._next_chunk(position + 1)
                lost += min(after, self._size) - position
            position = after
        self._explain(reason, lost)
        for chunk in self.chunks:
            if not chunk.counts or not chunk.counts.keys() <= self.channels.keys():
                self._survey(chunk)
        if not self.channels:
            raise DamageError("none of its messages can be read")

    def _explain(self, reason: str, lost: int) -> None:
        name = self.path.name
        if lost:
            self.damage.append(f"{name}: {lost} bytes are not valid records")
        if any(chunk.truncated for chunk in self.chunks):
            self.damage.append(f"{name}: {reason or 'it is damaged'}; it ends inside a chunk")
        elif reason and not lost:
            self.notes.append(f"{name}: {reason}; it was read record by record")

    def _head(self, position: int) -> tuple[int, int]:
        head = self._bytes_at(position, _HEAD_BYTES, truncated=True)
        return (head[0], int.from_bytes(head[1:], "little")) if len(head) == _HEAD_BYTES else (0, 0)

    def _scanned_chunk(self, position: int, size: int) -> Chunk | None:
        """Return the chunk whose record starts at a position; None when its sizes are inconsistent."""
        head = self._bytes_at(position + _HEAD_BYTES, _CHUNK_HEAD_BYTES, truncated=True)
        try:
            start_ns, end_ns, raw_size, crc = _CHUNK_HEAD.unpack_from(head)
            (name_bytes,) = struct.unpack_from("<I", head, _CHUNK_HEAD.size)
            compression, after = _text(head, _CHUNK_HEAD.size)
            data_bytes = int.from_bytes(self._bytes_at(position + _HEAD_BYTES + after, 8), "little")
        except (struct.error, DamageError):
            return None
        if size != _CHUNK_HEAD.size + 4 + name_bytes + 8 + data_bytes:
            return None
        data_at = position + _HEAD_BYTES + after + 8
        truncated = data_at + data_bytes > self._size
        return Chunk(data_at, data_bytes, compression, start_ns, end_ns, raw_size, crc, truncated=truncated)

    def _add_to_run(self, position: int, after: int) -> None:
        """Add a message outside chunks to the last run, or start a new run."""
        number, _, stamp_ns, _ = _MESSAGE_HEAD.unpack(self._bytes_at(position + _HEAD_BYTES, _MESSAGE_HEAD.size))
        run = self.chunks[-1] if self.chunks else None
        if run is None or run.raw_size or run.offset + run.size != position or run.size > RUN_BYTES:
            run = Chunk(position, 0, start_ns=stamp_ns, end_ns=stamp_ns)
            self.chunks.append(run)
        run.size = after - run.offset
        run.start_ns, run.end_ns = min(run.start_ns, stamp_ns), max(run.end_ns, stamp_ns)
        run.counts[number] += 1

    def _next_chunk(self, position: int) -> int:
        """Return the position of the next chunk with consistent sizes; the end of the file when there is none."""
        while position < self._size:
            window = self._bytes_at(position, _WINDOW_BYTES, truncated=True)
            if not window:
                break
            for match in _CHUNK_PATTERN.finditer(window):
                at = position + match.start()
                if self._scanned_chunk(at, self._head(at)[1]) is not None:
                    return at
            # The head of a chunk may cross the border of two windows.
            position += max(len(window) - 64, 64)
        return self._size


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _HEAD_BYTES <= len(content):
        size = int.from_bytes(content[position + 1 : position + _HEAD_BYTES], "little")
        start = position + _HEAD_BYTES
        if start + size > len(content):
            raise DamageError("its index is damaged")
        yield content[position], content[start : start + size]
        position = start + size


def _text(content: bytes, position: int) -> tuple[str, int]:
    """Read a length-prefixed string; return it with its end position."""
    size = int.from_bytes(content[position : position + 4], "little")
    text = content[position + 4 : position + 4 + size]
    if len(text) != size:
        raise DamageError("a string in it is truncated")
    try:
        return text.decode(), position + 4 + size
    except UnicodeDecodeError:
        raise DamageError("a string in it is damaged") from None
