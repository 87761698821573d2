# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The public reader of crack map files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.mapping.evidence.photograph import photograph_folder
from crack_perception.mapping.evidence.reviewed import ReviewedCrack, reviewed_cracks, without_rejected
from crack_perception.mapping.export.crack_report import CrackReport, crack_reports
from crack_perception.mapping.export.csv_table import map_csv, write_map_csv
from crack_perception.mapping.export.geojson import map_geojson, write_map_geojson
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.recognition.severity import UNDETERMINED, Severity, SeverityScale

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MapCrack:
    """One crack of the map; numbers are ``nan`` where they are not known.

    Attributes:
        id: Positive, never used for another crack of the map.
        state: ``new``, ``confirmed`` or ``lost`` (no longer seen where it should be).
        line_m: (N, 3) vertices of the centreline in order, map frame [m].
        width_mm, width_sigma_mm: (N,) crack width at the vertices and its standard deviation [mm].
        normal: (3,) unit surface normal towards the camera.
        covariance_m2: (3, 3) covariance of the line's position, map axes [m^2].
        length_m: Length of the centreline [m].
        mean_width_mm, mean_width_sigma_mm, max_width_mm: Along the centreline [mm].
        position_sigma_m: Standard deviation of the position in its most uncertain direction [m].
        severity: Severity class of the mean width, or ``undetermined``; the reviewer's class where one was chosen.
        severity_probabilities: Class -> probability by the measured width; empty where no width is known.
        score: Probability that it is a crack.
        gsd_mm_per_px: Best ground sampling distance of its observations [mm/px].
        views: Number of frames that showed it.
        first_seen, last_seen: ISO 8601, UTC, to the nanosecond.
        verdict: ``open`` or ``accepted``: the reviewer's decision. Rejected cracks are not in a reviewed map.
        name: The reviewer's name of the crack; empty if there is none.
        photographs: Paths of its photographs (JPEG), the best first.
    """

    id: int
    state: str
    line_m: Floats
    width_mm: Floats
    width_sigma_mm: Floats
    normal: Floats
    covariance_m2: Floats
    length_m: float
    mean_width_mm: float
    mean_width_sigma_mm: float
    max_width_mm: float
    position_sigma_m: float
    severity: str
    severity_probabilities: dict[str, float]
    score: float
    gsd_mm_per_px: float
    views: int
    first_seen: str
    last_seen: str
    verdict: str
    name: str
    photographs: tuple[Path, ...]


