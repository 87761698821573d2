# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Markdown report of the measured tables, each with the paper's own values."""

from __future__ import annotations

from typing import Any

from crack_perception.training.evaluation.figures import cell, markdown_table
from crack_perception.training.paper.tables.bench import CLEAN
from crack_perception.training.paper.tables.published import PAPER_TABLES
from crack_perception.training.paper.tables.rows import ALL, PAPER
from crack_perception.training.paper.tables.severity import OBVIOUS, SLIGHT

PLOTS = {1: "table1_backbones.png", 2: "table2_enhancement.png", 3: "table3_size.png", 4: "table4_tsne.png"}

_NOTES = {
    1: "Each backbone with an RBF SVM on its standardised pooled features; means over sources and surfaces with equal "
    "weights, with the 95 % bootstrap interval over photographs. Size, operations and time of a finished model include "
    "its heads. Time: one tile on one thread of ONNX Runtime, measured alternately, relative to ResNet50 (to the first "
    "row if ResNet50 was not measured).",
    2: "Cracked and background tiles, clean and under interference. Gain: increase of F1 over the first row on the "
    "same tiles, with its interval. Half of the tiles are cracked, so that reporting all of them gives an F1 of 0.667; "
    "compare false alarms and AUC as well. Classifiers behind the trunk of a finished model are fitted on random views "
    "of tiles that it was trained on; the shipped model has its own classifier.",
    3: "Trunk and classifier together; trunks of frozen backbones in float32. MACs are those of the trunk; a "
    "classifier adds less than one per stored number. Below: classifiers alone, and the loss of F1 of each compression "
    "step against the exact SVM on the same tiles.",
    4: "Evaluated on rendered cracks on test photographs, and on real cracks with measured masks.",
}

_CLAIMS = {
    "f1_loss_trimmed_30%": "loss of F1 when 30 % of the vectors are trimmed (paper: 30-50 % are redundant)",
    "f1_loss_trimmed_50%": "loss of F1 when 50 % are trimmed",
    "f1_loss_trimmed_intercept_moved_30%": "loss of F1 when 30 % are trimmed and the intercept is adjusted",
    "f1_loss_trimmed_intercept_moved_50%": "loss of F1 when 50 % are trimmed and the intercept is adjusted",
    "f1_loss_pruned_30%": "loss of F1 when 30 % are pruned and the rest is refitted",
    "f1_loss_pruned_50%": "loss of F1 when 50 % are pruned and the rest is refitted",
    "bytes_saved_int8": "share of the bytes saved by int8 (paper: 0.75)",
}


def report_text(report: dict[str, Any]) -> str:
    """Format a report of :func:`~crack_perception.training.paper.tables.run.measure` as a Markdown document."""
    uses = {"fitting": "for fitting", "validation": "for validation", "test": "for test"}
    counts = ", ".join(
        f"{part['tiles']} tiles of {part['photographs']} photographs {uses[name]}"
        for name, part in report["samples"].items()
    )
    parts = ["# The paper's tables, measured", f"{counts}; seed {report['settings']['seed']}."]
    writers = {1: _backbones, 2: _enhancement, 3: _lightweight, 4: _severity}
    for number, table in ((int(key), table) for key, table in report["tables"].items()):
        paper = PAPER_TABLES[number]
        parts += [
            f"## Table {number}: {paper.caption}",
            _NOTES[number],
            *writers[number](table),
            f"![Table {number}]({PLOTS[number]})",
            "The paper's own figures:",
            markdown_table(paper.head, list(paper.rows)),
        ]
    lines = [f"* {name}: {sentence}." for name, sentence in report["initialisations"].items()]
    return "\n\n".join([*parts, "## Initialisation", "\n".join(lines)]) + "\n"


def size_text(count: int | None) -> str:
    """Format a number of bytes in decimal units."""
    if count is None:
        return "–"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def macs_text(count: int) -> str:
    """Format a number of multiply-accumulates in millions or billions."""
    return f"{count / 1e9:.2f} G" if count >= 1e9 else f"{count / 1e6:.1f} M"


def _with_interval(value: float | None, ends: list[float | None] | None) -> str:
    return cell(value) if ends is None else f"{cell(value)} ({cell(ends)})"


def _backbones(table: dict[str, Any]) -> list[str]:
    rows = table["rows"]
    sources = sorted({name for row in rows for name, figures in row["sources"].items() if figures["f1"] is not None})
    background = sorted({name for row in rows for name, figures in row["sources"].items() if not figures["cracked"]})
    costs = markdown_table(
        ("backbone", "mean F1", "mean AUC", "float32", "shipped", "MACs per tile", "time"),
        [
            (
                row["name"],
                _with_interval(row["f1"], row["f1_interval"]),
                row["auc"],
                size_text(row["bytes_fp32"]),
                size_text(row["bytes_shipped"]),
                macs_text(row["macs_per_tile"]),
                row["time_ratio"],
            )
            for row in rows
        ],
    )
    by_source = markdown_table(
        ("backbone", *(f"F1 / AUC, {name}" for name in sources), *(f"false alarms, {name}" for name in background)),
        [
            (
                row["name"],
                *(
                    f"{_with_interval(figures['f1'], figures['f1_interval'])} / {cell(figures['auc'])}"
                    for figures in (row["sources"][name] for name in sources)
                ),
                *(row["sources"][name]["false_alarms"] for name in background),
            )
            for row in rows
        ],
    )
    return [costs, by_source]


