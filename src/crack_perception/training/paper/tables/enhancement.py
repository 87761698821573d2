"""Table 2: before and after feature enhancement, on clean tiles and on the same tiles under interference.

The paper's interference set holds cracks alone, on which false alarms are undefined. Here the same interference lies on
cracked and sound tiles, and every tile is judged clean as well.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.interference import INTERFERENCES, PAPER_KINDS, interfere
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.judged_rows import JudgedRows
from crack_perception.training.evaluation.judged_tiles import score_tiles
from crack_perception.training.paper.tables.bench import CLEAN, Bench, mean_figures
from crack_perception.training.paper.tables.contenders import Contender
from crack_perception.training.paper.whitening_ablation import feature_maps, fit_behind

PAPER, ALL = "the paper's three", "all"
STANDARDISED, ZCA = "standardised", "ZCA, Ledoit-Wolf shrinkage"


@dataclass(frozen=True)
class Judged:
    """Decision values ``(N,)`` of the test tiles by kind (``clean`` among them), and the threshold."""

    name: str
    decisions: dict[str, npt.NDArray[np.float64]]
    threshold: float


def judge_maps(bench: Bench, contender: Contender, wanted: Container[str] | None) -> Iterator[Judged]:
    """A contender's features behind every feature map, each with an RBF SVM of its own.

    Args:
        bench: Samples and features.
        contender: Whose features are mapped.
        wanted: Names of maps (``whitening_ablation.feature_maps``); ``None`` for all.
    """
    rows = bench.train_rows(contender)
    for name, feature_map in feature_maps(rows.features, bench.seed):
        if wanted is None or name in wanted:
            chosen, decide = fit_behind(feature_map, rows)
            decisions = {kind: decide(bench.test_features(contender, kind)) for kind in (CLEAN, *INTERFERENCES)}
            yield Judged(f"{contender.name}, {name}", decisions, chosen.threshold)


def judge_finished(bench: Bench, detector: FrameDetector) -> Judged:
    """A model as it flies, with its own threshold."""
    tiles = bench.samples.test.pixels
    scores = {CLEAN: score_tiles(detector, tiles)}
    for kind in INTERFERENCES:
        scores[kind] = score_tiles(detector, (interfere(tile, kind, bench.seed) for tile in tiles))
    decisions = {kind: score.crack_score.astype(np.float64) for kind, score in scores.items()}
    return Judged(f"models/{detector.model.name}, as it flies", decisions, detector.threshold)


def enhancement_row(bench: Bench, judged: Judged, before: Judged) -> dict[str, Any]:
    """Figures of one row, and what F1 it gains over the row before enhancement on the same photographs.

    Returns:
        ``name`` and by condition (``clean``, every kind, the paper's three, all) the means of ``bench.mean_figures``,
        ``gain`` (F1 above ``before``) and ``gain_interval``.
    """
    conditions: dict[str, Sequence[str]] = {kind: (kind,) for kind in judged.decisions}
    conditions |= {PAPER: PAPER_KINDS, ALL: tuple(INTERFERENCES)}
    row: dict[str, Any] = {"name": judged.name}
    for condition, kinds in conditions.items():
        test, count = bench.samples.test, len(kinds)
        rows = JudgedRows(np.tile(test.labels, count), np.tile(test.groups, count), np.tile(test.strata, count))
        decisions, former = (np.concatenate([j.decisions[kind] for kind in kinds]) for j in (judged, before))
        called, formerly = decisions >= judged.threshold, former >= before.threshold
        low, high = rows.f1_loss_interval(formerly, called)
        row[condition] = {
            **mean_figures(rows, decisions, judged.threshold),
            "gain": number(rows.f1(called) - rows.f1(formerly)),
            "gain_interval": interval((0.0 - high, 0.0 - low)),
        }
    return row
