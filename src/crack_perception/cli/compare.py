# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception compare``: what has changed between two surveys of one structure."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

HELP = "compare two crack maps of one structure: new, grown, unchanged and gone cracks, with significance"


_MOST_SIGMA = {"offset_sigma": 5.0, "heading_sigma": 180.0}
"""Greatest standard deviations: the places of the search, and the memory for them, grow with the cube of the offset."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("old", type=Path, metavar="OLD", help="SQLite file of the earlier survey's map")
    parser.add_argument("new", type=Path, metavar="NEW", help="SQLite file of the later survey's map")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="output folder")
    parser.add_argument(
        "--title", default="Comparison of surveys", help="title of plan and page (default: %(default)s)"
    )
    parser.add_argument("--map-frame", default="map", help="name of NEW's frame in the GeoJSON (default: %(default)s)")
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        help="probability from which on growth is reported, 0.5 to below 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--offset",
        type=float,
        nargs=3,
        metavar=("X", "Y", "Z"),
        default=(0.0, 0.0, 0.0),
        help="origin of NEW's map frame in OLD's in metres, where it is known (default: 0 0 0)",
    )
    parser.add_argument(
        "--heading",
        type=float,
        default=0.0,
        metavar="DEG",
        help="turn of NEW's map frame in OLD's in degrees, anticlockwise from above (default: 0)",
    )
    parser.add_argument(
        "--offset-sigma",
        type=float,
        default=0.5,
        metavar="M",
        help="standard deviation of the offset in metres; the search covers three of them. At 0.1 or less the offset "
        "is used even where the cracks do not confirm it (default: %(default)s)",
    )
    parser.add_argument(
        "--heading-sigma",
        type=float,
        default=2.0,
        metavar="DEG",
        help="standard deviation of the heading in degrees (default: %(default)s)",
    )
    parser.add_argument(
        "--carry-verdicts",
        action="store_true",
        help="write the reviewer's verdicts and names of OLD into NEW, for cracks of NEW that nobody has reviewed",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, write the files, and print a summary."""
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.errors import UsageError, UserError
    from crack_perception.interrupts import uninterrupted
    from crack_perception.mapping.export.plan.png import png
    from crack_perception.mapping.export.plan.svg import svg
    from crack_perception.mapping.storage.atomic_file import write_atomically
    from crack_perception.paths import write_json
    from crack_perception.report.comparison.alignment import Prior
    from crack_perception.report.comparison.carrying import carry_verdicts
    from crack_perception.report.comparison.document import comparison_csv, comparison_geojson, comparison_json
    from crack_perception.report.comparison.files import compare_maps
    from crack_perception.report.comparison.page import comparison_page
    from crack_perception.report.comparison.wording import summary

    if not 0.5 <= arguments.confidence < 1:
        raise UsageError(f"--confidence {arguments.confidence} is not a probability from 0.5 to below 1", "Try 0.95")
    for name, most in _MOST_SIGMA.items():
        if not 0 < getattr(arguments, name) <= most:
            option = name.replace("_", "-")
            raise UsageError(
                f"--{option} is {getattr(arguments, name):g}, not a number above 0 and up to {most:g}",
                "Try 0.05 for a known place",
            )
    if not all(map(math.isfinite, (*arguments.offset, arguments.heading))):
        raise UsageError("--offset and --heading must be finite numbers", "Give metres and degrees")
    prior = Prior(tuple(arguments.offset), arguments.heading, arguments.offset_sigma, arguments.heading_sigma)
    maps = compare_maps(arguments.old, arguments.new, prior, arguments.confidence)
    result = maps.result
    folder: Path = arguments.out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be created ({error.strerror})", "Choose another folder with --out"
        ) from error
    plan = maps.plan(arguments.title)
    drawing = svg(plan)
    with uninterrupted():
        write_json(folder / "comparison.json", comparison_json(result, maps.old_facts, maps.new_facts))
        write_json(folder / "comparison.geojson", comparison_geojson(result, arguments.map_frame))
        write_atomically(folder / "comparison.csv", comparison_csv(result).encode())
        write_atomically(folder / "comparison.svg", drawing.encode())
        write_atomically(folder / "comparison.png", png(plan))
        page = comparison_page(result, maps.old_facts, maps.new_facts, arguments.title, drawing)
        write_atomically(folder / "comparison.html", page.encode())
    print("\n".join(summary(result)))
    if arguments.carry_verdicts:
        carried = carry_verdicts(arguments.new, result, maps.old, maps.new)
        print(f"{carried} verdicts and names carried over to {arguments.new}")
    print(f"{folder / 'comparison.html'}, .json, .csv, .geojson, .svg, .png")
    return EXIT_DONE
