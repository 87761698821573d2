# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detection of wrong labels by confident learning."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from crack_perception.training.backbones.network import CrackNetwork  # noqa: E402
from crack_perception.training.data.confident_labels import doubtful_labels, held_out_probabilities  # noqa: E402


def test_doubtful_labels_wrong_labels_are_found_in_every_stratum() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    strata = np.where(rng.random(2000) < 0.5, "deck", "wall")
    probabilities = np.clip(np.where(truth == 1, 0.8, 0.2) + rng.normal(0, 0.12, 2000), 0.01, 0.99)
    wrong = rng.random(2000) < 0.08
    doubtful = doubtful_labels(np.where(wrong, 1 - truth, truth), probabilities, strata)
    for name in ("deck", "wall"):
        here = strata == name
        assert doubtful[here & wrong].mean() > 0.5
        assert doubtful[here & ~wrong].mean() < 0.01


def test_doubtful_labels_unknown_or_one_class_returns_none() -> None:
    labels = np.array([1, 1, 0, 0, 0, 0])
    strata = np.array(["a", "a", "a", "a", "b", "b"])
    probabilities = np.array([np.nan, 0.9, 0.1, np.nan, 0.99, 0.98])
    assert not doubtful_labels(labels, probabilities, strata).any()


class _ConstantNetwork(CrackNetwork):
    """Return one logit for every tile, which identifies the network."""

    def __init__(self, logit: float) -> None:
        torch.nn.Module.__init__(self)
        self._logit = logit

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        return torch.full((len(tiles), 2), self._logit)


def test_held_out_probabilities_come_from_networks_of_other_photographs() -> None:
    groups = np.repeat([f"p{i}" for i in range(6)], 4)
    training = groups != "p5"
    tiles = np.zeros((len(groups), 32, 32, 3), np.uint8)
    trained_on: list[set[str]] = []

    def fitted_on(mask: np.ndarray, fold: int) -> CrackNetwork:
        trained_on.append(set(groups[mask]))
        return _ConstantNetwork(float(fold + 1))

    probabilities = held_out_probabilities(fitted_on, tiles, groups, training, 3)
    assert np.isnan(probabilities[~training]).all()
    for name in set(groups[training]):
        networks = {round(float(np.log(p / (1 - p)))) for p in probabilities[groups == name]}
        assert len(networks) == 1
        assert name not in trained_on[networks.pop() - 1]
