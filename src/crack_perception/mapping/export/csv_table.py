# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The crack map as a table for spreadsheets: one row for each crack, the units in the header."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from crack_perception.mapping.export.crack_report import CrackReport, crack_reports, middle_m
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


def map_csv(cracks: Iterable[MappedCrack], scale: SeverityScale, reports: Sequence[CrackReport] | None = None) -> str:
    """The table as text (RFC 4180), in the order of the cracks; ``reports`` as for ``csv_rows``."""
    return _line(COLUMNS) + "".join(csv_rows(list(cracks), scale, reports))


def csv_rows(
    cracks: Sequence[MappedCrack], scale: SeverityScale, reports: Sequence[CrackReport] | None = None
) -> list[str]:
    """Text of the row of each crack, with its line end.

    Args:
        reports: Summaries of the cracks by the same scale, where they are known already.
    """
    reports = crack_reports(cracks, scale) if reports is None else reports
    return [_line(_row(crack, report, scale)) for crack, report in zip(cracks, reports, strict=True)]


class _Text:
    """A file that returns what is written to it, which ``csv.writer`` passes on."""

    def write(self, text: str) -> str:
        return text


_WRITER = csv.writer(_Text())  # keeps nothing of a row, so that threads can share it


def _line(cells: Sequence[str]) -> str:
    return str(_WRITER.writerow(cells))


def write_map_csv(
    path: Path, cracks: Iterable[MappedCrack], scale: SeverityScale, reports: Sequence[CrackReport] | None = None
) -> None:
    """Write ``map_csv`` to a file, atomically.

    Raises:
        UserError: The file cannot be written.
    """
    write_csv_rows(path, csv_rows(list(cracks), scale, reports))


def write_csv_rows(path: Path, rows: Iterable[str]) -> None:
    """Write the file of rows that are already text, whole or not at all.

    Raises:
        UserError: The file cannot be written.
    """
    write_atomically(path, (_line(COLUMNS) + "".join(rows)).encode())


def _row(crack: MappedCrack, report: CrackReport, scale: SeverityScale) -> list[str]:
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
        *(_rounded(coordinate, 4) for coordinate in middle_m(crack).tolist()),
        *(_rounded(component, 5) for component in crack.normal.tolist()),
        _rounded(report.position_sigma_m, 4),
        _rounded(report.gsd_mm_per_px, 4),
    )
    return ["" if cell is None else str(cell) for cell in cells]


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
