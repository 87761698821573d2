# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack map of a structure from the observations of its recordings, and its table of cracks as GeoParquet."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.evidence.decisions import Review, Verdict, reviews
from crack_perception.mapping.export.crack_report import crack_reports, middle_m
from crack_perception.mapping.export.geographic import GeographicOrigin, origin_path, write_origin
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.inspected_areas import InspectedAreas
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.storage.database import MapStore
from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.comparison.alignment import Prior
from crack_perception.report.comparison.changes import CrackChange, Status, compare
from crack_perception.report.comparison.survey import Survey, survey_of
from crack_perception.survey.earlier_map import continued, replaceable_map
from crack_perception.survey.geoparquet import METADATA_KEY, box_of, line_wkb, metadata
from crack_perception.survey.map_photographs import MapPhotographs
from crack_perception.survey.placement import MapSource, between, moved, structure_origin
from crack_perception.survey.small_plan import html_colour, small_plan
from crack_perception.survey.storage import Storage
from crack_perception.survey.tables import FRAMES, LINES, observations, severity_number
from crack_perception.survey.tasks import DATED_NS, DONE, RECORDINGS, Job, use_one_thread

Array = npt.NDArray[np.float64]

STRUCTURES = "structures"
MAP_FILE, CRACKS_FILE, PLAN_FILE = "map.sqlite", "cracks.parquet", "plan.svg"

# Recordings of one campaign follow each other within this time; growth is what differs between campaigns.
CAMPAIGN_GAP_NS = 7 * 24 * 3600 * 1_000_000_000
_WORST = 20
# Cracks of a structure that the page shows a photograph of.
_PICTURED = 6
# File systems allow 255 bytes.
_LONGEST_NAME, _DIGEST_CHARACTERS = 150, 16

FORMAT = 3
"""Version of the structures' files; maps of another version are made again."""

SCHEMA = pa.schema(
    [
        ("structure", pa.string()),
        ("id", pa.int64()),
        ("state", pa.string()),
        ("verdict", pa.string()),
        ("severity", pa.float64()),
        ("severity_class", pa.string()),
        ("length_m", pa.float64()),
        ("mean_width_mm", pa.float64()),
        ("mean_width_sigma_mm", pa.float64()),
        ("max_width_mm", pa.float64()),
        ("score", pa.float64()),
        ("gsd_mm_per_px", pa.float64()),
        ("views", pa.int64()),
        ("position_sigma_m", pa.float64()),
        ("first_seen", pa.timestamp("ns", tz="UTC")),
        ("last_seen", pa.timestamp("ns", tz="UTC")),
        ("x_m", pa.float64()),
        ("y_m", pa.float64()),
        ("z_m", pa.float64()),
        ("grown", pa.bool_()),
        ("change", pa.string()),
        ("change_significance", pa.float64()),
        ("length_growth_m", pa.float64()),
        ("width_growth_mm", pa.float64()),
        ("photograph", pa.string()),
        ("geometry", pa.binary()),
        ("geometry_map", pa.binary()),
    ]
)


