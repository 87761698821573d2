"""``crack_perception evaluate``: a model on a manifest, the card's figures reproduced."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "Judge a model on a folder of labelled images (manifest.csv), per source."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument("--model", default="standard", help="name or folder of the model (default: %(default)s)")
    parser.add_argument("--split", default="test", choices=("train", "test"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="write all figures here as JSON")
    parser.add_argument("--threads", type=int, default=0, help="inference threads; 0 chooses (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print a table of figures, and write them if asked."""
    import json

    from crack_perception.recognition.backends import open_backend
    from crack_perception.recognition.detector import CrackDetector
    from crack_perception.recognition.model_store import load_model
    from crack_perception.training.manifest import read_manifest
    from crack_perception.training.tile_evaluation import judge_model, metrics_table

    model = load_model(arguments.model)
    rows = read_manifest(arguments.data)
    detector = CrackDetector(model, open_backend("auto", model, arguments.threads))
    report = judge_model(detector, arguments.data, rows, arguments.split)
    print(f"model {model.name} {model.sha256[:12]}, threshold {model.threshold:.3f}, split {arguments.split}\n")
    print(metrics_table(report["metrics"]))
    print("\nSources that never train a shipped model:\n")
    print(metrics_table(report["unseen_sources"]))
    if report["widths"]:
        print("\nWidths against masks: " + ", ".join(f"{name} {value}" for name, value in report["widths"].items()))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0
