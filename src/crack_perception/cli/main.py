# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Entry point of ``crack_perception VERB``.

Every verb is a module of this folder with ``HELP`` (one line), ``add_arguments(parser)`` and ``run(arguments) -> int``.
Heavy imports are inside ``run``, so that ``--help`` is fast and missing extras only matter where they are used.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from crack_perception import __version__
from crack_perception.cli.common import NO_MEMORY, missing_package
from crack_perception.errors import UsageError, UserError, file_error, without_control
from crack_perception.interrupts import signals_as_interrupts

VERBS = (
    "score",
    "detect",
    "simulate",
    "replay",
    "join-log",
    "demo",
    "map-photos",
    "survey",
    "query",
    "plan",
    "desk",
    "plan-flight",
    "mission",
    "compare",
    "report",
    "orthophoto",
    "view",
    "models",
    "evaluate",
    "train",
    "adapt",
    "ablate",
    "tables",
    "export",
    "benchmark",
    "soak",
    "build-engine",
)

EXIT_DONE = 0
EXIT_PROBLEM = 1
EXIT_USAGE = 2
EXIT_SIGNAL = 128
"""Added to the signal number, as in shells: 130 after Ctrl-C, 143 after SIGTERM."""


class _Parser(argparse.ArgumentParser):
    """Parser that reports where its help cannot be written, for example on a full disk."""

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message or "")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser, with one subparser per verb."""
    parser = _Parser(
        prog="crack_perception",
        description="Detect and map cracks in concrete, offline.",
        epilog="'crack_perception VERB --help' lists the options of a verb. Begin with 'demo', or 'detect IMAGE'.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name in VERBS:
        module = importlib.import_module(f"crack_perception.cli.{name.replace('-', '_')}")
        verb = verbs.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; a user's mistake gives one line on stderr, never a traceback.

    SIGINT and SIGTERM interrupt the verb, which keeps its finished results, even if the parent process ignores SIGINT
    (a background job, a service).
    """
    verb = ""
    _open_missing_streams()
    _escape_unencodable_output()
    with signals_as_interrupts(is_whole_program=argv is None) as received:
        try:
            arguments = build_parser().parse_args(argv)
            verb = f" {arguments.verb}"
            code = int(arguments.run(arguments))
            sys.stdout.flush()
            return code
        except UserError as error:
            unflushed = _flush_error()
            problem = error if unflushed is None or isinstance(unflushed, BrokenPipeError) else _unusable(unflushed)
            print(without_control(f"crack_perception{verb}: {problem}"), file=sys.stderr)
            return EXIT_USAGE if isinstance(problem, UsageError) else EXIT_PROBLEM
        except SystemExit:  # of the parser, after help, version or wrong usage
            unwritten = _flush_error()
            if unwritten is None or isinstance(unwritten, BrokenPipeError):
                raise
            print(f"crack_perception: {_unusable(unwritten)}", file=sys.stderr)
            return EXIT_PROBLEM
        except BrokenPipeError:
            # The reader of the output has closed it; there is no one to report to.
            _discard_output()
            return EXIT_PROBLEM
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "crack_perception":
                raise
            print(f"crack_perception{verb}: {missing_package(error)}", file=sys.stderr)
            return EXIT_PROBLEM
        except OSError as error:
            _discard_output()
            print(
                without_control(f"crack_perception{verb}: {_without_folder(error) or _unusable(error)}"),
                file=sys.stderr,
            )
            return EXIT_PROBLEM
        except MemoryError:
            print(f"crack_perception{verb}: {NO_MEMORY}", file=sys.stderr)
            return EXIT_PROBLEM
        except (KeyboardInterrupt, SystemError):
            # A signal during a call into C can surface as SystemError ("returned a result with an exception set").
            if not received and isinstance(sys.exc_info()[1], SystemError):
                raise
            if isinstance(_flush_error(), BrokenPipeError):
                return EXIT_PROBLEM
            print(f"crack_perception{verb}: interrupted", file=sys.stderr)
            return EXIT_SIGNAL + (received[0] if received else signal.SIGINT)


def _unusable(error: OSError) -> UserError:
    """Return the UserError for an error of a file, or of the output where no file is named."""
    if error.filename is None:
        return file_error("the output", error)
    return file_error(error.filename, error, verb="used")


def _without_folder(error: OSError) -> str:
    """Return the text for an error of ``tempfile``, which has no number of its own; empty for others."""
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error.strerror):
        return "no folder for temporary files can be written. Set TMPDIR to a folder on a disk with free space"
    return ""


def _flush_error() -> OSError | None:
    try:
        sys.stdout.flush()
    except OSError as error:
        _discard_output()
        return error
    return None


def _discard_output() -> None:
    """Discard the buffer of stdout; the interpreter would fail again when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _open_missing_streams() -> None:
    """Open the standard streams that the caller has closed (``>&-``): nothing can be read from or written to stdout.

    Otherwise a file that is opened later would get the number of one of them, and with it what is printed there.
    """
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one, because those below it are open by now.
            os.set_inheritable(os.open(os.devnull, mode), True)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Codec error handler: write bytes of file names unchanged, other characters as backslash escapes."""
    if isinstance(error, UnicodeEncodeError):
        try:
            return codecs.lookup_error("surrogateescape")(error)
        except UnicodeEncodeError:
            return codecs.lookup_error("backslashreplace")(error)
    return codecs.lookup_error("surrogateescape")(error)


def _escape_unencodable_output() -> None:
    codecs.register_error("crack_perception.escape", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="crack_perception.escape")


if __name__ == "__main__":
    sys.exit(main())
