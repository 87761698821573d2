# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures on tiles whose cracks are visible, beside those on the labels of the source.

Many tiles of SDNET2018 that are labelled as cracked show no crack to the eye. Two readers judged all cracked tiles of
its test split, the intact tiles that a shipped model reported, and 60 further intact ones, in random order, with raised
contrast, and without labels and scores (``readings.csv``). The readers are two independent runs of a general
vision-language model, not inspectors. They agree on 88 % of the 685 tiles (Cohen's kappa 0.78).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from crack_perception.evaluation.metrics.classification import grouped_bootstrap_interval, precision_recall_f1
from crack_perception.training.data.manifest import Row
from crack_perception.training.evaluation.figures import interval, markdown_table, number, share

VISIBLE, DOUBTFUL, NONE = "visible", "doubtful", "none"
Reading = tuple[str, str]


def stored_readings() -> dict[str, Reading]:
    """Return both readings of each tile, which is named by source, surface and file name without suffix."""
    text = files(__package__).joinpath("readings.csv").read_text(encoding="utf-8")
    return {row["tile"]: (row["first"], row["second"]) for row in csv.DictReader(text.splitlines())}


def visible_figures(
    rows: Sequence[Row], crack_score: np.ndarray, threshold: float, readings: dict[str, Reading]
) -> dict[str, dict[str, Any]]:
    """Compute the figures of every source and surface of which cracked tiles were read.

    In ``f1``, a tile counts as cracked if both readers see a crack, whatever its label, and as intact if it is labelled
    so and not both see one. Tiles that are labelled as cracked and on which not both see a crack are left out.

    Args:
        rows: Tiles.
        crack_score: ``(N,)`` scores.
        threshold: Score from which a crack is reported.
        readings: Judgements by tile, from :func:`stored_readings`.

    Returns:
        By source and surface: shares of reported tiles among those labelled as cracked on which both readers see a
        crack (``visible``), on which none does (``not_visible``), and the others (``doubtful``), each with ``n``,
        ``share`` and ``interval``; ``mislabelled``, the number of tiles labelled intact on which both see one; ``far``;
        ``f1`` with its ``interval``.
    """
    found = [readings.get(f"{row.stratum}/{Path(row.path).stem}", ("", "")) for row in rows]
    both = np.array([reading == (VISIBLE, VISIBLE) for reading in found])
    neither = np.array([reading == (NONE, NONE) for reading in found])
    read = np.array([reading != ("", "") for reading in found])
    cracked = np.array([row.label == "crack" for row in rows])
    called = crack_score >= threshold
    strata = np.array([row.stratum for row in rows])
    groups = np.array([row.group_id for row in rows])
    figures: dict[str, dict[str, Any]] = {}
    for name in np.unique(strata[read & cracked]):
        here = strata == name
        parts = {
            "visible": here & cracked & both,
            "doubtful": here & cracked & read & ~both & ~neither,
            "not_visible": here & cracked & neither,
        }
        counted = here & (both | ~cracked)
        truth, reported, photographs = both[counted].astype(np.int64), called[counted], groups[counted]
        ends = grouped_bootstrap_interval(
            lambda chosen, t=truth, r=reported: precision_recall_f1(t[chosen], r[chosen])[2],  # type: ignore[misc]
            photographs,
        )
        figures[str(name)] = {
            **{part: share(called[chosen], groups[chosen]) for part, chosen in parts.items()},
            "mislabelled": int((here & ~cracked & both).sum()),
            "far": number(float(called[here & ~cracked & ~both].mean())),
            "f1": number(precision_recall_f1(truth, reported)[2]),
            "interval": interval(ends),
        }
    return figures


def visible_table(figures: dict[str, dict[str, Any]]) -> str:
    """Format the result of :func:`visible_figures` as a Markdown table."""
    head = ("source", "visible", "recall", "interval", "doubtful", "reported", "not visible", "reported")
    rows = [
        (
            name,
            *(row["visible"][key] for key in ("n", "share", "interval")),
            *(row[part][key] for part in ("doubtful", "not_visible") for key in ("n", "share")),
            *(row[key] for key in ("mislabelled", "far", "f1", "interval")),
        )
        for name, row in figures.items()
    ]
    return markdown_table((*head, "intact, but visible", "far", "F1", "interval"), rows)