class CrackMap:
    """The cracks of a map file (``crack_map.sqlite``), read once; the file is never changed.

    Such files are written by ``crack_mapper``, ``replay``, ``map-photos`` and ``survey``. ``len()`` is the number of
    cracks. An integer index gives a ``MapCrack``, a slice gives a ``CrackMap``; iteration yields every ``MapCrack`` by
    ascending id.

    Args:
        path: The map file; ``crack_mapper`` may be writing it.
        severity: Severity classes: the name of a preset (``gb50204``, ``fine``, ``aci224r``, ``ec2``, ``aashto``), or
            ascending class edges [mm].
        severity_confidence: Probability that a class needs, 0.5 to below 1; otherwise ``undetermined``.
        reviewed: Apply the decisions of reviewers (``crack_perception desk``), as plans and reports do: rejected cracks
            are left out, merges and splits are made, names and severity classes are the reviewers'. False gives the
            cracks as they were measured.

    Raises:
        UserError: No such file, no crack map, a damaged one, or one of a newer version.

    Examples:
        >>> from crack_perception import CrackMap
        >>> crack_map = CrackMap("crack_map.sqlite")
        >>> len(crack_map) > 0
        True
        >>> crack = crack_map[0]
        >>> crack.line_m.shape[1], crack.length_m > 0
        (3, True)
        >>> [photograph.suffix for photograph in crack.photographs]
        ['.jpg']
        >>> wide = crack_map.query(region=((0, -1, 0), (20, 1, 5)), severity="obvious", min_length_m=0.2)
        >>> all(crack.severity == "obvious" for crack in wide)
        True
        >>> wide.to_geojson()["type"]
        'FeatureCollection'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        severity: str | Sequence[float] = "gb50204",
        severity_confidence: float = 0.9,
        reviewed: bool = True,
    ) -> None:
        scale = (
            SeverityScale.of_preset(severity, severity_confidence)
            if isinstance(severity, str)
            else SeverityScale(tuple(map(float, severity)), severity_confidence)
        )
        self.path = Path(path)
        snapshot = read_snapshot(self.path)
        folder = photograph_folder(self.path)
        photographs = [each for each in snapshot.photographs if (folder / each.file).is_file()]
        decisions = snapshot.decisions if reviewed else ()
        shown = without_rejected(reviewed_cracks(snapshot.cracks, photographs, decisions))
        self._set(_entries(shown, scale, folder), snapshot.inspected_areas_m, scale)

    def _set(self, entries: Iterable[_Entry], areas_m: tuple[Floats, ...], scale: SeverityScale) -> None:
        self._entries = tuple(entries)
        self._scale = scale
        self.inspected_areas_m = areas_m
        """Polygons (M, 3) of the surface that images have shown, map frame [m]."""

    def _subset(self, entries: Iterable[_Entry]) -> CrackMap:
        subset = CrackMap.__new__(CrackMap)
        subset.path = self.path
        subset._set(entries, self.inspected_areas_m, self._scale)
        return subset

    @property
    def _cracks(self) -> list[MappedCrack]:
        return [entry.crack for entry in self._entries]

    @property
    def _reports(self) -> list[CrackReport]:
        return [entry.report for entry in self._entries]

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> MapCrack: ...

    @overload
    def __getitem__(self, index: slice) -> CrackMap: ...

    def __getitem__(self, index: int | slice) -> MapCrack | CrackMap:
        if isinstance(index, slice):
            return self._subset(self._entries[index])
        return self._entries[index].public

    def __iter__(self) -> Iterator[MapCrack]:
        return (entry.public for entry in self._entries)

    def __repr__(self) -> str:
        return f"CrackMap({str(self.path)!r}, {len(self)} cracks)"

    @property
    def severity_labels(self) -> tuple[str, ...]:
        """Severity classes, slightest first."""
        return self._scale.labels

    def query(
        self,
        *,
        region: tuple[Sequence[float], Sequence[float]] | None = None,
        severity: str | Collection[str] | None = None,
        state: str | Collection[str] | None = None,
        min_length_m: float = 0.0,
    ) -> CrackMap:
        """The cracks that fulfil every given condition.

        Args:
            region: Two opposite corners (x, y, z) of an axis-aligned box, map frame [m]; a crack is inside if any part
                of its centreline is. Infinite coordinates leave an axis open.
            severity: One or several severity classes; ``undetermined`` is one.
            state: One or several of ``new``, ``confirmed``, ``lost``.
            min_length_m: Least length of the centreline [m].

        Raises:
            UserError: The corners are not six numbers, or there is no such class or state.
        """
        classes = _chosen(severity, (*self._scale.labels, UNDETERMINED), "severity class")
        states = _chosen(state, tuple(known.value for known in CrackState), "state")
        box = None if region is None else _box(region)
        return self._subset(
            entry
            for entry in self._entries
            if entry.public.severity in classes
            and entry.public.state in states
            and entry.public.length_m >= min_length_m
            and (box is None or _passes(entry.public.line_m, *box))
        )

    def to_geojson(self, frame: str = "map") -> dict[str, Any]:
        """The cracks as a GeoJSON ``FeatureCollection`` in metres of the map frame.

        For degrees or a projected system, use ``crack_perception report --formats geojson``.

        Args:
            frame: Name of the map frame, written into the collection.
        """
        return map_geojson(self._cracks, frame, self._scale, reports=self._reports)

    def to_csv(self) -> str:
        """The cracks as a table (RFC 4180): one row per crack, units in the header."""
        return map_csv(self._cracks, self._scale, self._reports)

    def write_geojson(self, path: str | os.PathLike[str], frame: str = "map") -> None:
        """Write ``to_geojson`` to a file, one line per crack, complete or not at all.

        Raises:
            UserError: The file cannot be written.
        """
        write_map_geojson(Path(path), self._cracks, frame, self._scale, reports=self._reports)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write ``to_csv`` to a file, complete or not at all.

        Raises:
            UserError: The file cannot be written.
        """
        write_map_csv(Path(path), self._cracks, self._scale, self._reports)


