# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception demo``: replay a simulated flight through the real nodes and write an HTML report."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from crack_perception.cli.common import print_progress
from crack_perception.cli.replay import add_node_options, node_options
from crack_perception.errors import without_control

# The node's default preset has a single edge at 0.1 mm, far below the resolution of the demo's camera: every visible
# crack would be of one class, and the severity figures would be meaningless.
_PRESET = "aashto"
# On a slow machine playback takes up to this many times the flight's duration before frames are dropped.
_MAX_STRETCH = 6.0

HELP = "simulate a flight, replay it through the real nodes and write an HTML report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "--out", type=Path, default=Path("build/demo"), metavar="DIR", help="output folder (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", dest="duration_s", type=float, metavar="S", help="duration of the flight with images (default: 22)"
    )
    parser.add_argument("--seed", type=int, help="random seed of the flight (default: 0)")
    parser.add_argument("--texture", type=Path, metavar="IMAGE", help="photograph to use as the wall")
    parser.add_argument("--texture-mm-per-px", type=float, metavar="MM", help="pixel size of the photograph in mm")
    parser.add_argument(
        "--texture-labels",
        type=Path,
        metavar="CSV",
        help="labels of the photograph: rows of 0 and 1, one per 256-px tile",
    )
    parser.add_argument("--fresh", action="store_true", help="simulate again even if the same flight exists")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="play in real time on any machine; exit code 1 if a frame is dropped, lost or unanswered",
    )
    add_node_options(parser, _PRESET)


def run(arguments: argparse.Namespace) -> int:
    """Simulate (unless the same flight exists), replay and report; 1 if the flight could not be evaluated."""
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

    of_node = node_options(arguments)
    wanted = ("duration_s", "seed", "texture", "texture_mm_per_px", "texture_labels")
    settings = settings_of("demo", {name: getattr(arguments, name) for name in wanted})
    bag = arguments.out / "bag"
    provide_flight(settings, bag, arguments.fresh, print_progress)
    options = ReplayOptions(bag=bag, out=arguments.out, **of_node)
    if not arguments.strict:
        options = replace(options, wait_budget_s=settings.duration_s * (_MAX_STRETCH - 1.0))
        # A parameter file may set a model, too.
        if arguments.model is None and arguments.params is None:
            choice = choose_model(bag)
            print_progress(choice_sentence(choice))
            options = replace(options, parameters={**options.parameters, "model": choice.name})
    report = replay(options, print_progress)
    print(without_control("\n".join(summary_lines(report))))
    print(f"{'machine':<10} {machine_sentence(report)}")
    failed = faults(report, arguments.strict)
    for fault in failed:
        print(f"{'FAILED':<10} {fault}")
    write_pdf_of_map(arguments.out, arguments.preset or _PRESET)
    print(f"report     {arguments.out / REPORT_HTML}")
    return 1 if failed else 0


def write_pdf_of_map(out: Path, preset: str) -> None:
    """Write the PDF of the flight's map and print its path, where the extra ``report`` is installed."""
    from importlib.util import find_spec

    from crack_perception.errors import UserError
    from crack_perception.evaluation.replay.files import ReplayFiles
    from crack_perception.evaluation.replay.mapper_session import MAP_NAME
    from crack_perception.recognition.severity import SeverityScale

    path = ReplayFiles(out).map_folder / f"{MAP_NAME}.sqlite"
    if not path.is_file() or any(find_spec(name) is None for name in ("shapely", "typst")):
        return
    from crack_perception.report.contents import Notes, read_survey
    from crack_perception.report.document.options import DocumentOptions
    from crack_perception.report.georeference import MapFrame
    from crack_perception.report.writing import write_report

    try:
        survey = read_survey(path, SeverityScale.of_preset(preset), Notes("Demo flight"))
        (pdf,) = write_report(out, survey, MapFrame(), ["pdf"], DocumentOptions())
    except UserError as error:
        print_progress(f"no PDF: {error}")
        return
    print(f"PDF        {pdf}")
