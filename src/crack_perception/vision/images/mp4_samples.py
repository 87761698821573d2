# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Number of frames that the sample tables of an MP4 or MOV file announce. Source: ISO/IEC 14496-12."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

_MOST_TABLE_BYTES = 1 << 28
_MOST_SAMPLES = 1 << 24
_IntArray = npt.NDArray[np.int64]


def announced_frames(path: Path) -> int | None:
    """Return how many frames at least a complete MP4 or MOV shows; None for other files and for fragmented ones.

    Empty samples, with which cameras repeat a frame, and samples outside the edit list (trimmed videos) do not count;
    those within a frame of its ends may or may not be shown, and do not count either.
    """
    try:
        with path.open("rb") as file:
            movie = _movie_box(file, path.stat().st_size)
        if movie is None:
            return None
        boxes = dict(_boxes(movie))
        if b"mvex" in boxes:
            return None
        tracks = (dict(_boxes(content)) for name, content in _boxes(movie) if name == b"trak")
        track = next((track for track in tracks if _is_video(track)), None)
        return None if track is None else _shown(track, _timescale(boxes[b"mvhd"]))
    except (OSError, ValueError, KeyError, struct.error):
        return None


def _movie_box(file: IO[bytes], size: int) -> bytes | None:
    """Content of the movie box of a file; None where there is none."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        header = 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            header = 16
        elif length == 0:
            length = size - position
        if length < header or not name.isalnum():
            return None
        if name == b"moov":
            return file.read(length - header) if length <= _MOST_TABLE_BYTES else None
        position += length
    return None


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, content) of the boxes inside a box."""
    position = 0
    while position + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        if not 8 <= length <= len(content) - position:
            return
        yield name, content[position + 8 : position + length]
        position += length


def _is_video(track: dict[bytes, bytes]) -> bool:
    handler = dict(_boxes(track.get(b"mdia", b""))).get(b"hdlr", b"")
    return handler[8:12] == b"vide"


def _timescale(header: bytes) -> int:
    """Units a second of an mvhd or mdhd box, whose version 1 has times of 64 bits."""
    (timescale,) = struct.unpack_from(">I", header, 20 if header[0] else 12)
    if timescale == 0:
        raise ValueError("a time scale is zero")
    return int(timescale)


@dataclass(frozen=True)
class _Edit:
    """A part of the track that is shown, [start, end) in its time scale."""

    start: int
    end: float


def _shown(track: dict[bytes, bytes], movie_timescale: int) -> int:
    media = dict(_boxes(track[b"mdia"]))
    tables = dict(_boxes(dict(_boxes(media[b"minf"]))[b"stbl"]))
    sizes = _sizes(tables[b"stsz"])
    steps = _runs(tables[b"stts"], sizes.size)
    times = np.concatenate([np.zeros(1, np.int64), np.cumsum(steps)[:-1]]) if sizes.size else steps
    if b"ctts" in tables:
        times = times + _runs(tables[b"ctts"], sizes.size, is_signed=True)
    has_data = sizes > 0
    edits = _edits(track, movie_timescale, _timescale(media[b"mdhd"]))
    if not edits:
        return int(np.count_nonzero(has_data))
    margin = int(np.median(steps)) if steps.size else 0
    is_shown = np.zeros(sizes.size, np.bool_)
    for edit in edits:
        start = edit.start + margin if times.size and edit.start > times.min() else edit.start
        end = edit.end - margin if times.size and edit.end <= times.max() else edit.end
        is_shown |= (times >= start) & (times < end)
    return int(np.count_nonzero(is_shown & has_data))


def _sizes(table: bytes) -> _IntArray:
    """Bytes (N,) of the samples."""
    size, count = struct.unpack_from(">II", table, 4)
    if count > _MOST_SAMPLES:
        raise ValueError("too many samples")
    if size:
        return np.full(count, size, np.int64)
    if len(table) < 12 + 4 * count:
        raise ValueError("the table of sizes is too short")
    return np.frombuffer(table, ">u4", count, 12).astype(np.int64)


def _runs(table: bytes, samples: int, is_signed: bool = False) -> _IntArray:
    """Values (N,) of a table of (count, value)."""
    (count,) = struct.unpack_from(">I", table, 4)
    if len(table) < 8 + 8 * count:
        raise ValueError("a table of times is too short")
    entries = np.frombuffer(table, ">u4", 2 * count, 8).reshape(-1, 2)
    counts = entries[:, 0].astype(np.int64)
    if int(counts.sum()) != samples:
        raise ValueError("the tables of times and of sizes disagree")
    values = entries[:, 1].astype(np.uint32)
    return np.repeat(values.astype(np.int32 if is_signed else np.uint32).astype(np.int64), counts)


def _edits(track: dict[bytes, bytes], movie_timescale: int, timescale: int) -> list[_Edit]:
    """Edits that show samples; none without an edit list. Version 1 has times of 64 bits."""
    table = dict(_boxes(track.get(b"edts", b""))).get(b"elst")
    if table is None:
        return []
    (count,) = struct.unpack_from(">I", table, 4)
    item = struct.Struct(">Qqhh" if table[0] else ">Iihh")
    edits = []
    for number in range(count):
        duration, start, _, _ = item.unpack_from(table, 8 + number * item.size)
        if start >= 0:
            end = start + duration * timescale / movie_timescale if duration else float("inf")
            edits.append(_Edit(start, end))
    return edits