@dataclass(frozen=True, eq=False)
class _Entry:
    """One crack of a ``CrackMap``: as stored, its summary with the severity after review, and its public form."""

    crack: MappedCrack
    report: CrackReport
    public: MapCrack


def _entries(cracks: Sequence[ReviewedCrack], scale: SeverityScale, folder: Path) -> Iterator[_Entry]:
    for each, measured in zip(cracks, crack_reports([each.crack for each in cracks], scale), strict=True):
        verdict = each.severity(measured.severity.verdict, scale)
        report = replace(measured, severity=Severity(verdict, measured.severity.probabilities))
        yield _Entry(each.crack, report, _public(each, report, scale, folder))


def _public(each: ReviewedCrack, report: CrackReport, scale: SeverityScale, folder: Path) -> MapCrack:
    crack = each.crack
    return MapCrack(
        id=crack.id,
        state=crack.state.value,
        line_m=crack.line_m,
        width_mm=crack.width_mm,
        width_sigma_mm=crack.width_sigma_mm,
        normal=crack.normal,
        covariance_m2=crack.covariance_m2,
        length_m=crack.length_m,
        mean_width_mm=crack.mean_width_mm,
        mean_width_sigma_mm=crack.mean_width_sigma_mm,
        max_width_mm=crack.max_width_mm,
        position_sigma_m=float("nan") if report.position_sigma_m is None else report.position_sigma_m,
        severity=report.severity.verdict,
        severity_probabilities=dict(zip(scale.labels, report.severity.probabilities, strict=False)),
        score=crack.score,
        gsd_mm_per_px=crack.gsd_mm_per_px,
        views=crack.views,
        first_seen=report.first_seen,
        last_seen=report.last_seen,
        verdict=each.review.verdict.value,
        name=each.review.name,
        photographs=tuple(folder / photograph.file for photograph in each.photographs),
    )


def _chosen(wanted: str | Collection[str] | None, known: tuple[str, ...], what: str) -> frozenset[str]:
    if wanted is None:
        return frozenset(known)
    names = frozenset([wanted] if isinstance(wanted, str) else wanted)
    unknown = sorted(names - set(known))
    if unknown:
        raise UserError(f"there is no {what} '{unknown[0]}'", f"Choose from {', '.join(known)}")
    return names


def _box(region: tuple[Sequence[float], Sequence[float]]) -> tuple[Floats, Floats]:
    corners = np.array(region, np.float64) if len(region) == 2 else np.empty(0)
    if corners.shape != (2, 3) or np.isnan(corners).any():
        raise UserError(f"region {region} is not two corners (x, y, z)", "For example ((0, 0, 0), (10, 5, 3))")
    return corners.min(axis=0), corners.max(axis=0)


def _passes(line_m: Floats, low: Floats, high: Floats) -> bool:
    """Whether any segment of a line (N, 3) has a point in the box, edges included."""
    start, step = line_m[:-1], np.diff(line_m, axis=0)
    parallel = step == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (low - start) / step, (high - start) / step
    between = (low <= start) & (start <= high)
    enter = np.where(parallel, np.where(between, -np.inf, np.inf), np.minimum(one, other))
    leave = np.where(parallel, np.where(between, np.inf, -np.inf), np.maximum(one, other))
    return bool((np.maximum(enter.max(axis=1), 0.0) <= np.minimum(leave.min(axis=1), 1.0)).any())
