# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""SVG drawing of a surface seen from the camera: detected and missed cracks, flight path, published positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from crack_perception.evaluation.metrics.accuracy import Accuracy
from crack_perception.evaluation.metrics.cell_recall import CellOutcome
from crack_perception.evaluation.metrics.crack_recall import CrackOutcome
from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections, PublishedRegion
from crack_perception.evaluation.metrics.frame_view import FrameView, camera_model
from crack_perception.evaluation.page.charts import path_data, ticks
from crack_perception.simulation.flight.truth import Truth, TruthFrame, TruthSurface

_WIDTH = 1120.0
_MARGIN = 38.0
_MAX_ELLIPSES = 150
_MAX_OUTLINES = 60
_MAX_GAP_NS = 2_000_000_000
# 95 % quantile of chi-squared with 2 degrees of freedom: the error ellipsoid is drawn in the surface's plane.
_CHI2_95_2DOF = 5.991465


@dataclass(frozen=True)
class _Sheet:
    """Mapping from surface metres to drawing units."""

    index: int
    surface: TruthSurface
    low: FloatArray
    scale: float
    height: float

    def at(self, uv_m: FloatArray) -> list[tuple[float, float]]:
        """Return the drawing coordinates of surface points (N, 2)."""
        return [(float(x), float(y)) for x, y in (uv_m - self.low) * self.scale + _MARGIN]

    def map_at(self, points_m: FloatArray) -> list[tuple[float, float]]:
        """Return the drawing coordinates of map points (N, 3)."""
        return self.at(self.surface.to_surface(points_m))


def flown_surfaces(truth: Truth, accuracy: Accuracy) -> list[int]:
    """Return the indices of the surfaces that the evaluated frames show."""
    scores = {score.stamp_ns for score in accuracy.frames}
    return sorted({frame.surface for frame in truth.frames if frame.stamp_ns in scores})


def wall_plot(truth: Truth, accuracy: Accuracy, frames: Sequence[FrameDetections], surface: int) -> str:
    """Draw the inspected part of a surface, given by its index, in metres."""
    camera = camera_model(truth)
    evaluated_ns = {score.stamp_ns for score in accuracy.frames}
    flown = [frame for frame in truth.frames if frame.stamp_ns in evaluated_ns and frame.surface == surface]
    every = max(1, len(flown) // _MAX_OUTLINES)
    outlines = [FrameView(truth, camera, frame).outline() for frame in [*flown[::every], flown[-1]]]
    sheet = _sheet(truth, surface, outlines)
    stamps = {frame.stamp_ns for frame in flown}
    # Frames of different laps may have the same stamp; scores are in the order of the frames.
    evaluated = [frame for frame in frames if frame.stamp_ns in evaluated_ns]
    regions = [
        (region, on_crack)
        for frame, score in zip(evaluated, accuracy.frames, strict=True)
        if frame.stamp_ns in stamps
        for region, on_crack in zip(frame.regions, score.on_crack, strict=True)
        if region.position_m is not None
    ]
    parts = [
        *_background(sheet, outlines),
        *_cells(sheet, [cell for cell in accuracy.cells if cell.surface == surface]),
        *_ellipses(sheet, [region for region, _ in regions]),
        *_dots(sheet, regions, accuracy.complete),
        *(path for outcome in accuracy.cracks if outcome.samples.surface == surface for path in _crack(sheet, outcome)),
        *_flight(sheet, flown),
    ]
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {sheet.height:.0f}" role="img" aria-label="Wall with cracks">'
        + "".join(parts)
        + "</svg>"
    )


def _sheet(truth: Truth, index: int, outlines: Sequence[FloatArray]) -> _Sheet:
    surface = truth.surfaces[index]
    seen = np.concatenate([outline[np.all(np.isfinite(outline), axis=1)] for outline in outlines])
    low = np.clip(seen.min(axis=0) - 0.05, 0.0, surface.size_m)
    high = np.clip(seen.max(axis=0) + 0.05, 0.0, surface.size_m)
    scale = (_WIDTH - 2 * _MARGIN) / max(float(high[0] - low[0]), 1e-6)
    return _Sheet(index, surface, low, scale, float(high[1] - low[1]) * scale + 2 * _MARGIN)


