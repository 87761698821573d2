# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tables of a recording as Parquet: frames, detections and lines, and the observations of the map from them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from crack_perception.inspection.observation import observation_of
from crack_perception.mapping.coverage.view import CameraGeometry, InspectedView
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.recognition.severity import Severity, SeverityScale
from crack_perception.survey.frames import InspectedFrame
from crack_perception.survey.geoparquet import (
    METADATA_KEY,
    corners_of,
    line_of,
    line_wkb,
    lines_wkb,
    metadata,
    polygon_wkb,
)
from crack_perception.survey.sources import readable

Array = npt.NDArray[np.float64]

FRAMES, DETECTIONS, LINES = "frames", "detections", "lines"
TABLES = (FRAMES, DETECTIONS, LINES)

_FLOATS = pa.list_(pa.float64())
_KEYS = [("recording", pa.string()), ("part", pa.int32()), ("frame", pa.int64()), ("stamp_ns", pa.int64())]
SCHEMAS: dict[str, pa.Schema] = {
    FRAMES: pa.schema(
        [
            *_KEYS,
            ("name", pa.string()),
            ("width_px", pa.int32()),
            ("height_px", pa.int32()),
            ("tiles", pa.int32()),
            ("processed_tiles", pa.int32()),
            ("detections", pa.int32()),
            ("has_pose", pa.bool_()),
            ("is_complete", pa.bool_()),
            ("gsd_mm_per_px", _FLOATS),
            ("camera_px", _FLOATS),
            ("viewpoint_m", _FLOATS),
            ("geometry", pa.binary()),
        ]
    ),
    DETECTIONS: pa.schema(
        [
            *_KEYS,
            ("rank", pa.int32()),
            ("score", pa.float64()),
            ("centre_x_px", pa.float64()),
            ("centre_y_px", pa.float64()),
            ("length_px", pa.float64()),
            ("across_px", pa.float64()),
            ("angle_rad", pa.float64()),
            ("width_px", pa.float64()),
            ("width_mm", pa.float64()),
            ("width_sigma_mm", pa.float64()),
            ("length_m", pa.float64()),
            ("gsd_mm_per_px", pa.float64()),
            ("severity", pa.float64()),
            ("severity_class", pa.string()),
            ("x_m", pa.float64()),
            ("y_m", pa.float64()),
            ("z_m", pa.float64()),
            ("covariance", _FLOATS),
            ("geometry", pa.binary()),
        ]
    ),
    LINES: pa.schema(
        [
            *_KEYS,
            ("score", pa.float64()),
            ("gsd_mm_per_px", pa.float64()),
            ("width_mm", _FLOATS),
            ("width_sigma_mm", _FLOATS),
            ("normal", _FLOATS),
            ("covariance_m2", _FLOATS),
            ("geometry", pa.binary()),
        ]
    ),
}
_GEOMETRY_TYPES = {FRAMES: ["Polygon Z"], DETECTIONS: ["MultiLineString Z"], LINES: ["LineString Z"]}

_OBSERVATION_COLUMNS = [
    *("part", "frame", "stamp_ns", "is_complete"),
    *("gsd_mm_per_px", "camera_px", "viewpoint_m", "geometry"),
]
_BATCH_FRAMES = 200
# Rows that are in memory at once; without a limit, a batch goes over many row groups.
_BATCH_ROWS = 200
_COMPRESSION = "zstd"


def severity_number(severity: Severity) -> float | None:
    """Return the severity from 0 (certainly the slightest class) to 1 (certainly the worst); None where undetermined.

    It is the expected rank of the class, as a share of the greatest rank; with two classes, the probability of the
    worse one.
    """
    greatest = len(severity.probabilities) - 1
    if greatest < 1:
        return None
    return sum(rank * share for rank, share in enumerate(severity.probabilities)) / greatest


class TableWriter:
    """Writer of the tables of one part, in batches.

    Args:
        recording: Key of the recording.
        part: Number of the part.
        scale: Severity classes.
    """

    def __init__(self, recording: str, part: int, scale: SeverityScale) -> None:
        self._recording, self._part, self._scale = recording, part, scale
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self._buffers = {name: io.BytesIO() for name in TABLES}
        self._writers = {
            name: pq.ParquetWriter(self._buffers[name], schema(name), compression=_COMPRESSION) for name in TABLES
        }
        self.frames = self.detections = self.located = self.posed = 0

    def add(self, frame: InspectedFrame) -> None:
        """Add a frame."""
        keys = {"recording": self._recording, "part": self._part, "frame": self.frames, "stamp_ns": frame.stamp_ns}
        observation = observation_of(frame.detections, frame.stamp_ns, self._recording, frame.footprint_m)
        self._rows[FRAMES].append(_frame_row(frame, observation, keys))
        self._rows[DETECTIONS] += [
            {**keys, **_detection_row(rank, detection)} for rank, detection in enumerate(frame.detections)
        ]
        self._rows[LINES] += [{**keys, **_line_row(line)} for line in observation.observations]
        self.frames += 1
        self.detections += len(frame.detections)
        self.located += sum(detection.location is not None for detection in frame.detections)
        self.posed += frame.has_pose
        if len(self._rows[FRAMES]) >= _BATCH_FRAMES:
            self._flush()

    def close(self) -> dict[str, bytes]:
        """Return the files by table."""
        self._flush()
        for writer in self._writers.values():
            writer.close()
        return {name: buffer.getvalue() for name, buffer in self._buffers.items()}

    def _flush(self) -> None:
        for name, rows in self._rows.items():
            if rows:
                self._writers[name].write_table(pa.Table.from_pylist(rows, schema=schema(name)))
                rows.clear()


