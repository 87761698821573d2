# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of the cracks of a recording: chosen in every part as in crack_node, then among all parts, as Parquet.

Pictures and records are apart, so that the map reads records alone until it has chosen.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby
from typing import Any, Generic, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from crack_perception.documents import parse_json
from crack_perception.inspection.evidence import LocatedFrame, encoded, record
from crack_perception.inspection.photograph_chooser import PhotographChooser
from crack_perception.mapping.evidence.album import view_of
from crack_perception.mapping.evidence.choice import PhotographView, ranked_values
from crack_perception.mapping.evidence.photograph import Photograph, photograph_of, plain_photograph
from crack_perception.mapping.evidence.sent_photographs import SentPhotographs
from crack_perception.recognition.models import LoadedModel
from crack_perception.survey.frames import InspectedFrame

PHOTOGRAPHS = "photographs"
SCHEMA = pa.schema(
    [
        ("recording", pa.string()),
        ("part", pa.int32()),
        ("frame", pa.int64()),
        ("stamp_ns", pa.int64()),
        ("gsd_mm_per_px", pa.float64()),
        ("sharpness", pa.float64()),
        ("completeness", pa.float64()),
        ("jpeg_bytes", pa.int32()),
        ("record", pa.string()),
        ("jpeg", pa.binary()),
    ]
)
MOST_PART_BYTES, MOST_RECORDING_BYTES = 16_000_000, 256_000_000
"""Limits of all pictures of a part, and of a recording; beyond them, the least valuable ones are left out."""

# Pictures that are in memory at once.
_GROUP_ROWS = 16
_COMPRESSION = {name: "none" if name == "jpeg" else "zstd" for name in SCHEMA.names}
_NO_FILE = "photograph.jpg"

Item = TypeVar("Item")


class RecordedPhotograph(NamedTuple):
    """Row of the table, without its picture."""

    row: int
    photograph: Photograph
    jpeg_bytes: int


class _Best(Generic[Item]):
    """The most valuable photographs within a number of bytes.

    Args:
        most_bytes: Limit of the result; up to twice as much is held meanwhile.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._items: dict[PhotographView, tuple[int, Item]] = {}
        self._bytes = 0

    def put(self, view: PhotographView, size: int, item: Item, replaced: Sequence[PhotographView]) -> None:
        """Add a photograph, in place of others."""
        for gone in replaced:
            self._remove(gone)
        self._items[view] = size, item
        self._bytes += size
        if self._bytes > 2 * self._most_bytes:
            self._shrink()

    def items(self) -> list[Item]:
        """Return the photographs in the order in which they were added."""
        self._shrink()
        return [item for _, item in self._items.values()]

    def _remove(self, view: PhotographView) -> None:
        size, _ = self._items.pop(view, (0, None))
        self._bytes -= size

    def _shrink(self) -> None:
        if self._bytes <= self._most_bytes:
            return
        views = list(self._items)
        values = ranked_values(views)
        for index in sorted(range(len(views)), key=values.__getitem__):
            if self._bytes <= self._most_bytes:
                return
            self._remove(views[index])


class PartPhotographs:
    """Photographs of the cracks of one part.

    Args:
        recording: Key of the recording.
        part: Number of the part.
        model: Recognition model.
        quality: JPEG quality.
        interval_ns: As in ``PhotographChooser``.
    """

    def __init__(self, recording: str, part: int, model: LoadedModel, quality: int, interval_ns: int) -> None:
        self._recording, self._part, self._model, self._quality = recording, part, model, quality
        self._chooser = PhotographChooser[LocatedFrame](interval_ns)
        self._best = _Best[dict[str, Any]](MOST_PART_BYTES)

    def consider(self, frame: InspectedFrame, number: int) -> None:
        """Take the photographs of a frame that are worth it.

        Args:
            frame: The frame.
            number: Its number in the part.
        """
        if frame.shown is None or not frame.stamp_ns:  # nothing of it is in the map
            return
        for candidate in self._chooser.candidates(frame.shown, frame.stamp_ns):
            found = self._chooser.measured(candidate, frame.stamp_ns)
            if found is None:
                continue
            photograph = record(
                candidate, found.sharpness, frame.stamp_ns, self._recording, self._model.name, self._model.sha256
            )
            if len(photograph.lines[0].points_m) < 2:
                continue
            jpeg = encoded(candidate.picture, self._quality)
            row = self._row(photograph, jpeg, number)
            self._best.put(found.view, len(jpeg), row, self._chooser.add(found.view))

    def table(self) -> bytes:
        """Return the photographs as a Parquet file."""
        target = io.BytesIO()
        with _writer(target) as writer:
            writer.write_table(pa.Table.from_pylist(self._best.items(), schema=SCHEMA), _GROUP_ROWS)
        return target.getvalue()

    def _row(self, photograph: Photograph, jpeg: bytes, number: int) -> dict[str, Any]:
        plain = plain_photograph(photograph) | {"file": _NO_FILE}
        return {
            "recording": self._recording,
            "part": self._part,
            "frame": number,
            "stamp_ns": photograph.stamp_ns,
            "gsd_mm_per_px": photograph.gsd_mm_per_px,
            "sharpness": photograph.sharpness,
            "completeness": photograph.completeness,
            "jpeg_bytes": len(jpeg),
            "record": json.dumps(plain, separators=(",", ":"), allow_nan=False),
            "jpeg": jpeg,
        }


def join_photographs(parts: Sequence[Callable[[], bytes]], target: Any) -> tuple[int, int]:
    """Write the best photographs of all parts into one file; return their number and the bytes of their pictures.

    Args:
        parts: Return the file of each part, in order; called twice.
        target: Path or file to write.
    """
    best, taken = _Best[tuple[int, int, int]](MOST_RECORDING_BYTES), SentPhotographs()
    for number, read in enumerate(parts):
        for row, photograph, size in recorded(io.BytesIO(read())):
            view = view_of(photograph)
            if taken.wants(view):
                best.put(view, size, (number, row, size), taken.add(view))
    chosen = sorted(best.items())
    with _writer(target) as writer:
        for number, of_part in groupby(chosen, key=lambda item: item[0]):
            table = pq.read_table(io.BytesIO(parts[number]()))
            writer.write_table(table.take([row for _, row, _ in of_part]), _GROUP_ROWS)
    return len(chosen), sum(size for _, _, size in chosen)


def recorded(file: Any) -> Iterator[RecordedPhotograph]:
    """Yield the photographs of a table without their pictures."""
    row = 0
    for batch in pq.ParquetFile(file).iter_batches(_GROUP_ROWS, columns=["jpeg_bytes", "record"]):
        for each in batch.to_pylist():
            yield RecordedPhotograph(row, photograph_of(parse_json(each["record"])), each["jpeg_bytes"])
            row += 1


def pictures(file: Any, rows: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Yield rows of a table with their JPEG; only what lies near a wanted row is read."""
    table, first = pq.ParquetFile(file), 0
    for group in range(table.num_row_groups):
        stop = first + table.metadata.row_group(group).num_rows
        wanted = sorted(row for row in rows if first <= row < stop)
        if wanted:
            column = table.read_row_group(group, columns=["jpeg"])["jpeg"]
            for row in wanted:
                yield row, column[row - first].as_py()
        first = stop


def _writer(target: Any) -> pq.ParquetWriter:
    return pq.ParquetWriter(target, SCHEMA, compression=_COMPRESSION, use_dictionary=False, write_statistics=False)
