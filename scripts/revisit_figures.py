# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measure how many undetermined cracks the proposed revisit settles on simulated walls (docs/coverage.md).

.venv/bin/python scripts/revisit_figures.py [--out FOLDER] SEED...

A wall takes a minute or two on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "support"))

from revisit_flights import RevisitConditions, RevisitOutcome, revisit_outcome, total_share


def row(seed: int, outcome: RevisitOutcome) -> str:
    """A row of the table."""
    possible = outcome.can_settle
    numbers = (
        *(seed, len(outcome.undetermined), len(possible)),
        *(len(outcome.settled_at_once & possible), len(outcome.settled & possible), len(outcome.settled)),
        " + ".join(str(sum(bool(pose.cracks) for pose in plan.poses)) for plan in outcome.plans),
    )
    return "| " + " | ".join(map(str, numbers)) + " |"


def main() -> None:
    """Fly every wall, print the table and the settled share; exit with 1 below nine tenths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED", help="one wall each")
    parser.add_argument("--out", type=Path, help="folder for revisit.json (default: none)")
    arguments = parser.parse_args()
    print(
        "| seed | undetermined | the camera can settle | of these settled by the first revisit | by all | "
        "settled in all | poses for cracks |"
    )
    print("|---|---|---|---|---|---|---|")
    outcomes = []
    for seed in arguments.seeds:
        outcomes.append(revisit_outcome(seed, RevisitConditions()))
        print(row(seed, outcomes[-1]), flush=True)
    share = total_share(outcomes)
    print(f"\nsettled: {100 * share:.0f} % of those that the camera can settle")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        figures = [
            {
                "seed": seed,
                "widths_mm": {str(each): widths for each, widths in outcome.widths_mm.items()},
                "can_settle": sorted(outcome.can_settle),
                "settled_at_once": sorted(outcome.settled_at_once),
                "settled": sorted(outcome.settled),
            }
            for seed, outcome in zip(arguments.seeds, outcomes, strict=True)
        ]
        (arguments.out / "revisit.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    sys.exit(0 if share >= 0.9 else 1)


if __name__ == "__main__":
    main()
