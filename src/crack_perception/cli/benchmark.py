"""crack_perception benchmark: how fast the models, the stages and the whole node are."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "measure the speed of the models, of the pipeline's stages and of the whole node; as a table and as JSON"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file for the figures")
    parser.add_argument("--model", default="nano", metavar="NAME", help="model of the node (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="shorter, with wider margins")
    parser.add_argument(
        "--soak-s", type=float, default=0.0, metavar="S", help="also a soak of so long at 30 Hz, and in overload"
    )
    parser.add_argument("--parts", metavar="LIST", help="only these of tiles,stages,overhead,idle,rates,overload")
    parser.add_argument("--seed", type=int, default=11, help="of the simulated walls (default: %(default)s)")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="print the table of an earlier --out FILE and measure nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the table; 1 when the node fails."""
    from crack_perception.errors import UsageError
    from crack_perception.evaluation.benchmark.document import read_document, write_document
    from crack_perception.evaluation.benchmark.markdown import benchmark_markdown
    from crack_perception.evaluation.benchmark.runner import Benchmark

    if arguments.markdown is not None:
        print(benchmark_markdown(read_document(arguments.markdown)), end="")
        return 0
    if arguments.out is None:
        raise UsageError("--out FILE is missing", "Name a file for the figures, for example build/benchmark.json")

    from crack_perception.cli.benchmark_parts import ShellParts, paper_models, why_without_paper_models
    from crack_perception.cli.replay import say
    from crack_perception.evaluation.benchmark.options import PARTS, QUICK, BenchmarkOptions, Lengths

    options = BenchmarkOptions(
        model=arguments.model,
        parts=tuple(arguments.parts.split(",")) if arguments.parts is not None else PARTS,
        lengths=QUICK if arguments.quick else Lengths(),
        soak_s=arguments.soak_s,
        seed=arguments.seed,
    )
    document = Benchmark(options, lambda: paper_models(say), why_without_paper_models(), ShellParts(), say).run()
    write_document(document, arguments.out)
    print(benchmark_markdown(document), end="")
    return 0
