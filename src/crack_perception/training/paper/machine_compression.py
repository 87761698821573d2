# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Compression of an RBF SVM: loss of F1, stored bytes and time of every compression method.

Section 3.2.2 of the paper claims that trimming removes 30-50 % of the support vectors, int8 75 % of the size, and
random Fourier features 80 % of the time. Bytes and time here include everything from pooled features to the decision
value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from crack_perception.training.evaluation.stratum_figures import Interval, LabelledRows
from crack_perception.training.export.onnx_graph import quantise_per_channel
from crack_perception.training.heads.compression import FourierMap, agreement, draw_fourier_map, fit_readout
from crack_perception.training.heads.rbf_machine import (
    Int8Machine,
    RbfMachine,
    machine_arrays,
    quantised,
    quantised_and_refitted,
    recentred,
    reduced,
    trimmed,
)
from crack_perception.training.heads.svm import SvmData, SvmSettings, fit_svm, gamma_unit
from crack_perception.training.heads.whitening import Projection, fit_pca, fit_standardise

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

REMOVED = (0.3, 0.5, 0.7, 0.9)
FOURIER_COUNTS = (128, 256, 512, 1024)
COMPONENTS = (16, 32, 64)

_TIMED_TILES = 64
_TIMED_REPEATS = 15


@dataclass(frozen=True)
class CompressionStep:
    """Results of one compressed classifier.

    ``bytes`` is the size of the stored arrays; ``f1`` and ``auc`` are means over the strata; ``f1_loss`` is against the
    first step, paired by photograph; ``agreement`` is the share of tiles classified as by the first step.
    ``microseconds_per_tile`` is the median of repeats over 64 tiles on one thread in numpy. Numpy has no fast integer
    products, so int8 steps are emulated in float64 and slower than on integer units.
    """

    name: str
    bytes: int
    f1: float
    f1_interval: Interval
    f1_loss: float
    f1_loss_interval: Interval
    auc: float
    agreement: float
    microseconds_per_tile: float


@dataclass(frozen=True)
class CompressedMachine:
    """A classifier from pooled features ``(N, F)`` to decision values ``(N,)``, with its stored size."""

    name: str
    decide: Callable[[Features], Array]
    stored_bytes: int


def compressed_machines(
    features: Features, labels: npt.NDArray[np.int64], settings: SvmSettings, gamma_units: float, seed: int
) -> Iterator[CompressedMachine]:
    """Yield the exact SVM on all standardised features, then all compressed versions of it.

    Args:
        features: ``(N, F)`` features to fit on.
        labels: ``(N,)`` 0/1.
        settings: Cost and class weight; gamma is ignored.
        gamma_units: Gamma in units of :func:`crack_perception.training.heads.svm.gamma_unit`, which give the same
            kernel width for all features and for a few components.
        seed: Seed of ties among trimmed vectors, of the components and of the Fourier features.
    """
    standardise = fit_standardise(features)
    scales, shift = np.diag(standardise.matrix).copy(), standardise.bias
    scaler_bytes = scales.nbytes + shift.nbytes

    def standardised(rows: Features) -> Array:
        return np.asarray(rows * scales + shift, np.float64)

    projected = standardised(features)
    exact = _fitted(projected, labels, settings, gamma_units)
    vectors = len(exact.coefficients)
    compressed: list[tuple[str, RbfMachine | Int8Machine]] = [("RBF SVM, float32", exact)]
    for share in REMOVED:
        kept = round(vectors * (1.0 - share))
        cut, fewer = trimmed(exact, kept, seed), reduced(exact, kept, projected)
        compressed += [
            (f"{share:.0%} of the vectors trimmed, no refit", cut),
            (f"{share:.0%} of the vectors trimmed, intercept moved", recentred(cut, exact, projected)),
            (f"{share:.0%} of the vectors pruned, refitted", fewer),
        ]
    compressed += [
        ("int8", quantised(exact)),
        ("int8, refitted", quantised_and_refitted(exact, projected)),
        (f"{REMOVED[-1]:.0%} pruned and int8, refitted", quantised_and_refitted(fewer, projected)),
    ]
    for name, machine in compressed:
        yield CompressedMachine(name, _behind(standardised, machine), scaler_bytes + machine.stored_bytes)
    target = exact.decide(projected)
    for count in FOURIER_COUNTS:
        fourier = draw_fourier_map(features.shape[1], count, exact.gamma, seed)
        yield from _fourier_machines(features, target, standardise, fourier)
    for components in COMPONENTS:
        yield from _component_machines(features, labels, settings, gamma_units, components, seed)


