# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Attributes of cracks, photographs and facets, the same in every table and every GIS file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.export.crack_report import iso_time, middle_m
from crack_perception.mapping.polylines import arc_lengths
from crack_perception.report.comparison.changes import CrackChange
from crack_perception.report.contents import ReportedCrack, Survey
from crack_perception.report.georeference import Georeference

Array = npt.NDArray[np.float64]
Value = str | int | float | datetime | None


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Heading, with the unit.
        kind: Type of its values; every one may be None.
        digits: Decimal places that are meant.
    """

    name: str
    kind: type
    digits: int = 0


CRACK_COLUMNS = (
    Column("id", int),
    Column("name", str),
    Column("facet", str),
    Column("state", str),
    Column("verdict", str),
    Column("severity", str),
    Column("severity_by", str),
    Column("measured_severity", str),
    Column("severity_probability", float, 4),
    Column("length_m", float, 3),
    Column("mean_width_mm", float, 3),
    Column("mean_width_sigma_mm", float, 3),
    Column("max_width_mm", float, 3),
    Column("reliable_width_mm", float, 3),
    Column("gsd_mm_per_px", float, 3),
    Column("position_sigma_m", float, 4),
    Column("score", float, 4),
    Column("views", int),
    Column("first_seen", datetime),
    Column("last_seen", datetime),
    Column("map_x_m", float, 4),
    Column("map_y_m", float, 4),
    Column("map_z_m", float, 4),
    Column("normal_x", float, 5),
    Column("normal_y", float, 5),
    Column("normal_z", float, 5),
    Column("photographs", int),
    Column("best_photograph", str),
    Column("parts", str),
    Column("comments", str),
    Column("structural_review", str),
)
"""Of ``crack_values``; later versions add columns only at the end."""


def crack_values(crack: ReportedCrack, survey: Survey) -> tuple[Value, ...]:
    """A crack's row of ``CRACK_COLUMNS``."""
    summary = crack.summary
    by_class = dict(zip(survey.scale.labels, summary.severity.probabilities, strict=False))
    return (
        crack.id,
        crack.name or None,
        crack.facet or None,
        summary.state.value,
        crack.verdict.value,
        crack.severity,
        "reviewer" if crack.is_overridden else "measurement",
        crack.measured_severity,
        by_class.get(crack.severity),
        summary.length_m,
        summary.mean_width_mm,
        summary.mean_width_sigma_mm,
        summary.max_width_mm,
        crack.reliable_width_mm,
        summary.gsd_mm_per_px,
        summary.position_sigma_m,
        summary.score,
        summary.views,
        utc(crack.crack.first_seen_ns),
        utc(crack.crack.last_seen_ns),
        *middle_m(crack.crack).tolist(),
        *crack.crack.normal.tolist(),
        len(crack.photographs),
        crack.photographs[0].file if crack.photographs else None,
        " ".join(map(str, crack.parts)),
        comment_text(crack) or None,
        "needed" if crack.review.structural_review else None,
    )


def comment_text(crack: ReportedCrack) -> str:
    """All comments on a crack with their authors and days."""
    return " | ".join(
        f"{comment.value['text']} ({comment.author}, {iso_time(comment.time_ns)[:10]})"
        for comment in crack.review.comments
    )


PHOTOGRAPH_COLUMNS = (
    Column("crack_id", int),
    Column("file", str),
    Column("time", datetime),
    Column("source", str),
    Column("camera_frame", str),
    Column("model", str),
    Column("model_sha256", str),
    Column("width_px", int),
    Column("height_px", int),
    Column("gsd_mm_per_px", float, 3),
    Column("obliquity_deg", float, 1),
    Column("sharpness", float, 3),
    Column("completeness", float, 3),
    Column("score", float, 4),
)


def photograph_values(crack: ReportedCrack, photograph: Photograph) -> tuple[Value, ...]:
    """A photograph's row of ``PHOTOGRAPH_COLUMNS``."""
    return (
        crack.id,
        photograph.file,
        utc(photograph.stamp_ns),
        photograph.source,
        photograph.camera_frame,
        photograph.model,
        photograph.model_sha256,
        *photograph.size_px,
        known(photograph.gsd_mm_per_px),
        known(photograph.obliquity_deg),
        known(photograph.sharpness),
        known(photograph.completeness),
        known(photograph.score),
    )


WIDTH_COLUMNS = (
    Column("crack_id", int),
    Column("along_m", float, 3),
    Column("width_mm", float, 3),
    Column("width_sigma_mm", float, 3),
)


def width_values(crack: ReportedCrack) -> Iterator[tuple[Value, ...]]:
    """Rows of ``WIDTH_COLUMNS``: each vertex with a known width."""
    line = crack.crack
    rows = np.column_stack([arc_lengths(line.line_m), line.width_mm, line.width_sigma_mm]).tolist()
    for along_m, width_mm, sigma_mm in rows:
        if (width := known(width_mm)) is not None:
            yield crack.id, along_m, width, known(sigma_mm)


def place_columns(georeference: Georeference) -> tuple[Column, ...]:
    """Columns of the middle of a crack in the coordinates of the report; none for map coordinates."""
    if georeference.epsg is None:
        return ()
    digits = [9 if name.endswith("_deg") else 4 for name in georeference.axes]
    return tuple(Column(name, float, places) for name, places in zip(georeference.axes, digits, strict=True))


def place_values(crack: ReportedCrack, georeference: Georeference) -> tuple[Value, ...]:
    """A crack's row of ``place_columns``."""
    if georeference.epsg is None:
        return ()
    return tuple(georeference.coordinates(middle_m(crack.crack)[None])[0].tolist())


def plain_values(columns: Sequence[Column], values: Sequence[Value]) -> dict[str, str | int | float | None]:
    """Values by the names of their columns, for JSON: rounded, times as ISO 8601."""
    return {column.name: plain(column, value) for column, value in zip(columns, values, strict=True)}


def plain(column: Column, value: Value) -> str | int | float | None:
    """A value for text formats: rounded to what is meant, a time as ISO 8601."""
    if isinstance(value, datetime):
        return iso_text(value)
    return round(value, column.digits) if isinstance(value, float) else value


def utc(stamp_ns: int) -> datetime:
    """A stamp as a time, to the microsecond."""
    seconds, rest_ns = divmod(stamp_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest_ns // 1000)


def iso_text(time: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond, as GIS programs read it."""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


def known(value: float) -> float | None:
    """The value, or None where it is not a finite number."""
    return float(value) if np.isfinite(value) else None


CHANGE_COLUMNS = (
    Column("number", int),
    Column("status", str),
    Column("significance", float, 4),
    Column("old_ids", str),
    Column("new_ids", str),
    Column("length_change_m", float, 3),
    Column("length_change_sigma_m", float, 3),
    Column("length_growth_probability", float, 4),
    Column("width_change_mm", float, 3),
    Column("width_change_sigma_mm", float, 3),
    Column("width_growth_probability", float, 4),
    Column("remarks", str),
)
"""Of ``change_values``."""


def change_values(change: CrackChange) -> tuple[Value, ...]:
    """A row of a change."""
    length, width = change.length, change.width
    return (
        change.number,
        change.status.value,
        change.significance,
        ", ".join(map(str, change.old_ids)),
        ", ".join(map(str, change.new_ids)),
        None if length is None else length.change,
        None if length is None else length.sigma,
        None if length is None else length.growth_probability,
        None if width is None else width.change,
        None if width is None else width.sigma,
        None if width is None else width.growth_probability,
        "; ".join(change.remarks),
    )
