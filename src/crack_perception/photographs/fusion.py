# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From the results of all photographs to the map file, its evidence and its exports."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.evidence.album import Album
from crack_perception.mapping.evidence.photograph import Photograph, photograph_folder, photograph_name
from crack_perception.mapping.export.crack_report import newest_day
from crack_perception.mapping.export.geographic import GeographicOrigin, write_origin
from crack_perception.mapping.export.plan.facade_plan import draw_plan
from crack_perception.mapping.export.plan.sheet import PlanNotes
from crack_perception.mapping.export.table_rows import TableRows
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.inspected_areas import InspectedAreas
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.photographs.analysis import MAP_FRAME, PhotographResult
from crack_perception.recognition.severity import SeverityScale
from crack_perception.vision.annotate import severity_colour

MAP_NAME = "crack_map"

Results = Callable[[], Iterator[PhotographResult]]
"""Reads the results in order of time, any number of times."""


@dataclass(frozen=True, eq=False)
class FusedMap:
    """The map of all photographs.

    Attributes:
        crack_map: The map.
        cracks: Its cracks.
        areas: Inspected areas.
        coverage: The same areas with their resolution, and the camera.
        album: Photographs that are kept.
        lines, faults: Number of observed lines, and of regions without location by kind.
    """

    crack_map: GrowingMap
    cracks: tuple[MappedCrack, ...]
    areas: InspectedAreas
    coverage: Coverage
    album: Album
    lines: int
    faults: dict[str, int]


def fuse(results: Results, settings: MapSettings, evidence_bytes: int) -> FusedMap:
    """Update a map with all photographs, then choose the evidence of its cracks.

    Args:
        results: Results of the photographs.
        settings: Settings of the map.
        evidence_bytes: Limit for the files of all photographs of cracks.
    """
    crack_map, areas, coverage = GrowingMap(settings), InspectedAreas(), Coverage()
    lines, faults = 0, dict[str, int]()
    for result in results():
        crack_map.add(result.observation)
        areas.add(result.observation.footprint_m)
        if result.view is not None:
            coverage.add(result.view)
        lines += len(result.observation.observations)
        for kind, count in result.faults:
            faults[kind] = faults.get(kind, 0) + count
    # Afterwards, so that no photograph has to follow cracks that are merged or divided.
    album = Album((), {}, evidence_bytes)
    for name, photograph, jpeg in _pictures(results, crack_map):
        album.offer(replace(photograph, file=name), len(jpeg))
    return FusedMap(crack_map, crack_map.cracks(), areas, coverage, album, lines, faults)


def _pictures(results: Results, crack_map: GrowingMap) -> Iterator[tuple[str, Photograph, bytes]]:
    """Yield file name, record with its crack, and JPEG of every picture that shows a crack of the map."""
    for result in results():
        for photograph, jpeg in result.pictures:
            found = photograph.of_its_crack(crack_map.crack_along)
            if found is not None:
                yield photograph_name(found, jpeg), found, jpeg


def check_replaceable(folder: Path) -> None:
    """Check that a map in the output folder holds no decisions of a reviewer, which would be lost.

    Raises:
        UserError: It does, or is no map.
    """
    path = map_path(folder)
    if path.exists() and (decisions := read_snapshot(path).decisions):
        raise UserError(
            f"{path}: holds {len(decisions)} decisions of a reviewer, which a new map would lose",
            "Choose another folder with --out",
        )


def map_path(folder: Path) -> Path:
    """Return the path of the map file in an output folder."""
    return folder / f"{MAP_NAME}.sqlite"


def write_map(folder: Path, fused: FusedMap, results: Results) -> None:
    """Write the map file and its photographs, in place of those of an earlier run.

    Raises:
        UserError: A file cannot be written.
    """
    path = map_path(folder)
    for old in (path, *(path.with_name(f"{path.name}-{end}") for end in ("wal", "shm", "journal"))):
        old.unlink(missing_ok=True)
    shutil.rmtree(photograph_folder(path), ignore_errors=True)
    kept = {photograph.file: photograph for crack in fused.album.crack_ids for photograph in fused.album.of(crack)}
    with closing(MapStore(path)) as store:
        for name, _, jpeg in _pictures(results, fused.crack_map):
            if name in kept:
                store.files.write(name, jpeg)
        store.save(
            fused.cracks,
            next_id=fused.crack_map.next_id,
            inspected_areas_m=fused.areas.polygons_m(),
            photographs=kept.values(),
            coverage=fused.coverage.take_changes(),
        )


def write_exports(
    folder: Path,
    cracks: Sequence[MappedCrack],
    areas: InspectedAreas,
    scale: SeverityScale,
    origin: GeographicOrigin | None,
    title: str,
) -> list[Path]:
    """Write GeoJSON, CSV and the plan, and beside the map its place on the earth; return their paths.

    Raises:
        UserError: A file cannot be written.
    """
    base = folder / MAP_NAME
    files = [base.with_name(f"{MAP_NAME}{end}") for end in (".geojson", ".csv", "_wgs84.geojson")]
    paths = TableRows(MAP_FRAME, scale, origin).write(cracks, *files)
    write_origin(map_path(folder), origin)
    notes = PlanNotes(
        title=title,
        date=newest_day(cracks),
        map_frame=MAP_FRAME,
        x_heading_deg=None if origin is None else origin.x_heading_deg,
    )
    pictures = [base.with_name(f"{MAP_NAME}{end}") for end in (".svg", ".png")]
    draw_plan(cracks, scale, notes, severity_colour, areas.polygons_m()).write(*pictures)
    return [*paths, *pictures]
