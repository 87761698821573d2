# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Map files of a made-up bridge with photographs and reviewers' decisions, for tests of its deliverables."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from map_cracks import EAST_WALL, SOFFIT, SOUTH_WALL, cracks_on, photograph_of_crack

from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine, photograph_folder
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.database import MapStore

TITLE = "Brücke Süd <b>&amp;</b> 桥梁裂缝 Жидкий"
DECIDED_NS = 1_700_100_000_000_000_000
SIZE_PX = (960, 640)


def bridge_cracks(rng: np.random.Generator, count: int = 12) -> list[MappedCrack]:
    """Cracks on two walls and a soffit, a third of them on each."""
    sizes_m = (12.0, 5.0), (6.0, 5.0), (12.0, 6.0)
    share = count // 3
    counts = (count - 2 * share, share, share)
    cracks: list[MappedCrack] = []
    for surface, size_m, number in zip((SOUTH_WALL, EAST_WALL, SOFFIT), sizes_m, counts, strict=True):
        cracks += cracks_on(surface, rng, number, size_m, first_id=len(cracks) + 1)
    return [replace(crack, gsd_mm_per_px=float(rng.uniform(0.15, 0.6))) for crack in cracks]


def inspected_areas() -> list[np.ndarray]:
    """Overlapping rectangles: 12 x 5 m of the south wall, 6 x 5 m of the east wall, 12 x 6 m of the soffit."""
    south = [_rectangle([x, 0, 0], [4.0, 0, 0], [0, 0, 5.0]) for x in (0.0, 3.0, 6.0, 8.0)]
    east = [_rectangle([12.0, y, 0], [0, 4.0, 0], [0, 0, 5.0]) for y in (0.0, 2.0)]
    soffit = [_rectangle([x, 6.0, 6.0], [4.0, 0, 0], [0, -6.0, 0]) for x in (0.0, 4.0, 8.0)]
    return south + east + soffit


def _rectangle(corner: list[float], right: list[float], up: list[float]) -> np.ndarray:
    """Corners clockwise as seen with ``right`` to the right and ``up`` upwards."""
    low, u, v = (np.array(each, float) for each in (corner, right, up))
    return np.array([low, low + v, low + u + v, low + u])


def photograph(crack: MappedCrack, index: int, rng: np.random.Generator) -> Photograph:
    """A photograph in front of the crack's surface with the crack across it."""
    count = 24
    along = np.linspace(40.0, SIZE_PX[0] - 40.0, count)
    wander = np.cumsum(rng.normal(0.0, 7.0, count))
    points_px = np.column_stack([along, SIZE_PX[1] / 2 + wander - wander.mean()])
    width_mm = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(crack.width_mm)), crack.width_mm)
    middle_m = crack.line_m[len(crack.line_m) // 2]
    return photograph_of_crack(
        crack.id,
        crack.first_seen_ns + index * 5_000_000_000,
        file=f"{crack.id}-{index}.jpg",
        size_px=SIZE_PX,
        intrinsics_px=(1500.0, 1500.0, SIZE_PX[0] / 2, SIZE_PX[1] / 2),
        position_m=middle_m + 1.5 * crack.normal,
        gsd_mm_per_px=0.4 + 0.3 * index,
        sharpness=0.7 - 0.2 * index,
        lines=(PhotographedLine(points_px, width_mm, 0.1 * width_mm + 0.02),),
    )


def picture(photograph: Photograph, rng: np.random.Generator) -> np.ndarray:
    """Grey concrete with a dark line where the photograph says that the crack is."""
    width_px, height_px = photograph.size_px
    coarse = rng.normal(0.0, 14.0, (height_px // 32 + 2, width_px // 32 + 2)).astype(np.float32)
    grey = 150.0 + cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    grey += rng.normal(0.0, 9.0, (height_px, width_px))
    mask = np.zeros((height_px, width_px), np.uint8)
    for line in photograph.lines:
        for start, end, width_mm in zip(line.points_px[:-1], line.points_px[1:], line.width_mm, strict=False):
            thickness = max(1, round(float(np.nan_to_num(width_mm, nan=0.5)) / photograph.gsd_mm_per_px))
            cv2.line(mask, np.round(start).astype(int), np.round(end).astype(int), 255, thickness, cv2.LINE_AA)
    grey = grey * (1.0 - 0.7 * cv2.GaussianBlur(mask, (0, 0), 0.8) / 255.0)
    return np.clip(np.dstack([grey * 0.98, grey, grey * 1.01]), 0, 255).astype(np.uint8)


def decisions(cracks: list[MappedCrack]) -> list[Decision]:
    """The first crack is accepted, named and commented, the second rejected, the third has another severity."""
    first, second, third = (crack.id for crack in cracks[:3])
    author = "Jörg Müller"
    return [
        Decision(first, Action.ACCEPT, {}, author, DECIDED_NS),
        Decision(first, Action.RENAME, {"name": 'Pfeiler <1> "Süd" & 桥'}, author, DECIDED_NS),
        Decision(first, Action.COMMENT, {"text": "=Feucht, Жидкий;\n<script>alert(1)</script>"}, author, DECIDED_NS),
        Decision(second, Action.REJECT, {}, author, DECIDED_NS),
        Decision(third, Action.SEVERITY, {"severity": "minor"}, author, DECIDED_NS),
    ]


def write_bridge(path: Path, count: int = 12, photographs_each: int = 2, seed: int = 3) -> list[MappedCrack]:
    """Write the map file and its photographs; return all cracks, the rejected one among them."""
    rng = np.random.default_rng(seed)
    cracks = bridge_cracks(rng, count)
    pictures = [photograph(crack, index, rng) for crack in cracks for index in range(photographs_each)]
    folder = photograph_folder(path)
    folder.mkdir(parents=True)
    for each in pictures:
        cv2.imwrite(str(folder / each.file), picture(each, rng))
    with closing(MapStore(path)) as store:
        store.save(cracks, [], count + 1, inspected_areas(), photographs=pictures)
        for decision in decisions(cracks):
            store.add_decision(decision)
    return cracks
