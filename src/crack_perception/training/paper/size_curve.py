# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Accuracy of students of several widths and depths against bytes and multiply-accumulates, at equal training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg  # type: ignore[import-not-found]
from matplotlib.figure import Figure  # type: ignore[import-not-found]

from crack_perception.evaluation.metrics.classification import grouped_bootstrap_interval
from crack_perception.recognition.compact_graph import compress_graph
from crack_perception.training.data.rows import TILE_PX
from crack_perception.training.distillation.students import StudentNetwork, StudentTable, cost, get_student
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles
from crack_perception.training.evaluation.stratum_figures import mean_auc, mean_f1
from crack_perception.training.export.model_graph import feature_model
from crack_perception.training.paper.ablation_benches import Logits

Rows = Sequence[Mapping[str, Any]]

PAPER_BYTES, PAPER_MULTIPLY_ACCUMULATES = 92_000, 12_000_000
"""Size and operations of the paper's compressed model."""
_BASE = "swift"
_DPI = 110


def _scaled(width: float, blocks: int) -> StudentTable:
    base = get_student(_BASE)
    return base.scaled(width, blocks, round(base.out_channels * width))


SIZES: Mapping[str, StudentTable] = {
    "width 0.5, 9 blocks": _scaled(0.5, 9),
    "width 0.75, 9 blocks": _scaled(0.75, 9),
    "width 1, 9 blocks": _scaled(1.0, 9),
    "width 1.5, 9 blocks": _scaled(1.5, 9),
    "width 2, 9 blocks": _scaled(2.0, 9),
    "width 1, 4 blocks": _scaled(1.0, 4),
    "width 1, 6 blocks": _scaled(1.0, 6),
    "width 1, 7 blocks": _scaled(1.0, 7),
}


@dataclass(frozen=True)
class StudentLogits:
    """Crack logits of one student.

    Args:
        test: ``(N,)`` logits of the test tiles.
        validation: ``(M,)`` logits of the tiles that determine the threshold.
    """

    test: Logits
    validation: Logits


def size_figures(
    network: StudentNetwork, logits: StudentLogits, test: LabelledTiles, validation: LabelledTiles
) -> dict[str, Any]:
    """Measure size and accuracy of a student; the size is that of its trunk.

    The threshold maximises the mean F1 on the validation tiles; F1 and AUC are means over strata.

    Args:
        network: Trained student.
        logits: Its logits on the tiles.
        test: Test tiles.
        validation: Tiles of photographs that were not trained on; only labels and strata are used.
    """
    candidates = np.quantile(logits.validation, np.linspace(0.02, 0.98, 193))
    threshold = max(candidates, key=lambda t: mean_f1(validation.labels, logits.validation >= t, validation.strata))
    called = logits.test >= threshold

    def f1(rows: Any) -> float:
        return mean_f1(test.labels[rows], called[rows], test.strata[rows])

    everything = np.arange(len(called))
    price = cost(network.table, TILE_PX)
    trunk = network.trunk.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return {
        "bytes": len(compress_graph(feature_model(trunk, TILE_PX, True).SerializeToString())),
        "parameters": price.parameters,
        "macs_per_tile": price.multiply_accumulates,
        "f1": number(f1(everything)),
        "interval": interval(grouped_bootstrap_interval(f1, test.groups, 300)),
        "auc": number(mean_auc(test.labels, logits.test, test.strata)),
    }


def plot_sizes(rows: Rows, path: Path) -> None:
    """Plot mean F1 with its interval against bytes and against multiply-accumulates, one line per series.

    Args:
        rows: Results of :func:`size_figures`, each with its ``name``.
        path: PNG file to write.
    """
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    for axes, key, label, paper in zip(
        figure.subplots(1, 2, sharey=True),
        ("bytes", "macs_per_tile"),
        ("bytes of the trunk", "multiply-accumulates per tile"),
        (PAPER_BYTES, PAPER_MULTIPLY_ACCUMULATES),
        strict=True,
    ):
        for series, kept, colour, shift in (
            ("widths, 9 blocks", lambda name: name.endswith("9 blocks"), "#0072b2", (4, 5)),
            ("depths, width 1", lambda name: name.startswith("width 1,"), "#d55e00", (4, -11)),
        ):
            chosen = sorted((row for row in rows if kept(row["name"])), key=lambda row: row[key])
            f1 = np.array([row["f1"] for row in chosen])
            ends = np.array([row["interval"] for row in chosen]).T
            axes.errorbar(
                [row[key] for row in chosen], f1, np.abs(ends - f1), marker="o", capsize=2, color=colour, label=series
            )
            for row in chosen:
                width, blocks = row["name"].removeprefix("width ").split(", ")
                text = f"x {width}" if series.startswith("widths") else blocks
                axes.annotate(text, (row[key], row["f1"]), shift, textcoords="offset points", fontsize=7, color=colour)
        axes.axvline(paper, color="grey", linestyle=":", label="the paper's model")
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
        axes.margins(x=0.12)
    axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("mean F1")
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI)
