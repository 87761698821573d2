# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception train``: train a model on labelled images and write its folder."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "train a model on a folder of labelled images: backbone, SVM, widths, export and model card"

DEFAULT_BACKBONE = "mobilenet_v3_small"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write, for example models/standard")
    parser.add_argument(
        "--weights", type=Path, help="initial weights of the backbone (torchvision names; default: random)"
    )
    parser.add_argument(
        "--cache", type=Path, help="folder for tiles, checkpoints and features; the same folder resumes a run"
    )
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help="network to fine-tune (default: %(default)s)")
    parser.add_argument(
        "--frozen-layers", type=int, default=0, help="first layers of the backbone that keep their initial weights"
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="train in bfloat16: a quarter faster with AVX512-BF16 or AMX"
    )
    parser.add_argument(
        "--others",
        type=Path,
        help="folder of pictures that show no structure, which the model learns to tell from structures; its "
        "source.json names title, authors, url and licence for the card",
    )
    parser.add_argument("--epochs", type=int, default=13, help="epochs of the backbone (default: %(default)s)")
    parser.add_argument(
        "--student", help="distil a small model of this architecture from the backbone, for example swift"
    )
    parser.add_argument(
        "--teacher",
        metavar="MODEL",
        help="model that teaches the student; without it, a backbone is trained for that first",
    )
    parser.add_argument(
        "--start",
        metavar="MODEL",
        help="model of the same architecture whose weights the training starts from; with a student, the student's",
    )
    parser.add_argument(
        "--passes", type=int, default=24, help="epochs of the student over its views (default: %(default)s)"
    )
    parser.add_argument(
        "--refit",
        metavar="MODEL",
        help="train no backbone, but refit the crack score of this model on sources of the data that it was not "
        "trained on; takes minutes",
    )
    parser.add_argument("--seed", type=int, default=7, help="random seed (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Train, export, and evaluate the exported model with the inference runtime."""
    import logging

    from crack_perception.cli.common import require_packages
    from crack_perception.errors import UsageError

    if min(arguments.epochs, arguments.threads, arguments.passes) < 1 or arguments.seed < 0:
        raise UsageError("--epochs, --passes and --threads must be at least 1, --seed at least 0")
    if arguments.frozen_layers < 0:
        raise UsageError("--frozen-layers must not be negative")
    if arguments.others and arguments.refit:
        raise UsageError("--others needs a backbone that is trained", "Give it without --refit")
    if arguments.refit and (arguments.weights or arguments.student):
        raise UsageError("--refit trains no backbone", "Give it without --weights and --student")
    if arguments.teacher and (arguments.weights or not arguments.student):
        raise UsageError("--teacher takes the place of a backbone that is trained", "Give --student, and no --weights")
    if arguments.start and (arguments.weights or arguments.refit):
        raise UsageError("--start takes the place of initial weights", "Give it without --weights and --refit")
    if arguments.start and arguments.student and not arguments.teacher:
        raise UsageError("--start with --student needs a trained teacher", "Give --teacher")
    require_packages("torch", "sklearn", "onnx")

    from crack_perception.recognition.backends.selection import open_backend
    from crack_perception.recognition.frame_detector import FrameDetector
    from crack_perception.recognition.models import load_model
    from crack_perception.training.backbones.finetune import FinetuneSettings
    from crack_perception.training.data.manifest import read_manifest
    from crack_perception.training.distillation.losses import DistillationSettings
    from crack_perception.training.distillation.pipeline import StudentSettings, train_student
    from crack_perception.training.evaluation.report import evaluate_model, metrics_table
    from crack_perception.training.export.base_rows import write_base_rows
    from crack_perception.training.export.card import add_figures, write_model, write_refitted_model
    from crack_perception.training.pipeline import TrainSettings, default_cache, train_model
    from crack_perception.training.refit import RefitSettings, refit_model

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = TrainSettings(
        arguments.data,
        arguments.weights,
        arguments.cache or default_cache(),
        arguments.threads,
        arguments.backbone,
        arguments.others,
        load_model(arguments.start) if arguments.start else None,
        finetune=FinetuneSettings(
            epochs=arguments.epochs,
            frozen_layers=arguments.frozen_layers,
            bfloat16=arguments.bfloat16,
            seed=arguments.seed,
        ),
    )
    name = arguments.out.resolve().name
    command = (
        f"crack_perception train --data DATA --out models/{name}"
        + (f" --backbone {arguments.backbone}" if arguments.backbone != DEFAULT_BACKBONE else "")
        + (f" --weights {arguments.weights.name}" if arguments.weights else "")
        + (f" --frozen-layers {arguments.frozen_layers}" if arguments.frozen_layers else "")
        + (" --bfloat16" if arguments.bfloat16 else "")
        + (" --others OTHERS" if arguments.others else "")
        + (f" --student {arguments.student} --passes {arguments.passes}" if arguments.student else "")
        + (f" --teacher {Path(arguments.teacher).name}" if arguments.teacher else "")
        + (f" --start {Path(arguments.start).name}" if arguments.start else "")
    )
    if arguments.refit:
        before = load_model(arguments.refit)
        refitted = refit_model(before, RefitSettings(settings.data, settings.cache, arguments.threads, arguments.seed))
        command += f" --refit {before.name} --seed {arguments.seed} --threads {arguments.threads}"
        card = write_refitted_model(arguments.out, before, refitted, name, command)
    else:
        if arguments.student:
            distillation = DistillationSettings(epochs=arguments.passes, seed=arguments.seed)
            teacher = load_model(arguments.teacher) if arguments.teacher else None
            student = StudentSettings(arguments.student, distillation=distillation)
            trained = train_student(settings, student, teacher)
        else:
            trained = train_model(settings)
        command += "" if arguments.teacher else f" --epochs {arguments.epochs}"
        command += f" --seed {arguments.seed} --threads {arguments.threads}"
        card = write_model(arguments.out, trained, name, command, compact=bool(arguments.student))
    card |= write_base_rows(arguments.out, settings.data, settings.validation_share)
    model = load_model(str(arguments.out))
    detector = FrameDetector(model, open_backend("auto", model, arguments.threads))
    report = evaluate_model(detector, arguments.data, read_manifest(arguments.data), "test")
    add_figures(arguments.out, card, report)
    print(metrics_table(report["metrics"]))
    print(f"{arguments.out}: {card['bytes_total']:,} bytes, threshold {card['threshold']}")
    return 0
