# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Soak test: both nodes, an endless flight, faults in a seeded order, and final checks."""

from __future__ import annotations

import csv
import random
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crack_perception.errors import UsageError, UserError
from crack_perception.evaluation.machine import machine_figures
from crack_perception.evaluation.replay.node_client import spinning_node
from crack_perception.evaluation.replay.ros_isolation import isolated_ros
from crack_perception.evaluation.soak.cases import Case, Flying, Outcome, state_of
from crack_perception.evaluation.soak.feed import COMPRESSED, RAW, Feed, simulate
from crack_perception.evaluation.soak.input_faults import input_faults
from crack_perception.evaluation.soak.node_faults import node_faults
from crack_perception.evaluation.soak.nodes import DETECTOR, MAPPER, NAMESPACE, PATIENCE_S, SoakNodes
from crack_perception.evaluation.soak.processes import ProcessWatch, growth
from crack_perception.evaluation.soak.watch import DETECTOR_PARTS, Watch
from crack_perception.interrupts import uninterrupted
from crack_perception.mapping.export.geojson import load_map_geojson
from crack_perception.mapping.storage.database import MapStore

SIZES = {"240p": (320, 240), "360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
"""Name -> width and height of the images [px]."""

# Memory settles while every fault occurs for the first time.
_WARM_UP = 0.3
_MOST_GROWTH = 0.05
# In a run of a few minutes, the allocator has not settled.
_SHORT_S = 600.0
_MOST_GROWTH_SHORT = 0.25
_MORE_DESCRIPTORS = 4
_WELL_S = 60.0


@dataclass(frozen=True)
class SoakOptions:
    """Options of a soak test.

    Attributes:
        minutes: Duration of the fault rounds [min]; one round is always completed.
        rate_hz: Image rate [Hz].
        size: Image size, a key of ``SIZES``.
        model: Model of the detector.
        seed: Seed of the wall, of the order of the faults and of their choices.
        faults: Run only cases whose names contain this text; empty for all.

    Raises:
        UsageError: An option is out of range or unknown.
    """

    minutes: float = 30.0
    rate_hz: float = 30.0
    size: str = "720p"
    model: str = "nano"
    seed: int = 0
    faults: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= 10_000:
            raise UsageError(f"--minutes is {self.minutes:g}", "Give a number above 0")
        if not 1 <= self.rate_hz <= 120:
            raise UsageError(f"--rate is {self.rate_hz:g}", "Give a number from 1 to 120")
        if self.size not in SIZES:
            raise UsageError(f"the size {self.size!r} is unknown", f"Known are {', '.join(SIZES)}")


@dataclass(frozen=True)
class Row:
    """Row of the table: a fault or a final check."""

    name: str
    expected: str
    seen: str
    passed: bool
    figures: Mapping[str, Any]
    round: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain data for the report."""
        return {
            "fault": self.name,
            "expected": self.expected,
            "seen": self.seen,
            "passed": self.passed,
            "round": self.round,
            **self.figures,
        }


def run_soak(
    options: SoakOptions, say: Callable[[str], None], keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run a soak test and return its report (see ``report.py``).

    Args:
        options: Options.
        say: Called with each line of progress.
        keep: Called with the report; also if the test is ended by a signal or by the unexpected end of a node, which
            the report then holds as ``incomplete``.

    Raises:
        UserError: A node does not start, or has ended unexpectedly.
    """
    cases = [case for case in [*input_faults(), *node_faults()] if options.faults in case.name]
    if not cases:
        raise UsageError(f"no fault's name holds {options.faults!r}")
    width, height = SIZES[options.size]
    say(f"simulating a flight of {width} x {height} px")
    flight = simulate(width, height, options.seed)
    began_s = time.monotonic()
    processes = ProcessWatch()
    rows: list[Row] = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="crack_perception_soak_") as folder,
            isolated_ros() as domain,
            spinning_node("crack_soak", domain) as node,
        ):
            feed = Feed(node, domain, NAMESPACE, flight, options.rate_hz, COMPRESSED)
            watch = Watch(node, DETECTOR, MAPPER, feed.sent)
            nodes = SoakNodes(node, Path(folder), flight.parameters, options.model, COMPRESSED, processes.watch)

            def report(incomplete: str = "") -> dict[str, Any]:
                seconds = time.monotonic() - began_s
                return _document(options, seconds, feed, watch, processes, rows, incomplete)

            try:
                _Soak(
                    options, Flying(feed, watch, nodes, processes, random.Random(options.seed)), cases, say, rows
                ).run()
            except KeyboardInterrupt:
                with uninterrupted():
                    keep(report("interrupted"))
                raise
            except UserError as error:
                keep(report(str(error)))
                raise
            finally:
                feed.stop()
                nodes.close()
            document = report()
    finally:
        processes.stop()
    keep(document)
    return document


