"""The crack map against the truth of the flight that it was made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.crack_recall import DEFAULT_MIN_WIDTH_PX
from crack_perception.evaluation.metrics.detections import FloatArray, ObservedLine
from crack_perception.evaluation.metrics.frame_view import seen_area_m2, widest_px
from crack_perception.evaluation.metrics.line_match import LineVerdict, judge_line
from crack_perception.evaluation.metrics.line_pieces import sample_crack
from crack_perception.evaluation.metrics.true_lines import REACH_M, TrueLines
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.simulation.flight.truth import Truth

_POSITION_ERRORS = ("position_error", "position_error_in_surface", "position_error_along_normal")
# Along a crack, lengths that two objects cover are counted by stretches of this length.
_STRETCH_M = 0.02


@dataclass(frozen=True)
class ObjectOutcome:
    """What became of one confirmed object: whether it is about a crack, and the share of it that doubles others."""

    id: int
    is_true: bool
    duplicate_share: float


@dataclass(frozen=True)
class MapAccuracy:
    """The figures as they stand under ``map`` in ``report.json``, and the verdict on every confirmed object."""

    figures: dict[str, Any]
    outcomes: tuple[ObjectOutcome, ...]


def measure_map(
    cracks: Sequence[MappedCrack],
    truth: Truth | None,
    processed_ns: Sequence[int],
    observed: Sequence[ObservedLine],
    min_width_px: float = DEFAULT_MIN_WIDTH_PX,
) -> MapAccuracy:
    """Judge a map.

    Figures that cannot be judged are None: all of them without a truth that knows lines and the processed frames,
    false objects also where the truth is not complete or knows only labelled squares.

    Args:
        cracks: The map; only confirmed objects are judged.
        truth: Of the flight, or None.
        processed_ns: Stamps of the frames that the node processed.
        observed: Lines of single frames, what was known before the fusion.
        min_width_px: Width in the best image from which on a piece of crack should be in the map.
    """
    confirmed = [crack for crack in cracks if crack.state is CrackState.CONFIRMED]
    states = Counter(crack.state for crack in cracks)
    figures: dict[str, Any] = {
        "recall": None,
        "duplicates": None,
        "false_objects_per_100m2": None,
        **{f"{name}{which}_m": None for which in ("", "_before") for name in _POSITION_ERRORS},
        "covariance_inside_95": None,
        "covariance_inside_95_before": None,
        "width_mae_mm": None,
        "length_error": None,
        "objects": {state.value: states[state] for state in CrackState},
        "mapped_length_m": float(sum(crack.length_m for crack in confirmed)),
        "false_objects": None,
        "visible_length_m": None,
        "seen_area_m2": None,
    }
    stamps = set(processed_ns)
    frames = [frame for frame in truth.frames if frame.stamp_ns in stamps] if truth is not None else []
    if truth is None or not frames or not (truth.cracks or (truth.complete and not truth.cells)):
        return MapAccuracy(figures, ())
    camera = CameraModel.of(
        truth.camera.width, truth.camera.height, truth.camera.k, truth.camera.d, truth.camera.distortion_model
    )
    samples = [sample_crack(crack) for crack in truth.cracks]
    lines = TrueLines(samples)
    widths_px = np.concatenate([np.empty(0), *widest_px(truth, camera, samples, frames)])
    verdicts = [judge_line(lines, crack.line_m, crack.covariance_m2) for crack in confirmed]
    true = [verdict.is_about_a_crack for verdict in verdicts]
    doubled_m = _doubled_m(lines, verdicts)
    area_m2 = seen_area_m2(truth, camera, frames)
    figures["seen_area_m2"] = area_m2
    if truth.complete and not truth.cells:
        figures["false_objects"] = true.count(False)
        figures["false_objects_per_100m2"] = 100 * true.count(False) / area_m2 if area_m2 > 0 else None
    if truth.cracks:
        figures |= _coverage(lines, widths_px >= min_width_px, verdicts, doubled_m)
        normals = np.array([truth.surfaces[crack.surface].normal for crack in truth.cracks])
        figures |= _errors(lines, normals, confirmed, verdicts, widths_px >= min_width_px)
        figures |= _errors_before(lines, normals, observed)
    outcomes = tuple(
        ObjectOutcome(crack.id, is_true, length_m / verdict.length_m)
        for crack, verdict, is_true, length_m in zip(confirmed, verdicts, true, doubled_m, strict=True)
    )
    return MapAccuracy(figures, outcomes)


def _coverage(
    lines: TrueLines, visible: npt.NDArray[np.bool_], verdicts: Sequence[LineVerdict], doubled_m: FloatArray
) -> dict[str, Any]:
    """Share of the visible length that is in the map, and share of the mapped length that repeats another object."""
    covered = np.zeros(len(lines.lengths_m), bool)
    for verdict in verdicts:
        covered |= lines.covered_by(verdict.pieces, verdict.tolerance_m)
    visible_m = float(lines.lengths_m[visible].sum())
    mapped_m = sum(verdict.length_m for verdict in verdicts)
    return {
        "recall": float(lines.lengths_m[visible & covered].sum()) / visible_m if visible_m > 0 else None,
        "duplicates": float(doubled_m.sum()) / mapped_m if mapped_m > 0 else None,
        "visible_length_m": visible_m,
    }


def _doubled_m(lines: TrueLines, verdicts: Sequence[LineVerdict]) -> FloatArray:
    """Length of every object along stretches of cracks that longer objects cover already.

    How far off an object is as a whole is no matter of doubles.
    """
    doubled_m = np.zeros(len(verdicts))
    taken: set[tuple[int, int]] = set()
    for index in sorted(range(len(verdicts)), key=lambda number: -verdicts[number].length_m):
        verdict = verdicts[index]
        along = verdict.fitted(lines)
        matched = along.distance_m <= verdict.tolerance_m
        pieces = along.piece[matched]
        stretches = list(
            zip(
                lines.crack[pieces].tolist(),
                np.floor(lines.along_m[pieces] / _STRETCH_M).astype(int).tolist(),
                strict=True,
            )
        )
        again = np.array([stretch in taken for stretch in stretches], bool)
        doubled_m[index] = verdict.pieces.lengths_m[matched] @ again
        taken.update(stretches)
    return doubled_m


def _errors(
    lines: TrueLines,
    normals: FloatArray,
    cracks: Sequence[MappedCrack],
    verdicts: Sequence[LineVerdict],
    visible: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """Position, covariance, width and length of the objects that are about a crack."""
    inside: list[bool | None] = []
    widths_mm: list[float] = []
    lengths: list[float] = []
    true = [(crack, verdict) for crack, verdict in zip(cracks, verdicts, strict=True) if verdict.is_about_a_crack]
    for crack, verdict in true:
        inside.append(verdict.is_inside_95(crack.covariance_m2))
        true_m = verdict.true_length_m(lines)
        if true_m is not None and true_m > 0:
            lengths.append(abs(verdict.length_m - true_m) / true_m)
        pieces = verdict.along.piece[verdict.matched]
        at_m = verdict.pieces.lengths_m[verdict.matched]
        mapped_mm = verdict.pieces.at(crack.width_mm)[verdict.matched]
        judged = np.isfinite(mapped_mm) & visible[pieces]
        if judged.any():
            weights = at_m[judged] / at_m[judged].sum()
            widths_mm.append(float(abs(weights @ (mapped_mm[judged] - lines.widths_mm[pieces[judged]]))))
    return {
        **_position_errors("", lines, normals, [verdict for _, verdict in true]),
        "covariance_inside_95": _mean(inside),
        "width_mae_mm": _mean(widths_mm),
        "length_error": float(np.median(lengths)) if lengths else None,
    }


def _errors_before(lines: TrueLines, normals: FloatArray, observed: Sequence[ObservedLine]) -> dict[str, Any]:
    """Position and covariance of the lines of single frames that are about a crack."""
    verdicts = [judge_line(lines, line.line_m, line.covariance_m2) for line in observed]
    true = [(line, verdict) for line, verdict in zip(observed, verdicts, strict=True) if verdict.is_about_a_crack]
    return {
        **_position_errors("_before", lines, normals, [verdict for _, verdict in true]),
        "covariance_inside_95_before": _mean([verdict.is_inside_95(line.covariance_m2) for line, verdict in true]),
    }


def _position_errors(
    which: str, lines: TrueLines, normals: FloatArray, verdicts: Sequence[LineVerdict]
) -> dict[str, dict[str, float] | None]:
    """Distances to the nearest true crack in space, and their parts in its surface and along the surface's normal.

    Args:
        which: End of the figures' names.
        lines: The true cracks.
        normals: (C, 3) of the surfaces that the cracks are on.
        verdicts: Lines that are about a crack.
    """
    offsets_m = np.concatenate([np.empty((0, 3)), *(verdict.nearest.offset_m for verdict in verdicts)])
    pieces = np.concatenate([np.empty(0, np.int64), *(verdict.nearest.piece for verdict in verdicts)])
    weights = np.concatenate([np.empty(0), *(verdict.pieces.lengths_m for verdict in verdicts)])
    along_m = np.sum(offsets_m * normals[lines.crack[pieces]], axis=1)
    in_surface_m = np.linalg.norm(offsets_m - along_m[:, None] * normals[lines.crack[pieces]], axis=1)
    errors_m = (np.linalg.norm(offsets_m, axis=1), in_surface_m, np.abs(along_m))
    return {
        f"{name}{which}_m": _spread(of_name_m, weights)
        for name, of_name_m in zip(_POSITION_ERRORS, errors_m, strict=True)
    }


def _spread(errors_m: FloatArray, weights: FloatArray) -> dict[str, float] | None:
    """Median and 95th percentile of errors (N,), NaN where the nearest crack is out of reach, by weight."""
    if not len(errors_m):
        return None
    # What is out of reach counts as no nearer than the reach.
    capped = np.where(np.isfinite(errors_m), errors_m, REACH_M)
    order = np.argsort(capped)
    share = np.cumsum(weights[order]) / weights.sum()
    return {
        name: float(capped[order][np.searchsorted(share, at - 1e-9)]) for name, at in (("median", 0.5), ("p95", 0.95))
    }


def _mean(values: Sequence[bool | float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
