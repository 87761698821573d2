"""crack_perception demo: a simulated flight through the real node, and a page to look at."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from crack_perception.cli.replay import add_node_options, node_options, say

# The node's default preset has a single edge at 0.1 mm, far below what the demo's camera resolves: every crack it sees
# is of one class, and the figures on severity would mean nothing.
_PRESET = "aashto"
# A slow machine gets this many times the flight's duration before frames are dropped instead.
_MAX_STRETCH = 6.0

HELP = "simulate a flight, replay it through the real nodes and write a report to look at"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--out", type=Path, default=Path("build/demo"), metavar="DIR", help="folder (%(default)s)")
    parser.add_argument(
        "--seconds", dest="duration_s", type=float, metavar="S", help="seconds of the flight with images (22)"
    )
    parser.add_argument("--seed", type=int, help="same seed, same flight (0)")
    parser.add_argument("--texture", type=Path, metavar="IMAGE", help="photograph that is the wall")
    parser.add_argument("--texture-mm-per-px", type=float, metavar="MM", help="size of a pixel of the photograph")
    parser.add_argument("--texture-labels", type=Path, metavar="CSV", help="rows of 0 and 1, one a 256-px tile")
    parser.add_argument("--fresh", action="store_true", help="simulate again even if the same flight is there")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="play in real time whatever the machine can do; exit code 1 when a frame is dropped, lost or unanswered",
    )
    add_node_options(parser)
    parser.set_defaults(preset=_PRESET)


def run(arguments: argparse.Namespace) -> int:
    """Simulate (unless the same flight is there), replay, report; 1 when the flight could not be evaluated."""
    from crack_perception.evaluation.page.summary import summary_lines
    from crack_perception.evaluation.replay.demo import (
        choice_sentence,
        choose_model,
        faults,
        machine_sentence,
        provide_flight,
    )
    from crack_perception.evaluation.replay.files import REPORT_HTML
    from crack_perception.evaluation.replay.plan import ReplayOptions
    from crack_perception.evaluation.replay.runner import replay
    from crack_perception.simulation.flight.settings import settings_of

    wanted = ("duration_s", "seed", "texture", "texture_mm_per_px", "texture_labels")
    settings = settings_of("demo", {name: getattr(arguments, name) for name in wanted})
    bag = arguments.out / "bag"
    provide_flight(settings, bag, arguments.fresh, say)
    options = ReplayOptions(bag=bag, out=arguments.out, **node_options(arguments))
    if not arguments.strict:
        options = replace(options, wait_budget_s=settings.duration_s * (_MAX_STRETCH - 1.0))
        # A parameter file may name a model, too.
        if arguments.model is None and arguments.params is None:
            choice = choose_model(bag)
            say(choice_sentence(choice))
            options = replace(options, parameters={**options.parameters, "model": choice.name})
    report = replay(options, say)
    print("\n".join(summary_lines(report)))
    print(f"{'machine':<10} {machine_sentence(report)}")
    failed = faults(report, arguments.strict)
    for fault in failed:
        print(f"{'FAILED':<10} {fault}")
    print(f"report     {arguments.out / REPORT_HTML}")
    return 1 if failed else 0
