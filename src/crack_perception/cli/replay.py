# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception replay``: play a bag into the real nodes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crack_perception.cli.common import add_preset_argument, add_topic_arguments, print_progress, topics_of
from crack_perception.errors import without_control

HELP = "play a bag into the real nodes and report detections, map, speed and accuracy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "bag",
        type=Path,
        metavar="BAG",
        help="folder or file of a rosbag2 (MCAP or sqlite3), or a ROS 1 bag",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="PATH",
        help="truth.json of a simulation, boxes (COCO), a folder of masks, or lines in the map (GeoJSON) (default: "
        "BAG/truth.json if it exists)",
    )
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="LIST",
        help="requirements that alone decide the exit code, for example recall>=0.9,dropped==0; repeatable",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME:P=V,...",
        help="replay once for each parameter set and compare them, for example fast:model=nano; params names "
        "a parameter file; repeatable",
    )
    parser.add_argument("--rate", type=float, default=1.0, metavar="R", help="playback rate (default: 1.0)")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds of the bag to skip (default: 0)")
    parser.add_argument("--duration", type=float, metavar="S", help="seconds of the bag to play (default: all)")
    add_node_options(parser)
    add_topic_arguments(parser)


def add_node_options(parser: argparse.ArgumentParser, preset: str | None = None) -> None:
    """Add the options shared by replay and demo.

    Args:
        preset: Default severity preset; None leaves it to the parameters of the node.
    """
    parser.add_argument("--model", metavar="NAME", help="model of the node (default: the node's default)")
    add_preset_argument(parser, preset)
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node")
    parser.add_argument("--no-video", action="store_true", help="do not record annotated images")
    parser.add_argument("--no-map", action="store_true", help="do not run crack_mapper")
    parser.add_argument(
        "--min-width-px",
        type=float,
        metavar="W",
        help="least width in pixels of cracks that count as visible (default: 1.5)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Replay; 1 if frames were lost, answers are missing or a part of the bag could not be read.

    With requirements, 1 if one of them is not met.
    """
    from crack_perception.evaluation.page.summary import summary_lines
    from crack_perception.evaluation.recordings.bag import Window
    from crack_perception.evaluation.replay.files import REPORT_HTML
    from crack_perception.evaluation.replay.plan import ReplayOptions
    from crack_perception.evaluation.replay.requirements import parse_requirements
    from crack_perception.evaluation.replay.runner import replay
    from crack_perception.evaluation.replay.variants import (
        COMPARISON_MD,
        comparison_rows,
        comparison_table,
        parse_variants,
        replay_variants,
    )

    requirements = parse_requirements(arguments.require)
    variants = parse_variants(arguments.variant)
    for variant in variants:
        _check_models(variant.parameters.get("model"), variant.parameters.get("severity_preset"))
    options = ReplayOptions(
        bag=arguments.bag,
        out=arguments.out,
        truth=arguments.truth,
        rate=arguments.rate,
        topics=topics_of(arguments),
        window=Window(arguments.start, math.inf if arguments.duration is None else arguments.duration),
        requirements=requirements,
        **node_options(arguments),
    )
    if variants:
        reports = replay_variants(options, variants, print_progress)
        print(without_control("\n".join(comparison_table(list(reports), comparison_rows(reports)))))
        print(f"comparison {arguments.out / COMPARISON_MD}")
        return max(_exit_code(report, f"{name}: ") for name, report in reports.items())
    report = replay(options, print_progress)
    print(without_control("\n".join(summary_lines(report))))
    print(f"report     {arguments.out / REPORT_HTML}")
    return _exit_code(report)


def _exit_code(report: Mapping[str, Any], name: str = "") -> int:
    """Return the exit code of a report: of its requirements if there are any, else of its problems."""
    from crack_perception.evaluation.replay.requirements import result_line

    results = report.get("requirements")
    if results is None:
        return 1 if report["problems"] else 0
    for result in results:
        print(without_control(f"{name}{result_line(result)}"))
    return 0 if all(result["met"] for result in results) else 1


def _check_models(model: str | None, preset: str | None) -> None:
    """Check the names of a model and a severity preset.

    Raises:
        UsageError: There is no such model or preset.
    """
    from crack_perception.recognition.models import model_directory
    from crack_perception.recognition.severity import SeverityScale

    if model is not None:
        model_directory(model)
    if preset is not None:
        SeverityScale.of_preset(preset)


def node_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the shared options as arguments of ReplayOptions.

    Raises:
        UsageError: There is no such model or severity preset.
    """
    _check_models(arguments.model, arguments.preset)
    wanted = {"model": arguments.model, "severity_preset": arguments.preset}
    options: dict[str, Any] = {
        "parameters": {name: value for name, value in wanted.items() if value is not None},
        "params_file": arguments.params,
        "video": not arguments.no_video,
        "map": not arguments.no_map,
    }
    if arguments.min_width_px is not None:
        options["min_width_px"] = arguments.min_width_px
    return options
