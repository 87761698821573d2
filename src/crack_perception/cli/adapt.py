# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception adapt``: adapt a model to a site with labelled tiles, in seconds and without PyTorch."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "adapt a model to a site with at least 4 crack and 4 intact tiles; writes a model folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("model", metavar="MODEL", help="name of a shipped model, or a model folder")
    parser.add_argument(
        "--tiles",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with the subfolders crack and intact, or pictures with cracks outlined in COCO or labelme files",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the adapted model")
    parser.add_argument(
        "--crack-label", metavar="NAME", help="category of cracks in the files (default: names that contain 'crack')"
    )
    parser.add_argument("--force", action="store_true", help="write the model even if it is not better")


def run(arguments: argparse.Namespace) -> int:
    """Fit, print the comparison, and write the model; 1 without a model if it is not better."""
    import sys

    from crack_perception.cli.common import print_progress
    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.recognition.models import load_model
    from crack_perception.training.adaptation.head import ModelHead
    from crack_perception.training.adaptation.labelled_tiles import find_sources, read_tiles
    from crack_perception.training.adaptation.output import check_output, comparison_table, write_adapted
    from crack_perception.training.adaptation.site_model import adapt_model, read_site

    model = load_model(arguments.model)
    check_output(arguments.out, model)
    head = ModelHead(model)
    sources = find_sources(arguments.tiles, arguments.crack_label)
    if sources.unlabelled:
        print_progress(f"{sources.unlabelled} pictures without a label were skipped")
    if sources.repeated:
        print_progress(f"{sources.repeated} copies of other pictures were skipped")
    if sources.intact_names:
        print_progress(f"outlines that count as intact: {', '.join(sources.intact_names)}")
    site = read_site(head, read_tiles(sources, model.tile_px))
    adaptation = adapt_model(model, head, site)
    cracks = int(site.labels.sum())
    print(
        f"model {model.name}, {cracks} crack and {len(site.labels) - cracks} intact tiles of "
        f"{len(set(site.groups.tolist()))} photographs, cross-validated"
    )
    print(comparison_table(adaptation))
    if not adaptation.is_by_photograph:
        print_progress(
            "Warning: too few photographs hold both classes, so tiles of one photograph were on both sides of the "
            "cross-validation; the figures are too good"
        )
    objection = adaptation.objection()
    if objection and not arguments.force:
        print(f"{objection}: nothing was written. Label more tiles, or give --force", file=sys.stderr)
        return EXIT_PROBLEM
    if objection:
        print_progress(f"Warning: {objection}")
    command = f"crack_perception adapt {model.name} --tiles TILES --out {arguments.out.name}"
    write_adapted(arguments.out, model, head, adaptation, command)
    print(f"{arguments.out}: written; use it with --model {arguments.out} or the parameter model of crack_node")
    return EXIT_DONE
