# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception ablate``: measure the contribution of each part of the training."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "short trainings with one part changed each: augmentation, labels, distillation and student size"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument("--out", type=Path, required=True, help="folder for ablations.json and ablations.md")
    parser.add_argument(
        "--weights", type=Path, help="initial weights of the backbone (torchvision names; default: random)"
    )
    parser.add_argument("--cache", type=Path, help="cache of the full training: tiles, teacher and views")
    parser.add_argument("--student", default="swift", help="architecture of the student (default: %(default)s)")
    parser.add_argument(
        "--tile-share", type=float, default=0.4, help="share of the training photographs (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, default=2, help="epochs of every fine-tuning (default: %(default)s)")
    parser.add_argument(
        "--view-share", type=float, default=1.0, help="share of the stored views (default: %(default)s)"
    )
    parser.add_argument(
        "--passes", type=int, default=1, help="epochs of every student over the views (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Train all missing variants and print the tables."""
    import logging

    from crack_perception.cli.common import require_packages
    from crack_perception.errors import UsageError

    shares_fit = all(0 < share <= 1 for share in (arguments.tile_share, arguments.view_share))
    if min(arguments.epochs, arguments.passes, arguments.threads) < 1 or not shares_fit:
        raise UsageError("--epochs, --passes and --threads must be at least 1, and shares above 0 and at most 1")
    require_packages("torch", "sklearn", "onnx", "matplotlib")

    from crack_perception.training.distillation.pipeline import StudentSettings
    from crack_perception.training.paper.training_ablation import Budget, ablate
    from crack_perception.training.pipeline import TrainSettings, default_cache

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = TrainSettings(arguments.data, arguments.weights, arguments.cache or default_cache(), arguments.threads)
    budget = Budget(arguments.tile_share, arguments.epochs, arguments.view_share, arguments.passes)
    ablate(settings, StudentSettings(arguments.student), budget, arguments.out)
    print((arguments.out / "ablations.md").read_text(encoding="utf-8"))
    return 0
