# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception benchmark``: measure the speed of models, pipeline stages and the whole node."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "measure the speed of models, pipeline stages and the whole node; as a table and as JSON"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file to write")
    parser.add_argument("--model", default="nano", metavar="NAME", help="model of the node (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="shorter measurements with larger uncertainty")
    parser.add_argument(
        "--soak-s",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds of an additional soak test at 30 Hz and in overload (default: 0, none)",
    )
    parser.add_argument(
        "--parts",
        metavar="LIST",
        help="comma-separated parts to measure: tiles,stages,start,overhead,throughput,idle,rates,overload,"
        "instructions (default: all)",
    )
    parser.add_argument("--seed", type=int, default=11, help="seed of the simulated walls (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="only print the table of an earlier --out FILE")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the table; a run that ends early leaves the figures until then."""
    from crack_perception.cli.common import print_progress, require_nodes
    from crack_perception.errors import UsageError

    if arguments.markdown is None:
        require_nodes()
    from crack_perception.evaluation.benchmark.document import read_document
    from crack_perception.evaluation.benchmark.markdown import benchmark_markdown
    from crack_perception.evaluation.benchmark.runner import Benchmark
    from crack_perception.paths import write_json

    if arguments.markdown is not None:
        print(benchmark_markdown(read_document(arguments.markdown)), end="")
        return 0
    if arguments.out is None:
        raise UsageError("--out FILE is missing", "Give a file, for example build/benchmark.json")

    from crack_perception.cli.benchmark_parts import ShellParts, missing_paper_models, paper_models
    from crack_perception.evaluation.benchmark.options import PARTS, QUICK, BenchmarkOptions, Lengths

    options = BenchmarkOptions(
        model=arguments.model,
        parts=tuple(arguments.parts.split(",")) if arguments.parts is not None else PARTS,
        lengths=QUICK if arguments.quick else Lengths(),
        soak_s=arguments.soak_s,
        seed=arguments.seed,
    )

    def keep(document: dict[str, Any]) -> None:
        write_json(arguments.out, document)
        print(benchmark_markdown(document), end="", flush=True)

    Benchmark(options, lambda: paper_models(print_progress), missing_paper_models(), ShellParts(), print_progress).run(
        keep
    )
    return 0
