"""Entry point of ``crack_perception VERB``.

Every verb is a module of this folder with ``HELP`` (one line), ``add_arguments(parser)`` and ``run(arguments) -> int``;
modules import what is heavy inside ``run`` so that ``--help`` stays quick and missing extras only matter where used.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from crack_perception import __version__
from crack_perception.cli.signals import ending_signals
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
    "build-engine",
)

EXIT_DONE = 0
EXIT_PROBLEM = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


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
    """Run one verb; a user's mistake ends in one line on stderr, never in a traceback."""
    verb = ""
    try:
        arguments = build_parser().parse_args(argv)
        verb = f" {arguments.verb}"
        with ending_signals():
            code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"crack_perception{verb}: {error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_PROBLEM
    except BrokenPipeError:
        # Whoever read our output went away; the interpreter would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PROBLEM
    except KeyboardInterrupt:
        print(f"crack_perception{verb}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
