# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Compares the simulated pairs of ``survey_pairs.py`` and counts what was found of the known changes.

python test/support/survey_verdicts.py FOLDER [--jobs N] [--list]    # prints Markdown tables of all pairs in it
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from survey_maps import Motion
from survey_pairs import LONGER_M, WIDER_MM

from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.report.comparison.alignment import Prior
from crack_perception.report.comparison.changes import Comparison, CrackChange, Status, compare
from crack_perception.report.comparison.survey import Survey, survey_of

NEAR_M = 0.04
RESOLVED_PX = 1.5
# One-sided tests at 97.5 %, of which 95 % are to succeed.
FOUND_SIGMAS = 1.96 + 1.645
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


@dataclass(frozen=True)
class Judged:
    """What was reported of a true crack, or of none: its kind, the status, and the change of its lines."""

    kind: str
    status: str
    change: CrackChange | None = None

    @property
    def is_resolvable(self) -> bool:
        """Whether a growth of 0.2 mm or 5 cm is found in 95 % of the cases at the stated standard deviation."""
        if self.change is None:
            return False
        length, width = self.change.length, self.change.width
        if self.kind == "longer":
            return length is not None and FOUND_SIGMAS * length.sigma <= LONGER_M
        return width is not None and FOUND_SIGMAS * width.sigma <= WIDER_MM


def judged(folder: Path, motion: Motion | None = None) -> list[Judged]:
    """What was reported of every true crack of a pair.

    Cracks too fine for either survey do not count, nor does growth outside their images.

    A crack that is reported but that no true crack lies near is of the kind "false".
    """
    motion = motion or Motion((0.12, -0.2, 0.05), 1.0)
    result, old, new = compared(folder, motion)
    found: list[Judged] = []
    used: set[int] = set()
    resolved_mm = RESOLVED_PX * _gsd_mm(folder)
    for true in json.loads((folder / "truth.json").read_text()):
        line_m = motion.points(np.array(true["line_m"]))
        widths = [true[name] for name in ("old_width_mm", "new_width_mm") if np.isfinite(true[name])]
        near = [change for change in result.changes if _along(change, line_m) > 0.5]
        used |= {change.number for change in near}
        if min(widths) < resolved_mm:
            continue
        kind = true["kind"]
        tip_m = np.array(true["line_m"])[-_TIP_VERTICES:]
        if kind == "longer" and not (old.shows(tip_m).all() and new.shows(motion.points(tip_m)).all()):
            continue
        if not near:
            found.append(Judged(kind, "not mapped"))
        else:
            first = max(near, key=lambda change: _along(change, line_m) * (change.common_m + 0.1))
            found.append(Judged(kind, first.status.value, first))
    found += [Judged("false", change.status.value, change) for change in result.changes if change.number not in used]
    return found


def outcomes(folder: Path, motion: Motion | None = None) -> Counter[tuple[str, str]]:
    """How often which kind of true crack got which status."""
    return Counter((each.kind, each.status) for each in judged(folder, motion))


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


def figures(verdicts: Sequence[Judged]) -> str:
    """Markdown: false growth, and growth that was found, with 95 % intervals."""
    rows = ["| | cracks | share | 95 % interval |", "|---|---|---|---|"]

    def row(words: str, members: Sequence[Judged], statuses: Sequence[str]) -> None:
        count, hits = len(members), sum(each.status in statuses for each in members)
        if count:
            low, high = wilson(hits, count)
            rows.append(f"| {words} | {hits} of {count} | {hits / count:.0%} | {low:.0%} to {high:.0%} |")

    mapped = [each for each in verdicts if each.status != "not mapped"]
    of = {kind: [each for each in mapped if each.kind == kind] for kind in KINDS}
    row("unchanged, reported as grown", of["unchanged"], ["grown"])
    row("unchanged, reported as reduced", of["unchanged"], ["reduced"])
    for kind, words in (("wider", "0.2 mm wider"), ("longer", "5 cm longer")):
        row(f"{words}, found", of[kind], ["grown"])
        row(f"{words}, found where the standard deviation allows", [x for x in of[kind] if x.is_resolvable], ["grown"])
    row("new, found", of["new"], ["new"])
    row("gone, found", of["gone"], ["gone"])
    return "\n".join([*rows, "", *_errors(of)])


def _errors(of: Mapping[str, Sequence[Judged]]) -> Iterator[str]:
    """Sentences on the measured growth."""
    widths = [each.change.width for kind in ("unchanged", "wider") for each in of[kind] if each.change]
    true_mm = [WIDER_MM * (kind == "wider") for kind in ("unchanged", "wider") for each in of[kind] if each.change]
    lengths = [each.change.length for kind in ("unchanged", "longer") for each in of[kind] if each.change]
    true_m = [LONGER_M * (kind == "longer") for kind in ("unchanged", "longer") for each in of[kind] if each.change]
    for name, differences, true, factor, unit in (
        ("widths", widths, true_mm, 1.0, "mm"),
        ("lengths", lengths, true_m, 100.0, "cm"),
    ):
        known = [(each, value) for each, value in zip(differences, true, strict=True) if each is not None]
        errors = factor * np.array([each.change - value for each, value in known])
        sigmas = factor * np.array([each.sigma for each, _ in known])
        if len(errors):
            yield (
                f"Errors of the changes of {name}: {errors.mean():+.3f} {unit} in the mean, "
                f"{np.median(np.abs(errors)):.3f} in the median, {np.sqrt((errors**2).mean()):.3f} root mean square; "
                f"stated {np.median(sigmas):.3f} ({len(errors)} cracks)."
            )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z = 1.959964
    middle = (hits + z**2 / 2) / (count + z**2)
    half = z / (count + z**2) * np.sqrt(hits * (count - hits) / count + z**2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def unexpected(pair: Path, verdicts: Sequence[Judged]) -> Iterator[str]:
    """A line for each crack of a pair that was not reported as what it is."""
    for each in verdicts:
        expected = {"wider": "grown", "longer": "grown"}.get(each.kind, each.kind)
        if each.status == expected:
            continue
        words = [pair.name, each.kind, each.status]
        if each.change is not None:
            change = each.change
            words.append(f"old {change.old_ids} new {change.new_ids}, {change.common_m:.2f} m in common")
            for name, unit, found in (("width", "mm", change.width), ("length", "m", change.length)):
                if found is not None:
                    words.append(
                        f"{name} {found.change:+.3f} ± {found.sigma:.3f} {unit} p {found.growth_probability:.3f}"
                    )
            words += change.remarks
        yield "; ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--list", action="store_true", help="also list what was not reported as what it is")
    arguments = parser.parse_args()
    pairs = sorted((path.parent for path in arguments.folder.glob("*/truth.json")), key=lambda pair: int(pair.name))
    with ProcessPoolExecutor(arguments.jobs) as pool:
        by_pair = list(pool.map(judged, pairs, chunksize=4))
    found = [each for verdicts in by_pair for each in verdicts]
    counts = Counter((each.kind, each.status) for each in found)
    print(f"{len(pairs)} pairs\n\n{table(counts)}\n\n{figures(found)}")
    if arguments.list:
        print(
            "\n".join(
                line for pair, verdicts in zip(pairs, by_pair, strict=True) for line in unexpected(pair, verdicts)
            )
        )


if __name__ == "__main__":
    main()
