"""Wrong labels are found by networks of other photographs, and right ones stay."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crack_perception.training.backbones.network import CrackNetwork  # noqa: E402
from crack_perception.training.data.confident_labels import doubtful_labels, held_out_probabilities  # noqa: E402


def test_planted_wrong_labels_are_found_in_every_stratum() -> None:
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


def test_unknown_probabilities_and_one_sided_strata_are_never_doubtful() -> None:
    labels = np.array([1, 1, 0, 0, 0, 0])
    strata = np.array(["a", "a", "a", "a", "b", "b"])
    probabilities = np.array([np.nan, 0.9, 0.1, np.nan, 0.99, 0.98])
    assert not doubtful_labels(labels, probabilities, strata).any()


class _Photograph(CrackNetwork):
    """Answers with what it was told, so that it shows which network judged a tile."""

    def __init__(self, logit: float) -> None:
        torch.nn.Module.__init__(self)
        self._logit = logit

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        return torch.full((len(tiles), 2), self._logit)


def test_every_photograph_is_judged_by_the_network_that_never_saw_it() -> None:
    groups = np.repeat([f"p{i}" for i in range(6)], 4)
    training = groups != "p5"
    tiles = np.zeros((len(groups), 32, 32, 3), np.uint8)
    seen: list[set[str]] = []

    def fitted_on(mask: np.ndarray, fold: int) -> CrackNetwork:
        seen.append(set(groups[mask]))
        return _Photograph(float(fold + 1))

    probabilities = held_out_probabilities(fitted_on, tiles, groups, training, 3)
    assert np.isnan(probabilities[~training]).all()
    for name in set(groups[training]):
        judged_by = {round(float(np.log(p / (1 - p)))) for p in probabilities[groups == name]}
        assert len(judged_by) == 1
        assert name not in seen[judged_by.pop() - 1]
