# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception view``: show a map, a recording or running nodes in Rerun."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from crack_perception.cli.common import add_preset_argument, require_packages

HELP = "show a crack map, a recording or running nodes in Rerun, or write them to a file for it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "source", nargs="?", type=Path, metavar="BAG_OR_MAP", help="recording, or the SQLite file of crack_mapper"
    )
    parser.add_argument("--live", action="store_true", help="show what running nodes publish, until Ctrl-C")
    parser.add_argument("--out", type=Path, metavar="FILE.rrd", help="write this file instead of opening a viewer")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="start of a recording (default: 0)")
    parser.add_argument("--duration", type=float, metavar="S", help="duration (default: all; with --live: endless)")
    add_preset_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the source and print what was shown."""
    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.errors import UsageError, without_control

    if arguments.live == (arguments.source is not None):
        raise UsageError("give either a recording or a map, or --live")
    duration_s = float("inf") if arguments.duration is None else arguments.duration
    if not 0 <= arguments.start < math.inf or not duration_s > 0:
        raise UsageError("--start must not be negative and --duration must be positive")
    if arguments.out is not None and arguments.out.suffix != ".rrd":
        raise UsageError(f"--out {arguments.out} does not end in .rrd")
    shown, notes = _show(arguments, duration_s)
    for note in notes:
        print(f"note: {without_control(note)}")
    for name, count in sorted(shown.items()):
        print(f"{name}: {count}")
    if not shown:
        print("nothing to show: no image, pose, crack point or footprint was found")
        return EXIT_PROBLEM
    return EXIT_DONE


def _show(arguments: argparse.Namespace, duration_s: float) -> tuple[dict[str, int], list[str]]:
    """Show the source; return the numbers of what was shown by name, and why topics are not shown."""
    from crack_perception.recognition.severity import SeverityScale

    scale = SeverityScale.of_preset(arguments.preset)
    if arguments.live:
        require_packages("rclpy", extra="view")
        from crack_perception.evaluation.view.live import show_live
        from crack_perception.evaluation.view.scene import Scene

        scene = Scene(arguments.out)
        try:
            return show_live(scene, duration_s)
        finally:
            scene.close()
    if _is_map(arguments.source):
        from crack_perception.evaluation.view.scene import Scene
        from crack_perception.mapping.evidence.reviewed import reviewed_cracks, without_rejected
        from crack_perception.mapping.storage.snapshot import read_snapshot

        snapshot = read_snapshot(arguments.source)
        reviewed = without_rejected(reviewed_cracks(snapshot.cracks, decisions=snapshot.decisions))
        scene = Scene(arguments.out)
        try:
            scene.show_areas(snapshot.inspected_areas_m)
            scene.show_cracks([each.crack for each in reviewed], scale)
        finally:
            scene.close()
        return {"cracks": len(reviewed), "inspected areas": len(snapshot.inspected_areas_m)}, []
    from crack_perception.evaluation.recordings.bag import Window, open_bag
    from crack_perception.evaluation.view.messages import show_bag
    from crack_perception.evaluation.view.scene import Scene

    with open_bag(arguments.source) as bag:
        scene = Scene(arguments.out)
        try:
            return show_bag(scene, bag, Window(arguments.start, duration_s))
        finally:
            scene.close()


def _is_map(path: Path) -> bool:
    """Return whether a path names a crack map; recordings in SQLite end in .db3."""
    return path.suffix in (".sqlite", ".db")
