# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception orthophoto``: pictures of the facets of a map, true to scale, from the images of a recording."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from crack_perception.cli.common import add_topic_arguments, topics_of
from crack_perception.cli.place import add_place_arguments, georeference_of

HELP = "make orthophotos of the facets of a crack map from a recording: PNG tiles and GeoTIFF (optional extra `report`)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "bags",
        type=Path,
        nargs="+",
        metavar="BAG",
        help="recordings of the flights, one or several, with poses in the map's frame: rosbag2 (MCAP or sqlite3) or "
        "ROS 1",
    )
    parser.add_argument(
        "--map", type=Path, required=True, metavar="MAP", help="SQLite file of crack_mapper, in the frame of the poses"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="output folder (default: NAME.orthophoto beside the map, where `report` finds it)",
    )
    parser.add_argument(
        "--mm-per-px",
        type=float,
        default=1.0,
        metavar="MM",
        help="size of a pixel on the surface in millimetres (default: %(default)s)",
    )
    parser.add_argument("--facets", metavar="LIST", help="letters of the facets, comma-separated (default: all)")
    parser.add_argument(
        "--as-recorded",
        action="store_true",
        help="use the recorded poses as they are, not adjusted to each other where images overlap",
    )
    parser.add_argument(
        "--params", type=Path, metavar="FILE", help="parameter file of crack_node: its camera_extrinsic and pose source"
    )
    add_topic_arguments(parser)
    add_place_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the orthophotos and print their folder."""
    from crack_perception.cli.common import print_progress, require_packages

    require_packages("tifffile", "shapely", extra="report")
    require_packages("rosbags", extra="replay")
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.evaluation.recordings.bag import open_bag
    from crack_perception.recognition.severity import SeverityScale
    from crack_perception.report.contents import Notes, read_survey
    from crack_perception.report.orthophoto.folder import new_orthophotos
    from crack_perception.report.orthophoto.index import INDEX, orthophoto_folder
    from crack_perception.report.orthophoto.joined_frames import JoinedFrames
    from crack_perception.report.orthophoto.making import chosen_facets, make_orthophotos
    from crack_perception.report.orthophoto.recorded_frames import RecordedFrames

    georeference = georeference_of(arguments)
    survey = read_survey(arguments.map, SeverityScale.of_preset("gb50204"), Notes())
    facets = chosen_facets(survey.facets, arguments.facets)
    out = arguments.out or orthophoto_folder(arguments.map)
    with ExitStack() as stack:
        bags = [stack.enter_context(open_bag(path)) for path in arguments.bags]
        folder = stack.enter_context(new_orthophotos(out))
        frames = [RecordedFrames(bag, topics_of(arguments), arguments.params) for bag in bags]
        make_orthophotos(
            JoinedFrames(frames),
            facets,
            arguments.mm_per_px,
            folder,
            georeference,
            not arguments.as_recorded,
            print_progress,
        )
    print(f"orthophotos {out / INDEX}")
    return EXIT_DONE