def _document(
    options: SoakOptions,
    seconds: float,
    feed: Feed,
    watch: Watch,
    processes: ProcessWatch,
    rows: list[Row],
    incomplete: str,
) -> dict[str, Any]:
    return {
        "options": {
            "minutes": options.minutes,
            "rate_hz": options.rate_hz,
            "size": options.size,
            "model": options.model,
            "seed": options.seed,
        },
        "machine": machine_figures(),
        "seconds": round(seconds, 1),
        "images_sent": feed.images_sent,
        "frames_answered": watch.answered,
        "diagnostics": watch.arrays,
        "incomplete": incomplete,
        "passed": not incomplete and all(row.passed for row in rows),
        "rows": [row.as_json() for row in rows],
        "processes": [
            {
                "node": series.name,
                "private_mb": [round(value, 1) for value in series.private_mb],
                "threads": series.threads,
                "descriptors": series.descriptors,
            }
            for series in processes.series
        ],
    }


class _Soak:
    """Run of a soak test.

    Args:
        options, flying, cases, say: Of the test.
        rows: Gets a row for every fault and check that is over.
    """

    def __init__(
        self, options: SoakOptions, flying: Flying, cases: list[Case], say: Callable[[str], None], rows: list[Row]
    ) -> None:
        self._options = options
        self._flying = flying
        self._cases = cases
        self._say = say
        self._rows = rows
        self._end_s = 0.0

    def run(self) -> None:
        """Start the nodes, inject faults until the time is over, and stop the nodes."""
        flying = self._flying
        for running in (flying.nodes.detector, flying.nodes.mapper):
            running.change("configure", "activate")
        flying.feed.start()
        since_s = time.monotonic()
        if not flying.wait(lambda: flying.is_well(since_s), PATIENCE_S):
            raise UserError(f"the nodes are not well without any fault: {state_of(flying)}")
        self._end_s = since_s + 60.0 * self._options.minutes
        round_number = 1
        while round_number == 1 or time.monotonic() < self._end_s:
            self._round(round_number)
            round_number += 1
        self._rows += self._ends()

    def _round(self, number: int) -> None:
        flying = self._flying
        cases = [case for case in self._cases if number == 1 or not case.once]
        flying.random.shuffle(cases)
        transports = [COMPRESSED, RAW] if number % 2 else [RAW, COMPRESSED]
        # Cases for any transport are distributed over both.
        legs: dict[str, list[Case]] = {COMPRESSED: [], RAW: []}
        for index, case in enumerate(cases):
            legs[case.transport or transports[index % 2]].append(case)
        for transport in transports:
            if legs[transport] and transport != flying.feed.transport:
                self._change_transport(transport, number)
            for case in legs[transport]:
                if number > 1 and time.monotonic() >= self._end_s:
                    return
                self._inject(case, number)

    def _change_transport(self, transport: str, number: int) -> None:
        """Configure the detector for the other type of images; this is a case as well."""

        def change(flying: Flying) -> Outcome:
            flying.nodes.detector.change("deactivate", "cleanup")
            refused = flying.nodes.detector.set(image_transport=transport)
            flying.feed.change_transport(transport)
            flying.nodes.detector.change("configure", "activate")
            since_s = time.monotonic()
            is_well = flying.wait(lambda: flying.is_well(since_s), _WELL_S)
            took_s = time.monotonic() - since_s
            return Outcome(not refused and is_well, refused or f"{transport}: OK {took_s:.1f} s later", {})

        self._inject(Case("images of the other transport", "frames again, OK after it", change), number)

    def _inject(self, case: Case, number: int) -> None:
        flying = self._flying
        before_s = time.monotonic()
        if not flying.wait(lambda: flying.is_well(before_s), _WELL_S):
            outcome = Outcome(False, f"not OK before it: {state_of(flying)}", {})
        else:
            violations = len(flying.watch.violations)
            outcome = case.run(flying)
            new = flying.watch.violations[violations:]
            if new:
                outcome = Outcome(False, f"{outcome.seen}; {new[0]}", outcome.figures)
        row = Row(case.name, case.expected, outcome.seen, outcome.passed, outcome.figures, number)
        self._rows.append(row)
        self._say(f"{'pass' if row.passed else 'FAIL'}  {row.name}: {row.seen}")

    def _ends(self) -> list[Row]:
        """Run the final checks, including the end of both nodes."""
        flying = self._flying
        rows = [self._counters(), *self._growth()]
        flying.feed.stop()
        detector, mapper = flying.nodes.detector.process, flying.nodes.mapper.process
        cracks = _cracks_of(flying)
        for number in (signal.SIGINT, signal.SIGINT):
            detector.send_signal(number)
        mapper.send_signal(signal.SIGTERM)
        codes = detector.wait(PATIENCE_S), mapper.wait(PATIENCE_S)
        rows.append(
            Row(
                "SIGINT twice to the detector, SIGTERM to the mapper",
                "exit 0 and 0",
                f"exit {codes[0]} and {codes[1]}",
                codes == (0, 0),
                {},
            )
        )
        rows.append(self._files(cracks))
        for row in rows:
            self._say(f"{'pass' if row.passed else 'FAIL'}  {row.name}: {row.seen}")
        return rows

    def _counters(self) -> Row:
        watch = self._flying.watch
        status = watch.latest(DETECTOR)
        figures = status.figures if status else {}
        counts = ", ".join(f"{figures.get(part, '?')} {part.removeprefix('frames_')}" for part in DETECTOR_PARTS)
        seen = (
            f"{watch.arrays} diagnostics, {watch.compared} results compared; the last ones: "
            f"{figures.get('frames_received', '?')} received = {counts}"
        )
        if watch.violations:
            seen = f"{watch.violations[0]}; {seen}"
        return Row(
            "counters and results",
            "every received frame in one counter, no result of another or a damaged image",
            seen,
            not watch.violations and watch.compared > 0,
            {"violations": list(watch.violations)},
        )

    def _growth(self) -> list[Row]:
        is_short = self._options.minutes * 60.0 < _SHORT_S
        most = _MOST_GROWTH_SHORT if is_short else _MOST_GROWTH
        rows = []
        for name in (DETECTOR, MAPPER):
            series = max(
                (series for series in self._flying.processes.series if series.name == name),
                key=lambda series: len(series.threads),
            )
            memory = growth(series.private_mb, _WARM_UP)
            threads = growth(series.threads, _WARM_UP)
            descriptors = growth(series.descriptors, _WARM_UP)
            expected = f"memory {most:.0%} at most, no more threads, no more files"
            if memory is None or threads is None or descriptors is None:
                seen = "not judged: less than a minute of samples"
                rows.append(Row(f"growth of {name}", expected, seen, is_short, {}))
                continue
            seen = (
                f"memory {memory.first:.0f} to {memory.last:.0f} MB ({memory.share:+.1%}, "
                f"{memory.per_hour:+.0f} MB/h), threads {threads.first:.0f} to {threads.last:.0f}, "
                f"files {descriptors.first:.0f} to {descriptors.last:.0f}"
            )
            passed = (
                memory.share <= most
                and threads.last <= threads.first
                and descriptors.last <= descriptors.first + _MORE_DESCRIPTORS
            )
            rows.append(Row(f"growth of {name}", expected, seen, passed, {}))
        return rows

    def _files(self, cracks: int) -> Row:
        folder = self._flying.nodes.folder
        try:
            with closing(MapStore(folder / "crack_map.sqlite")) as store:
                stored, rescue = len(store.load()), store.rescue
            exported = len(load_map_geojson(folder / "crack_map.geojson"))
            with (folder / "crack_map.csv").open(newline="") as file:
                rows = len(list(csv.reader(file))) - 1
        except (OSError, UserError, ValueError) as error:
            return Row("files of the map", "complete", str(error), False, {})
        passed = rescue is None and stored > 0 and stored == exported == rows
        seen = (
            f"{stored} cracks in the database, {exported} in GeoJSON, {rows} in CSV; {cracks} in the last diagnostics"
        )
        return Row("files of the map", "database, GeoJSON and CSV hold every crack", seen, passed, {})


def _cracks_of(flying: Flying) -> int:
    status = flying.watch.latest(MAPPER)
    if status is None:
        return 0
    return sum(int(value) for key, value in status.figures.items() if key.startswith("cracks_"))
