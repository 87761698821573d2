# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings of a structure whose observations are known: their tables in the storage of a survey."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from map_observations import frame, segment

from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.survey.geoparquet import line_wkb, polygon_wkb
from crack_perception.survey.placement import MapSource
from crack_perception.survey.storage import Storage
from crack_perception.survey.tables import FRAMES, LINES, schema


def stored(storage: Storage, key: str, frames: Sequence[FrameObservation], group_rows: int = 1000) -> MapSource:
    """Store observations as the tables of a recording."""
    rows: dict[str, list[dict[str, Any]]] = {FRAMES: [], LINES: []}
    for number, each in enumerate(frames):
        keys = {"recording": key, "part": 0, "frame": number, "stamp_ns": each.stamp_ns}
        rows[FRAMES].append({**keys, "is_complete": each.is_complete, "geometry": polygon_wkb(each.footprint_m)})
        for line in each.observations:
            rows[LINES].append(
                {
                    **keys,
                    "score": line.score,
                    "gsd_mm_per_px": line.gsd_mm_per_px,
                    "width_mm": line.width_mm.tolist(),
                    "width_sigma_mm": line.width_sigma_mm.tolist(),
                    "normal": line.normal.tolist(),
                    "covariance_m2": line.covariance_m2.ravel().tolist(),
                    "geometry": line_wkb(line.line_m),
                }
            )
    for name, table in rows.items():
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(table, schema=schema(name)), buffer, row_group_size=group_rows)
        storage.write(f"recordings/{key}/{name}.parquet", buffer.getvalue())
    return MapSource(key, key, frames[0].stamp_ns)


def flight(day: int, *cracks: CrackObservation) -> list[FrameObservation]:
    return [frame(day * 86_400.0 + 10.0 * number, *cracks) for number in range(1, 9)]


def sharp(start: tuple[float, ...], end: tuple[float, ...]) -> CrackObservation:
    """A crack whose place is known well, of four pixels' width: every campaign would have found it."""
    return segment(start, end, covariance_m2=0.005**2 * np.eye(3), gsd_mm_per_px=0.1)
