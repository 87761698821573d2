"""The crack map as a table for spreadsheets: one row for each crack, the units in the header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from crack_perception.mapping.export.crack_report import crack_report, middle_m
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.atomic_file import write_atomically
from crack_perception.recognition.severity import SeverityScale

COLUMNS = (
    "id",
    "state",
    "severity",
    "most_likely_severity",
    "most_likely_probability",
    "length_m",
    "mean_width_mm",
    "mean_width_sigma_mm",
    "max_width_mm",
    "score",
    "views",
    "misses",
    "first_seen",
    "last_seen",
    "middle_x_m",
    "middle_y_m",
    "middle_z_m",
    "normal_x",
    "normal_y",
    "normal_z",
    "position_sigma_m",
    "gsd_mm_per_px",
)
"""Header; later versions add columns only at its end. Unknown values are empty cells."""


def map_csv(cracks: Iterable[MappedCrack], scale: SeverityScale) -> str:
    """The table as text (RFC 4180), by the order of the cracks."""
    return _line(COLUMNS) + "".join(csv_row(crack, scale) for crack in cracks)


def csv_row(crack: MappedCrack, scale: SeverityScale) -> str:
    """The row of one crack as text, with its line end."""
    return _line(_row(crack, scale))


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def write_map_csv(path: Path, cracks: Iterable[MappedCrack], scale: SeverityScale) -> None:
    """Write ``map_csv`` to a file, atomically.

    Raises:
        UserError: The file cannot be written.
    """
    write_csv_rows(path, [csv_row(crack, scale) for crack in cracks])


def write_csv_rows(path: Path, rows: Iterable[str]) -> None:
    """Write the file of rows that are already text, whole or not at all.

    Raises:
        UserError: The file cannot be written.
    """
    write_atomically(path, (_line(COLUMNS) + "".join(rows)).encode())


def _row(crack: MappedCrack, scale: SeverityScale) -> list[str]:
    report = crack_report(crack, scale)
    probabilities = report.severity.probabilities
    best = max(range(len(probabilities)), key=probabilities.__getitem__) if probabilities else None
    cells = (
        report.id,
        report.state.value,
        report.severity.verdict,
        None if best is None else scale.labels[best],
        _rounded(None if best is None else probabilities[best], 4),
        _rounded(report.length_m, 4),
        _rounded(report.mean_width_mm, 4),
        _rounded(report.mean_width_sigma_mm, 4),
        _rounded(report.max_width_mm, 4),
        _rounded(report.score, 4),
        report.views,
        report.misses,
        report.first_seen,
        report.last_seen,
        *(_rounded(float(coordinate), 4) for coordinate in middle_m(crack)),
        *(_rounded(float(component), 5) for component in crack.normal),
        _rounded(report.position_sigma_m, 4),
        _rounded(report.gsd_mm_per_px, 4),
    )
    return ["" if cell is None else str(cell) for cell in cells]


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
