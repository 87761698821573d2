"""``crack_perception evaluate``: a model on a manifest, the card's figures reproduced."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "judge a model on a folder of labelled images (manifest.csv), per source"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from crack_perception.cli.model_arguments import add_model_arguments

    add_model_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument(
        "--split",
        default="test",
        choices=("train", "test"),
        help="of the sources that may train (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="images as they are only: no interference, no drawn cracks, no head refitted without a source",
    )
    parser.add_argument("--out", type=Path, help="write all figures here as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print tables of figures, and write them if asked."""
    import json

    from crack_perception.cli.model_arguments import open_detector
    from crack_perception.cli.training_tools import require_training_tools

    if not arguments.quick:
        require_training_tools("sklearn", "onnx", otherwise=", or give --quick")

    from crack_perception.training.data.manifest import read_manifest
    from crack_perception.training.evaluation.report import evaluate_model, report_tables

    detector = open_detector(arguments)
    report = evaluate_model(detector, arguments.data, read_manifest(arguments.data), arguments.split, arguments.quick)
    name, sha256 = detector.model.name, detector.model.sha256
    print(f"model {name} {sha256[:12]}, threshold {detector.threshold:.4f}, split {arguments.split}")
    for title, table in report_tables(report).items():
        print(f"\n{title}:\n\n{table}")
    means, calibration = report["unseen_means"], report["calibration"]
    print("\nMeans over sources that never train: " + ", ".join(f"{key} {value}" for key, value in means.items()))
    print(f"Calibration error: {calibration['pooled']['ece']} pooled, {calibration['mean']} mean over sources")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0