def _fitted(projected: Array, labels: npt.NDArray[np.int64], settings: SvmSettings, gamma_units: float) -> RbfMachine:
    count = len(labels)
    alike = np.full(count, "")
    data = SvmData(projected, labels, alike, alike, np.ones(count, bool))
    gamma = gamma_units * gamma_unit(data)
    return machine_arrays(fit_svm(data, np.arange(count), replace(settings, gamma=gamma)), gamma)


def _behind(projection: Callable[[Features], Array], machine: RbfMachine | Int8Machine) -> Callable[[Features], Array]:
    return lambda rows: machine.decide(projection(rows))


def _fourier_machines(
    features: Features, target: Array, standardise: Projection, fourier: FourierMap
) -> Iterator[CompressedMachine]:
    """Yield Fourier features, with the standardisation folded into their frequencies, in float32 and int8."""
    folded = standardise.then(Projection(fourier.frequencies, fourier.phases))
    count = len(folded.bias)
    readout_bytes = 4 * (count + 1)
    for name, inside, size in (
        (f"{count} Fourier features, float32", folded, 4 * (folded.matrix.size + count)),
        (f"{count} Fourier features, int8", *_rounded(folded)),
    ):
        kept = FourierMap(inside.matrix, inside.bias)
        readout = fit_readout(kept.apply(features.astype(np.float64)), target)

        def decide(
            rows: Features, inside: Projection = inside, readout: Callable[[Array], Array] = readout.apply
        ) -> Array:
            return readout(np.cos(inside.apply(rows)))

        yield CompressedMachine(name, decide, size + readout_bytes)


def _component_machines(
    features: Features,
    labels: npt.NDArray[np.int64],
    settings: SvmSettings,
    gamma_units: float,
    components: int,
    seed: int,
) -> Iterator[CompressedMachine]:
    """Yield an SVM refitted on int8 principal components: in float32, in int8, and with a tenth of the vectors."""
    projection, size = _rounded(fit_pca(features, components, seed))
    projected = projection.apply(features)
    machine = _fitted(projected, labels, settings, gamma_units)
    few = reduced(machine, round(len(machine.coefficients) * (1.0 - REMOVED[-1])), projected)
    parts: list[tuple[str, RbfMachine | Int8Machine]] = [
        ("RBF float32", machine),
        ("RBF int8", quantised_and_refitted(machine, projected)),
        (f"RBF int8, {REMOVED[-1]:.0%} pruned", quantised_and_refitted(few, projected)),
    ]
    for name, part in parts:
        yield CompressedMachine(
            f"PCA {components} int8 + {name}", _behind(projection.apply, part), size + part.stored_bytes
        )


def _rounded(projection: Projection) -> tuple[Projection, int]:
    """Quantise the matrix of a projection to int8; return the projection and its stored bytes."""
    levels, scales = quantise_per_channel(projection.matrix, 1)
    size = levels.nbytes + scales.nbytes + projection.bias.nbytes
    return Projection(levels.astype(np.float32) * scales, projection.bias), size


def compression_ladder(
    machines: Iterator[CompressedMachine], features: Features, truth: LabelledRows, threshold: float
) -> list[CompressionStep]:
    """Evaluate classifiers on rows that they were not fitted on; the first one is the reference.

    Args:
        machines: Classifiers, for example of :func:`compressed_machines`.
        features: ``(N, F)`` features of the test rows.
        truth: Labels, photographs and strata of the test rows.
        threshold: Decision value at or above which a crack is reported, the same for all.
    """
    steps: list[CompressionStep] = []
    exact: Array | None = None
    for machine in machines:
        decisions = machine.decide(features)
        exact = decisions if exact is None else exact
        figures = truth.figures(decisions, threshold)
        steps.append(
            CompressionStep(
                machine.name,
                machine.stored_bytes,
                figures.f1,
                figures.f1_interval,
                truth.f1(exact >= threshold) - figures.f1,
                truth.f1_loss_interval(exact >= threshold, decisions >= threshold),
                figures.auc,
                agreement(exact, decisions, threshold),
                _microseconds_per_tile(machine, features[:_TIMED_TILES]),
            )
        )
    return steps


def _microseconds_per_tile(machine: CompressedMachine, features: Features) -> float:
    times = []
    with threadpool_limits(1):
        machine.decide(features)
        for _ in range(_TIMED_REPEATS):
            # CPU time equals wall time on one thread, but is not affected by other processes.
            start = time.process_time()
            machine.decide(features)
            times.append(time.process_time() - start)
    return float(np.median(times)) / len(features) * 1e6
