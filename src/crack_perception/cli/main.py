"""Entry point of ``crack_perception VERB``.

Every verb is a module of this folder with ``HELP`` (one line), ``add_arguments(parser)`` and ``run(arguments) -> int``;
modules import what is heavy inside ``run`` so that ``--help`` stays quick and missing extras only matter where used.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence

from crack_perception import __version__
from crack_perception.cli.signals import signals_as_interrupts
from crack_perception.errors import UsageError, UserError

VERBS = (
    "score",
    "detect",
    "simulate",
    "replay",
    "demo",
    "plan",
    "models",
    "evaluate",
    "train",
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
"""Plus the number of the signal, as shells report it: 130 after Ctrl-C, 143 after SIGTERM."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, one subparser a verb."""
    parser = argparse.ArgumentParser(prog="crack_perception", description="Cracks in concrete, offline.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name in VERBS:
        module = importlib.import_module(f"crack_perception.cli.{name.replace('-', '_')}")
        verb = verbs.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; a user's mistake ends in one line on stderr, never in a traceback.

    SIGINT and SIGTERM interrupt the verb, which keeps what is done, even where the parent process ignores SIGINT (a
    job in the background, a service).
    """
    verb = ""
    _escape_what_streams_cannot_encode()
    with signals_as_interrupts() as received:
        try:
            arguments = build_parser().parse_args(argv)
            verb = f" {arguments.verb}"
            code = int(arguments.run(arguments))
            sys.stdout.flush()
            return code
        except UserError as error:
            problem = _what_flushing_raises() or error
            print(f"crack_perception{verb}: {problem}", file=sys.stderr)
            return EXIT_USAGE if isinstance(problem, UsageError) else EXIT_PROBLEM
        except BrokenPipeError:
            # The reader of the output has gone; nobody is left to report to.
            _discard_output()
            return EXIT_PROBLEM
        except OSError as error:
            _discard_output()
            where = error.filename or "the output"
            print(f"crack_perception{verb}: {where}: {_words(error)}", file=sys.stderr)
            return EXIT_PROBLEM
        except KeyboardInterrupt:
            if isinstance(_what_flushing_raises(), BrokenPipeError):
                return EXIT_PROBLEM
            print(f"crack_perception{verb}: interrupted", file=sys.stderr)
            return EXIT_SIGNAL + (received[0] if received else signal.SIGINT)


def _words(error: OSError) -> str:
    remedy = {errno.ENOSPC: ". Make room, or write to another disk", errno.EACCES: ". Check its permissions"}
    return f"{error.strerror or error}{remedy.get(error.errno or 0, '')}"


def _what_flushing_raises() -> OSError | None:
    try:
        sys.stdout.flush()
    except OSError as error:
        _discard_output()
        return error
    return None


def _discard_output() -> None:
    """Send what is left in stdout's buffer nowhere; the interpreter would fail again when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Codec error handler: bytes of file names go out as they came in, other characters as ``\\N`` escapes."""
    if isinstance(error, UnicodeEncodeError):
        try:
            return codecs.lookup_error("surrogateescape")(error)
        except UnicodeEncodeError:
            return codecs.lookup_error("backslashreplace")(error)
    return codecs.lookup_error("surrogateescape")(error)


def _escape_what_streams_cannot_encode() -> None:
    codecs.register_error("crack_perception.escape", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="crack_perception.escape")


if __name__ == "__main__":
    sys.exit(main())
