# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception desk``: review the cracks of a map on a local web page."""

from __future__ import annotations

import argparse
from pathlib import Path

from crack_perception.cli.common import add_preset_argument, require_packages

HELP = "review a crack map on a local web page: accept, reject, rename, merge and split its cracks"

_PORT = 8765
_LAST_PORT = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "map", type=Path, metavar="MAP", help="SQLite file of crack_mapper, for example crack_map.sqlite"
    )
    parser.add_argument("--port", type=int, default=_PORT, help="port; 0: any free one (default: %(default)s)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; another one than the default can be reached over the network, and its page needs "
        "the token that is printed (default: %(default)s)",
    )
    parser.add_argument("--author", default="", metavar="NAME", help="your name, kept with every decision")
    add_preset_argument(parser)
    parser.add_argument("--read-only", action="store_true", help="show everything, take no decisions")
    parser.add_argument(
        "--export-tiles",
        type=Path,
        metavar="DIR",
        help="serve no page; cut labelled tiles out of the photographs of accepted (DIR/crack) and rejected cracks "
        "(DIR/intact), to adapt a model with",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, or export the tiles."""
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.errors import UsageError
    from crack_perception.recognition.severity import SeverityScale

    scale = SeverityScale.of_preset(arguments.preset)
    if not 0 <= arguments.port <= _LAST_PORT:
        raise UsageError(f"--port {arguments.port} is not a number from 0 to {_LAST_PORT}")
    if arguments.export_tiles is not None:
        from crack_perception.desk.tiles import export_tiles
        from crack_perception.mapping.storage.snapshot import read_snapshot

        print(export_tiles(arguments.map, read_snapshot(arguments.map), arguments.export_tiles))
        return EXIT_DONE
    require_packages("jinja2", "starlette", "uvicorn", extra="desk")
    from crack_perception.desk.opened_map import OpenedMap
    from crack_perception.desk.server import serve

    opened = OpenedMap(arguments.map, scale, arguments.read_only)

    def announce(address: str) -> None:
        print(f"{arguments.map}: {len(opened.state().reviewed)} cracks")
        print(f"Review page: {address}  (Ctrl-C ends it)", flush=True)

    serve(opened, arguments.host, arguments.port, arguments.author, announce)
    return EXIT_DONE
