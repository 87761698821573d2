"""What width and depth of a student are worth: F1 against bytes and multiply-accumulates, at equal training."""

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
from crack_perception.training.evaluation.judged_tiles import JudgedTiles
from crack_perception.training.evaluation.stratum_figures import mean_auc, mean_f1
from crack_perception.training.export.model_graph import feature_model
from crack_perception.training.paper.ablation_benches import Logits

Rows = Sequence[Mapping[str, Any]]

PAPER_BYTES, PAPER_MULTIPLY_ACCUMULATES = 92_000, 12_000_000
"""What the paper's compressed model takes."""
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
class Verdict:
    """Logits of one network.

    Args:
        judged: ``(N,)`` of the test tiles.
        validation: ``(M,)`` of the tiles that choose the threshold.
    """

    judged: Logits
    validation: Logits


def size_figures(
    network: StudentNetwork, verdict: Verdict, judged: JudgedTiles, validation: JudgedTiles
) -> dict[str, Any]:
    """Size and accuracy of a student without its heads.

    The threshold is the one with the best mean F1 on the validation tiles; F1 and AUC are means over strata.

    Args:
        network: Trained.
        verdict: What it says of the tiles.
        judged: Test tiles.
        validation: Tiles of photographs that nothing was trained on; only labels and strata are used.
    """
    candidates = np.quantile(verdict.validation, np.linspace(0.02, 0.98, 193))
    threshold = max(candidates, key=lambda t: mean_f1(validation.labels, verdict.validation >= t, validation.strata))
    called = verdict.judged >= threshold

    def f1(rows: Any) -> float:
        return mean_f1(judged.labels[rows], called[rows], judged.strata[rows])

    everything = np.arange(len(called))
    price = cost(network.table, TILE_PX)
    trunk = network.trunk.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return {
        "bytes": len(compress_graph(feature_model(trunk, TILE_PX, True).SerializeToString())),
        "parameters": price.parameters,
        "macs_per_tile": price.multiply_accumulates,
        "f1": number(f1(everything)),
        "interval": interval(grouped_bootstrap_interval(f1, judged.groups, 300)),
        "auc": number(mean_auc(judged.labels, verdict.judged, judged.strata)),
    }


def plot_sizes(rows: Rows, path: Path) -> None:
    """Mean F1 with its interval against bytes and against multiply-accumulates; depths and widths are joined by lines.

    Args:
        rows: Of :func:`size_figures`, each with its ``name``.
        path: PNG to write.
    """
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    for axes, key, label, paper in zip(
        figure.subplots(1, 2, sharey=True),
        ("bytes", "macs_per_tile"),
        ("bytes of the trunk", "multiply-accumulates a tile"),
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
