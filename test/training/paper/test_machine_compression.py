# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the compression steps of the RBF SVM."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("onnx")

from crack_perception.training.evaluation.stratum_figures import LabelledRows
from crack_perception.training.heads.svm import SvmSettings
from crack_perception.training.paper.machine_compression import CompressionStep, compressed_machines, compression_ladder

COLUMNS = 80


def rows(seed: int, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Two classes that differ in ten of eighty correlated features of different scales."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    features = rng.normal(0.0, 1.0, (count, COLUMNS)) + rng.normal(0.0, 1.0, (count, 1))
    features[:, :10] += 1.2 * labels[:, None]
    return (features * np.logspace(-1, 1, COLUMNS)).astype(np.float32), labels


@pytest.fixture(scope="module")
def ladder() -> dict[str, CompressionStep]:
    features, labels = rows(0, 500)
    fresh, truth = rows(1, 300)
    test = LabelledRows(truth, np.array([f"p{i % 30}" for i in range(300)]), np.full(300, "s"))
    machines = compressed_machines(features, labels, SvmSettings(1.0, 0.0), 0.3, seed=0)
    return {step.name: step for step in compression_ladder(machines, fresh, test, 0.0)}


def test_compression_ladder_exact_svm_is_reference(ladder: dict[str, CompressionStep]) -> None:
    exact = next(iter(ladder.values()))
    assert (exact.f1_loss, exact.f1_loss_interval, exact.agreement) == (0.0, (0.0, 0.0), 1.0)
    assert exact.f1 > 0.8
    assert exact.f1_interval[0] < exact.f1 < exact.f1_interval[1]
    assert all(step.f1_loss == pytest.approx(exact.f1 - step.f1) for step in ladder.values())
    assert all(step.microseconds_per_tile > 0 for step in ladder.values())


def test_compression_ladder_bytes_match_stored_arrays(ladder: dict[str, CompressionStep]) -> None:
    scaler = 2 * 4 * COLUMNS
    exact = ladder["RBF SVM, float32"].bytes - scaler - 8
    vectors = exact // (4 * (COLUMNS + 1))
    assert exact == vectors * 4 * (COLUMNS + 1)
    assert ladder["int8"].bytes == scaler + vectors * (COLUMNS + 4) + 4 * COLUMNS + 8
    assert ladder["50% of the vectors trimmed, no refit"].bytes == scaler + round(vectors / 2) * 4 * (COLUMNS + 1) + 8
    assert ladder["128 Fourier features, float32"].bytes == 4 * (COLUMNS * 128 + 128 + 128 + 1)
    assert ladder["128 Fourier features, int8"].bytes == COLUMNS * 128 + 4 * (128 + 128 + 128 + 1)
    assert ladder["PCA 16 int8 + RBF int8"].bytes < 0.3 * ladder["RBF SVM, float32"].bytes


def test_compression_ladder_refit_and_int8_agree_with_exact_svm(ladder: dict[str, CompressionStep]) -> None:
    for name in ("50% of the vectors pruned, refitted", "int8", "int8, refitted"):
        assert ladder[name].agreement > 0.98, name
    trimmed, pruned = (ladder[f"70% of the vectors {how}"] for how in ("trimmed, no refit", "pruned, refitted"))
    assert pruned.agreement > trimmed.agreement


def test_compression_ladder_more_fourier_features_agree_better(ladder: dict[str, CompressionStep]) -> None:
    few, many = (ladder[f"{count} Fourier features, float32"] for count in (128, 1024))
    assert many.agreement > 0.9
    assert many.agreement > few.agreement - 0.01
    assert many.bytes > 7 * few.bytes
