# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""rosbag2 sqlite3 files, read row by row; damaged pages are skipped."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.recordings.storage import (
    CDR,
    SET_BACK_NS,
    Channel,
    DamageError,
    LapCount,
    Losses,
    Record,
    is_latched,
)

MAGIC = b"SQLite format 3\x00"

# Before the content of a page that continues a row stands the number of the next one.
_NEXT_PAGE_BYTES = 4
# Rows are numbered without gaps: after this many missing rows in sequence, the rest of the table counts as lost.
_MAX_ROWS_SKIPPED = 100_000

Numbers = npt.NDArray[np.int64]


class SqliteFile:
    """rosbag2 ``.db3`` file; attributes as in ``StorageFile``.

    Args:
        path: Path of the file; a write-ahead log beside it (unfinished recording) is read too.

    Raises:
        DamageError: The file is not a rosbag2 recording, or nothing in it can be read.
        OSError: The file cannot be opened, or there is no space for a copy of it and its log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[str] = []
        self.notes: list[str] = []
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._partial = _partial_page(path)
        self._database = self._connect()
        try:
            self._channels = self._read_channels()
            self._rows = self._read_rows()
        except BaseException:
            self.close()
            raise
        self.start_ns = int(self._rows[:, 2].min()) if len(self._rows) else None
        self.end_ns = int(self._rows[:, 2].max()) if len(self._rows) else None

    def counts(self) -> Mapping[Channel, int]:
        """Return, for each channel, the number of messages whose rows were found."""
        numbers = Counter(self._rows[:, 1].tolist())
        total: Counter[Channel] = Counter(dict.fromkeys(self._channels.values(), 0))
        for topic_id, channel in self._channels.items():
            total[channel] += numbers[topic_id]
        return total

    def records(self, topics: Collection[str], losses: Losses, since_ns: int = 0) -> Iterator[Record]:
        """Yield the messages of these topics in order of time; see ``StorageFile``."""
        wanted = [key for key, channel in self._channels.items() if channel.topic in topics]
        rows = self._rows[np.isin(self._rows[:, 1], wanted)]
        if np.all(np.diff(rows[:, 2]) >= 0):  # the clock was not set back
            latched = [key for key, channel in self._channels.items() if is_latched(channel.topic)]
            rows = rows[(rows[:, 2] >= since_ns) | np.isin(rows[:, 1], latched)]
        for row, topic_id, stamp_ns in rows.tolist():
            channel = self._channels[topic_id]
            try:
                found = self._database.execute("SELECT data FROM messages WHERE id = ?", (row,)).fetchone()
            except sqlite3.Error as error:
                losses.add(channel.topic, 1, f"{self.path.name}: a page with messages cannot be read ({error})")
                continue
            if found is None or not isinstance(found[0], bytes):
                losses.add(channel.topic, 1, f"{self.path.name}: the row of a message is damaged")
                continue
            if self._partial is not None and _ends_in(found[0], self._partial):
                losses.add(channel.topic, 1, f"{self.path.name}: the end of a message is missing")
                continue
            yield Record(channel, stamp_ns, found[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()
        if self._copy is not None:
            self._copy.cleanup()

    def _connect(self) -> sqlite3.Connection:
        path = self.path
        log = path.with_name(path.name + "-wal")
        if log.is_file() and log.stat().st_size > 0:
            # SQLite writes when it reads a log, so it reads a copy and the recording stays unchanged.
            self._copy = tempfile.TemporaryDirectory(prefix="crack_perception_bag_")
            copy = Path(self._copy.name) / "copy.db3"
            shutil.copyfile(path, copy)
            shutil.copyfile(log, f"{copy}-wal")
            self.notes.append(f"{path.name} was not closed by its recorder; its write-ahead log is read too")
            uri = f"file:{quote(str(copy))}"
        else:
            path.open("rb").close()  # raises OSError with the reason, which SQLite does not report
            uri = f"file:{quote(str(path.absolute()))}?immutable=1"
        # The file is opened and read in different threads, but only one of them uses it at a time.
        database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        database.text_factory = lambda text: text.decode("utf-8", "replace")
        with suppress(sqlite3.Error):
            database.execute("PRAGMA writable_schema = ON")  # reads on although pages are missing at the end
        return database

    def _read_channels(self) -> dict[int, Channel]:
        try:
            rows = self._database.execute("SELECT id, name, type, serialization_format FROM topics").fetchall()
        except sqlite3.OperationalError as error:
            raise DamageError(f"it is not a rosbag2 recording ({error})") from None
        except sqlite3.Error as error:
            raise DamageError(f"its table of topics cannot be read ({error})") from None
        return {int(row[0]): Channel(str(row[1]), str(row[2]), str(row[3]) or CDR) for row in rows}

    def _read_rows(self) -> Numbers:
        """Return row number, topic id and time [ns] of all messages found, (N, 3) in order of time."""
        found: list[tuple[int, int, int]] = []
        last, skipped, end = 0, 0, self._last_row()
        while end is None or last < end:
            try:
                for row in self._database.execute(
                    "SELECT id, topic_id, timestamp FROM messages NOT INDEXED WHERE id > ? ORDER BY id", (last,)
                ):
                    if row[0] <= last:  # damaged pages may form a loop
                        raise sqlite3.DatabaseError("its rows are out of order")
                    last = row[0]
                    if all(isinstance(value, int) for value in row):
                        found.append(row)
                    else:
                        skipped += 1
                break
            except sqlite3.Error as error:
                if not self.damage:
                    self.damage.append(f"{self.path.name}: pages of its table of messages cannot be read ({error})")
                row = self._next_readable(last, end)
                if row is None:
                    break
                skipped += row[0] - last - 1
                last = row[0]
                found.append(row)
        if skipped:
            self.damage.append(f"{self.path.name}: {skipped} rows of its table of messages cannot be found")
        numbers = np.array(found, np.int64).reshape(-1, 3)
        return numbers[np.lexsort((numbers[:, 0], numbers[:, 2], _laps(numbers)))]

    def _last_row(self) -> int | None:
        try:
            (last,) = self._database.execute("SELECT max(id) FROM messages").fetchone()
        except sqlite3.Error:
            return None
        return int(last or 0)

    def _next_readable(self, last: int, end: int | None) -> tuple[int, int, int] | None:
        """Return the first readable row after ``last``; None when there is none."""
        stop = last + _MAX_ROWS_SKIPPED if end is None else min(end, last + _MAX_ROWS_SKIPPED)
        for row in range(last + 1, stop + 1):
            try:
                query = "SELECT id, topic_id, timestamp FROM messages WHERE id = ?"
                found = self._database.execute(query, (row,)).fetchone()
                if found is not None and found[0] == row and all(isinstance(value, int) for value in found):
                    return int(found[0]), int(found[1]), int(found[2])
            except sqlite3.Error:
                continue
        return None


class _PartialPage(NamedTuple):
    """Last page of a truncated file: its content, and the size of a whole one [bytes]."""

    content: bytes
    size: int


def _partial_page(path: Path) -> _PartialPage | None:
    """Return the last page if it is not whole; SQLite reads zeros in place of what is missing from it."""
    with path.open("rb") as file:
        page = int.from_bytes(file.read(18)[16:18], "big")
        page = 65536 if page == 1 else page
        length = path.stat().st_size % page if page else 0
        if not length:
            return None
        file.seek(-length, 2)
        return _PartialPage(file.read()[_NEXT_PAGE_BYTES:], page)


def _ends_in(data: bytes, page: _PartialPage) -> bool:
    """Return True if a message ends in this page: its content, then zeros."""
    content = page.content.rstrip(b"\0")
    rest = data.rstrip(b"\0")
    zeros = len(data) - len(rest)
    missing = page.size - _NEXT_PAGE_BYTES - len(page.content)
    is_long = len(data) > page.size  # shorter ones are in a page of rows, which is then unreadable
    return is_long and 0 < zeros <= missing + len(page.content) and rest.endswith(content)


def _laps(rows: Numbers) -> Numbers:
    """Return for each row (N, 3), in the order of recording, how often the clock was set back before it (N,)."""
    newest_ns = np.maximum.accumulate(rows[:, 2])
    if np.all(rows[:, 2] >= newest_ns - SET_BACK_NS):
        return np.zeros(len(rows), np.int64)
    laps = LapCount()
    return np.array([laps.add(topic_id, stamp_ns) for _, topic_id, stamp_ns in rows.tolist()], np.int64)