def schema(name: str) -> pa.Schema:
    """Return the schema of a table with its GeoParquet metadata."""
    geo = metadata({"geometry": (_GEOMETRY_TYPES[name], False)}, "geometry", {})
    return SCHEMAS[name].with_metadata({METADATA_KEY: geo})


def joined(name: str, parts: Iterable[bytes], target: Any) -> None:
    """Write the files of all parts of a table into one, part by part.

    Args:
        name: Name of the table.
        parts: Contents of the files, in order.
        target: Path or file to write.
    """
    with pq.ParquetWriter(target, schema(name), compression=_COMPRESSION) as writer:
        for data in parts:
            file = pq.ParquetFile(io.BytesIO(data))
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group))


def observations(frames: Any, lines: Any, source: str) -> Iterator[tuple[FrameObservation, InspectedView | None]]:
    """Yield the frames of a recording with a time as observations of the map, as they were before they were stored.

    Each comes with its view for the coverage; None where the inspected surface is unknown.

    Args:
        frames, lines: Files of the two tables.
        source: Name of the camera.
    """
    waiting = _line_rows(lines)
    line = next(waiting, None)
    for batch in pq.ParquetFile(frames).iter_batches(_BATCH_ROWS, columns=_OBSERVATION_COLUMNS):
        for row in batch.to_pylist():
            key = row["part"], row["frame"]
            found = []
            while line is not None and line[0] == key:
                found.append(line[1])
                line = next(waiting, None)
            if not row["stamp_ns"]:  # a photograph without a pose: nothing of it is in the map
                continue
            footprint_m = np.zeros((0, 3)) if row["geometry"] is None else corners_of(row["geometry"])
            observation = FrameObservation(row["stamp_ns"], source, footprint_m, tuple(found), row["is_complete"])
            yield observation, _stored_view(footprint_m, row)


def _stored_view(footprint_m: Array, row: Mapping[str, Any]) -> InspectedView | None:
    if row["gsd_mm_per_px"] is None or row["viewpoint_m"] is None:
        return None
    camera = None if row["camera_px"] is None else CameraGeometry(*row["camera_px"])
    gsd_mm_per_px, viewpoint_m = np.array(row["gsd_mm_per_px"]), np.array(row["viewpoint_m"])
    return InspectedView.by_camera(footprint_m, gsd_mm_per_px, camera, viewpoint_m)


def _line_rows(file: Any) -> Iterator[tuple[tuple[int, int], CrackObservation]]:
    for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS):
        for row in batch.to_pylist():
            yield (
                (row["part"], row["frame"]),
                CrackObservation(
                    line_m=line_of(row["geometry"]),
                    width_mm=np.array(row["width_mm"], np.float64),
                    width_sigma_mm=np.array(row["width_sigma_mm"], np.float64),
                    normal=np.array(row["normal"], np.float64),
                    covariance_m2=np.array(row["covariance_m2"], np.float64).reshape(3, 3),
                    gsd_mm_per_px=row["gsd_mm_per_px"],
                    score=row["score"],
                ),
            )


def _frame_row(frame: InspectedFrame, observation: FrameObservation, keys: dict[str, Any]) -> dict[str, Any]:
    return {
        **keys,
        "name": readable(frame.name) or None,
        "width_px": frame.size_px[0],
        "height_px": frame.size_px[1],
        "tiles": frame.tiles,
        "processed_tiles": frame.processed_tiles,
        "detections": len(frame.detections),
        "has_pose": frame.has_pose,
        "is_complete": observation.is_complete,
        **_view_row(frame.view),
        "geometry": polygon_wkb(frame.footprint_m) if len(frame.footprint_m) else None,
    }


def _view_row(view: InspectedView | None) -> dict[str, Any]:
    """Return the columns that make a view of a footprint: GSD at its corners, camera (width, height, focal length)."""
    if view is None or view.viewpoint_m is None:
        return {}
    return {
        "gsd_mm_per_px": view.gsd_mm_per_px.tolist(),
        "camera_px": None if view.camera is None else list(astuple(view.camera)),
        "viewpoint_m": view.viewpoint_m.tolist(),
    }


def _detection_row(rank: int, detection: Any) -> dict[str, Any]:
    region, location = detection.crack.region, detection.location
    position = (None, None, None) if location is None else location.pose.position_m.tolist()
    return {
        "rank": rank,
        "score": region.score,
        "centre_x_px": float(region.box.centre_px[0]),
        "centre_y_px": float(region.box.centre_px[1]),
        "length_px": region.box.length_px,
        "across_px": region.box.width_px,
        "angle_rad": region.box.angle_rad,
        "width_px": detection.crack.width_px.width,
        "width_mm": None if detection.width_mm is None else detection.width_mm.width,
        "width_sigma_mm": None if detection.width_mm is None else detection.width_mm.sigma,
        "length_m": _known(detection.length_m),
        "gsd_mm_per_px": None if detection.patch is None else detection.patch.gsd_mm_per_px,
        "severity": severity_number(detection.severity),
        "severity_class": detection.severity.verdict,
        **dict(zip(("x_m", "y_m", "z_m"), position, strict=True)),
        "covariance": None if location is None else np.asarray(location.covariance).ravel().tolist(),
        "geometry": _lines_of(detection.map_lines),
    }


def _lines_of(lines: Sequence[Any]) -> bytes | None:
    return lines_wkb([line.points_m for line in lines]) if lines else None


def _line_row(line: CrackObservation) -> dict[str, Any]:
    return {
        "score": line.score,
        "gsd_mm_per_px": line.gsd_mm_per_px,
        "width_mm": line.width_mm.tolist(),
        "width_sigma_mm": line.width_sigma_mm.tolist(),
        "normal": line.normal.tolist(),
        "covariance_m2": line.covariance_m2.ravel().tolist(),
        "geometry": line_wkb(line.line_m),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
