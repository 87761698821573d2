# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rows of Tables 1 to 3: backbones, feature enhancement, and compression of whole models.

Table 2 of the paper is measured under interference on cracked tiles only, where false alarms are undefined. Here
cracked and background tiles are both evaluated, clean and under the same interference.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.interference import INTERFERENCES, PAPER_KINDS, interfere
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.labelled_tiles import score_tiles
from crack_perception.training.evaluation.stratum_figures import LabelledRows
from crack_perception.training.heads.svm import SvmSettings
from crack_perception.training.paper.machine_compression import compressed_machines, compression_ladder
from crack_perception.training.paper.tables.bench import CLEAN, Bench, mean_figures, source_figures
from crack_perception.training.paper.tables.contenders import Contender
from crack_perception.training.paper.whitening_ablation import COST, feature_maps, fit_behind

PAPER, ALL = "the paper's three", "all"
STANDARDISED, ZCA = "standardised", "ZCA, Ledoit-Wolf shrinkage"


def backbone_row(bench: Bench, contender: Contender) -> dict[str, Any]:
    """Compute a row of Table 1: cost, initialisation and accuracy of one backbone with an RBF SVM.

    Raises:
        UserError: There are too few validation photographs.
    """
    chosen, decide = bench.machine(contender)
    decisions = decide(bench.test_features(contender))
    return {
        "name": contender.name,
        "initialisation": contender.initialisation,
        "parameters": contender.parameters,
        "bytes_fp32": contender.bytes_fp32,
        "bytes_shipped": contender.bytes_shipped,
        "macs_per_tile": contender.macs_per_tile,
        "cross_validated_auc": number(chosen.auc),
        **mean_figures(bench.truth, decisions, chosen.threshold),
        "sources": source_figures(bench.samples.test, decisions, chosen.threshold),
    }


@dataclass(frozen=True)
class TileDecisions:
    """Decision values ``(N,)`` of the test tiles, clean and by kind of interference, and the threshold."""

    name: str
    decisions: dict[str, npt.NDArray[np.float64]]
    threshold: float


def feature_map_decisions(
    bench: Bench, contender: Contender, selected: Container[str] | None
) -> Iterator[TileDecisions]:
    """Fit an RBF SVM behind every feature map of a contender and yield its decisions on the test tiles.

    Args:
        bench: Samples and features.
        contender: Contender whose features are mapped.
        selected: Names of maps (``whitening_ablation.feature_maps``); ``None`` for all.
    """
    rows = bench.train_rows(contender)
    for name, feature_map in feature_maps(rows.features, bench.seed):
        if selected is None or name in selected:
            chosen, decide = fit_behind(feature_map, rows)
            decisions = {kind: decide(bench.test_features(contender, kind)) for kind in (CLEAN, *INTERFERENCES)}
            yield TileDecisions(f"{contender.name}, {name}", decisions, chosen.threshold)


def model_decisions(bench: Bench, detector: FrameDetector) -> TileDecisions:
    """Compute the scores of a shipped model, with its own threshold."""
    tiles = bench.samples.test.pixels
    scores = {CLEAN: score_tiles(detector, tiles)}
    for kind in INTERFERENCES:
        scores[kind] = score_tiles(detector, (interfere(tile, kind, bench.seed) for tile in tiles))
    decisions = {kind: score.crack_score.astype(np.float64) for kind, score in scores.items()}
    return TileDecisions(f"models/{detector.model.name}, as shipped", decisions, detector.threshold)