def _background(sheet: _Sheet, outlines: Sequence[FloatArray]) -> Iterator[str]:
    right, bottom = _WIDTH - _MARGIN, sheet.height - _MARGIN
    size = f'width="{right - _MARGIN:.1f}" height="{bottom - _MARGIN:.1f}"'
    yield f'<clipPath id="sheet{sheet.index}"><rect x="{_MARGIN}" y="{_MARGIN}" {size}/></clipPath>'
    yield f'<rect class="wall" x="{_MARGIN}" y="{_MARGIN}" {size}/>'
    yield f'<g clip-path="url(#sheet{sheet.index})">'
    for outline in outlines:
        yield f'<path class="seen" d="{path_data(sheet.at(outline[np.all(np.isfinite(outline), axis=1)]))}Z"/>'
    yield "</g>"
    low, high = sheet.low, sheet.low + (np.array([right, bottom]) - _MARGIN) / sheet.scale
    for u in ticks(low[0], high[0], 10):
        x = sheet.at(np.array([[u, low[1]]]))[0][0]
        yield f'<path class="axis" d="M{x:.1f} {bottom:.1f}v6"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 20:.1f}" text-anchor="middle">{u:g} m</text>'
    for v in ticks(low[1], high[1], 5):
        y = sheet.at(np.array([[low[0], v]]))[0][1]
        yield f'<path class="axis" d="M{_MARGIN:.1f} {y:.1f}h-6"/>'
        yield f'<text x="{_MARGIN - 9:.1f}" y="{y + 4:.1f}" text-anchor="end">{v:g}</text>'


def _cells(sheet: _Sheet, cells: Sequence[CellOutcome]) -> Iterator[str]:
    for cell in cells:
        state = "unseen" if cell.seen_in == 0 else "found" if cell.found else "missed"
        title = f"<title>cracked square: found in {cell.found_in} of {cell.seen_in} frames</title>"
        yield f'<path class="cell {state}" d="{path_data(sheet.at(cell.outline_m))}Z">{title}</path>'


def _crack(sheet: _Sheet, outcome: CrackOutcome) -> Iterator[str]:
    """Draw runs of pieces with the same outcome as lines whose thickness grows with crack width (not to scale)."""
    samples = outcome.samples
    half = 0.5 * samples.lengths_m[:, None] * samples.directions
    starts, ends = sheet.map_at(samples.points_m - half), sheet.map_at(samples.points_m + half)
    states = np.where(
        outcome.visible_frames == 0,
        "unseen",
        np.where(2 * outcome.flagged_frames > outcome.visible_frames, "found", "missed"),
    )
    title = (
        f"<title>crack {samples.crack_id}: {samples.widths_mm.mean():.2g} mm wide, "
        f"{samples.lengths_m.sum():.2f} m long, found in {outcome.found_in} of {outcome.seen_in} frames</title>"
    )
    for state, run in groupby(range(len(states)), key=lambda index: str(states[index])):
        indices = list(run)
        width = 1.2 + 0.9 * float(samples.widths_mm[indices].mean())
        points = [starts[indices[0]], *(ends[index] for index in indices)]
        yield f'<path class="crack {state}" stroke-width="{min(width, 8.0):.1f}" d="{path_data(points)}">{title}</path>'


def _dots(sheet: _Sheet, regions: Sequence[tuple[PublishedRegion, bool]], complete: bool) -> Iterator[str]:
    for region, on_crack in regions:
        x, y = sheet.map_at(np.asarray(region.position_m)[None])[0]
        kind, radius = ("hit", 2.2) if on_crack or not complete else ("false", 2.8)
        yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _ellipses(sheet: _Sheet, regions: Sequence[PublishedRegion]) -> Iterator[str]:
    axes = np.stack([sheet.surface.u_axis, sheet.surface.v_axis])
    for region in regions[:: max(1, len(regions) // _MAX_ELLIPSES)]:
        if region.covariance_m2 is None or not np.all(np.isfinite(region.covariance_m2)):
            continue
        values, vectors = np.linalg.eigh(axes @ region.covariance_m2 @ axes.T)
        minor, major = np.sqrt(_CHI2_95_2DOF * np.maximum(values, 0.0)) * sheet.scale
        angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
        x, y = sheet.map_at(np.asarray(region.position_m)[None])[0]
        yield (
            f'<ellipse class="ellipse" rx="{major:.1f}" ry="{minor:.1f}" '
            f'transform="translate({x:.1f} {y:.1f}) rotate({angle:.1f})"/>'
        )


def _flight(sheet: _Sheet, frames: Sequence[TruthFrame]) -> Iterator[str]:
    """Draw the camera's path, interrupted while the camera is over another surface."""
    points = sheet.map_at(np.array([frame.position_m for frame in frames]))
    away = np.flatnonzero(np.diff([frame.stamp_ns for frame in frames]) > _MAX_GAP_NS) + 1
    edges = [0, *away.tolist(), len(points)]
    lines = "".join(path_data(points[first:last]) for first, last in pairwise(edges))
    yield f'<path class="flown" d="{lines}"><title>camera path, projected onto the surface</title></path>'
    x, y = points[0]
    yield f'<circle class="start" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>start</title></circle>'
