# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Compares the simulated pairs of ``survey_pairs.py`` and counts what was found of the known changes.

python test/support/survey_verdicts.py FOLDER    # prints a Markdown table of all pairs in it
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from survey_maps import Motion

from crack_perception.mapping.storage.map_file import read_snapshot
from crack_perception.report.comparison.alignment import Prior
from crack_perception.report.comparison.changes import Comparison, CrackChange, Status, compare
from crack_perception.report.comparison.survey import Survey, survey_of

NEAR_M = 0.04
RESOLVED_PX = 1.5
_TIP_VERTICES = 20
KINDS = ("unchanged", "wider", "longer", "new", "gone")
OUTCOMES = (*(status.value for status in Status), "not mapped")


def compared(folder: Path, motion: Motion) -> tuple[Comparison, Survey, Survey]:
    """The comparison of a pair whose new map is moved into another frame first, and the two surveys."""
    old, new = (read_snapshot(folder / f"{name}.sqlite") for name in ("old", "new"))
    one = survey_of(old.cracks, {}, old.inspected_areas_m)
    other = survey_of(
        tuple(map(motion.crack, new.cracks)), {}, tuple(motion.points(area_m) for area_m in new.inspected_areas_m)
    )
    return compare(one, other, Prior()), one, other


def outcomes(folder: Path, motion: Motion | None = None) -> Counter[tuple[str, str]]:
    """How often which kind of true crack got which status.

    Cracks too fine for either survey do not count, nor does growth outside their images.

    A crack that is reported but that no true crack lies near counts as kind "false".
    """
    motion = motion or Motion((0.12, -0.2, 0.05), 1.0)
    result, old, new = compared(folder, motion)
    counts: Counter[tuple[str, str]] = Counter()
    used: set[int] = set()
    for true in json.loads((folder / "truth.json").read_text()):
        line_m = motion.points(np.array(true["line_m"]))
        widths = [true[name] for name in ("old_width_mm", "new_width_mm") if np.isfinite(true[name])]
        near = [change for change in result.changes if _along(change, line_m) > 0.5]
        used |= {change.number for change in near}
        if min(widths) < RESOLVED_PX * _gsd_mm(folder):
            continue
        kind = true["kind"]
        tip_m = np.array(true["line_m"])[-_TIP_VERTICES:]
        if kind == "longer" and not (old.shows(tip_m).all() and new.shows(motion.points(tip_m)).all()):
            continue
        if not near:
            counts[kind, "not mapped"] += 1
        else:
            first = max(near, key=lambda change: _along(change, line_m) * (change.common_m + 0.1))
            counts[kind, first.status.value] += 1
    counts.update(("false", change.status.value) for change in result.changes if change.number not in used)
    return counts


def _gsd_mm(folder: Path) -> float:
    cracks = read_snapshot(folder / "old.sqlite").cracks
    return float(np.median([crack.gsd_mm_per_px for crack in cracks]))


def _along(change: CrackChange, line_m: np.ndarray) -> float:
    """Share of a change's lines that lies near a true line."""
    points_m = np.concatenate(change.lines_m)
    nearest = np.concatenate(
        [
            np.linalg.norm(points_m[first : first + 50, None] - line_m[None], axis=2).min(axis=1)
            for first in range(0, len(points_m), 50)
        ]
    )
    return float((nearest <= NEAR_M).mean())


def table(counts: Counter[tuple[str, str]]) -> str:
    """Markdown, one row a kind."""
    shown = [name for name in OUTCOMES if any(counts[kind, name] for kind in (*KINDS, "false"))]
    rows = [
        f"| true change | {' | '.join(name.replace('_', ' ') for name in shown)} |",
        "|---" * (len(shown) + 1) + "|",
    ]
    rows += [f"| {kind} | {' | '.join(str(counts[kind, name]) for name in shown)} |" for kind in (*KINDS, "false")]
    return "\n".join(rows)


def total(folders: Iterable[Path]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for folder in folders:
        counts.update(outcomes(folder))
    return counts


if __name__ == "__main__":
    pairs = sorted(path.parent for path in Path(sys.argv[1]).glob("*/truth.json"))
    print(f"{len(pairs)} pairs\n\n{table(total(pairs))}")
