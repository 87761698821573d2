"""The comparisons of classifiers behind Table 3 (``classifier_ablation``) in Markdown."""

from __future__ import annotations

from typing import Any

from crack_perception.training.evaluation.figures import cell, markdown_table

_CLAIMS = {
    "f1_loss_trimmed_30%": "F1 lost when 30 % of the vectors are trimmed (paper: 30-50 % are redundant)",
    "f1_loss_trimmed_50%": "F1 lost when 50 % are trimmed",
    "f1_loss_trimmed_intercept_moved_30%": "F1 lost when 30 % are trimmed and the intercept is moved",
    "f1_loss_trimmed_intercept_moved_50%": "F1 lost when 50 % are trimmed and the intercept is moved",
    "f1_loss_pruned_30%": "F1 lost when 30 % are pruned and the rest is refitted",
    "f1_loss_pruned_50%": "F1 lost when 50 % are pruned and the rest is refitted",
    "bytes_saved_int8": "share of the bytes that int8 saves (paper: 0.75)",
}


def ablation_tables(table: dict[str, Any]) -> list[str]:
    """The paper's claims on compression as measured, and for each trunk: search, forest, calibration, compression.

    Args:
        table: ``claims`` and ``ablations`` of Table 3.
    """
    fourier = {
        key: f"share of the time that {key.split('_')[2]} Fourier features save (paper: over 0.8)"
        for key in table["claims"]
        if key.startswith("time_saved_")
    }
    words = _CLAIMS | fourier
    claims = [(words[key], value) for key, value in table["claims"].items()]
    parts = [markdown_table(("claim", "measured"), claims)]
    for name, ablation in table["ablations"].items():
        parts += [f"### Classifiers behind {name}", *_of_trunk(ablation)]
    return parts


def _of_trunk(ablation: dict[str, Any]) -> list[str]:
    search = [
        (f"SVM, {row['name']} search", row["fits"], row["support_vectors"], None, *_figures(row))
        for row in ablation["search"]
    ]
    forest = [
        (f"random forest, {row['name']}", None, row["nodes"], row["bytes"], *_figures(row))
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
            ("compression", "bytes", "F1", "loss", "same verdicts", "µs a tile"),
            [
                (
                    row["name"],
                    f"{row['bytes']:,}",
                    _with_ends(row["f1"], row["f1_interval"]),
                    _with_ends(row["f1_loss"], row["f1_loss_interval"]),
                    row["agreement"],
                    f"{row['microseconds_per_tile']:.1f}",
                )
                for row in ablation["compression"]
            ],
        ),
    ]


def _figures(row: dict[str, Any]) -> tuple[Any, ...]:
    return _with_ends(row["f1"], row["f1_interval"]), row["auc"], row["false_alarm_rate"], row["miss_rate"]


def _with_ends(value: float, ends: tuple[float, float]) -> str:
    return f"{cell(value)} ({cell(list(ends))})"
