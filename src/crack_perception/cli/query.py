# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception query``: search the archive of a survey."""

from __future__ import annotations

import argparse

from crack_perception.cli.common import require_packages
from crack_perception.errors import UsageError

HELP = "search the cracks of a survey with an SQL condition and print them as CSV, worst first"

_TABLES = ("cracks", "detections", "frames")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("archive", metavar="DIR", help="output folder or URL of the survey")
    parser.add_argument(
        "condition",
        nargs="?",
        default="",
        metavar="CONDITION",
        help='SQL condition, for example "severity >= 0.3 and grown" (default: all rows)',
    )
    parser.add_argument("--table", choices=_TABLES, default="cracks", help="table to search (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="greatest number of rows (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Print the rows as CSV."""
    require_packages("duckdb", "pyarrow", "fsspec", extra="survey")
    import csv
    import sys

    from crack_perception.survey.query import Archive

    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError(f"--limit {arguments.limit} is not a positive number")
    names, rows = Archive(arguments.archive).rows(arguments.condition, arguments.table, arguments.limit)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return 0
