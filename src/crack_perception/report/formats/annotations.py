# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The photographs of a survey with their measured lines as labels: COCO, and labelme files beside the photographs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine
from crack_perception.report.attributes import iso_text, known, utc
from crack_perception.report.contents import ReportedCrack, Survey
from crack_perception.report.formats.photograph_copies import fill_folder, remember
from crack_perception.report.georeference import Georeference
from crack_perception.report.whole_file import whole_file

Array = npt.NDArray[np.float64]

LABEL = "crack"
# A polygon of a line without a known width, or thinner than a pixel, is a pixel wide.
_LEAST_WIDTH_PX = 1.0


def write_photographs(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Copy the photographs into a folder, and remove those that an earlier report has left there.

    Raises:
        UserError: The folder cannot be written.
    """
    fill_folder(path, survey.photograph_folder, {photograph.file for _, photograph in survey.photographs()})


def write_coco(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write a COCO file (object detection) of one category; polygons are as wide as the crack.

    Raises:
        UserError: The file cannot be written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for photograph, cracks in _by_file(survey):
        width_px, height_px = photograph.size_px
        image = {
            "id": len(images) + 1,
            "file_name": photograph.file,
            "width": width_px,
            "height": height_px,
            "date_captured": iso_text(utc(photograph.stamp_ns)),
            "gsd_mm_per_px": known(photograph.gsd_mm_per_px),
        }
        images.append(image)
        for line in photograph.lines:
            polygon_px = outline(line, photograph.gsd_mm_per_px, photograph.size_px)
            low, high = polygon_px.min(axis=0), polygon_px.max(axis=0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": 1,
                    "segmentation": [polygon_px.round(2).ravel().tolist()],
                    "bbox": [*low.round(2).tolist(), *(high - low).round(2).tolist()],
                    "area": round(_area(polygon_px), 2),
                    "iscrowd": 0,
                    "attributes": _attributes(cracks[0]),
                }
            )
    collection = {
        "info": {
            "description": survey.notes.title,
            "version": "1.0",
            "contributor": survey.notes.owner,
            "about": "images are in the folder photographs; widths and severity are those of the whole crack",
        },
        "licenses": [],
        "categories": [{"id": 1, "name": LABEL, "supercategory": "defect"}],
        "images": images,
        "annotations": annotations,
    }
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.JSONEncoder(allow_nan=False, ensure_ascii=False).iterencode(collection))


def write_labelme(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Put the photographs into a folder, each with a labelme file of its lines beside it.

    Raises:
        UserError: The folder cannot be written.
    """
    write_photographs(path, survey, georeference)
    written = []
    for photograph, cracks in _by_file(survey):
        attributes = _attributes(cracks[0])
        words = ", ".join(f"{name}: {value}" for name, value in attributes.items() if value is not None)
        shapes = [
            {
                "label": LABEL,
                "points": (line.points_px + 0.5).round(2).tolist(),  # from the corner of the first pixel
                "group_id": cracks[0].id,
                "description": words,
                "shape_type": "linestrip" if len(line.points_px) > 1 else "point",
                "flags": {},
            }
            for line in photograph.lines
        ]
        content: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": photograph.file,
            "imageData": None,
            "imageHeight": photograph.size_px[1],
            "imageWidth": photograph.size_px[0],
        }
        written.append(f"{Path(photograph.file).stem}.json")
        with whole_file(path / written[-1]) as partial:
            partial.write_text(json.dumps(content, allow_nan=False, ensure_ascii=False), encoding="utf-8")
    remember(path, written)


def outline(line: PhotographedLine, gsd_mm_per_px: float, size_px: tuple[int, int]) -> Array:
    """(2N, 2) polygon around a line of N vertices, as wide as the crack is there, within the photograph."""
    width_px = line.width_mm / gsd_mm_per_px if math.isfinite(gsd_mm_per_px) else np.full(len(line.width_mm), np.nan)
    half_px = np.maximum(np.nan_to_num(width_px, nan=_LEAST_WIDTH_PX), _LEAST_WIDTH_PX)[:, None] / 2
    points_px = line.points_px
    along = np.gradient(points_px, axis=0) if len(points_px) > 1 else np.array([[1.0, 0.0]])
    size = np.linalg.norm(along, axis=1, keepdims=True)
    along = np.where(size > 1e-9, along / np.maximum(size, 1e-9), [1.0, 0.0])
    across = np.column_stack([-along[:, 1], along[:, 0]]) * half_px
    if len(points_px) == 1:
        points_px = points_px + np.array([[-0.5, 0.0], [0.5, 0.0]])
        across = np.repeat(across, 2, axis=0)
    polygon_px = np.concatenate([points_px + across, (points_px - across)[::-1]])
    # Pixel centres are whole numbers here; COCO and labelme count from the corner of the first pixel.
    return np.clip(polygon_px + 0.5, 0.0, np.array(size_px, np.float64))


def _by_file(survey: Survey) -> Iterator[tuple[Photograph, list[ReportedCrack]]]:
    """Every file once, with the cracks that it shows: two where a crack was cut in the middle of the photograph."""
    found: dict[str, tuple[Photograph, list[ReportedCrack]]] = {}
    for crack, photograph in survey.photographs():
        found.setdefault(photograph.file, (photograph, []))[1].append(crack)
    yield from (found[name] for name in sorted(found))


def _attributes(crack: ReportedCrack) -> dict[str, Any]:
    return {
        "crack_id": crack.id,
        "name": crack.name or None,
        "severity": crack.severity,
        "verdict": crack.verdict.value,
        "mean_width_mm": None if crack.summary.mean_width_mm is None else round(crack.summary.mean_width_mm, 4),
        "max_width_mm": None if crack.summary.max_width_mm is None else round(crack.summary.max_width_mm, 4),
    }


def _area(polygon: Array) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
