# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception evaluate``: evaluate a model on labelled images, as for its model card."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "evaluate a model on a folder of labelled images (manifest.csv), per source"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    from crack_perception.cli.common import add_model_arguments

    add_model_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument(
        "--split",
        default="test",
        choices=("train", "test"),
        help="split of the sources used for training (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only the images as they are: no interference, no synthetic cracks, no leave-one-source-out heads",
    )
    parser.add_argument(
        "--others",
        type=Path,
        help="folder of pictures that show no structure: how many of them are reported as cracked",
    )
    parser.add_argument("--out", type=Path, help="JSON file for all figures")


def run(arguments: argparse.Namespace) -> int:
    """Print the tables, and write the figures with --out."""
    from crack_perception.cli.common import open_detector, require_packages

    if not arguments.quick:
        require_packages("sklearn", "onnx", otherwise=", or give --quick")

    from crack_perception.paths import write_json
    from crack_perception.training.data.manifest import read_manifest
    from crack_perception.training.evaluation.other_pictures import other_picture_figures, other_picture_table
    from crack_perception.training.evaluation.report import SEED, evaluate_model, report_tables

    detector = open_detector(arguments)
    report = evaluate_model(detector, arguments.data, read_manifest(arguments.data), arguments.split, arguments.quick)
    name, sha256 = detector.model.name, detector.model.sha256
    print(f"model {name} {sha256[:12]}, threshold {detector.threshold:.4f}, split {arguments.split}")
    tables = report_tables(report)
    if arguments.others:
        report["other_pictures"] = other_picture_figures(detector, arguments.others, SEED)
        tables["Pictures that show no structure"] = other_picture_table(report["other_pictures"])
    for title, table in tables.items():
        print(f"\n{title}:\n\n{table}")
    means, calibration = report["unseen_means"], report["calibration"]
    print("\nMeans over sources not used for training: " + ", ".join(f"{key} {value}" for key, value in means.items()))
    print(f"Calibration error: {calibration['pooled']['ece']} pooled, {calibration['mean']} mean over sources")
    if arguments.out:
        write_json(arguments.out, report)
    return 0
