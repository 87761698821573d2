# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Robustness of a model to image interference, paired with the same tiles without interference.

Every source and surface has the same weight: F1 is the mean over strata with both classes, the false-alarm rate over
strata with background tiles, the miss rate over strata with cracked tiles. Intervals are 95 % bootstrap intervals over
photographs; those of a change are paired by tile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import grouped_bootstrap_interval
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.interference import INTERFERENCES, PAPER_KINDS, interfere
from crack_perception.training.evaluation.figures import interval, markdown_table, number
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles, score_tiles

CLEAN = "clean"
PAPER, ALL = "the paper's three", "all"
FIGURES = ("f1", "far", "misses")
_DRAWS = 300

Called = npt.NDArray[np.bool_]


def interference_figures(detector: FrameDetector, tiles: LabelledTiles, seed: int) -> dict[str, dict[str, Any]]:
    """Evaluate a model on clean tiles, under every kind of interference, the paper's three kinds and all kinds.

    Returns:
        By kind: ``n``, ``f1``, ``far``, ``misses``, each also with ``_interval`` and (except clean) with ``_change``
        and ``_change_interval`` against clean; ``strata`` holds the three metrics of every stratum.
    """
    called = {CLEAN: score_tiles(detector, tiles.pixels).crack_score >= detector.threshold}
    for kind in INTERFERENCES:
        scores = score_tiles(detector, (interfere(tile, kind, seed) for tile in tiles.pixels))
        called[kind] = scores.crack_score >= detector.threshold
    together = {kind: (kind,) for kind in INTERFERENCES} | {PAPER: PAPER_KINDS, ALL: tuple(INTERFERENCES)}
    report = {CLEAN: _figures(tiles, [called[CLEAN]], None)}
    for name, kinds in together.items():
        report[name] = _figures(tiles, [called[kind] for kind in kinds], called[CLEAN])
    return report


def _figures(tiles: LabelledTiles, called: list[Called], clean: Called | None) -> dict[str, Any]:
    """Compute the metrics of the tiles under one or several kinds; ``called`` holds one ``(N,)`` array per kind."""
    names, codes = np.unique(tiles.strata, return_inverse=True)
    groups = np.tile(tiles.groups, len(called))

    def cells_of(kinds: list[Called]) -> npt.NDArray[np.int64]:
        return np.concatenate([4 * codes + 2 * tiles.labels + calls for calls in kinds])

    cells = cells_of(called)
    clean_cells = None if clean is None else cells_of([clean] * len(called))
    report: dict[str, Any] = {"n": len(cells)}
    every = np.arange(len(cells))
    for index, name in enumerate(FIGURES):

        def figure(rows: npt.NDArray[np.intp], index: int = index) -> float:
            return _mean(_by_stratum(cells[rows], len(names))[index])

        report[name] = number(figure(every))
        report[f"{name}_interval"] = interval(grouped_bootstrap_interval(figure, groups, _DRAWS))
        if clean_cells is None:
            continue

        def change(
            rows: npt.NDArray[np.intp],
            index: int = index,
            figure: Callable[[npt.NDArray[np.intp]], float] = figure,
            before: npt.NDArray[np.int64] = clean_cells,
        ) -> float:
            return figure(rows) - _mean(_by_stratum(before[rows], len(names))[index])

        report[f"{name}_change"] = number(change(every))
        report[f"{name}_change_interval"] = interval(grouped_bootstrap_interval(change, groups, _DRAWS))
    by_stratum = np.stack(_by_stratum(cells, len(names)), axis=1)
    report["strata"] = {
        str(stratum): dict(zip(FIGURES, map(number, figures.tolist()), strict=True))
        for stratum, figures in zip(names, by_stratum, strict=True)
    }
    return report


def _by_stratum(cells: npt.NDArray[np.int64], strata: int) -> tuple[npt.NDArray[np.float64], ...]:
    """Compute F1, false-alarm rate and miss rate of every stratum; ``nan`` where undefined.

    Args:
        cells: ``(N,)`` 4 * stratum + 2 * label + called.
        strata: Number of strata.
    """
    counts = np.bincount(cells, minlength=4 * strata).reshape(strata, 2, 2).astype(np.float64)
    (background, alarms), (cracked, hits) = ((counts[:, label].sum(axis=1), counts[:, label, 1]) for label in (0, 1))
    with np.errstate(invalid="ignore"):
        far, misses = alarms / background, 1.0 - hits / cracked
        f1 = 2 * hits / (hits + alarms + cracked)
    return np.where((background > 0) & (cracked > 0), f1, np.nan), far, misses


def _mean(values: npt.NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def interference_table(figures: dict[str, dict[str, Any]]) -> str:
    """Format the result of :func:`interference_figures` as a Markdown table."""
    head = ("interference", "F1", "interval", "change of F1", "interval", "false alarms", "misses")
    keys = ("f1", "f1_interval", "f1_change", "f1_change_interval", "far", "misses")
    return markdown_table(head, [(kind, *(row.get(key) for key in keys)) for kind, row in figures.items()])