def enhancement_row(bench: Bench, after: TileDecisions, before: TileDecisions) -> dict[str, Any]:
    """Compute a row of Table 2, with the paired gain of F1 over the row before enhancement.

    Returns:
        ``name`` and, by condition (``clean``, every kind, the paper's three, all), the result of
        ``bench.mean_figures``, ``gain`` (F1 minus that of ``before``) and ``gain_interval``.
    """
    conditions: dict[str, Sequence[str]] = {kind: (kind,) for kind in after.decisions}
    conditions |= {PAPER: PAPER_KINDS, ALL: tuple(INTERFERENCES)}
    row: dict[str, Any] = {"name": after.name}
    for condition, kinds in conditions.items():
        test, count = bench.samples.test, len(kinds)
        rows = LabelledRows(np.tile(test.labels, count), np.tile(test.groups, count), np.tile(test.strata, count))
        decisions, former = (np.concatenate([j.decisions[kind] for kind in kinds]) for j in (after, before))
        called, formerly = decisions >= after.threshold, former >= before.threshold
        low, high = rows.f1_loss_interval(formerly, called)
        row[condition] = {
            **mean_figures(rows, decisions, after.threshold),
            "gain": number(rows.f1(called) - rows.f1(formerly)),
            "gain_interval": interval((0.0 - high, 0.0 - low)),
        }
    return row


def exact_step(bench: Bench, contender: Contender) -> dict[str, Any]:
    """Evaluate the exact SVM on standardised features, the first compression step, on the test tiles."""
    rows, (chosen, _) = bench.train_rows(contender), bench.machine(contender)
    machines = compressed_machines(
        rows.features, rows.labels, SvmSettings(COST, gamma=1.0), chosen.gamma_units, bench.seed
    )
    features = bench.test_features(contender)
    return asdict(compression_ladder(islice(machines, 1), features, bench.truth, chosen.threshold)[0])


def ladder_rows(
    contender: Contender, steps: Sequence[Mapping[str, Any]], trunk_milliseconds: float
) -> list[dict[str, Any]]:
    """Compute the rows of Table 3 for one frozen trunk with every compressed classifier.

    Args:
        contender: Contender whose features the classifiers use.
        steps: Fields of :class:`~crack_perception.training.paper.machine_compression.CompressionStep`, exact SVM first.
        trunk_milliseconds: Time of the trunk for one tile [ms].
    """
    whole = steps[0]["microseconds_per_tile"]
    return [
        {
            "name": f"{contender.name} + {step['name']}",
            "trunk": contender.name,
            "step": step["name"],
            "initialisation": contender.initialisation,
            "bytes_classifier": step["bytes"],
            "bytes_total": contender.bytes_fp32 + step["bytes"],
            "macs_per_tile": contender.macs_per_tile,
            "milliseconds": number(trunk_milliseconds + step["microseconds_per_tile"] / 1000.0),
            "classifier_microseconds": number(step["microseconds_per_tile"]),
            "classifier_time_ratio": number(step["microseconds_per_tile"] / whole),
            **{key: number(step[key]) for key in ("f1", "f1_loss", "auc", "agreement")},
            **{key: interval(step[key]) for key in ("f1_interval", "f1_loss_interval")},
        }
        for step in steps
    ]


def finished_row(bench: Bench, contender: Contender, detector: FrameDetector, milliseconds: float) -> dict[str, Any]:
    """Compute the row of Table 3 of a finished model, with its own classifier and threshold."""
    scores = score_tiles(detector, bench.samples.test.pixels).crack_score.astype(np.float64)
    figures = mean_figures(bench.truth, scores, detector.threshold)
    return {
        "name": contender.name,
        "trunk": contender.name,
        "step": None,
        "initialisation": contender.initialisation,
        "bytes_total": contender.bytes_shipped,
        "macs_per_tile": contender.macs_per_tile,
        "milliseconds": number(milliseconds),
        **{key: figures[key] for key in ("f1", "f1_interval", "auc")},
    }


def with_time_ratios(rows: Sequence[dict[str, Any]], reference_milliseconds: float) -> list[dict[str, Any]]:
    """Add the time relative to a reference from the same run to every row."""
    return [{**row, "time_ratio": number(row["milliseconds"] / reference_milliseconds)} for row in rows]
