# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Folder of an adapted model: graph, card, base rows and README, and the table that compares before and after."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from crack_perception.documents import parse_json
from crack_perception.errors import UsageError, file_error
from crack_perception.interrupts import uninterrupted
from crack_perception.recognition.models import (
    CARD_NAME,
    COMPACT_GRAPH_NAME,
    LoadedModel,
    inference_sha256,
    shipped_models,
    write_graph,
)
from crack_perception.training.adaptation.base_rows import BASE_ROWS_NAME, CARD_ENTRY, read_base_rows
from crack_perception.training.adaptation.head import ModelHead
from crack_perception.training.adaptation.site_model import Adaptation, Figures

_KEPT = (
    *("format", "format_version", "backbone", "parameters", "macs_per_tile", "tile_px", "threshold", "input"),
    *("outputs", "severity", "sources", "initialisation", "training", "seed", "cells", CARD_ENTRY),
)
"""Entries of the card that an adaptation does not change; figures of the model before it no longer hold."""
_ADAPTED = "adapted_from"


def check_output(directory: Path, model: LoadedModel) -> None:
    """Check that a folder may be written: it is new, empty, or holds an adapted model.

    Raises:
        UsageError: It may not.
    """
    directory = directory.resolve()
    if directory == model.directory.resolve():
        raise UsageError(f"{directory}: is the folder of the model itself", "Give another folder with --out")
    if not directory.name:
        raise UsageError(f"{directory}: is no folder of a model", "Give a new folder with --out")
    if directory.name in shipped_models():
        raise UsageError(f"{directory}: has the name of a shipped model", "Give the adapted model its own name")
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    try:
        card = parse_json((directory / CARD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        card = None
    if not isinstance(card, dict) or _ADAPTED not in card:
        raise UsageError(f"{directory}: exists and holds no adapted model", "Give a new folder with --out")


def write_adapted(directory: Path, model: LoadedModel, head: ModelHead, adaptation: Adaptation, command: str) -> None:
    """Write the adapted model; an adapted model that is there is replaced as a whole.

    Raises:
        UserError: The folder cannot be written.
    """
    directory = directory.resolve()
    partial = directory.with_name(f".{directory.name}.partial-{os.getpid()}")
    replaced = directory.with_name(f".{directory.name}.replaced-{os.getpid()}")
    _, base_rows = read_base_rows(model)
    try:
        partial.mkdir(parents=True)
        is_compact = COMPACT_GRAPH_NAME in model.card["files"]
        card = {name: model.card[name] for name in _KEPT if name in model.card}
        card |= {
            "name": directory.name,
            **write_graph(partial, head.graph_with(adaptation.term), is_compact),
            _ADAPTED: {"name": model.name, "graph_sha256": model.sha256, "threshold": model.threshold},
            "adaptation": adaptation_entry(adaptation),
            "metrics": {"site": _metrics(adaptation.after, adaptation)},
            "command": command,
        }
        card["inference_sha256"] = inference_sha256(card)
        (partial / BASE_ROWS_NAME).write_bytes(base_rows)
        (partial / "README.md").write_text(_readme(card, adaptation), encoding="utf-8")
        (partial / CARD_NAME).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with uninterrupted():
            if directory.exists():
                os.replace(directory, replaced)
            os.replace(partial, directory)
    except OSError as error:
        raise file_error(directory, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def adaptation_entry(adaptation: Adaptation) -> dict[str, Any]:
    """Return the facts of an adaptation for a model card."""
    site = adaptation.site
    return {
        "tiles": {"crack": int(np.sum(site.labels == 1)), "intact": int(np.sum(site.labels == 0))},
        "photographs": len(np.unique(site.groups)),
        "by_photograph": adaptation.is_by_photograph,
        "before": _rounded(adaptation.before),
        "after": _rounded(adaptation.after),
        "known_surfaces_f1": {
            name: {"before": round(before, 4), "after": round(adaptation.known_after[name], 4)}
            for name, before in adaptation.known_before.items()
        },
    }


def comparison_table(adaptation: Adaptation) -> str:
    """Return the figures before and after as text."""
    rows = [
        (label, getattr(adaptation.before, name), getattr(adaptation.after, name))
        for label, name in (
            ("F1", "f1"),
            ("precision", "precision"),
            ("recall", "recall"),
            ("false alarms", "false_alarms"),
            ("AUC", "auc"),
            ("log loss", "log_loss"),
        )
    ]
    known = (list(adaptation.known_before.values()), list(adaptation.known_after.values()))
    rows.append(("F1, known surfaces", float(np.mean(known[0])), float(np.mean(known[1]))))
    lines = [f"{'':20}{'before':>8}{'after':>8}{'change':>8}"]
    lines += [f"{label:20}{before:8.3f}{after:8.3f}{after - before:+8.3f}" for label, before, after in rows]
    return "\n".join(lines)


def _rounded(figures: Figures) -> dict[str, float]:
    return {name: round(getattr(figures, name), 4) for name in Figures.__dataclass_fields__}


def _metrics(figures: Figures, adaptation: Adaptation) -> dict[str, Any]:
    labels = adaptation.site.labels
    return {
        "n": len(labels),
        "positives": int(labels.sum()),
        "f1": round(figures.f1, 4),
        "precision": round(figures.precision, 4),
        "recall": round(figures.recall, 4),
        "far": round(figures.false_alarms, 4),
        "auc": round(figures.auc, 4),
    }


def _readme(card: dict[str, Any], adaptation: Adaptation) -> str:
    entry, source = card["adaptation"], card[_ADAPTED]
    return _README.format(
        name=card["name"],
        source=source["name"],
        sha256=source["graph_sha256"][:16],
        crack=entry["tiles"]["crack"],
        intact=entry["tiles"]["intact"],
        photographs=entry["photographs"],
        table=comparison_table(adaptation),
        command=card["command"],
    )


_README = """# Model `{name}`

The model `{source}` (graph {sha256}...) with a linear term on its features, fitted on {crack} crack tiles and
{intact} intact tiles of {photographs} photographs of one site. Backbone, widths, threshold, training data and licences
are those of `{source}`.

```
{table}
```

Figures after the adaptation are cross-validated by photograph; those of known surfaces are on the stored tiles of
`{source}`. With few tiles all figures are rough.

## Command

```
{command}
```
"""
