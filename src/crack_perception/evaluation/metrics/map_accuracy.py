# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evaluation of the crack map against the truth of its flight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.centreline_iou import average_precision_50, centreline_iou
from crack_perception.evaluation.metrics.crack_recall import DEFAULT_MIN_WIDTH_PX
from crack_perception.evaluation.metrics.detections import FloatArray, ObservedLine
from crack_perception.evaluation.metrics.frame_view import camera_model, visible_area_m2, widest_px
from crack_perception.evaluation.metrics.line_match import LineMatch, match_line
from crack_perception.evaluation.metrics.line_pieces import CrackSamples, sample_crack
from crack_perception.evaluation.metrics.true_lines import REACH_M, TrueLines
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.simulation.flight.truth import Truth, TruthCrack

_POSITION_ERRORS = ("position_error", "position_error_in_surface", "position_error_along_normal")
# Section length in which repeated coverage of a crack is counted.
_SECTION_M = 0.02


@dataclass(frozen=True)
class ObjectOutcome:
    """Result for one confirmed object: whether it lies on a crack, and the share of its length that is duplicate."""

    id: int
    is_true: bool
    duplicate_share: float


@dataclass(frozen=True)
class MapAccuracy:
    """Figures as under ``map`` in ``report.json``, and the results of all confirmed objects."""

    figures: dict[str, Any]
    outcomes: tuple[ObjectOutcome, ...]


def measure_map(
    cracks: Sequence[MappedCrack],
    truth: Truth | None,
    processed_ns: Sequence[int],
    observed: Sequence[ObservedLine],
    min_width_px: float = DEFAULT_MIN_WIDTH_PX,
) -> MapAccuracy:
    """Evaluate a crack map.

    Figures that are not defined are None: all of them without a truth with lines that covers the processed frames,
    false objects also when the truth is incomplete or has only labelled squares.

    Args:
        cracks: Mapped cracks; only confirmed ones are evaluated.
        truth: Truth of the flight, or None.
        processed_ns: Stamps of the processed frames.
        observed: Lines of single frames, before fusion.
        min_width_px: Minimum width in the best image of a piece that should be in the map [px].
    """
    stamps = set(processed_ns)
    frames = [frame for frame in truth.frames if frame.stamp_ns in stamps] if truth is not None else []
    if truth is None or not frames or not (truth.cracks or (truth.complete and not truth.cells)):
        return MapAccuracy(_unknown_figures(cracks), ())
    camera = camera_model(truth)
    samples = [sample_crack(crack) for crack in truth.cracks]
    widths_px = np.concatenate([np.empty(0), *widest_px(truth, camera, samples, frames)])
    normals = np.array([truth.surfaces[crack.surface].normal for crack in truth.cracks]).reshape(-1, 3)
    area_m2 = visible_area_m2(truth, camera, frames)
    is_complete = truth.complete and not truth.cells
    return _measured(cracks, observed, samples, normals, widths_px >= min_width_px, is_complete, area_m2)


def measure_map_lines(
    cracks: Sequence[MappedCrack],
    true_lines: Sequence[TruthCrack],
    footprints_m: Sequence[FloatArray],
    observed: Sequence[ObservedLine],
) -> MapAccuracy:
    """Evaluate a crack map against known lines in the map, of which those inside the inspected surface count.

    Nothing is false, since other cracks may exist that are not among the lines.

    Args:
        cracks: Mapped cracks; only confirmed ones are evaluated.
        true_lines: The lines; widths are NaN where they are not known.
        footprints_m: Footprints of the frames, polygons (M, 3).
        observed: Lines of single frames, before fusion.
    """
    samples = [sample_crack(crack) for crack in true_lines]
    points_m = np.concatenate([np.empty((0, 3)), *(each.points_m for each in samples)])
    is_inspected = np.zeros(len(points_m), bool)
    for corners_m in footprints_m:
        footprint = Footprint.of(corners_m)
        if footprint is not None:
            is_inspected |= footprint.shows(points_m, 0.0, REACH_M)
    return _measured(cracks, observed, samples, np.zeros((len(samples), 3)), is_inspected, False, None)


