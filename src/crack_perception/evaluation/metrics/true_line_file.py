# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Known cracks as lines in the map, read from GeoJSON: the truth of a map without a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crack_perception.errors import UserError
from crack_perception.simulation.flight.truth import TruthCrack

_LEAST_VERTICES = 2


def read_true_lines(path: Path, document: Mapping[str, Any]) -> tuple[TruthCrack, ...]:
    """Read LineString and MultiLineString features with x, y, z in metres of the map.

    The property ``width_mm`` (or ``mean_width_mm``) holds the width, a number or one for each vertex.

    Raises:
        UserError: A line has fewer than two vertices, no z, or a number is not finite; or there are no lines.
    """
    found: list[TruthCrack] = []
    try:
        for feature in document["features"]:
            for coordinates in _lines_of(feature.get("geometry") or {}):
                line_m = np.array(coordinates, np.float64)
                if line_m.ndim != 2 or line_m.shape[1] != 3 or len(line_m) < _LEAST_VERTICES:
                    raise ValueError(f"a line of the shape {line_m.shape} instead of (N, 3)")
                if not np.isfinite(line_m).all():
                    raise ValueError("a coordinate is not finite")
                width_mm = _widths(feature.get("properties") or {}, len(line_m))
                mean_mm = float(np.mean(width_mm))
                found.append(TruthCrack(len(found), line_m, width_mm, mean_mm))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: holds no true lines ({error})", "Give LineStrings with x, y, z in metres of the map"
        ) from error
    if not found:
        raise UserError(f"{path}: holds no lines", "Give LineStrings with x, y, z in metres of the map")
    return tuple(found)


def _lines_of(geometry: Mapping[str, Any]) -> Iterator[Any]:
    if geometry.get("type") == "LineString":
        yield geometry["coordinates"]
    elif geometry.get("type") == "MultiLineString":
        yield from geometry["coordinates"]


def _widths(properties: Mapping[str, Any], count: int) -> Any:
    value = properties.get("width_mm", properties.get("mean_width_mm"))
    if value is None:
        return np.full(count, np.nan)
    widths = np.array(value, np.float64).ravel()
    return np.full(count, widths[0]) if len(widths) == 1 else widths if len(widths) == count else np.full(count, np.nan)
