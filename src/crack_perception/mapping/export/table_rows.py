# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""GeoJSON and CSV of a large map in little time: the rows of a crack are made once, when it no longer changes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crack_perception.mapping.export.crack_report import crack_reports
from crack_perception.mapping.export.csv_table import csv_rows, write_csv_rows
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.mapping.export.geojson import feature_lines, write_feature_lines
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.recognition.severity import SeverityScale

# Rows that are made in one go: enough for numpy, few enough that the progress is seen.
_CRACKS_AT_ONCE = 200


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
        self._lock = threading.RLock()
        self._progress = 0

    @property
    def progress(self) -> int:
        """A number that grows with every piece of work that is done."""
        return self._progress

    def lacks(self, crack: MappedCrack) -> bool:
        """Whether the rows of this state of the crack are still to be made."""
        rows = self._rows.get(crack.id)
        return rows is None or rows.crack is not crack

    def prepare(self, cracks: Sequence[MappedCrack]) -> None:
        """Make the rows of some cracks beforehand, where they are missing."""
        with self._lock:
            missing = [crack for crack in cracks if self.lacks(crack)]
            for first in range(0, len(missing), _CRACKS_AT_ONCE):
                self._make(missing[first : first + _CRACKS_AT_ONCE])

    def write(self, cracks: Sequence[MappedCrack], geojson: Path, csv: Path, geojson_wgs84: Path) -> list[Path]:
        """Write the files of these cracks, each whole or not at all; their paths.

        Raises:
            UserError: A file cannot be written.
        """
        with self._lock:
            self.prepare(cracks)
            rows = [self._rows[crack.id] for crack in cracks]
            self._rows = {each.crack.id: each for each in rows}
        write_feature_lines(geojson, [each.feature for each in rows], self._frame, self._scale)
        self._progress += 1
        write_csv_rows(csv, [each.row for each in rows])
        self._progress += 1
        if self._origin is None:
            return [geojson, csv]
        degrees = [each.feature_wgs84 for each in rows]
        write_feature_lines(geojson_wgs84, degrees, self._frame, self._scale, self._origin)
        return [geojson, csv, geojson_wgs84]

    def _make(self, cracks: Sequence[MappedCrack]) -> None:
        reports = crack_reports(cracks, self._scale)
        features = feature_lines(cracks, self._scale, None, reports)
        degrees = feature_lines(cracks, self._scale, self._origin, reports) if self._origin else [""] * len(cracks)
        for rows in map(_Rows, cracks, features, degrees, csv_rows(cracks, self._scale, reports)):
            self._rows[rows.crack.id] = rows
        self._progress += len(cracks)
