"""Table 3: size, time and F1 of whole models, and of every step that makes the classifier smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np

from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.judged_tiles import score_tiles
from crack_perception.training.heads.svm import SvmSettings
from crack_perception.training.paper.machine_compression import compressed_machines, compression_ladder
from crack_perception.training.paper.tables.bench import Bench, mean_figures
from crack_perception.training.paper.tables.contenders import Contender
from crack_perception.training.paper.whitening_ablation import COST


def exact_step(bench: Bench, contender: Contender) -> dict[str, Any]:
    """The exact machine on standardised features, judged on the test tiles: the first step of a ladder."""
    rows, (chosen, _) = bench.train_rows(contender), bench.machine(contender)
    machines = compressed_machines(
        rows.features, rows.labels, SvmSettings(COST, gamma=1.0), chosen.gamma_units, bench.seed
    )
    features = bench.test_features(contender)
    return asdict(compression_ladder(islice(machines, 1), features, bench.judged, chosen.threshold)[0])


def ladder_rows(
    contender: Contender, steps: Sequence[Mapping[str, Any]], trunk_milliseconds: float
) -> list[dict[str, Any]]:
    """A row for every step: classifier and frozen trunk together.

    Args:
        contender: Whose features the machines work on.
        steps: Fields of :class:`~crack_perception.training.paper.machine_compression.CompressionStep`, exact first.
        trunk_milliseconds: Of the trunk, for one tile.
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
    """A finished model as it flies: everything in one file, its own threshold."""
    scores = score_tiles(detector, bench.samples.test.pixels).crack_score.astype(np.float64)
    figures = mean_figures(bench.judged, scores, detector.threshold)
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
    """Every row with its time as a share of a reference's from the same run."""
    return [{**row, "time_ratio": number(row["milliseconds"] / reference_milliseconds)} for row in rows]
