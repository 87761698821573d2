"""GeoJSON and CSV of a large map in little time: the rows of a crack are made once, when it no longer changes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crack_perception.mapping.export.csv_table import csv_row, write_csv_rows
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.mapping.export.geojson import feature_line, write_feature_lines
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.recognition.severity import SeverityScale


@dataclass(frozen=True)
class _Rows:
    """The rows of one state of a crack; it is the same object for as long as nothing about it changes."""

    crack: MappedCrack
    feature: str
    feature_wgs84: str
    row: str


class TableRows:
    """Rows of all cracks, from any thread.

    Args:
        frame: Name of the map frame.
        scale: Classifies the severity.
        origin: Where the map lies on the earth, for GeoJSON in degrees; None writes none.
    """

    def __init__(self, frame: str, scale: SeverityScale, origin: GeographicOrigin | None) -> None:
        self._frame, self._scale, self._origin = frame, scale, origin
        self._rows: dict[int, _Rows] = {}
        self._lock = threading.Lock()

    def lacks(self, crack: MappedCrack) -> bool:
        """Whether the rows of this state of the crack are still to be made."""
        rows = self._rows.get(crack.id)
        return rows is None or rows.crack is not crack

    def prepare(self, cracks: Sequence[MappedCrack]) -> None:
        """Make the rows of some cracks beforehand."""
        for crack in cracks:
            with self._lock:
                self._of(crack)

    def write(self, cracks: Sequence[MappedCrack], geojson: Path, csv: Path, geojson_wgs84: Path) -> list[Path]:
        """Write the files of these cracks, each whole or not at all; their paths.

        Raises:
            UserError: A file cannot be written.
        """
        with self._lock:
            rows = [self._of(crack) for crack in cracks]
            self._rows = {each.crack.id: each for each in rows}
        write_feature_lines(geojson, [each.feature for each in rows], self._frame, self._scale)
        write_csv_rows(csv, [each.row for each in rows])
        if self._origin is None:
            return [geojson, csv]
        write_feature_lines(
            geojson_wgs84, [each.feature_wgs84 for each in rows], self._frame, self._scale, self._origin
        )
        return [geojson, csv, geojson_wgs84]

    def _of(self, crack: MappedCrack) -> _Rows:
        rows = self._rows.get(crack.id)
        if rows is None or rows.crack is not crack:
            degrees = feature_line(crack, self._scale, self._origin) if self._origin else ""
            rows = _Rows(crack, feature_line(crack, self._scale), degrees, csv_row(crack, self._scale))
            self._rows[crack.id] = rows
        return rows
