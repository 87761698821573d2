# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Maps with photographs for tests of the review page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from inspected_views import wall_view
from map_cracks import photograph_of_crack, straight_crack

from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.evidence.decisions import Decision
from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine, photograph_folder
from crack_perception.mapping.evidence.reviewed import projected_px
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.database import MapStore
from crack_perception.report.orthophoto.index import FORMAT, INDEX, TILES, VERSION, orthophoto_folder
from crack_perception.report.orthophoto.raster import TILE_PX

WALL_M = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0], [6.0, 0.0, 3.0], [6.0, 0.0, 0.0]])


def level_crack(crack_id: int, first_m: float, last_m: float, height_m: float, width_mm: float = 0.5) -> MappedCrack:
    """A crack along x on the wall y = 0 with a vertex every 5 cm."""
    count = max(3, round((last_m - first_m) / 0.05) + 1)
    x = np.linspace(first_m, last_m, count)
    return straight_crack(
        crack_id,
        line_m=np.column_stack([x, np.zeros(count), np.full(count, height_m)]),
        width_mm=width_mm * np.linspace(0.9, 1.1, count),
        width_sigma_mm=np.full(count, 0.02),
    )


def photograph_facing(crack: MappedCrack, stamp_ns: int = 1_700_000_000_000_000_000) -> Photograph:
    """A photograph of 640 x 480 pixels from 1 m in front of the crack's middle, at 1 mm per pixel."""
    middle_m = crack.line_m[len(crack.line_m) // 2]
    photograph = photograph_of_crack(
        crack.id, stamp_ns, position_m=middle_m + [0.0, -1.0, 0.0], gsd_mm_per_px=1.0, size_px=(640, 480)
    )
    points_px = projected_px(photograph, crack.line_m)
    inside = np.all((points_px >= 0) & (points_px < [640, 480]), axis=1)
    line = PhotographedLine(points_px[inside], crack.width_mm[inside], crack.width_sigma_mm[inside])
    return replace(photograph, lines=(line,), completeness=float(inside.mean()))


def photograph_bytes(photograph: Photograph) -> bytes:
    """A grey wall with the lines of the photograph as dark cracks, as a JPEG."""
    width, height = photograph.size_px
    picture = np.random.default_rng(photograph.crack_id).normal(150, 6, (height, width, 1)) * np.ones(3)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for line in photograph.lines:
        cv2.polylines(picture, [np.round(line.points_px).astype(np.int32)], False, (40, 40, 40), 3)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def add_coverage(path: Path) -> None:
    """Record the wall around (0, 1.5) as inspected at 1 mm/px."""
    coverage = Coverage(0.02)
    coverage.add(wall_view(standoff_m=1.0))
    with closing(MapStore(path)) as store:
        store.save((), coverage=coverage.take_changes())


def write_map(
    path: Path,
    cracks: Sequence[MappedCrack],
    photographs: Sequence[Photograph] = (),
    decisions: Sequence[Decision] = (),
) -> Path:
    """A map file with the files of its photographs; the wall is inspected."""
    folder = photograph_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    for photograph in photographs:
        (folder / photograph.file).write_bytes(photograph_bytes(photograph))
    with closing(MapStore(path)) as store:
        store.save(cracks, (), max(crack.id for crack in cracks) + 1, [WALL_M], photographs)
        for decision in decisions:
            store.add_decision(decision)
    return path


def wall_map(folder: Path) -> Path:
    """Five cracks: 1 and 2 follow each other, 3 lies across them, 4 is wide, 5 is on another wall; three pictures."""
    cracks = [
        level_crack(1, 0.5, 1.5, 1.0, 0.3),
        level_crack(2, 1.7, 2.5, 1.0, 0.4),
        straight_crack(3, line_m=np.array([[1.0, 0.0, 1.1], [1.0, 0.0, 1.5], [1.0, 0.0, 2.0]])),
        level_crack(4, 3.0, 5.0, 2.0, 1.5),
        straight_crack(
            5,
            line_m=np.array([[6.0, 1.0, 1.0], [6.0, 1.5, 1.2], [6.0, 2.0, 1.0]]),
            normal=np.array([1.0, 0.0, 0.0]),
            width_mm=np.full(3, np.nan),
        ),
    ]
    photographs = [
        photograph_facing(cracks[0]),
        photograph_facing(cracks[3]),
        replace(photograph_facing(cracks[3], 1_700_000_009_000_000_000), gsd_mm_per_px=2.0),
    ]
    return write_map(folder / "wall.sqlite", cracks, photographs)


def write_orthophoto(map_path: Path, colour: tuple[int, int, int] = (60, 160, 60), mm_per_px: float = 2.0) -> Path:
    """An orthophoto of the wall of ``wall_map`` beside the map, of one colour with a white square; its index.

    The square covers 3.0 to 3.5 m along the wall and 0.5 to 1.0 m of height.
    """
    folder = orthophoto_folder(map_path)
    (folder / TILES).mkdir(parents=True)
    width_px, height_px = round(6000 / mm_per_px), round(3000 / mm_per_px)
    picture = np.full((height_px, width_px, 4), (*colour, 255), np.uint8)
    left, right, top, bottom = (round(value / mm_per_px) for value in (3000, 3500, 2000, 2500))
    picture[top:bottom, left:right, :3] = 255
    tiles = []
    for row in range(-(-height_px // TILE_PX)):
        for column in range(-(-width_px // TILE_PX)):
            name = f"A_r{row:03d}_c{column:03d}.png"
            part = picture[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX]
            assert cv2.imwrite(str(folder / TILES / name), part)
            tiles.append({"row": row, "column": column, "file": f"{TILES}/{name}"})
    small = cv2.resize(picture, None, fx=1 / 2, fy=1 / 2, interpolation=cv2.INTER_AREA)
    assert cv2.imwrite(str(folder / "facet_A.png"), small)
    facet = {
        "facet": "A",
        "mm_per_px": mm_per_px,
        "left_m": 0.0,
        "top_m": 3.0,
        "tile_px": TILE_PX,
        "origin_m": [0.0, 0.0, 0.0],
        "u_m": [1.0, 0.0, 0.0],
        "v_m": [0.0, 0.0, 1.0],
        "normal": [0.0, -1.0, 0.0],
        "covered_m2": 18.0,
        "gsd_mm_per_px": [0.5, 0.8],
        "frames": [{"stamp_ns": 1_700_000_000_000_000_000}],
        "tiles": tiles,
        "overview": {"file": "facet_A.png", "corners_m": [[0, 0, 3], [6, 0, 3], [0, 0, 0]]},
    }
    path = folder / INDEX
    path.write_text(json.dumps({"format": FORMAT, "version": VERSION, "facets": [facet]}))
    return path
