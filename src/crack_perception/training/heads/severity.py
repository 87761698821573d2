# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Severity heads fitted on rendered cracks: a two-class SVM, and a regression of log width with its standard deviation.

Labelled widths of photographs are biased (dilated masks). Cracks of known width are therefore rendered on real intact
tiles and augmented like all other tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC

from crack_perception.training.data.augmentation import augment
from crack_perception.training.data.synthesis import CrackRanges, draw_crack
from crack_perception.training.heads.calibration import fit_platt
from crack_perception.training.heads.compression import LinearReadout, fit_readout

Array = npt.NDArray[np.float64]

EDGE_PX = 3.0
SEVERITY_CRACKS = CrackRanges(width_px=(0.5, 16.0), contrast=(0.08, 0.6), least_signal=0.1)
COST_GRID = (1.0, 4.0)
FOLDS = 3
_LOG_WIDTH_RIDGE = 3e-3
_LOG_SIGMA_RIDGE = 1e-2
_LEAST_SIGMA = 0.08
# E[log |x|] of a standard normal x: converts the mean of log residuals to a log standard deviation.
_MEAN_LOG_ABS_NORMAL = -0.6352


@dataclass(frozen=True)
class RenderedWidths:
    """Rendered cracks: ``(N, D)`` Fourier features, ``(N, P)`` projected features, ``(N,)`` log widths, photographs."""

    fourier: Array
    projected: Array
    log_width_px: Array
    groups: npt.NDArray[np.str_]


@dataclass(frozen=True)
class SeverityHeads:
    """Three severity outputs as readouts of the Fourier features."""

    wide_logit: LinearReadout
    log_width_px: LinearReadout
    log_sigma: LinearReadout


def rendered_view(tile: npt.NDArray[np.uint8], rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], float]:
    """Render a crack on an intact tile and augment it.

    Returns:
        The view, and the natural logarithm of the mean crack width in pixels.
    """
    cracked, width_px = draw_crack(tile, rng, SEVERITY_CRACKS)
    view, scale = augment(cracked, rng)
    return view, math.log(width_px * scale)


def fit_severity(fitting: RenderedWidths, held_out: RenderedWidths, gamma: float) -> SeverityHeads:
    """Fit the heads on training photographs and calibrate them on validation photographs.

    Args:
        fitting: Cracks rendered on photographs that the backbone was trained on.
        held_out: Cracks rendered on validation photographs; only slopes and scales are fitted on them.
        gamma: Coefficient of the kernel that the Fourier features approximate.
    """
    log_width = fit_readout(fitting.fourier, fitting.log_width_px, ridge=_LOG_WIDTH_RIDGE)
    return SeverityHeads(
        wide_logit=_fit_wide(fitting, held_out, gamma),
        log_width_px=log_width,
        log_sigma=_fit_log_sigma(fitting, held_out, log_width),
    )


def _fit_wide(fitting: RenderedWidths, held_out: RenderedWidths, gamma: float) -> LinearReadout:
    """Fit an RBF SVM for "wider than EDGE_PX" with a cross-validated cost, approximated by Fourier features."""
    labels = (fitting.log_width_px > math.log(EDGE_PX)).astype(np.int64)
    cost = max(COST_GRID, key=lambda c: _grouped_accuracy(fitting, labels, c, gamma))
    machine = SVC(C=cost, gamma=gamma, cache_size=400).fit(fitting.projected, labels)
    compressed = fit_readout(fitting.fourier, machine.decision_function(fitting.projected))
    truth = (held_out.log_width_px > math.log(EDGE_PX)).astype(np.int64)
    curve = fit_platt(compressed.apply(held_out.fourier), truth)
    return compressed.scaled(curve.slope, curve.offset)


def _grouped_accuracy(data: RenderedWidths, labels: npt.NDArray[np.int64], cost: float, gamma: float) -> float:
    hits = []
    for fit, held_out in GroupKFold(FOLDS).split(data.projected, groups=data.groups):
        machine = SVC(C=cost, gamma=gamma, cache_size=400).fit(data.projected[fit], labels[fit])
        hits.append(float(np.mean(machine.predict(data.projected[held_out]) == labels[held_out])))
    return float(np.mean(hits))


def _fit_log_sigma(fitting: RenderedWidths, held_out: RenderedWidths, log_width: LinearReadout) -> LinearReadout:
    """Fit the log standard deviation: shape from out-of-fold residuals, level from held-out cracks (68 % within it)."""
    residuals = np.empty(len(fitting.log_width_px))
    for fit, left_out in GroupKFold(FOLDS).split(fitting.fourier, groups=fitting.groups):
        part = fit_readout(fitting.fourier[fit], fitting.log_width_px[fit], ridge=_LOG_WIDTH_RIDGE)
        residuals[left_out] = fitting.log_width_px[left_out] - part.apply(fitting.fourier[left_out])
    targets = np.log(np.maximum(np.abs(residuals), _LEAST_SIGMA / 4)) - _MEAN_LOG_ABS_NORMAL
    shape = fit_readout(fitting.fourier, targets, ridge=_LOG_SIGMA_RIDGE)
    errors = np.abs(held_out.log_width_px - log_width.apply(held_out.fourier))
    level = float(np.quantile(errors / np.exp(shape.apply(held_out.fourier)), 0.683))
    return shape.scaled(1.0, math.log(level))


def severity_figures(heads: SeverityHeads, cracks: RenderedWidths) -> dict[str, float]:
    """Evaluate the heads on rendered cracks: share correct, errors of the log width, coverage of 1 and 2 sigma."""
    errors = heads.log_width_px.apply(cracks.fourier) - cracks.log_width_px
    sigma = np.exp(heads.log_sigma.apply(cracks.fourier))
    wide = heads.wide_logit.apply(cracks.fourier) > 0
    return {
        "n": float(len(errors)),
        "wide_accuracy": float(np.mean(wide == (cracks.log_width_px > math.log(EDGE_PX)))),
        "median_relative_error": float(np.median(np.expm1(np.abs(errors)))),
        "rms_log_error": float(np.sqrt(np.mean(errors**2))),
        "within_1_sigma": float(np.mean(np.abs(errors) <= sigma)),
        "within_2_sigma": float(np.mean(np.abs(errors) <= 2 * sigma)),
    }
