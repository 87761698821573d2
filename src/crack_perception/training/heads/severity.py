"""Crack width from rendered cracks of exactly known width: a two-class SVM and a log-width regressor with a spread.

Labelled widths of photographs are biased (dilated masks), so the truth is drawn: cracks on real sound tiles, seen
through the same random light, optics and noise as everything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC

from crack_perception.training.data.augmentation import augment
from crack_perception.training.data.rendered_views import CrackRanges, draw_crack
from crack_perception.training.heads.calibration import fit_platt
from crack_perception.training.heads.compression import LinearReadout, fit_readout

Array = npt.NDArray[np.float64]

EDGE_PX = 3.0
SEVERITY_CRACKS = CrackRanges(width_px=(0.5, 16.0), contrast=(0.08, 0.6), least_signal=0.1)
COST_GRID = (1.0, 4.0)
FOLDS = 3
_LOG_WIDTH_RIDGE = 3e-3
_LOG_SPREAD_RIDGE = 1e-2
_LEAST_SIGMA = 0.08
# E[log |x|] of a standard normal x: turns a fitted mean of log residuals into a log standard deviation.
_MEAN_LOG_ABS_NORMAL = -0.6352


@dataclass(frozen=True)
class RenderedWidths:
    """Rendered cracks: ``(N, D)`` Fourier features, ``(N, P)`` projected features, log widths, photographs."""

    fourier: Array
    projected: Array
    log_width_px: Array
    groups: npt.NDArray[np.str_]


@dataclass(frozen=True)
class SeverityHeads:
    """The three severity outputs as readouts on the Fourier features."""

    wide_logit: LinearReadout
    log_width_px: LinearReadout
    log_sigma: LinearReadout


def rendered_view(tile: npt.NDArray[np.uint8], rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], float]:
    """A crack on a sound tile, augmented, and the natural logarithm of its mean width in pixels."""
    cracked, width_px = draw_crack(tile, rng, SEVERITY_CRACKS)
    view, scale = augment(cracked, rng)
    return view, math.log(width_px * scale)


def fit_severity(fitting: RenderedWidths, held_out: RenderedWidths, gamma: float) -> SeverityHeads:
    """Fit on cracks drawn on training photographs, calibrate on cracks drawn on validation photographs.

    Args:
        fitting: Rendered on photographs that the backbone learned from.
        held_out: Rendered on photographs that it never saw; only slopes and scales are taken from them.
        gamma: Of the kernel that the Fourier features stand for.
    """
    log_width = fit_readout(fitting.fourier, fitting.log_width_px, ridge=_LOG_WIDTH_RIDGE)
    return SeverityHeads(
        wide_logit=_fit_wide(fitting, held_out, gamma),
        log_width_px=log_width,
        log_sigma=_fit_spread(fitting, held_out, log_width),
    )


def _fit_wide(fitting: RenderedWidths, held_out: RenderedWidths, gamma: float) -> LinearReadout:
    """RBF SVM for "wider than the edge", its cost by grouped cross-validation, refitted on the Fourier features."""
    labels = (fitting.log_width_px > math.log(EDGE_PX)).astype(np.int64)
    cost = max(COST_GRID, key=lambda c: _grouped_accuracy(fitting, labels, c, gamma))
    machine = SVC(C=cost, gamma=gamma, cache_size=400).fit(fitting.projected, labels)
    compressed = fit_readout(fitting.fourier, machine.decision_function(fitting.projected))
    truth = (held_out.log_width_px > math.log(EDGE_PX)).astype(np.int64)
    curve = fit_platt(compressed.apply(held_out.fourier), truth)
    return compressed.scaled(curve.slope, curve.offset)


def _grouped_accuracy(data: RenderedWidths, labels: npt.NDArray[np.int64], cost: float, gamma: float) -> float:
    hits = []
    for fit, judge in GroupKFold(FOLDS).split(data.projected, groups=data.groups):
        machine = SVC(C=cost, gamma=gamma, cache_size=400).fit(data.projected[fit], labels[fit])
        hits.append(float(np.mean(machine.predict(data.projected[judge]) == labels[judge])))
    return float(np.mean(hits))


def _fit_spread(fitting: RenderedWidths, held_out: RenderedWidths, log_width: LinearReadout) -> LinearReadout:
    """Log of the spread: shape from out-of-fold residuals, level from the held-out renders (68 % within one sigma)."""
    residuals = np.empty(len(fitting.log_width_px))
    for fit, judge in GroupKFold(FOLDS).split(fitting.fourier, groups=fitting.groups):
        part = fit_readout(fitting.fourier[fit], fitting.log_width_px[fit], ridge=_LOG_WIDTH_RIDGE)
        residuals[judge] = fitting.log_width_px[judge] - part.apply(fitting.fourier[judge])
    targets = np.log(np.maximum(np.abs(residuals), _LEAST_SIGMA / 4)) - _MEAN_LOG_ABS_NORMAL
    shape = fit_readout(fitting.fourier, targets, ridge=_LOG_SPREAD_RIDGE)
    errors = np.abs(held_out.log_width_px - log_width.apply(held_out.fourier))
    level = float(np.quantile(errors / np.exp(shape.apply(held_out.fourier)), 0.683))
    return shape.scaled(1.0, math.log(level))


def severity_figures(heads: SeverityHeads, judged: RenderedWidths) -> dict[str, float]:
    """Accuracy and honesty on rendered cracks: share correct, errors of the log width, coverage of 1 and 2 sigma."""
    errors = heads.log_width_px.apply(judged.fourier) - judged.log_width_px
    sigma = np.exp(heads.log_sigma.apply(judged.fourier))
    wide = heads.wide_logit.apply(judged.fourier) > 0
    return {
        "n": float(len(errors)),
        "wide_accuracy": float(np.mean(wide == (judged.log_width_px > math.log(EDGE_PX)))),
        "median_relative_error": float(np.median(np.expm1(np.abs(errors)))),
        "rms_log_error": float(np.sqrt(np.mean(errors**2))),
        "within_1_sigma": float(np.mean(np.abs(errors) <= sigma)),
        "within_2_sigma": float(np.mean(np.abs(errors) <= 2 * sigma)),
    }