def structure_folder(structure: str) -> str:
    """Return the folder of a structure's results, which every file system can name."""
    name = quote(structure, safe=" ()+,=@")
    if not name.strip("."):  # the folder itself, or the one above
        name = name.replace(".", "%2E")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(structure.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        name = f"{name[:_LONGEST_NAME].rstrip('%')}~{digest}"
    return f"{STRUCTURES}/{name}"


def map_structure(
    job: Job, structure: str, sources: Sequence[MapSource], origin: GeographicOrigin | None
) -> dict[str, Any]:
    """Map a structure and return its summary, that of an earlier run where nothing has changed.

    Args:
        job: The run.
        structure: Its name.
        sources: Its recordings with poses, any order.
        origin: Given place of the map on the earth; None: that of its first recording with one.

    Raises:
        UserError: The tables cannot be read, the recordings have no common frame, or the results cannot be written.
    """
    begin_s = time.perf_counter()
    use_one_thread()
    storage, folder = Storage(job.out), structure_folder(structure)
    sources = sorted(sources, key=lambda source: (source.first_stamp_ns, source.key))
    digest = _digest(job, structure, sources, origin)
    earlier = storage.read_json(f"{folder}/{DONE}")
    if earlier is not None and earlier["digest"] == digest:
        return dict(earlier)
    origin = structure_origin(structure, origin, [source.origin for source in sources])
    mapped = _mapped(storage, sources, origin, job.settings.map)
    growth = _growth(storage, mapped.crack_map, sources, origin, job.settings.map)
    with (
        tempfile.TemporaryDirectory(prefix="crack_perception_survey_") as temporary,
        replaceable_map(storage, f"{folder}/{MAP_FILE}") as replaceable,
    ):
        path = Path(temporary) / MAP_FILE
        origin_file = f"{folder}/{origin_path(path).name}"
        transform = between(_origin_of(storage.read_json(origin_file)), origin)
        whole = continued(mapped.crack_map, replaceable.earlier.moved(transform), job.settings.map)
        cracks = whole.cracks
        photographs = MapPhotographs(storage, f"{folder}/{MAP_FILE}", job.settings.evidence_bytes)
        photographs.keep(whole.earlier_photographs)
        photographs.choose(sources, origin, functools.partial(_crack_along, mapped.crack_map, whole.ids))
        with closing(MapStore(path)) as store:
            store.save(
                cracks,
                next_id=whole.next_id,
                inspected_areas_m=mapped.areas.polygons_m(),
                photographs=photographs.write(),
                decisions=whole.decisions,
                coverage=mapped.coverage.take_changes(),
            )
        replaceable.replace(path)
        photographs.remove_others()
        if origin is not None:
            write_origin(path, origin)
            storage.upload(origin_file, origin_path(path))
        else:
            storage.remove(origin_file)
        verdicts = reviews(whole.decisions)
        best = photographs.best()
        paths = {crack: photographs.path(photograph) for crack, photograph in best.items()}
        rows = list(_rows(structure, cracks, verdicts, job.settings.scale, growth.of(whole.ids), origin, paths))
        present = [crack for crack in cracks if not _is_rejected(verdicts, crack.id)]
        plan = small_plan(present, mapped.areas.polygons_m(), job.settings.scale, f"Plan of {structure}")
        if plan is not None:
            storage.write(f"{folder}/{PLAN_FILE}", plan.encode())
        table = Path(temporary) / CRACKS_FILE
        _write_cracks(table, rows, cracks, origin)
        storage.upload(f"{folder}/{CRACKS_FILE}", table)
    summary = _summary(rows, digest, structure, sources, growth)
    summary |= {"photographs": photographs.count, "wall_s": round(time.perf_counter() - begin_s, 3)}
    summary["legend"] = {label: html_colour(job.settings.scale, label) for label in job.settings.scale.labels}
    for crack in summary["worst"][:_PICTURED]:
        crack["photograph"] = photographs.shown(best.get(crack["id"]))
    storage.write_json(f"{folder}/{DONE}", summary)
    return summary


@dataclass(frozen=True)
class _Mapped:
    crack_map: GrowingMap
    areas: InspectedAreas
    coverage: Coverage

    def survey(self) -> Survey:
        """Return the map as one of two that are compared; nobody has reviewed it."""
        return survey_of(self.crack_map.cracks(), {}, self.areas.polygons_m())


def _mapped(
    storage: Storage, sources: Iterable[MapSource], origin: GeographicOrigin | None, settings: MapSettings
) -> _Mapped:
    """Map recordings one after the other, as crack_mapper does with what it receives."""
    mapped = _Mapped(GrowingMap(settings), InspectedAreas(), Coverage())
    for source in sources:
        transform = between(source.origin, origin)
        folder = f"{RECORDINGS}/{source.key}"
        with (
            storage.opened(f"{folder}/{FRAMES}.parquet") as frames,
            storage.opened(f"{folder}/{LINES}.parquet") as lines,
        ):
            for stored, stored_view in observations(frames, lines, source.key):
                observation, view = stored, stored_view
                if transform is not None:
                    observation = moved(stored, transform)
                    view = None if stored_view is None else stored_view.moved(transform)
                mapped.crack_map.add(observation)
                mapped.areas.add(observation.footprint_m)
                if view is not None:
                    mapped.coverage.add(view)
    return mapped


def _crack_along(crack_map: GrowingMap, ids: Mapping[int, int], line_m: Array) -> int | None:
    """Return the id that the crack along a line gets."""
    found = crack_map.crack_along(line_m)
    return None if found is None else ids.get(found)


def campaigns(sources: Sequence[MapSource]) -> list[list[MapSource]]:
    """Group recordings, in order of time, into campaigns.

    Those of a clock that was not set are in none, where others have a date.
    """
    dated = [source for source in sources if source.first_stamp_ns >= DATED_NS] or list(sources)
    groups: list[list[MapSource]] = [[source] for source in dated[:1]]
    for before, source in pairwise(dated):
        if source.first_stamp_ns - before.first_stamp_ns > CAMPAIGN_GAP_NS:
            groups.append([])
        groups[-1].append(source)
    return groups


@dataclass(frozen=True)
class _Growth:
    """Comparison of the last two campaigns.

    Attributes:
        changes: Crack of the map -> its change; None where nothing was compared.
        problem: Why two campaigns could not be compared; empty otherwise.
    """

    changes: Mapping[int, CrackChange] | None = None
    problem: str = ""

    def of(self, ids: Mapping[int, int]) -> Mapping[int, CrackChange] | None:
        """Return the changes by the ids that the cracks get."""
        return None if self.changes is None else {ids[crack]: change for crack, change in self.changes.items()}


def _growth(
    storage: Storage,
    crack_map: GrowingMap,
    sources: Sequence[MapSource],
    origin: GeographicOrigin | None,
    settings: MapSettings,
) -> _Growth:
    """Compare the last campaign with the one before it, where there are two."""
    groups = campaigns(sources)
    if len(groups) < 2:
        return _Growth()
    old, new = (_mapped(storage, group, origin, settings).survey() for group in groups[-2:])
    if not old.cracks or not new.cracks:
        return _Growth(problem="one of the last two campaigns has found no cracks")
    try:
        comparison = compare(old, new, Prior())
    except UserError as error:
        return _Growth(problem=f"the maps of the last two campaigns do not fit each other: {error.problem}")
    found: dict[int, CrackChange] = {}
    for change in comparison.changes:
        for line_m in change.lines_m:
            identifier = crack_map.crack_along(line_m)
            if identifier is not None:
                found.setdefault(identifier, change)
    return _Growth(found)


def _rows(
    structure: str,
    cracks: Sequence[MappedCrack],
    verdicts: Mapping[int, Review],
    scale: SeverityScale,
    changes: Mapping[int, CrackChange] | None,
    origin: GeographicOrigin | None,
    photographs: Mapping[int, str],
) -> Iterator[dict[str, Any]]:
    for crack, report in zip(cracks, crack_reports(cracks, scale), strict=True):
        change = None if changes is None else changes.get(crack.id)
        length, width = (None, None) if change is None else (change.length, change.width)
        x_m, y_m, z_m = middle_m(crack).tolist()
        yield {
            "structure": structure,
            "id": crack.id,
            "state": crack.state.value,
            "verdict": verdicts.get(crack.id, Review()).verdict.value,
            "severity": severity_number(report.severity),
            "severity_class": report.severity.verdict,
            "length_m": report.length_m,
            "mean_width_mm": report.mean_width_mm,
            "mean_width_sigma_mm": report.mean_width_sigma_mm,
            "max_width_mm": report.max_width_mm,
            "score": report.score,
            "gsd_mm_per_px": report.gsd_mm_per_px,
            "views": crack.views,
            "position_sigma_m": report.position_sigma_m,
            "first_seen": crack.first_seen_ns,
            "last_seen": crack.last_seen_ns,
            "x_m": x_m,
            "y_m": y_m,
            "z_m": z_m,
            "grown": None if changes is None else change is not None and change.status is Status.GROWN,
            "change": None if change is None else change.status.value,
            "change_significance": None if change is None else change.significance,
            "length_growth_m": None if length is None else length.change,
            "width_growth_mm": None if width is None else width.change,
            "photograph": photographs.get(crack.id),
            "geometry": line_wkb(crack.line_m if origin is None else origin.positions(crack.line_m)),
            "geometry_map": line_wkb(crack.line_m),
        }


def _write_cracks(
    path: Path, rows: list[dict[str, Any]], cracks: Sequence[MappedCrack], origin: GeographicOrigin | None
) -> None:
    lines_m = [crack.line_m for crack in cracks]
    shown = lines_m if origin is None else [origin.positions(line_m) for line_m in lines_m]
    boxes = {
        name: box for name, box in (("geometry", box_of(shown)), ("geometry_map", box_of(lines_m))) if box is not None
    }
    columns = {"geometry": (["LineString Z"], origin is not None), "geometry_map": (["LineString Z"], False)}
    schema = SCHEMA.with_metadata({METADATA_KEY: metadata(columns, "geometry", boxes)})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _summary(
    rows: Sequence[dict[str, Any]],
    digest: str,
    structure: str,
    sources: Sequence[MapSource],
    growth: _Growth,
) -> dict[str, Any]:
    shown = [row for row in rows if row["state"] != CrackState.LOST.value and row["verdict"] != Verdict.REJECTED.value]
    shown.sort(key=worst_first)
    plain = ("id", "state", "severity", "severity_class", "length_m", "mean_width_mm", "max_width_mm", "views", "grown")
    return {
        "digest": digest,
        "structure": structure,
        "recordings": [asdict(source) for source in sources],
        "campaigns": len(campaigns(sources)),
        "cracks": len(shown),
        "length_m": sum(row["length_m"] for row in shown),
        "grown": None if growth.changes is None else sum(bool(row["grown"]) for row in shown),
        "not_compared": growth.problem,
        "worst": [{name: row[name] for name in plain} for row in shown[:_WORST]],
    }


def _is_rejected(verdicts: Mapping[int, Review], crack_id: int) -> bool:
    return verdicts.get(crack_id, Review()).verdict is Verdict.REJECTED


def _origin_of(plain: Any) -> GeographicOrigin | None:
    return None if plain is None else GeographicOrigin(**plain)


def worst_first(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return the key that sorts cracks by severity, greatest width and length, undetermined ones last."""
    return -(row["severity"] or 0.0), -(row["max_width_mm"] or 0.0), -row["length_m"]


def _digest(job: Job, structure: str, sources: Sequence[MapSource], origin: GeographicOrigin | None) -> str:
    content = [
        FORMAT,
        job.settings.digest,
        job.settings.map_digest,
        structure,
        [asdict(source) for source in sources],
        None if origin is None else asdict(origin),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