def _unknown_figures(cracks: Sequence[MappedCrack]) -> dict[str, Any]:
    """Return all figures of a map without truth."""
    states = Counter(crack.state for crack in cracks)
    return {
        "recall": None,
        "duplicates": None,
        "false_objects_per_100m2": None,
        **{f"{name}{which}_m": None for which in ("", "_before") for name in _POSITION_ERRORS},
        "covariance_inside_95": None,
        "covariance_inside_95_before": None,
        "centreline_iou": None,
        "average_precision_50": None,
        "width_mae_mm": None,
        "length_error": None,
        "objects": {state.value: states[state] for state in CrackState},
        "mapped_length_m": float(sum(crack.length_m for crack in cracks if crack.state is CrackState.CONFIRMED)),
        "false_objects": None,
        "visible_length_m": None,
        "seen_area_m2": None,
    }


def _measured(
    cracks: Sequence[MappedCrack],
    observed: Sequence[ObservedLine],
    samples: Sequence[CrackSamples],
    normals: FloatArray,
    visible: npt.NDArray[np.bool_],
    is_complete: bool,
    area_m2: float | None,
) -> MapAccuracy:
    """Evaluate confirmed cracks against true ones.

    Args:
        cracks, observed: As in ``measure_map``.
        samples: The true cracks, cut into pieces.
        normals: (C, 3) surface normals at them.
        visible: Mask of the pieces that should be in the map.
        is_complete: Whether they are all cracks that exist, so that others are false.
        area_m2: Inspected area; None where it is not known.
    """
    confirmed = [crack for crack in cracks if crack.state is CrackState.CONFIRMED]
    figures = _unknown_figures(cracks)
    lines = TrueLines(samples)
    matches = [match_line(lines, crack.line_m, crack.covariance_m2) for crack in confirmed]
    true = [match.is_true for match in matches]
    duplicate_m = _duplicate_m(lines, matches)
    figures["seen_area_m2"] = area_m2
    if is_complete:
        figures["false_objects"] = true.count(False)
        figures["false_objects_per_100m2"] = 100 * true.count(False) / area_m2 if area_m2 else None
    if samples:
        figures |= _coverage(lines, visible, matches, duplicate_m)
        figures |= _errors(lines, normals, confirmed, matches, visible)
        if is_complete:
            figures |= _overlap(samples, lines, visible, confirmed)
        figures |= _errors_before(lines, normals, observed)
    outcomes = tuple(
        ObjectOutcome(crack.id, is_true, length_m / match.length_m)
        for crack, match, is_true, length_m in zip(confirmed, matches, true, duplicate_m, strict=True)
    )
    return MapAccuracy(figures, outcomes if is_complete or samples else ())


def _coverage(
    lines: TrueLines, visible: npt.NDArray[np.bool_], matches: Sequence[LineMatch], duplicate_m: FloatArray
) -> dict[str, Any]:
    """Return the share of the visible length that is mapped, and the share of the mapped length that is duplicate."""
    covered = np.zeros(len(lines.lengths_m), bool)
    for match in matches:
        covered |= lines.covered_by(match.pieces, match.tolerance_m)
    visible_m = float(lines.lengths_m[visible].sum())
    mapped_m = sum(match.length_m for match in matches)
    return {
        "recall": float(lines.lengths_m[visible & covered].sum()) / visible_m if visible_m > 0 else None,
        "duplicates": float(duplicate_m.sum()) / mapped_m if mapped_m > 0 else None,
        "visible_length_m": visible_m,
    }


def _overlap(
    samples: Sequence[CrackSamples],
    lines: TrueLines,
    visible: npt.NDArray[np.bool_],
    confirmed: Sequence[MappedCrack],
) -> dict[str, Any]:
    """Return the overlap of the map with the cracks that are visible for most of their length."""
    shares = np.bincount(lines.crack, visible * lines.lengths_m) / np.bincount(lines.crack, lines.lengths_m)
    true_m = [crack.points_m for crack, share in zip(samples, shares, strict=True) if share >= 0.5]
    ignored_m = [crack.points_m for crack, share in zip(samples, shares, strict=True) if share < 0.5]
    mapped_m = [crack.line_m for crack in confirmed]
    return {
        "centreline_iou": centreline_iou(mapped_m, true_m, ignored_m),
        "average_precision_50": average_precision_50(mapped_m, [crack.score for crack in confirmed], true_m, ignored_m),
    }


