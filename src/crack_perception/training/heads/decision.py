# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Fit of the head of a model on cached features: SVM, calibration, threshold, compression and severity."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC

from crack_perception.evaluation.metrics.classification import precision_recall_f1, roc_auc
from crack_perception.training.data.photograph_folds import seen_rows
from crack_perception.training.heads.calibration import LogisticCurve, fit_rising_platt
from crack_perception.training.heads.compression import (
    FourierMap,
    LinearReadout,
    agreement,
    draw_fourier_map,
    fit_readout,
)
from crack_perception.training.heads.head import TileHead
from crack_perception.training.heads.severity import RenderedWidths, SeverityHeads, fit_severity, severity_figures
from crack_perception.training.heads.svm import (
    SvmData,
    choose_settings,
    choose_threshold,
    fit_svm,
    out_of_fold_scores,
)
from crack_perception.training.heads.whitening import Projection, fit_pca

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

_LOGGER = logging.getLogger(__name__)

LEAST_AGREEMENT = 0.985
MOST_AUC_LOSS = 0.002


@dataclass(frozen=True)
class HeadSettings:
    """Size of a head.

    Args:
        components: Number of principal components that the SVM is fitted on.
        fourier_counts: Numbers of random Fourier features to try, ascending; the first that is accurate enough is
            used, else the last.
        gated: Whether pictures that show no structure lower the crack score through the structure score. Otherwise the
            SVM learns them as intact tiles, which costs a small model recall on surfaces that it was not trained on.
    """

    components: int = 64
    fourier_counts: tuple[int, ...] = (256, 512, 1024)
    gated: bool = False


@dataclass(frozen=True)
class CrackRows:
    """Features and labels of tiles; see :class:`crack_perception.training.heads.svm.SvmData` for the columns."""

    features: Features
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    strata: npt.NDArray[np.str_]
    unseen: npt.NDArray[np.bool_]

    def without(self, stratum: str) -> CrackRows:
        """Return the rows of all other strata."""
        kept = self.strata != stratum
        return CrackRows(*(getattr(self, column.name)[kept] for column in fields(self)))


