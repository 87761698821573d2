"""``crack_perception score``: one CSV row an image."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "score images: CSV on stdout, one row an image"

COLUMNS = ("path", "crack_score", "is_crack", "severity", "severity_score", "width_px", "width_mm")
ERROR_COLUMN = "error"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from crack_perception.cli.model_arguments import add_model_arguments, add_severity_arguments

    add_model_arguments(parser)
    add_severity_arguments(parser)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG, PNG, TIFF or BMP")


def run(arguments: argparse.Namespace) -> int:
    """Score every image; a bad one gets its row with an error, and the exit code 1 in the end.

    An image of up to one tile is one tile; of a larger one the row holds its strongest tile. ``severity_score`` is the
    probability of the verdict's class, or, where the verdict is undetermined, the two-class guess in pixels: the
    probability that the crack is wider than the model's edge.
    """
    import csv
    import io

    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.cli.model_arguments import open_detector, open_scale, problem_line
    from crack_perception.errors import UserError
    from crack_perception.recognition.backend import InferenceFailed
    from crack_perception.recognition.tile_verdict import strongest_tile
    from crack_perception.vision.picture_files import read_picture

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path goes out as it came in, whatever its bytes.
        sys.stdout.reconfigure(errors="surrogateescape")
    scale = open_scale(arguments)
    detector = open_detector(arguments)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    problems: list[str] = []
    rows: list[list[str]] = []
    for path in arguments.images:
        try:
            verdict = strongest_tile(detector, read_picture(path), scale, arguments.gsd)
        except (UserError, InferenceFailed) as error:
            problems.append(problem_line(path, error))
            rows.append([str(path), *[""] * (len(COLUMNS) - 1), str(error)])
            continue
        rows.append(
            [
                str(path),
                f"{verdict.crack_score:.6f}",
                str(int(verdict.is_crack)),
                verdict.severity,
                "" if verdict.severity_score is None else f"{verdict.severity_score:.4f}",
                "" if verdict.width_px is None else f"{verdict.width_px:.3f}",
                "" if verdict.width_mm is None else f"{verdict.width_mm:.4f}",
            ]
        )
    writer.writerow([*COLUMNS, ERROR_COLUMN] if problems else COLUMNS)
    writer.writerows(row if not problems else row + [""] * (len(COLUMNS) + 1 - len(row)) for row in rows)
    for problem in problems:
        print(problem, file=sys.stderr)
    return EXIT_PROBLEM if problems else EXIT_DONE
