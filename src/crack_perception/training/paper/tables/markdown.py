"""The measured tables in words: Markdown, each with the paper's own beside it."""

from __future__ import annotations

from typing import Any

from crack_perception.training.evaluation.figures import cell, markdown_table
from crack_perception.training.paper.tables.bench import CLEAN
from crack_perception.training.paper.tables.enhancement import ALL, PAPER
from crack_perception.training.paper.tables.markdown_ablations import ablation_tables
from crack_perception.training.paper.tables.paper import PAPER_TABLES
from crack_perception.training.paper.tables.severity import OBVIOUS, SLIGHT

PLOTS = {1: "table1_backbones.png", 2: "table2_enhancement.png", 3: "table3_size.png", 4: "table4_tsne.png"}

_NOTES = {
    1: "Each backbone with an RBF SVM on its standardised pooled features; means over sources and "
    "surfaces, each counting once, with the 95 % bootstrap interval over photographs. A finished model's size, "
    "operations and time include its heads. Time: one tile on one thread of ONNX Runtime, in turns, as a share "
    "of ResNet50's (of the first row's where that was not measured).",
    2: "The same tiles clean and under interference, cracked and sound ones. Gain: F1 above the first row on the same "
    "tiles, with its interval. Half of these tiles are cracked: whoever calls all of them cracked has an F1 of 0.667, "
    "so look at false alarms and AUC as well. Classifiers behind a finished model's trunk are fitted on random views "
    "of tiles that it knows by heart; as it flies, it has its own classifier.",
    3: "Trunk and classifier together; trunks of frozen backbones in float32. MACs are the trunk's: a classifier adds "
    "less than one for every number it stores. Below: classifiers alone, and the F1 that each step of compression "
    "loses against the exact machine on the same tiles.",
    4: "Judged on rendered cracks on test photographs, and on real cracks whose masks were measured.",
}


def report_text(report: dict[str, Any]) -> str:
    """All tables of a report (``run.measure``) as one Markdown document."""
    uses = {"fitting": "to fit on", "validation": "for validation", "test": "to test on"}
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
    """Bytes as people read them (decimal)."""
    if count is None:
        return "–"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def macs_text(count: int) -> str:
    """Multiply-accumulates as people read them."""
    return f"{count / 1e9:.2f} G" if count >= 1e9 else f"{count / 1e6:.1f} M"


def _with_interval(value: float | None, ends: list[float | None] | None) -> str:
    return cell(value) if ends is None else f"{cell(value)} ({cell(ends)})"


def _backbones(table: dict[str, Any]) -> list[str]:
    rows = table["rows"]
    sources = sorted({name for row in rows for name, figures in row["sources"].items() if figures["f1"] is not None})
    sound = sorted({name for row in rows for name, figures in row["sources"].items() if not figures["cracked"]})
    costs = markdown_table(
        ("backbone", "mean F1", "mean AUC", "float32", "shipped", "MACs a tile", "time"),
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
        ("backbone", *(f"F1 / AUC, {name}" for name in sources), *(f"false alarms, {name}" for name in sound)),
        [
            (
                row["name"],
                *(
                    f"{_with_interval(figures['f1'], figures['f1_interval'])} / {cell(figures['auc'])}"
                    for figures in (row["sources"][name] for name in sources)
                ),
                *(row["sources"][name]["false_alarms"] for name in sound),
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
            ("model", "F1", "all bytes", "MACs a tile", "time"),
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
        *ablation_tables(table),
    ]


def _severity(table: dict[str, Any]) -> list[str]:
    rows = table["rows"]

    def entry(name: str, judged: str, figures: dict[str, Any]) -> tuple[Any, ...]:
        classes = (figures["classes"][label] for label in (SLIGHT, OBVIOUS))
        return (
            name,
            judged,
            figures["n"],
            _with_interval(figures["accuracy"], figures["interval"]),
            *(" / ".join(cell(row[key]) for key in ("precision", "recall", "f1")) for row in classes),
        )

    head = ("features, classifier", "cracks", "n", "accuracy", f"{SLIGHT}, P / R / F1", f"{OBVIOUS}, P / R / F1")
    judged = [kind for kind in ("rendered", "masked") if kind in rows[0]]
    return [
        markdown_table(head, [entry(row["name"], kind, row[kind]) for kind in judged for row in rows]),
        markdown_table(
            ("t-SNE of features", "silhouette of the classes", "class that most of 5 neighbours have"),
            [(row["name"], row["silhouette"], row["neighbours_agree"]) for row in table["embeddings"]],
        ),
    ]
