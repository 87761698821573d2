# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception report``: documents, tables, GIS and CAD files of a crack map."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crack_perception.cli.common import add_preset_argument, print_progress, require_packages
from crack_perception.cli.place import add_place_arguments, georeference_of

if TYPE_CHECKING:
    from crack_perception.report.contents import Survey

HELP = "write the deliverables of a crack map: PDF, HTML, tables, GIS and CAD files (optional extra `report`)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "map", type=Path, metavar="MAP", help="SQLite file of crack_mapper, for example crack_map.sqlite"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument(
        "--formats", metavar="LIST", help="comma-separated, for example pdf,gpkg (default: all that are possible)"
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="OLD",
        help="map of an earlier survey: the documents and the GeoPackage get the changes (see `compare`)",
    )
    parser.add_argument(
        "--elements",
        type=Path,
        metavar="FILE",
        help="CSV or YAML of structural elements for the quantities by condition state: element, type, facet, and "
        "left_m, bottom_m, right_m, top_m for a part of a facet (default: every facet is an element)",
    )
    parser.add_argument("--title", default="Crack survey", help="title of the documents (default: %(default)s)")
    parser.add_argument("--owner", default="", help="owner of the structure, for the documents")
    add_preset_argument(parser)
    parser.add_argument("--map-frame", default="map", help="name of the map's frame (default: %(default)s)")
    parser.add_argument(
        "--template", type=Path, metavar="DIR", help="folder with a report.typ for the PDF in place of the shipped one"
    )
    parser.add_argument("--fonts", type=Path, metavar="DIR", help="folder with further fonts for the PDF")
    parser.add_argument(
        "--photographed",
        type=int,
        default=150,
        metavar="N",
        help="cracks that PDF and HTML show with photographs, the most urgent first (default: %(default)s)",
    )
    add_place_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files and print their paths."""
    require_packages("shapely", extra="report")
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.errors import UsageError
    from crack_perception.recognition.severity import SeverityScale
    from crack_perception.report.contents import Notes, read_survey
    from crack_perception.report.document.options import DocumentOptions
    from crack_perception.report.elements import read_elements
    from crack_perception.report.writing import chosen_formats, write_report

    if arguments.photographed < 0:
        raise UsageError(f"--photographed is {arguments.photographed}", "Give a number of cracks, 0 for none")
    if arguments.fonts is not None and not arguments.fonts.is_dir():
        raise UsageError(f"{arguments.fonts}: is no folder with fonts", "Check --fonts")
    scale = SeverityScale.of_preset(arguments.preset)
    georeference = georeference_of(arguments)
    formats = chosen_formats(arguments.formats, georeference)
    survey = read_survey(
        arguments.map,
        scale,
        Notes(arguments.title, arguments.owner, arguments.map_frame, arguments.heading),
        arguments.compare,
    )
    if arguments.elements is not None:
        survey = replace(survey, elements=tuple(read_elements(arguments.elements, list(survey.facets))))
    left_out = (
        f", {survey.rejected} rejected one{'s' if survey.rejected > 1 else ''} left out" if survey.rejected else ""
    )
    print(f"{len(survey.cracks)} crack{'' if len(survey.cracks) == 1 else 's'}{left_out}", flush=True)
    if "pdf" in formats:
        _warn_of_missing_letters(survey, arguments.fonts)
    options = DocumentOptions(
        template=arguments.template, fonts=arguments.fonts, photographed_cracks=arguments.photographed
    )

    def show(name: str, path: Path) -> None:
        print(f"{name:<11} {path}", flush=True)

    write_report(arguments.out, survey, georeference, formats, options, show)
    return EXIT_DONE


def _warn_of_missing_letters(survey: Survey, fonts: Path | None) -> None:
    from crack_perception.report.document.pdf import missing_letters

    comments = [comment for crack in survey.cracks for comment in crack.review.comments]
    texts = [survey.notes.title, survey.notes.owner, *(crack.name for crack in survey.cracks)]
    texts += [f"{comment.author} {comment.value['text']}" for comment in comments]
    letters = missing_letters("".join(texts), fonts)
    if letters:
        print_progress(
            f"warning: no font on this machine has {' '.join(letters[:20])}, which the PDF shows as boxes. "
            "Install a font that has them (for example Noto Sans CJK), or give its folder with --fonts"
        )
