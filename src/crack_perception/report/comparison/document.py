# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A comparison as JSON, CSV and GeoJSON; keys and columns are stable, later versions only add to them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.report.comparison.changes import Comparison, CrackChange, Status
from crack_perception.report.comparison.growth import Difference
from crack_perception.report.comparison.wording import warnings

Array = npt.NDArray[np.float64]

FORMAT = "crack_perception/comparison"
VERSION = 1

COLUMNS = (
    "number",
    "status",
    "significance",
    "name",
    "old_ids",
    "new_ids",
    "length_old_m",
    "length_new_m",
    "length_change_m",
    "length_change_sigma_m",
    "length_growth_probability",
    "width_old_mm",
    "width_new_mm",
    "width_change_mm",
    "width_change_sigma_mm",
    "width_growth_probability",
    "common_length_m",
    "not_inspected_m",
    "not_resolved_m",
    "middle_x_m",
    "middle_y_m",
    "middle_z_m",
    "remarks",
)
"""Header of the table; places are in the new map's frame, unknown values are empty cells."""


@dataclass(frozen=True)
class SurveyFacts:
    """What a document says of a survey: its file, number of compared cracks, and when it was flown (ISO 8601)."""

    file: str
    cracks: int
    first_seen: str
    last_seen: str


def comparison_json(result: Comparison, old: SurveyFacts, new: SurveyFacts) -> dict[str, Any]:
    """The comparison as a JSON document; unknown numbers are null."""
    alignment = result.alignment
    return {
        "format": FORMAT,
        "version": VERSION,
        "old": vars(old),
        "new": vars(new),
        "confidence": result.confidence,
        "alignment": {
            "rotation": alignment.rotation.tolist(),
            "translation_m": alignment.translation_m.tolist(),
            "heading_deg": alignment.heading_deg,
            "centre_m": alignment.centre_m.tolist(),
            "covariance": alignment.covariance.tolist(),
            "sigma_m": alignment.sigma_m.tolist(),
            "heading_sigma_deg": alignment.heading_sigma_deg,
            "residual_m": _known(alignment.residual_m),
            "matched_length_m": alignment.matched_m,
            "matched_share": alignment.matched_share,
            "pairs": alignment.pairs,
        },
        "bias": {
            "width": {
                "offset_mm": float(result.width_bias.coefficients[0]),
                "offset_sigma_mm": math.sqrt(float(result.width_bias.covariance[0, 0])),
                "share": float(result.width_bias.coefficients[1]),
                "share_sigma": math.sqrt(float(result.width_bias.covariance[1, 1])),
                "sigma_factor": result.width_bias.scale,
                "cracks": result.width_bias.cracks,
            },
            "tip": {
                "offset_m": float(result.length_bias.coefficients[0]),
                "offset_sigma_m": math.sqrt(float(result.length_bias.covariance[0, 0])),
                "sigma_factor": result.length_bias.scale,
                "cracks": result.length_bias.cracks,
            },
        },
        "totals": {status.value: _total(result, status) for status in Status},
        "left_out": {
            "rejected_again": [{"new_id": one, "old_id": other} for one, other in result.rejected_again],
            "rejected_since": list(result.rejected_since),
            "unconfirmed": result.unconfirmed,
        },
        "is_continuation": result.is_continuation,
        "warnings": warnings(result),
        "changes": [_plain(change) for change in result.changes],
    }


def _total(result: Comparison, status: Status) -> dict[str, Any]:
    members = result.of(status)
    lengths = [change.length_old_m if change.length_new_m is None else change.length_new_m for change in members]
    return {"cracks": len(members), "length_m": round(sum(length or 0.0 for length in lengths), 4)}


def _plain(change: CrackChange) -> dict[str, Any]:
    return {
        **_properties(change),
        "old_ids": list(change.old_ids),
        "new_ids": list(change.new_ids),
        "remarks": list(change.remarks),
        "lines_m": _rounded_lines(change.lines_m),
        "added_m": _rounded_lines(change.added_m),
        "missing_m": _rounded_lines(change.missing_m),
    }


def _properties(change: CrackChange) -> dict[str, Any]:
    """The cells of the table by column."""
    middle = np.concatenate(change.lines_m).mean(axis=0).tolist() if change.lines_m else [math.nan] * 3
    values: Mapping[str, Any] = {
        "number": change.number,
        "status": change.status.value,
        "significance": _known(change.significance, 4),
        "name": change.name,
        "old_ids": " ".join(map(str, change.old_ids)),
        "new_ids": " ".join(map(str, change.new_ids)),
        "length_old_m": _known(change.length_old_m, 4),
        "length_new_m": _known(change.length_new_m, 4),
        **_difference(change.length, "length", "m"),
        "width_old_mm": _known(change.width_old_mm, 4),
        "width_new_mm": _known(change.width_new_mm, 4),
        **_difference(change.width, "width", "mm"),
        "common_length_m": _known(change.common_m, 4),
        "not_inspected_m": _known(change.not_inspected_m, 4),
        "not_resolved_m": _known(change.not_resolved_m, 4),
        **{f"middle_{axis}_m": _known(value, 4) for axis, value in zip("xyz", middle, strict=True)},
        "remarks": "; ".join(change.remarks),
    }
    return {column: values[column] for column in COLUMNS}


def _difference(change: Difference | None, quantity: str, unit: str) -> dict[str, float | None]:
    return {
        f"{quantity}_change_{unit}": None if change is None else _known(change.change, 4),
        f"{quantity}_change_sigma_{unit}": None if change is None else _known(change.sigma, 4),
        f"{quantity}_growth_probability": None if change is None else _known(change.growth_probability, 4),
    }


def comparison_csv(result: Comparison) -> str:
    """The comparison as a table (RFC 4180), one row a crack."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for change in result.changes:
        writer.writerow(["" if value is None else value for value in _properties(change).values()])
    return text.getvalue()


def comparison_geojson(result: Comparison, frame: str) -> dict[str, Any]:
    """The comparison as a layer: one feature a crack, and one for each stretch that was added or is missing.

    Coordinates are metres of the new map's frame, as in ``crack_map.geojson``.

    Args:
        frame: Name of that frame.
    """
    features = []
    for change in result.changes:
        features.append(_feature(change.lines_m, {"kind": "crack", **_properties(change)}, f"{change.number}"))
        for kind, lines_m in (("added", change.added_m), ("missing", change.missing_m)):
            if lines_m:
                properties = {"kind": kind, "number": change.number, "status": change.status.value}
                features.append(_feature(lines_m, properties, f"{change.number}-{kind}"))
    return {
        "type": "FeatureCollection",
        "crack_perception": {"format": FORMAT, "version": VERSION, "frame": frame, "units": "m"},
        "features": features,
    }


def _feature(lines_m: tuple[Array, ...], properties: dict[str, Any], identifier: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": identifier,
        "geometry": {"type": "MultiLineString", "coordinates": _rounded_lines(lines_m)},
        "properties": properties,
    }


def _rounded_lines(lines_m: tuple[Array, ...]) -> list[list[list[float]]]:
    return [np.round(line_m, 4).tolist() for line_m in lines_m]


def _known(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), digits)
