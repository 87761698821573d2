# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Errors of measured crack lines: estimated from rendered flights, and drawn without rendering any image.

A flight whose lines are drawn passes the same parts as a rendered one from the projection on: analysis, pose errors,
crack map. ``line_errors.json`` holds the estimates; ``line_records.py`` makes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.measurement import MeasuredRegion, measured_width
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.wall.cracks import WallCrack
from crack_perception.vision.lines.line import CrackLine, arc_lengths, smoothed
from crack_perception.vision.regions import OrientedBox, Region

FILE = Path(__file__).with_name("line_errors.json")
STEP_PX = 5.0
"""Distance of the places on a crack at which errors are estimated and drawn, as that of measured vertices."""
BORDER_PX = 6.0
REFERENCE_CONTRAST = 0.65
LEVELS = np.linspace(0.0, 1.0, 21)
_SCALE_VERTICES = 10
_FIELD_KNOTS = 200


@dataclass(frozen=True, eq=False)
class SeenCrack:
    """A true crack in an image, at even steps.

    Attributes:
        points_px: (N, 2).
        position: (N,) place on the crack, from 0 to 1.
        width_px: (N,) true width.
        inside: (N,) whether it is inside the image.
        mean_px: Mean width of the whole crack.
        contrast: Of the crack, 0 to 1.
    """

    points_px: np.ndarray
    position: np.ndarray
    width_px: np.ndarray
    inside: np.ndarray
    mean_px: float
    contrast: float


def seen_crack(crack: WallCrack, view: SurfaceView) -> SeenCrack | None:
    """The crack in an image; None where it is outside."""
    pixels = view.pixels_of(crack.line_m)
    size_px = np.array([view.camera.width_px, view.camera.height_px])
    if not np.isfinite(pixels).all() or not _inside(pixels, size_px).any():
        return None
    along_px, along_m = arc_lengths(pixels), arc_lengths(crack.line_m)
    low = np.maximum(np.arange(len(pixels)) - _SCALE_VERTICES, 0)
    high = np.minimum(np.arange(len(pixels)) + _SCALE_VERTICES, len(pixels) - 1)
    px_per_mm = (along_px[high] - along_px[low]) / (1000 * np.maximum(along_m[high] - along_m[low], 1e-9))
    at_px = np.linspace(0, along_px[-1], max(2, round(along_px[-1] / STEP_PX) + 1))
    points = np.column_stack([np.interp(at_px, along_px, pixels[:, axis]) for axis in (0, 1)])
    width_px = np.interp(at_px, along_px, crack.width_mm * px_per_mm)
    return SeenCrack(
        smoothed(points, 1.0),
        at_px / along_px[-1],
        width_px,
        _inside(points, size_px),
        float(width_px.mean()),
        crack.contrast,
    )


def _inside(points_px: np.ndarray, size_px: np.ndarray) -> np.ndarray:
    return ((points_px > BORDER_PX) & (points_px < size_px - 1 - BORDER_PX)).all(axis=1)


@dataclass(frozen=True)
class CrackErrors:
    """Errors that all images of a crack in one survey share.

    Attributes:
        width: Error of the width, in stated standard deviations.
        stated: Factor on the stated standard deviation.
        fade: Errors of the width at which the crack fades out, at even places along it; unit variance.
    """

    width: float
    stated: float
    fade: np.ndarray


