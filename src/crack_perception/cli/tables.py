# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception tables``: measure the paper's Tables 1-4 on a folder of labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "measure the paper's Tables 1-4 on a folder of labelled images: backbones, robustness, size, severity"

_BACKBONES = "vgg16,resnet50,mobilenet_v3_large,mobilenet_v3_small,efficientnet_lite0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables.json, tables.md and the charts")
    parser.add_argument("--weights-dir", type=Path, help="folder with ImageNet weights (default: random weights)")
    parser.add_argument("--cache", type=Path, help="folder for computed features; the same folder resumes a run")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument(
        "--sample", type=int, default=80, help="tiles per source, surface and class (default: %(default)s)"
    )
    parser.add_argument("--tables", default="1,2,3,4", help="tables to measure (default: %(default)s)")
    parser.add_argument(
        "--backbones",
        default=_BACKBONES,
        help="backbones to compare, including mobilenet_v3_small (default: %(default)s)",
    )
    parser.add_argument(
        "--model", action="append", metavar="NAME", help="trained model to compare, repeatable (default: all shipped)"
    )
    parser.add_argument("--seed", type=int, default=7, help="random seed (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Measure, write the files, and print the Markdown."""
    import logging

    from crack_perception.cli.common import require_packages
    from crack_perception.errors import UsageError
    from crack_perception.recognition.models import model_directory
    from crack_perception.training.data.manifest import read_manifest
    from crack_perception.training.paper.tables.published import BASE

    backbones = tuple(arguments.backbones.split(","))
    requested = arguments.tables.split(",")
    if not requested or not set(requested) <= {"1", "2", "3", "4"}:
        raise UsageError(f"--tables {arguments.tables} is not a comma-separated list of numbers from 1 to 4")
    if arguments.threads < 1 or arguments.sample < 1 or arguments.seed < 0:
        raise UsageError("--threads and --sample must be at least 1, --seed at least 0")
    for name in arguments.model or ():
        model_directory(name)
    if BASE not in backbones:
        raise UsageError(f"--backbones must include {BASE}, with which Tables 2-4 are measured")
    read_manifest(arguments.data)  # before PyTorch is loaded, which takes long
    require_packages("torch", "sklearn", "onnx", "matplotlib")

    from crack_perception.recognition.models import shipped_models
    from crack_perception.training.paper.tables.run import MARKDOWN_NAME, TablesSettings, measure
    from crack_perception.training.pipeline import default_cache

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = TablesSettings(
        data=arguments.data,
        backbones=backbones,
        models=tuple(arguments.model or shipped_models()),
        weights_directory=arguments.weights_dir,
        cache=arguments.cache or default_cache(),
        threads=arguments.threads,
        sample=arguments.sample,
        tables=tuple(sorted({int(number) for number in requested})),
        seed=arguments.seed,
    )
    measure(settings, arguments.out)
    print((arguments.out / MARKDOWN_NAME).read_text(encoding="utf-8"))
    return 0
