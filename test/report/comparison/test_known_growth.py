# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Simulated walls of which some cracks grow between two surveys: measured, mapped and compared."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from line_errors import LineErrors, SeenCrack
from survey_pairs import Conditions, write_pair
from survey_verdicts import Judged, judged, outcomes

SEED = 19
DRAWN_SEEDS = (1190, 1067, 1053)

pytestmark = pytest.mark.slow


def straight(width_px: float, contrast: float = 0.65) -> SeenCrack:
    """A crack of 1000 px in the middle of an image."""
    count = 201
    points_px = np.column_stack([np.linspace(100.0, 1100.0, count), np.full(count, 480.0)])
    width = np.full(count, width_px)
    return SeenCrack(points_px, np.linspace(0, 1, count), width, np.ones(count, bool), width_px, contrast)


def test_simulated_pair_growth_found_and_nothing_else(tmp_path: Path) -> None:
    """A rendered pair shows that the chain as a whole works; docs/comparison.md has the tables of many pairs."""
    write_pair(SEED, tmp_path, Conditions())
    counts = outcomes(tmp_path)
    grown = counts["wider", "grown"] + counts["longer", "grown"]
    missed = counts["wider", "unchanged"] + counts["longer", "unchanged"]
    assert grown >= 1 and missed <= 1
    assert counts["unchanged", "unchanged"] >= 2 and counts["unchanged", "grown"] <= 1
    assert counts["new", "unchanged"] == counts["gone", "unchanged"] == 0


def test_drawn_pairs_growth_found_and_nothing_else(tmp_path: Path) -> None:
    errors = LineErrors.load()
    verdicts: list[Judged] = []
    for seed in DRAWN_SEEDS:
        write_pair(seed, tmp_path / f"{seed}", Conditions(), errors)
        verdicts += judged(tmp_path / f"{seed}")
    counts = Counter((each.kind, each.status) for each in verdicts)
    assert counts["unchanged", "unchanged"] >= 8 and counts["unchanged", "grown"] <= 1
    findable = [each.status for each in verdicts if each.kind in ("wider", "longer") and each.is_resolvable]
    assert len(findable) >= 4 and findable.count("grown") >= len(findable) - 1


@pytest.mark.parametrize("width_px", [2.0, 5.0])
def test_drawn_lines_have_the_estimated_errors(width_px: float) -> None:
    errors, rng = LineErrors.load(), np.random.default_rng(3)
    seen = straight(width_px)
    found = []
    for _ in range(400):
        own = errors.of_crack(rng, rng)
        lines = errors.lines(rng, seen, own)
        if lines:
            found.append((float(np.concatenate([line.width_px for line in lines]).mean()), own.stated))
    stated_px = np.interp(np.log(width_px), np.log(errors.classes_px), errors.stated_px)
    bias_px = np.interp(np.log(width_px), np.log(errors.classes_px), errors.bias_px)
    quantiles = np.array([errors.crack_quantiles, errors.image_quantiles])
    # Of numbers between quantiles: sums of the variances of uniform parts.
    low, high = quantiles[:, :-1], quantiles[:, 1:]
    second = ((low**2 + low * high + high**2) / 3).mean(axis=1)
    mean = ((low + high) / 2).mean(axis=1)
    shift_px = stated_px * (mean[0] * (np.sqrt(errors.shared) + np.sqrt(1 - errors.shared)) + mean[1])
    sigma_px = stated_px * np.sqrt((second - mean**2).sum())
    measured = np.array([width for width, _ in found])
    assert len(found) > 360
    assert measured.mean() == pytest.approx(width_px + bias_px + shift_px, abs=4 * sigma_px / np.sqrt(len(found)))
    assert measured.std() == pytest.approx(sigma_px, rel=0.25)


def test_drawn_lines_of_fine_and_pale_cracks_fade_out() -> None:
    errors, rng = LineErrors.load(), np.random.default_rng(4)

    def covered(width_px: float, contrast: float) -> float:
        lines = [
            line
            for _ in range(100)
            for line in errors.lines(rng, straight(width_px, contrast), errors.of_crack(rng, rng))
        ]
        return sum(line.length_px for line in lines) / 100_000

    assert covered(0.05, 0.65) < 0.1 < 0.95 < covered(4.0, 0.65)
    assert covered(0.3, 0.4) < covered(0.3, 0.9)
