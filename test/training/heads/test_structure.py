# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Calibration of the readout that tells structures from other pictures."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from crack_perception.recognition.backends.protocol import NO_STRUCTURE_FROM
from crack_perception.training.data.other_pictures import STRATUM
from crack_perception.training.heads.decision import CrackRows
from crack_perception.training.heads.structure import calibrated_structure

COUNT = 3000


def rows(seed: int, distance: float) -> CrackRows:
    """Structures around 0 and a third as many other pictures around ``distance`` in the first of four features."""
    rng = np.random.default_rng(seed)
    is_other = np.arange(COUNT) % 4 == 0
    features = rng.normal(0.0, 1.0, (COUNT, 4))
    features[:, 0] += distance * is_other
    strata = np.where(is_other, STRATUM, np.where(np.arange(COUNT) % 4 == 1, "a/wall", "b/deck"))
    labels = np.zeros(COUNT, np.int64)
    return CrackRows(features.astype(np.float32), labels, strata, strata, np.arange(COUNT) % 3 == 0)


def test_calibrated_structure_gives_probabilities_at_equal_shares() -> None:
    """For unit normals at a distance d, the log-odds of a feature x are d x - d^2 / 2."""
    readout = calibrated_structure(np.array([0.5, 0.0, 0.0, 0.0]), -7.0, rows(0, 3.0), False)
    at = np.array([[0.0, 1, 1, 1], [1.5, 0, 0, 0], [3.0, 0, 0, 0]])
    np.testing.assert_allclose(readout.logit.apply(at), [-4.5, 0.0, 4.5], atol=0.9)
    fresh = rows(1, 3.0)
    called = readout.logit.apply(fresh.features) >= np.log(NO_STRUCTURE_FROM / (1 - NO_STRUCTURE_FROM))
    assert called[fresh.strata == STRATUM].mean() == pytest.approx(readout.recognised, abs=0.04)
    assert set(readout.mistaken) == {"a/wall", "b/deck"}
    assert called[fresh.strata == "a/wall"].mean() == pytest.approx(readout.mistaken["a/wall"], abs=0.05)
    assert readout.auc == pytest.approx(0.983, abs=0.015)


def test_calibrated_structure_uses_unseen_rows_only() -> None:
    known = rows(0, 3.0)
    spoilt = known.features.copy()
    spoilt[~known.unseen] = 100.0
    weights = np.array([1.0, 0.0, 0.0, 0.0])
    changed = CrackRows(spoilt, known.labels, known.groups, known.strata, known.unseen)
    assert (
        calibrated_structure(weights, 0.0, changed, False).report()
        == calibrated_structure(weights, 0.0, known, False).report()
    )
