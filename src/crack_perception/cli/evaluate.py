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
    parser.add_argument("--out", type=Path, help="write all figures here as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print a table of figures, and write them if asked."""
    import json

    from crack_perception.cli.model_arguments import open_detector
    from crack_perception.training.crop_evaluation import crop_table
    from crack_perception.training.manifest import read_manifest
    from crack_perception.training.tile_evaluation import judge_model, metrics_table

    detector = open_detector(arguments)
    report = judge_model(detector, arguments.data, read_manifest(arguments.data), arguments.split)
    name, sha256 = detector.model.name, detector.model.sha256
    print(f"model {name} {sha256[:12]}, threshold {detector.threshold:.4f}, split {arguments.split}\n")
    print(metrics_table(report["metrics"]))
    print("\nSources that never train a shipped model:\n")
    print(metrics_table(report["unseen_sources"]))
    print("\nTiles on and away from the cracks of those:\n")
    print(crop_table(report["crops"]))
    print("\nMeans over those: " + ", ".join(f"{name} {value}" for name, value in report["unseen_means"].items()))
    if report["widths"]:
        print("\nWidths against masks: " + ", ".join(f"{name} {value}" for name, value in report["widths"].items()))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0