def _enhancement(table: dict[str, Any]) -> list[str]:
    rows = table["rows"]
    head = ("features", "clean F1", "clean AUC", *(f"{name}: {what}" for name in (PAPER, ALL) for what in _ENHANCED))
    kinds = [kind for kind in rows[0] if isinstance(rows[0][kind], dict) and kind not in (CLEAN, PAPER, ALL)]
    return [
        markdown_table(
            head,
            [
                (
                    row["name"],
                    _with_interval(row[CLEAN]["f1"], row[CLEAN]["f1_interval"]),
                    row[CLEAN]["auc"],
                    *(text for name in (PAPER, ALL) for text in _enhanced(row[name])),
                )
                for row in rows
            ],
        ),
        markdown_table(("F1 under", *kinds), [(row["name"], *(row[kind]["f1"] for kind in kinds)) for row in rows]),
    ]


_ENHANCED = ("F1", "gain", "AUC", "false alarms", "misses")


def _enhanced(figures: dict[str, Any]) -> tuple[Any, ...]:
    return (
        _with_interval(figures["f1"], figures["f1_interval"]),
        _with_interval(figures["gain"], figures["gain_interval"]),
        figures["auc"],
        figures["false_alarms"],
        figures["misses"],
    )


def _lightweight(table: dict[str, Any]) -> list[str]:
    rows = table["rows"]
    first = {row["trunk"]: row["name"] for row in reversed(rows)}
    whole = [row for row in rows if row["name"] == first[row["trunk"]]]
    return [
        markdown_table(
            ("model", "F1", "total size", "MACs per tile", "time"),
            [
                (
                    row["name"],
                    _with_interval(row["f1"], row["f1_interval"]),
                    size_text(row["bytes_total"]),
                    macs_text(row["macs_per_tile"]),
                    row["time_ratio"],
                )
                for row in whole
            ],
        ),
        *_ablations(table),
    ]


def _ablations(table: dict[str, Any]) -> list[str]:
    """Format the paper's claims on compression as measured, and the ablation of the classifiers of every trunk.

    Args:
        table: ``claims`` and ``ablations`` of Table 3.
    """
    fourier = {
        key: f"share of the time saved by {key.split('_')[2]} Fourier features (paper: over 0.8)"
        for key in table["claims"]
        if key.startswith("time_saved_")
    }
    titles = _CLAIMS | fourier
    claims = [(titles[key], value) for key, value in table["claims"].items()]
    parts = [markdown_table(("claim", "measured"), claims)]
    for name, ablation in table["ablations"].items():
        parts += [f"### Classifiers behind {name}", *_ablations_of_trunk(ablation)]
    return parts


def _ablations_of_trunk(ablation: dict[str, Any]) -> list[str]:
    search = [
        (f"SVM, {row['name']} search", row["fits"], row["support_vectors"], None, *_classifier_figures(row))
        for row in ablation["search"]
    ]
    forest = [
        (f"random forest, {row['name']}", None, row["nodes"], row["bytes"], *_classifier_figures(row))
        for row in ablation["forest"]
    ]
    figures = ("F1", "AUC", "false alarms", "misses")
    return [
        markdown_table(("classifier", "fits", "vectors or nodes", "bytes", *figures), [*search, *forest]),
        markdown_table(
            ("calibration", "log-loss, cross-validated", "log-loss, test", "calibration error, test"),
            [tuple(row.values()) for row in ablation["calibration"]],
        ),
        markdown_table(
            ("compression", "bytes", "F1", "loss", "agreement", "µs per tile"),
            [
                (
                    row["name"],
                    f"{row['bytes']:,}",
                    _with_interval(row["f1"], row["f1_interval"]),
                    _with_interval(row["f1_loss"], row["f1_loss_interval"]),
                    row["agreement"],
                    f"{row['microseconds_per_tile']:.1f}",
                )
                for row in ablation["compression"]
            ],
        ),
    ]


def _classifier_figures(row: dict[str, Any]) -> tuple[Any, ...]:
    return _with_interval(row["f1"], row["f1_interval"]), row["auc"], row["false_alarm_rate"], row["miss_rate"]


def _severity(table: dict[str, Any]) -> list[str]:
    rows = table["rows"]

    def entry(name: str, truth: str, figures: dict[str, Any]) -> tuple[Any, ...]:
        classes = (figures["classes"][label] for label in (SLIGHT, OBVIOUS))
        return (
            name,
            truth,
            figures["n"],
            _with_interval(figures["accuracy"], figures["interval"]),
            *(" / ".join(cell(row[key]) for key in ("precision", "recall", "f1")) for row in classes),
        )

    head = ("features, classifier", "cracks", "n", "accuracy", f"{SLIGHT}, P / R / F1", f"{OBVIOUS}, P / R / F1")
    truths = [kind for kind in ("rendered", "masked") if kind in rows[0]]
    return [
        markdown_table(head, [entry(row["name"], kind, row[kind]) for kind in truths for row in rows]),
        markdown_table(
            ("t-SNE of features", "silhouette of the classes", "majority of 5 neighbours in the same class"),
            [(row["name"], row["silhouette"], row["neighbours_agree"]) for row in table["embeddings"]],
        ),
    ]
