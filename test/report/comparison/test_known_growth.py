# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A simulated wall of which some cracks grow between two surveys: rendered, detected, mapped and compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from survey_pairs import Conditions, write_pair
from survey_verdicts import outcomes

SEED = 19

pytestmark = pytest.mark.slow


def test_simulated_pair_growth_found_and_nothing_else(tmp_path: Path) -> None:
    """The table of docs/comparison.md has many such pairs; one shows that the chain as a whole works."""
    write_pair(SEED, tmp_path, Conditions())
    counts = outcomes(tmp_path)
    grown = counts["wider", "grown"] + counts["longer", "grown"]
    missed = counts["wider", "unchanged"] + counts["longer", "unchanged"]
    assert grown >= 1 and missed <= 1
    assert counts["unchanged", "unchanged"] >= 2 and counts["unchanged", "grown"] <= 1
    assert counts["new", "unchanged"] == counts["gone", "unchanged"] == 0