@dataclass(frozen=True)
class WidthRows:
    """Features ``(N, F)``, log widths in pixels ``(N,)`` and photographs ``(N,)`` of rendered cracks."""

    features: Features
    log_width_px: Array
    groups: npt.NDArray[np.str_]

    def transformed(self, projection: Projection, fourier: FourierMap) -> RenderedWidths:
        """Return the rows as inputs of the severity heads."""
        projected = projection.apply(self.features)
        return RenderedWidths(fourier.apply(projected), projected, self.log_width_px, self.groups)

    def split_photographs(self, seed: int) -> tuple[WidthRows, WidthRows]:
        """Split the rows into two halves without common photographs."""
        names = np.random.default_rng(seed).permutation(np.unique(self.groups))
        first = np.isin(self.groups, names[: len(names) // 2])
        return self._part(first), self._part(~first)

    def _part(self, rows: npt.NDArray[np.bool_]) -> WidthRows:
        return WidthRows(self.features[rows], self.log_width_px[rows], self.groups[rows])


@dataclass(frozen=True)
class Decision:
    """Fitted head, its threshold, and a report of the fit for the model card."""

    head: TileHead
    threshold: float
    report: dict[str, Any]


def fit_decision(
    cracks: CrackRows,
    unseen_fp32: Features,
    fitting_widths: WidthRows,
    held_out_widths: WidthRows,
    seed: int,
    size: HeadSettings = HeadSettings(),
) -> Decision:
    """Fit all parts of a model after the pooled features.

    Args:
        cracks: Real and synthetic tiles with features of the int8 trunk.
        unseen_fp32: Features of the unseen rows from the float32 trunk, for the report.
        fitting_widths: Cracks rendered on training photographs.
        held_out_widths: Cracks rendered on validation photographs; one half is for calibration, one for evaluation.
        seed: Seed of all random choices.
        size: Size of the head.

    Raises:
        UserError: The features do not separate cracks from intact surfaces.
    """
    projection = fit_pca(cracks.features, size.components, seed)
    data = SvmData(projection.apply(cracks.features), cracks.labels, cracks.groups, cracks.strata, cracks.unseen)
    _LOGGER.info("Choosing the SVM settings by cross-validation over photographs")
    settings, tried = choose_settings(data, seed)
    _LOGGER.info("Chose %s; computing out-of-fold scores of validation photographs", settings)
    scores = out_of_fold_scores(data, settings, None, seed)
    labels, strata = data.labels[data.unseen], data.strata[data.unseen]
    curve = fit_rising_platt(scores, labels)
    threshold = choose_threshold(curve.probability(scores), labels, strata)
    evaluator = _Evaluator(data, curve, threshold)

    _LOGGER.info("Chose threshold %.3f; approximating the SVM by Fourier features", threshold)
    seen_machine = fit_svm(data, seen_rows(data.groups, data.unseen), settings)
    unseen_features = cracks.features[cracks.unseen]
    fourier_maps = [draw_fourier_map(size.components, n, settings.gamma, seed) for n in size.fourier_counts]
    steps, fourier = _compression_steps(evaluator, seen_machine, projection, unseen_features, unseen_fp32, fourier_maps)
    count = len(fourier.phases)
    machine = fit_svm(data, np.arange(len(data.labels)), settings)
    crack = _compressed(machine, data.projected, fourier).scaled(curve.slope, curve.offset)

    _LOGGER.info("Chose %d Fourier features; fitting the width heads", count)
    calibration, held_out = (half.transformed(projection, fourier) for half in held_out_widths.split_photographs(seed))
    severity = fit_severity(fitting_widths.transformed(projection, fourier), calibration, settings.gamma)
    return Decision(
        assemble_head(projection, fourier, crack, severity),
        threshold,
        {
            "svm": {
                **asdict(settings),
                "support_vectors": int(machine.n_support_.sum()),
                "components": size.components,
            },
            "cross_validation": [{**asdict(s), "mean_auc": round(auc, 4)} for s, auc in tried],
            "out_of_fold": evaluator.figures(scores),
            "compression": steps,
            "fourier_features": count,
            "rendered_widths": {k: round(v, 4) for k, v in severity_figures(severity, held_out).items()},
        },
    )


def assemble_head(
    projection: Projection, fourier: FourierMap, crack_logit: LinearReadout, severity: SeverityHeads
) -> TileHead:
    """Combine the fitted parts into the head that is exported."""
    readouts = (crack_logit, severity.wide_logit, severity.log_width_px, severity.log_sigma)
    return TileHead(
        projection.matrix,
        projection.bias,
        fourier.frequencies,
        fourier.phases,
        np.stack([readout.coefficients for readout in readouts], axis=1).astype(np.float32),
        np.array([readout.intercept for readout in readouts], np.float32),
    )


@dataclass(frozen=True)
class _Evaluator:
    """Computes figures of decision values on the unseen rows."""

    data: SvmData
    curve: LogisticCurve
    threshold: float

    @property
    def decision_threshold(self) -> float:
        """Threshold as a decision value."""
        return self.curve.decision_at(self.threshold)

    def figures(self, decisions: Array) -> dict[str, Any]:
        """F1 and AUC of the strata with both classes with their means, false alarm rates of negative strata."""
        labels, strata = self.data.labels[self.data.unseen], self.data.strata[self.data.unseen]
        called = decisions >= self.decision_threshold
        f1: dict[str, float] = {}
        auc: dict[str, float] = {}
        alarms: dict[str, float] = {}
        for name in np.unique(strata):
            here = strata == name
            if len(np.unique(labels[here])) == 2:
                f1[str(name)] = round(precision_recall_f1(labels[here], called[here])[2], 4)
                auc[str(name)] = round(roc_auc(labels[here], decisions[here]), 4)
            elif not labels[here].any():
                alarms[str(name)] = round(float(called[here].mean()), 4)
        means = {
            "mean_f1": round(float(np.mean([*f1.values()])), 4),
            "mean_auc": round(float(np.mean([*auc.values()])), 4),
        }
        return {**means, "f1": f1, "auc": auc, "false_alarms": alarms}


def _compressed(machine: SVC, projected: Array, fourier: FourierMap) -> LinearReadout:
    return fit_readout(fourier.apply(projected), machine.decision_function(projected))


def _compression_steps(
    evaluator: _Evaluator,
    machine: SVC,
    projection: Projection,
    unseen_features: Features,
    unseen_fp32: Features,
    fourier_maps: Sequence[FourierMap],
) -> tuple[list[dict[str, Any]], FourierMap]:
    """Evaluate each step of the compression on unseen photographs, for an SVM fitted on training photographs.

    Returns:
        Figures of the steps, and the first Fourier map that agrees well enough with the exact SVM, else the last.
    """
    data = evaluator.data
    unseen = data.projected[data.unseen]
    exact = np.asarray(machine.decision_function(unseen), np.float64)
    full_precision = machine.decision_function(projection.apply(unseen_fp32))
    projection_values = projection.matrix.size + projection.bias.size
    machine_bytes = 4 * (projection_values + machine.support_vectors_.size + len(machine.support_))

    def step(name: str, decisions: Array, size: int) -> dict[str, Any]:
        figures = evaluator.figures(decisions)
        agree = agreement(exact, decisions, evaluator.decision_threshold)
        return {
            "step": name,
            "head_bytes": size,
            "mean_f1": figures["mean_f1"],
            "mean_auc": figures["mean_auc"],
            "agreement": round(agree, 4),
        }

    steps = [
        step("RBF SVM, float trunk", np.asarray(full_precision, np.float64), machine_bytes),
        step("RBF SVM, int8 trunk", exact, machine_bytes),
    ]
    seen = data.projected[seen_rows(data.groups, data.unseen)]
    for fourier in fourier_maps:
        count = len(fourier.phases)
        readout = _compressed(machine, seen, fourier)
        values = projection_values + fourier.frequencies.size + 2 * count + 1
        steps.append(step(f"{count} Fourier features", readout.apply(fourier.apply(unseen)), 4 * values))
        close = steps[-1]["mean_auc"] >= steps[1]["mean_auc"] - MOST_AUC_LOSS
        if close and steps[-1]["agreement"] >= LEAST_AGREEMENT:
            break
    zero = LinearReadout(np.zeros(count), 0.0)
    head = assemble_head(projection, fourier, readout, SeverityHeads(zero, zero, zero)).with_int8_weights()
    logits = head.fourier(unseen_features) @ head.coefficients[:, 0] + head.intercepts[0]
    steps.append(step(f"{count} Fourier features, int8", np.asarray(logits, np.float64), values + 4 * 3 * count))
    return steps, fourier
