# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception score``: score images, one CSV row per image."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from crack_perception.recognition.tile_verdict import TileVerdict

HELP = "score images: CSV on stdout, one row per image"

COLUMNS = ("path", "crack_score", "is_crack", "severity", "severity_score", "width_px", "width_mm", "error")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    from crack_perception.cli.common import add_input_arguments, add_model_arguments, add_severity_arguments

    add_model_arguments(parser)
    add_severity_arguments(parser)
    parser.add_argument(
        "--out", type=Path, metavar="CSV", help="file to write instead of stdout; its settings are written beside it"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the rows of --out and score only the other images and those that have changed since",
    )
    add_input_arguments(parser, "IMAGE")


def run(arguments: argparse.Namespace) -> int:
    """Score every image; each row is written immediately.

    A bad image gets a row with an error, and the exit code is 1. An image of up to one tile is scored as one tile; for
    a larger one the row holds its strongest tile. ``severity_score`` is the probability of the class, or, if the
    severity is undetermined, the two-class estimate in pixels: the probability that the crack is wider than the
    model's edge.
    """
    import csv

    from crack_perception.cli.common import NO_MEMORY, expand_inputs, open_detector, open_scale, problem_line
    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.cli.resumption import settings_of
    from crack_perception.errors import UsageError, UserError
    from crack_perception.interrupts import uninterrupted
    from crack_perception.recognition.backends.protocol import InferenceFailed
    from crack_perception.recognition.tile_verdict import strongest_tile
    from crack_perception.vision.images.files import read_masked_picture
    from crack_perception.vision.images.video import is_video

    if arguments.resume and arguments.out is None:
        raise UsageError("--resume needs --out", "Give the CSV file of the earlier run")
    paths = expand_inputs(arguments.inputs, arguments.recursive, with_videos=False)
    scale = open_scale(arguments)
    detector = open_detector(arguments)
    code = EXIT_DONE
    stream, done = _open_output(arguments.out, paths, arguments.resume, settings_of(arguments, detector))
    try:
        writer = csv.writer(stream, lineterminator="\n")
        if not arguments.resume or not done:
            writer.writerow(COLUMNS)
        for path in paths:
            if str(path) in done:
                continue
            try:
                if is_video(path) and path.is_file():
                    raise UserError(f"{path}: is a video", "Use 'crack_perception detect'")
                picture = read_masked_picture(path)
                verdict = strongest_tile(detector, picture.pixels, scale, arguments.gsd, picture.has_data)
            except (UserError, InferenceFailed, MemoryError) as error:
                problem = NO_MEMORY if isinstance(error, MemoryError) else error
                print(problem_line(path, problem), file=sys.stderr)
                code = EXIT_PROBLEM
                writer.writerow([path, *[""] * (len(COLUMNS) - 2), str(problem)])
            else:
                writer.writerow([path, *_cells(verdict), ""])
            stream.flush()
    finally:
        if arguments.out is not None:
            with uninterrupted():
                stream.close()
    return code


def _cells(verdict: TileVerdict) -> list[str]:
    return [
        f"{verdict.crack_score:.6f}",
        str(int(verdict.is_crack)),
        verdict.severity,
        "" if verdict.severity_score is None else f"{verdict.severity_score:.4f}",
        "" if verdict.width_px is None else f"{verdict.width_px:.3f}",
        "" if verdict.width_mm is None else f"{verdict.width_mm:.4f}",
    ]


def _open_output(
    out: Path | None, paths: list[Path], is_resumed: bool, settings: dict[str, Any]
) -> tuple[TextIO, set[str]]:
    """Open the output; return its stream and the paths whose rows it already contains.

    Raises:
        UsageError: The output is one of the inputs, not a CSV file of this command, or made with other settings.
        UserError: The output cannot be written.
    """
    import csv

    from crack_perception.cli.common import file_identity
    from crack_perception.cli.resumption import (
        changed_since,
        check_settings_file,
        settings_file,
        write_settings_file,
    )
    from crack_perception.errors import UsageError, UserError

    if out is None:
        return sys.stdout, set()
    if {file_identity(out), file_identity(settings_file(out))} & {file_identity(path) for path in paths}:
        raise UsageError(f"--out {out} is one of the inputs", "Choose another file")
    encoding = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    rows: list[list[str]] = []
    try:
        if is_resumed and out.exists():
            with out.open(**encoding) as file:  # type: ignore[call-overload]
                rows = [row for row in csv.reader(file) if len(row) == len(COLUMNS)]
            if out.stat().st_size and (not rows or tuple(rows[0]) != COLUMNS):
                raise UsageError(f"--out {out} is not a CSV file of 'crack_perception score'", "Choose another file")
            if len(rows) > 1:
                check_settings_file(out, settings)
            # Failed and changed images are scored again, and an incomplete row is removed.
            scored = {row[0] for row in rows[1:]} & {str(path) for path in paths}
            changed = changed_since(scored, out.stat().st_mtime_ns)
            rows = rows[:1] + [row for row in rows[1:] if not row[-1] and row[0] not in changed]
            temporary = out.with_name(f".{out.name}.new")
            with temporary.open("w", **encoding) as file:  # type: ignore[call-overload]
                csv.writer(file, lineterminator="\n").writerows(rows)
            os.replace(temporary, out)
        stream: TextIO = out.open("a" if is_resumed else "w", **encoding)  # type: ignore[call-overload]
        write_settings_file(out, settings)
    except IsADirectoryError as error:
        raise UsageError(f"--out {out} is a folder", "Give the name of a CSV file") from error
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})", "Choose another --out") from error
    return stream, {row[0] for row in rows}
