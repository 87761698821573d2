# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures on tiles whose cracks are visible."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from crack_perception.training.data.manifest import Row
from crack_perception.training.evaluation.readings import (
    DOUBTFUL,
    NONE,
    VISIBLE,
    stored_readings,
    visible_figures,
    visible_table,
)

READINGS = {
    "s/wall/a": (VISIBLE, VISIBLE),
    "s/wall/b": (VISIBLE, VISIBLE),
    "s/wall/c": (VISIBLE, DOUBTFUL),
    "s/wall/d": (NONE, NONE),
    "s/wall/e": (VISIBLE, VISIBLE),
    "s/wall/f": (DOUBTFUL, NONE),
}


def row(name: str, label: str, surface: str = "wall") -> Row:
    return Row(f"s/{surface}/{label}/{name}.jpg", "s", surface, "test", label, "ship", f"s:{name}")


def test_visible_figures_counts_by_what_readers_saw() -> None:
    rows = [row("a", "crack"), row("b", "crack"), row("c", "crack"), row("d", "crack")]
    rows += [row("e", "none"), row("f", "none"), row("unread", "none"), row("g", "crack", "deck")]
    scores = np.array([0.9, 0.1, 0.9, 0.1, 0.9, 0.9, 0.1, 0.9])
    figures = visible_figures(rows, scores, 0.5, READINGS)
    assert list(figures) == ["s/wall"]
    wall = figures["s/wall"]
    assert (wall["visible"]["n"], wall["visible"]["share"]) == (2, 0.5)
    assert (wall["doubtful"]["n"], wall["doubtful"]["share"]) == (1, 1.0)
    assert (wall["not_visible"]["n"], wall["not_visible"]["share"]) == (1, 0.0)
    assert wall["mislabelled"] == 1
    assert wall["far"] == 0.5
    # Cracked: a, b, e, of which a and e are reported; intact: f, which is reported, and the unread tile.
    assert wall["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1), abs=1e-4)
    assert visible_table(figures).splitlines()[2].startswith("| s/wall | 2 | 0.500 |")


def test_visible_figures_without_readings_is_empty() -> None:
    assert visible_figures([row("z", "crack")], np.array([0.9]), 0.5, READINGS) == {}


def test_stored_readings_agree_as_stated() -> None:
    """The share and the kappa that the module and the docs state."""
    pairs = list(stored_readings().values())
    assert len(pairs) == 685
    agree = np.mean([first == second for first, second in pairs])
    shares = [Counter(reader) for reader in zip(*pairs, strict=True)]
    chance = sum(shares[0][kind] * shares[1][kind] for kind in (VISIBLE, DOUBTFUL, NONE)) / len(pairs) ** 2
    assert agree == pytest.approx(0.876, abs=5e-4)
    assert (agree - chance) / (1 - chance) == pytest.approx(0.777, abs=5e-4)
