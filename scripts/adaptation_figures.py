# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measure the benefit of `crack_perception adapt`: the figures of docs/adaptation.md.

.venv/bin/python scripts/adaptation_figures.py --data DATA --out FOLDER [--draws N] MODEL...

Features of tiles are kept in the output folder, so that a repeated run takes minutes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crack_perception.recognition.models import load_model
from crack_perception.training.data.manifest import read_manifest
from crack_perception.training.evaluation.adaptation import adaptation_figures, adaptation_table


def main() -> None:
    """Measure every model, print its table and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name or folder of a model")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and features")
    parser.add_argument("--draws", type=int, default=20, help="repetitions per source (default: %(default)s)")
    arguments = parser.parse_args()
    for name in arguments.models:
        model = load_model(name)
        report = adaptation_figures(
            model, arguments.data, read_manifest(arguments.data), arguments.out / "features", arguments.draws
        )
        (arguments.out / f"adaptation_{model.name}.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
        print(f"\n{model.name}:\n\n{adaptation_table(report)}", flush=True)


if __name__ == "__main__":
    main()
