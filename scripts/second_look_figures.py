# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measure benefit and cost of the second look: a section of docs/ablations.md.

.venv/bin/python scripts/second_look_figures.py --data DATA --out FOLDER MODEL...
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.training.data.manifest import LABELS, read_manifest
from crack_perception.training.data.rows import trainable_rows, validation_groups
from crack_perception.training.evaluation.figures import markdown_table
from crack_perception.training.evaluation.images import rows_of_split
from crack_perception.training.evaluation.reading_scale import whole_photographs
from crack_perception.training.evaluation.second_look import (
    figures_by_source,
    fitted_offset,
    score_frames,
    score_rows,
)

_VALIDATION_SHARE = 0.12


def main() -> None:
    """Measure every model, print its tables and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name or folder of a model")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(arguments.data)
    for name in arguments.models:
        model = load_model(name)
        detector = FrameDetector(model, open_backend("onnxruntime", model, 1))
        frames, cost = score_frames(detector, whole_photographs(arguments.data, manifest))
        report = {"model": model.name, "sha256": model.sha256, "cost": cost, "photographs": figures_by_source(frames)}
        print(model.name, cost, flush=True)
        _print_table(report["photographs"])
        trained = [row for row in trainable_rows(manifest) if row.stratum in model.card["training"]["tiles"]]
        held_out = validation_groups(trained, _VALIDATION_SHARE, model.card["seed"])
        validation = [row for row in trained if row.group_id in held_out]
        report["threshold"] = threshold = fitted_offset(score_rows(detector, arguments.data, validation))
        print(threshold, flush=True)
        test = [row for row in rows_of_split(manifest, "test") if row.label in LABELS]
        report["test"] = figures_by_source(score_rows(detector, arguments.data, test), threshold["chosen"])
        _print_table(report["test"])
        (arguments.out / f"second_look_{model.name}.json").write_text(json.dumps(report, indent=2), encoding="utf-8")


def _print_table(rows: list[dict[str, object]]) -> None:
    print(markdown_table(tuple(rows[0]), [tuple(row.values()) for row in rows]), flush=True)


if __name__ == "__main__":
    main()
