# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measure the effect of the scale at which tiles are read: a section of docs/ablations.md.

.venv/bin/python scripts/reading_scale_figures.py --data DATA --out FOLDER MODEL...
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crack_perception.evaluation.flight_scales import flight_figures, flight_settings
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.models import load_model
from crack_perception.training.data.manifest import read_manifest
from crack_perception.training.evaluation.figures import markdown_table
from crack_perception.training.evaluation.reading_scale import (
    PHOTOGRAPH_GSD_MM,
    photograph_figures,
    read_photographs,
    whole_photographs,
)

_ZOOMS = ((2.0, (1, 2, 4)), (1.0, (1, 2)), (0.5, (1,)))
"""Magnification of the photographs, and pixels of them per pixel of a tile."""
_FLIGHTS = (
    (1.0, 12.0, (1, 2, 4)),
    (1.0, 50.0, (1, 2)),
    (3.0, 12.0, (1, 2)),
    (3.0, 50.0, (1, 2)),
    (8.0, 12.0, (1, 2)),
    (8.0, 50.0, (1,)),
)
"""Distance [m], horizontal field of view [deg] and reductions of each flight."""


def main() -> None:
    """Measure every model, print its tables and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name or folder of a model")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--frames", type=int, default=5, help="frames of a flight (default: %(default)s)")
    parser.add_argument("--flights-only", action="store_true", help="skip the photographs")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    photographs = (
        [] if arguments.flights_only else list(whole_photographs(arguments.data, read_manifest(arguments.data)))
    )
    for name in arguments.models:
        model = load_model(name)
        backend = open_backend("onnxruntime", model, 1)
        photograph_rows = []
        for zoom, reductions in _ZOOMS if photographs else ():
            for reduction in reductions:
                figures = photograph_figures(
                    read_photographs(model, backend, photographs, zoom, reduction), model.threshold
                )
                row = {"gsd_mm": PHOTOGRAPH_GSD_MM / zoom, "reduction": reduction, **figures}
                photograph_rows.append(row)
                print(row, flush=True)
        flight_rows = []
        for range_m, hfov_deg, reductions in _FLIGHTS:
            settings = flight_settings(range_m, hfov_deg, arguments.frames, 0)
            figures_of_flight = flight_figures(model, backend, settings, reductions)
            print(*figures_of_flight, sep="\n", flush=True)
            flight_rows += figures_of_flight
        report = {"model": model.name, "sha256": model.sha256, "photographs": photograph_rows, "flights": flight_rows}
        (arguments.out / f"reading_scale_{model.name}.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
        for rows in (photograph_rows, flight_rows):
            if rows:
                print(f"\n{model.name}:\n\n{markdown_table(tuple(rows[0]), [tuple(row.values()) for row in rows])}")


if __name__ == "__main__":
    main()
