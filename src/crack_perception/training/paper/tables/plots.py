# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Charts of the measured tables as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg  # type: ignore[import-not-found]
from matplotlib.figure import Figure  # type: ignore[import-not-found]

from crack_perception.training.paper.tables.bench import CLEAN
from crack_perception.training.paper.tables.published import SIZE_AND_F1
from crack_perception.training.paper.tables.rows import ALL, PAPER
from crack_perception.training.paper.tables.severity import OBVIOUS, SLIGHT, Embedding

_DPI = 110
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Palette for colour-blind readers (Okabe & Ito)."""


def plot_backbones(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot F1 with its interval, one panel per source and surface."""
    sources = [name for name, figures in rows[0]["sources"].items() if figures["f1"] is not None]
    figure = Figure(figsize=(2.6 * len(sources) + 2.0, 0.4 * len(rows) + 1.4), layout="constrained")
    for axes, source in zip(np.atleast_1d(figure.subplots(1, len(sources), sharey=True)), sources, strict=True):
        _intervals(axes, [row["sources"][source] for row in rows], 0.0, _COLOURS[0], "")
        axes.set_title(source, fontsize=9)
        _name_rows(axes, rows)
        axes.set_xlim(0.0, 1.02)
    _save(figure, path)


def plot_enhancement(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot mean F1 with its interval: clean, under the paper's three kinds of interference, under all kinds."""
    figure = Figure(figsize=(7.5, 0.5 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, (condition, colour) in enumerate(zip((CLEAN, PAPER, ALL), _COLOURS, strict=False)):
        _intervals(axes, [row[condition] for row in rows], 0.2 * (place - 1), colour, condition)
    _name_rows(axes, rows)
    axes.legend(fontsize=8)
    _save(figure, path)


def plot_sizes(rows: Sequence[dict[str, Any]], ablations: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Plot mean F1 against bytes: compressed classifiers alone, whole models, and the paper's own values.

    Args:
        rows: Rows of Table 3; the first of each trunk is plotted with its interval.
        ablations: Ablations of the classifiers by trunk.
        path: PNG file to write.
    """
    figure = Figure(figsize=(8.5, 5.0), layout="constrained")
    axes = figure.subplots()
    for (name, ablation), colour in zip(ablations.items(), _COLOURS, strict=False):
        steps = ablation["compression"]
        label = f"classifiers alone behind {name}"
        axes.plot([s["bytes"] for s in steps], [s["f1"] for s in steps], ".", color=colour, label=label, alpha=0.6)
    whole = list({row["trunk"]: row for row in reversed(rows)}.values())
    sizes = [row["bytes_total"] for row in whole]
    axes.errorbar(sizes, [row["f1"] for row in whole], _errors(whole), fmt="ks", capsize=2, label="whole model")
    for row in whole:
        axes.annotate(row["trunk"], (row["bytes_total"], row["f1"]), (5, 5), textcoords="offset points", fontsize=7)
    for size, value, name in SIZE_AND_F1:
        axes.plot(size, value, "k*", fillstyle="none", markersize=10)
        axes.annotate(f"paper: {name}", (size, value), (-6, 7), textcoords="offset points", fontsize=7)
    axes.axvline(92_000, color="grey", linestyle=":")
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_xlabel("bytes")
    axes.set_ylabel("mean F1")
    axes.legend(fontsize=8)
    _save(figure, path)


def plot_embeddings(embeddings: Sequence[Embedding], path: Path) -> None:
    """Plot the t-SNE of features, coloured by class, two panels per row."""
    rows = -(-len(embeddings) // 2)
    figure = Figure(figsize=(8.8, 4.4 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, embedding in zip(panels, embeddings, strict=False):
        for label, (name, colour) in enumerate(zip((SLIGHT, OBVIOUS), _COLOURS, strict=False)):
            here = embedding.points[embedding.obvious == label]
            axes.scatter(here[:, 0], here[:, 1], s=9, color=colour, label=name)
        axes.set_title(f"{embedding.name}, silhouette {embedding.silhouette:.2f}", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    panels[0].legend(fontsize=8)
    _save(figure, path)


def _intervals(axes: Any, figures: Sequence[dict[str, Any]], shift: float, colour: str, label: str) -> None:
    places = np.arange(len(figures)) + shift
    axes.errorbar(
        [row["f1"] for row in figures], places, xerr=_errors(figures), fmt="o", color=colour, label=label, capsize=2
    )


def _errors(figures: Sequence[dict[str, Any]]) -> Any:
    """Compute the distances ``(2, N)`` from F1 to the ends of its interval."""
    ends = np.array([row["f1_interval"] for row in figures], float).T
    return np.abs(ends - [row["f1"] for row in figures])


def _name_rows(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("F1")
    axes.grid(axis="x", alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI)
