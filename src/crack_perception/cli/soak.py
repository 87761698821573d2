# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception soak``: run both nodes while faults are injected."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "run both nodes for a long time while faults are injected; a table of fault, expected, seen"
# Shorter runs use fewer and smaller images, so that a busy machine with two cores keeps up.
_SHORT_MINUTES = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file for the report")
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="rounds of faults begin until then (default: %(default)g)"
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="images a second (30; 10 below 5 minutes)")
    parser.add_argument("--size", help="size of the images: 240p, 360p, 720p, 1080p (720p; 360p below 5 minutes)")
    parser.add_argument("--model", default="nano", metavar="NAME", help="model of the detector (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the faults (default: %(default)s)")
    parser.add_argument("--faults", default="", metavar="TEXT", help="only faults whose names hold this text")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="print the table of an earlier --out FILE and run nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the test and print the table; return 1 if a row fails.

    A test that ends early leaves report and table of the faults until then.
    """
    from crack_perception.evaluation.soak.report import read_document, soak_markdown
    from crack_perception.paths import write_json

    if arguments.markdown is not None:
        print(soak_markdown(read_document(arguments.markdown)), end="")
        return 0
    from crack_perception.cli.common import print_progress as say
    from crack_perception.evaluation.soak.soak import SoakOptions, run_soak
    from crack_perception.recognition.models import model_directory

    model_directory(arguments.model)
    is_short = arguments.minutes < _SHORT_MINUTES
    options = SoakOptions(
        minutes=arguments.minutes,
        rate_hz=arguments.rate or (10.0 if is_short else 30.0),
        size=arguments.size or ("360p" if is_short else "720p"),
        model=arguments.model,
        seed=arguments.seed,
        faults=arguments.faults,
    )

    def keep(document: dict[str, Any]) -> None:
        if arguments.out is not None:
            write_json(arguments.out, document)
        print(soak_markdown(document), end="", flush=True)

    return 0 if run_soak(options, say, keep)["passed"] else 1