@dataclass(frozen=True)
class LineErrors:
    """Estimated errors of measured lines.

    Lists by width hold one value for each of ``classes_px``, in between they are interpolated. Errors of widths are in
    stated standard deviations, so that a crack that is hard to measure has both larger.

    Attributes:
        seeds: Of the rendered flights.
        cracks, images: Number of cracks (in one survey) and of their images that the estimates come from.
        classes_px: Mean widths of cracks.
        bias_px: Mean error of the width.
        stated_px: Standard deviation that the measurement states, median.
        stated_scatter: Standard deviation of its logarithm between cracks.
        crack_quantiles, image_quantiles: Quantiles at ``LEVELS`` of the error that all images of a crack have in
            common, and of what differs between its images.
        shared: Correlation of the former between two surveys of one crack.
        step, step_correlation: Standard deviation of the error along a line, and its correlation over one step.
        missed: Share of the images that show a crack without any line on it.
        fade_px: Width at which half of a crack of ``REFERENCE_CONTRAST`` is on a line.
        fade_contrast: Exponent of the contrast in it.
        fade_sigma: Standard deviation of its logarithm.
        fade_common: Share of that variance which is common to all images of a survey.
        fade_steps: Correlation length along the line in steps.
        end_px: Mean and standard deviation of the distance by which lines go beyond a crack's end.
        least_px: Length of short lines, the 2nd percentile.
        strength: Strength of the lines, median.
    """

    seeds: tuple[int, ...]
    cracks: int
    images: int
    classes_px: tuple[float, ...]
    bias_px: tuple[float, ...]
    stated_px: tuple[float, ...]
    stated_scatter: float
    crack_quantiles: tuple[float, ...]
    image_quantiles: tuple[float, ...]
    shared: float
    step: float
    step_correlation: float
    missed: tuple[float, ...]
    fade_px: float
    fade_contrast: float
    fade_sigma: float
    fade_common: float
    fade_steps: float
    end_px: tuple[float, float]
    least_px: float
    strength: tuple[float, ...]

    @classmethod
    def load(cls, path: Path = FILE) -> LineErrors:
        """The estimates of a file."""
        content = json.loads(path.read_text())
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})

    def save(self, path: Path = FILE) -> None:
        """Write the estimates."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def of_crack(self, rng: np.random.Generator, shared: np.random.Generator) -> CrackErrors:
        """Draw what all images of a crack in one survey have in common.

        Args:
            rng: Of the survey and the crack.
            shared: Of the crack; gives the same numbers for both surveys.
        """
        errors = [_drawn(each, self.crack_quantiles) for each in (shared, rng)]
        width = math.sqrt(self.shared) * errors[0] + math.sqrt(1 - self.shared) * errors[1]
        stated = math.exp(self.stated_scatter * shared.standard_normal())
        return CrackErrors(width, stated, _correlated(rng, _FIELD_KNOTS, math.exp(-0.1)))

    def lines(self, rng: np.random.Generator, seen: SeenCrack, own: CrackErrors) -> list[CrackLine]:
        """Draw the lines that are measured on a crack in one image."""
        if not seen.inside.any() or rng.random() < self._at(self.missed, seen.mean_px):
            return []
        stated_px = own.stated * self._at(self.stated_px, seen.mean_px)
        error = own.width + _drawn(rng, self.image_quantiles)
        error_px = self._at(self.bias_px, seen.mean_px) + stated_px * (
            error + self.step * _correlated(rng, len(seen.width_px), self.step_correlation)
        )
        width_px = np.maximum(seen.width_px + error_px, 0.2)
        strength = self._at(self.strength, seen.mean_px) * seen.contrast / REFERENCE_CONTRAST
        found = []
        for start, stop in _runs(self._is_visible(rng, seen, own), round(self.least_px / STEP_PX)):
            points_px = seen.points_px[start:stop]
            before = rng.normal(*self.end_px) if start == 0 else 0.0
            after = rng.normal(*self.end_px) if stop == len(seen.width_px) else 0.0
            points_px, kept = _with_ends(points_px, before, after)
            if len(points_px) >= 2:
                part = width_px[start:stop][kept]
                found.append(CrackLine(points_px, part, np.full(len(part), stated_px), strength))
        return found

    def _is_visible(self, rng: np.random.Generator, seen: SeenCrack, own: CrackErrors) -> np.ndarray:
        """Which places of a crack are on a line."""
        common = np.interp(seen.position, np.linspace(0, 1, _FIELD_KNOTS), own.fade)
        here = _correlated(rng, len(seen.position), math.exp(-1 / self.fade_steps))
        field = math.sqrt(self.fade_common) * common + math.sqrt(1 - self.fade_common) * here
        limit = math.log(self.fade_px) + self.fade_contrast * math.log(seen.contrast / REFERENCE_CONTRAST)
        return seen.inside & (np.log(np.maximum(seen.width_px, 1e-3)) > limit + self.fade_sigma * field)

    def _at(self, values: tuple[float, ...], width_px: float) -> float:
        return float(np.interp(math.log(max(width_px, 1e-3)), np.log(self.classes_px), values))


def region_of(lines: list[CrackLine], score: float = 0.95) -> MeasuredRegion:
    """A region around measured lines, as the detector gives."""
    ordered = tuple(sorted(lines, key=lambda line: -line.length_px))
    points_px = np.concatenate([line.points_px for line in ordered])
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    length_px, width_px = sorted((high - low + 16.0).tolist(), reverse=True)
    angle_rad = 0.0 if high[0] - low[0] >= high[1] - low[1] else math.pi / 2
    box = OrientedBox((low + high) / 2, length_px, width_px, angle_rad)
    width = measured_width(ordered) or WidthEstimate(0.0, 0.5)
    return MeasuredRegion(CrackRegion(Region(box, np.zeros(1, np.int64), score), width, 0.5), ordered, True)


def _drawn(rng: np.random.Generator, quantiles: tuple[float, ...]) -> float:
    return float(np.interp(rng.random(), LEVELS, quantiles))


def _correlated(rng: np.random.Generator, count: int, correlation: float) -> np.ndarray:
    """(count,) normal numbers of unit variance with a correlation between neighbours."""
    values = rng.standard_normal(count)
    fresh = math.sqrt(1 - correlation**2)
    for index in range(1, count):
        values[index] = correlation * values[index - 1] + fresh * values[index]
    return values


def _runs(mask: np.ndarray, least: int) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if stop - start >= max(least, 2):
            yield start, stop


def _with_ends(points_px: np.ndarray, before_px: float, after_px: float) -> tuple[np.ndarray, slice]:
    """The line that goes so far beyond its first and last vertices (less than nothing: that ends before them)."""
    first = min(max(0, round(-before_px / STEP_PX)), len(points_px))
    last = max(len(points_px) - max(0, round(-after_px / STEP_PX)), first)
    points_px = points_px.copy()
    if len(points_px) > 2:
        for end, inner, beyond_px in ((0, 1, before_px), (-1, -2, after_px)):
            if beyond_px > 0:
                step = points_px[end] - points_px[inner]
                points_px[end] += beyond_px * step / max(float(np.linalg.norm(step)), 1e-9)
    return points_px[first:last], slice(first, last)
