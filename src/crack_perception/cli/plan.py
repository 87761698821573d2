# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception plan``: draw the plan of a crack map from its SQLite file."""

from __future__ import annotations

import argparse
from pathlib import Path

from crack_perception.cli.common import add_preset_argument

HELP = "draw a crack map (the mapper's SQLite file, also while the mapper runs) as a plan, SVG and PNG"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "map", type=Path, metavar="MAP", help="SQLite file of crack_mapper, for example crack_map.sqlite"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: that of MAP)")
    parser.add_argument("--title", default="Crack map", help="title of the plan (default: %(default)s)")
    parser.add_argument("--map-frame", default="map", help="name of the map's frame (default: %(default)s)")
    add_preset_argument(parser)
    parser.add_argument(
        "--x-heading-deg",
        type=float,
        metavar="DEG",
        help="heading of the map's x axis clockwise from north in degrees, for the north arrow (default: no arrow)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw the plan and print the paths of the files."""
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.errors import UserError
    from crack_perception.mapping.evidence.reviewed import reviewed_cracks, without_rejected
    from crack_perception.mapping.export.crack_report import crack_reports, newest_day
    from crack_perception.mapping.export.plan.facade_plan import draw_plan
    from crack_perception.mapping.export.plan.sheet import PlanNotes
    from crack_perception.mapping.export.plan.surfaces import Surfaces
    from crack_perception.mapping.storage.snapshot import read_snapshot
    from crack_perception.recognition.severity import SeverityScale
    from crack_perception.vision.annotate import severity_colour

    scale = SeverityScale.of_preset(arguments.preset)
    path: Path = arguments.map
    snapshot = read_snapshot(path)
    reviewed = without_rejected(reviewed_cracks(snapshot.cracks, decisions=snapshot.decisions))
    cracks = [each.crack for each in reviewed]
    folder: Path = arguments.out or path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be created ({error.strerror})", "Choose another folder with --out"
        ) from error
    notes = PlanNotes(
        title=arguments.title,
        date=newest_day(cracks),
        map_frame=arguments.map_frame,
        x_heading_deg=arguments.x_heading_deg,
    )
    reports = crack_reports(cracks, scale)
    severities = {
        each.id: each.severity(report.severity.verdict, scale) for each, report in zip(reviewed, reports, strict=True)
    }
    pictures = [folder / "crack_map.svg", folder / "crack_map.png"]
    surfaces = Surfaces.of(snapshot.cracks, snapshot.inspected_areas_m).of_reviewed(reviewed)
    draw_plan(
        cracks, scale, notes, severity_colour, snapshot.inspected_areas_m, severities=severities, surfaces=surfaces
    ).write(*pictures)
    print(f"{len(cracks)} cracks: {', '.join(map(str, pictures))}")
    return EXIT_DONE
