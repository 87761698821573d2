# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Comparison of published regions with the truth: position, length, width and severity."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections, PublishedRegion
from crack_perception.evaluation.metrics.frame_view import FrameView
from crack_perception.evaluation.metrics.line_pieces import CrackSamples
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale

# 95 % quantile of chi-squared with 3 degrees of freedom.
_CHI2_95_3DOF = 7.814728


@dataclass(frozen=True)
class WidthTruth:
    """Length-weighted mean width of the crack pieces inside a region's box, and their total length."""

    width_mm: float
    width_px: float
    length_m: float


@dataclass
class RegionMetrics:
    """Accumulate the errors of published regions.

    Args:
        cracks: True cracks, cut into pieces.
        scale: Severity classes of the node.
        min_width_px: Regions on thinner cracks do not count for widths and severities [px].
    """

    cracks: list[CrackSamples]
    scale: SeverityScale
    min_width_px: float
    position_errors_m: list[float] = field(default_factory=list)
    inside_95: list[bool] = field(default_factory=list)
    length_errors: list[float] = field(default_factory=list)
    width_errors_px: list[float] = field(default_factory=list)
    width_errors_mm: list[float] = field(default_factory=list)
    severities_correct: list[bool] = field(default_factory=list)
    undetermined: list[bool] = field(default_factory=list)

    def add(self, view: FrameView, detections: FrameDetections) -> list[bool]:
        """Evaluate one processed frame.

        Returns:
            For every region, whether a piece of a crack, of any width, lies inside its box.
        """
        pieces = [
            (view.project(samples.points_m), view.widths_px(samples), samples.widths_mm, samples.lengths_m)
            for samples in self.cracks
            if samples.surface == view.surface
        ]
        touched = []
        for region in detections.regions:
            self._add_position(view, region)
            truth = _width_truth(region, pieces)
            touched.append(truth is not None)
            if truth is not None and truth.width_px >= self.min_width_px:
                self._add_measurements(region, truth)
        return touched

    def _add_position(self, view: FrameView, region: PublishedRegion) -> None:
        if region.position_m is None:
            return
        if region.seen_at_m is None:
            true_m = view.surface_points(region.box.centre_px[None])[0]
        else:
            true_m = view.surface_points_along(region.seen_at_m[None])[0]
        error_m = region.position_m - true_m
        if not np.all(np.isfinite(error_m)):
            return
        self.position_errors_m.append(float(np.linalg.norm(error_m)))
        if region.covariance_m2 is not None:
            self.inside_95.append(mahalanobis_squared(error_m, region.covariance_m2) <= _CHI2_95_3DOF)

    def _add_measurements(self, region: PublishedRegion, truth: WidthTruth) -> None:
        if region.length_m is not None:
            self.length_errors.append(abs(region.length_m - truth.length_m) / truth.length_m)
        if region.width_mm is not None:
            error_mm = abs(region.width_mm - truth.width_mm)
            self.width_errors_mm.append(error_mm)
            # The messages carry millimetres; the true scale converts them back to pixels.
            self.width_errors_px.append(error_mm * truth.width_px / truth.width_mm)
        self.undetermined.append(region.severity == UNDETERMINED)
        if region.severity in self.scale.labels:
            true_class = self.scale.labels[self.scale.index_of(truth.width_mm)]
            self.severities_correct.append(region.severity == true_class)


def mahalanobis_squared(error: FloatArray, covariance: FloatArray) -> float:
    """Return ``e^T C^-1 e`` of an error (N,); infinite when the covariance is singular along it or not finite."""
    if not np.all(np.isfinite(covariance)):
        return float("inf")
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    components = vectors.T @ error
    moved = np.abs(components) > 1e-12
    if np.any(values[moved] <= 0):
        return float("inf")
    return float(np.sum(components[moved] ** 2 / values[moved]))


def _width_truth(
    region: PublishedRegion, pieces: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]]
) -> WidthTruth | None:
    widths_mm, widths_px, weights = [], [], []
    for pixels, piece_widths_px, piece_widths_mm, lengths_m in pieces:
        inside = region.box.contains(pixels) & np.isfinite(piece_widths_px)
        widths_mm.append(piece_widths_mm[inside])
        widths_px.append(piece_widths_px[inside])
        weights.append(lengths_m[inside])
    weight = np.concatenate(weights) if weights else np.empty(0)
    total_m = float(weight.sum())
    if total_m <= 0:
        return None
    return WidthTruth(
        width_mm=float(np.concatenate(widths_mm) @ weight / total_m),
        width_px=float(np.concatenate(widths_px) @ weight / total_m),
        length_m=total_m,
    )