def _duplicate_m(lines: TrueLines, matches: Sequence[LineMatch]) -> FloatArray:
    """Return the length of every object along crack sections that longer objects already cover.

    A constant offset of an object does not make it a duplicate.
    """
    duplicate_m = np.zeros(len(matches))
    taken: set[tuple[int, int]] = set()
    for index in sorted(range(len(matches)), key=lambda number: -matches[number].length_m):
        match = matches[index]
        along = match.fitted(lines)
        matched = along.distance_m <= match.tolerance_m
        pieces = along.piece[matched]
        sections = list(
            zip(
                lines.crack[pieces].tolist(),
                np.floor(lines.along_m[pieces] / _SECTION_M).astype(int).tolist(),
                strict=True,
            )
        )
        again = np.array([section in taken for section in sections], bool)
        duplicate_m[index] = match.pieces.lengths_m[matched] @ again
        taken.update(sections)
    return duplicate_m


def _errors(
    lines: TrueLines,
    normals: FloatArray,
    cracks: Sequence[MappedCrack],
    matches: Sequence[LineMatch],
    visible: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """Return the position, covariance, width and length figures of the objects that lie on a crack."""
    inside: list[bool | None] = []
    widths_mm: list[float] = []
    lengths: list[float] = []
    true = [(crack, match) for crack, match in zip(cracks, matches, strict=True) if match.is_true]
    for crack, match in true:
        inside.append(match.is_inside_95(crack.covariance_m2))
        true_m = match.true_length_m(lines)
        if true_m is not None and true_m > 0:
            lengths.append(abs(match.length_m - true_m) / true_m)
        pieces = match.along.piece[match.matched]
        at_m = match.pieces.lengths_m[match.matched]
        mapped_mm = match.pieces.at(crack.width_mm)[match.matched]
        compared = np.isfinite(mapped_mm) & np.isfinite(lines.widths_mm[pieces]) & visible[pieces]
        if compared.any():
            weights = at_m[compared] / at_m[compared].sum()
            widths_mm.append(float(abs(weights @ (mapped_mm[compared] - lines.widths_mm[pieces[compared]]))))
    return {
        **_position_errors("", lines, normals, [match for _, match in true]),
        "covariance_inside_95": _mean(inside),
        "width_mae_mm": _mean(widths_mm),
        "length_error": float(np.median(lengths)) if lengths else None,
    }


def _errors_before(lines: TrueLines, normals: FloatArray, observed: Sequence[ObservedLine]) -> dict[str, Any]:
    """Return the position and covariance figures of the single-frame lines that lie on a crack."""
    matches = [match_line(lines, line.line_m, line.covariance_m2) for line in observed]
    true = [(line, match) for line, match in zip(observed, matches, strict=True) if match.is_true]
    return {
        **_position_errors("_before", lines, normals, [match for _, match in true]),
        "covariance_inside_95_before": _mean([match.is_inside_95(line.covariance_m2) for line, match in true]),
    }


def _position_errors(
    which: str, lines: TrueLines, normals: FloatArray, matches: Sequence[LineMatch]
) -> dict[str, dict[str, float] | None]:
    """Return the distances to the nearest true crack, with their parts in its surface and along the surface normal.

    Args:
        which: Suffix of the figures' names.
        lines: Centrelines of the true cracks.
        normals: Surface normals (C, 3) at the true cracks.
        matches: Lines that lie on a crack.
    """
    offsets_m = np.concatenate([np.empty((0, 3)), *(match.nearest.offset_m for match in matches)])
    pieces = np.concatenate([np.empty(0, np.int64), *(match.nearest.piece for match in matches)])
    weights = np.concatenate([np.empty(0), *(match.pieces.lengths_m for match in matches)])
    along_m = np.sum(offsets_m * normals[lines.crack[pieces]], axis=1)
    in_surface_m = np.linalg.norm(offsets_m - along_m[:, None] * normals[lines.crack[pieces]], axis=1)
    errors_m = (np.linalg.norm(offsets_m, axis=1), in_surface_m, np.abs(along_m))
    return {
        f"{name}{which}_m": _percentiles(of_name_m, weights)
        for name, of_name_m in zip(_POSITION_ERRORS, errors_m, strict=True)
    }


def _percentiles(errors_m: FloatArray, weights: FloatArray) -> dict[str, float] | None:
    """Return the weighted median and 95th percentile of errors (N,), NaN where no crack is within reach."""
    if not len(errors_m):
        return None
    # An error out of reach counts as the reach, its lower bound.
    capped = np.where(np.isfinite(errors_m), errors_m, REACH_M)
    order = np.argsort(capped)
    share = np.cumsum(weights[order]) / weights.sum()
    return {
        name: float(capped[order][np.searchsorted(share, at - 1e-9)]) for name, at in (("median", 0.5), ("p95", 0.95))
    }


def _mean(values: Sequence[bool | float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
