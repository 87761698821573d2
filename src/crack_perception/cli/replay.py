"""crack_perception replay: any bag through the real nodes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

HELP = "play a bag into the real nodes and report what they found and mapped, how fast and how well"

_TOPIC_OPTIONS = {
    "image": "images",
    "camera_info": "camera_info",
    "pose": "PoseStamped of the vehicle",
    "odom": "Odometry of the vehicle",
    "range": "rangefinder",
    "depth": "registered depth images",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("bag", type=Path, metavar="BAG", help="folder or file of a rosbag2 (MCAP or sqlite3)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="truth of the flight (default: BAG/truth.json)")
    parser.add_argument("--rate", type=float, default=1.0, metavar="R", help="bag seconds a second (default: 1.0)")
    add_node_options(parser)
    for name, what in _TOPIC_OPTIONS.items():
        option = f"--{name.replace('_', '-')}-topic"
        none = "" if name == "image" else "; '' for none"
        parser.add_argument(option, metavar="T", help=f"topic of the {what} (default: found by its type{none})")


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """Options that replay and demo share."""
    parser.add_argument("--model", metavar="NAME", help="model of the node (default: the node's own)")
    parser.add_argument("--preset", metavar="NAME", help="severity preset of the node, for example ec2")
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node")
    parser.add_argument("--no-video", action="store_true", help="do not have the node draw annotated pictures")
    parser.add_argument("--no-map", action="store_true", help="do not have crack_mapper map what the node finds")
    parser.add_argument(
        "--min-width-px", type=float, metavar="W", help="cracks count as visible from this width on (default: 1.5)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Replay; 1 when frames were lost or answers are missing."""
    from crack_perception.evaluation.replay import replay
    from crack_perception.evaluation.replay_files import REPORT_HTML
    from crack_perception.evaluation.replay_plan import ReplayOptions
    from crack_perception.evaluation.summary import summary_lines

    topics = {name: getattr(arguments, f"{name}_topic") for name in _TOPIC_OPTIONS}
    options = ReplayOptions(
        bag=arguments.bag,
        out=arguments.out,
        truth=arguments.truth,
        rate=arguments.rate,
        topics={name: topic for name, topic in topics.items() if topic is not None},
        **node_options(arguments),
    )
    report = replay(options, say)
    print("\n".join(summary_lines(report)))
    print(f"report     {arguments.out / REPORT_HTML}")
    return 1 if report["problems"] else 0


def node_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The shared options as arguments of ReplayOptions."""
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


def say(line: str) -> None:
    """Progress goes to stderr."""
    print(line, file=sys.stderr, flush=True)
