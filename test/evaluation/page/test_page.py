# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""HTML page of a hand-made recording."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_reports import (
    SECOND_NS,
    accuracy_of,
    changed,
    crack_map,
    flight,
    map_accuracy_of,
    map_section_of,
    options,
    plan_of,
    recording,
)

from crack_perception.evaluation.metrics.accuracy import measure_accuracy
from crack_perception.evaluation.page.charts import ticks
from crack_perception.evaluation.page.frame_strip import choose_frames
from crack_perception.evaluation.page.html import write_html
from crack_perception.evaluation.page.map_section import map_section
from crack_perception.evaluation.page.summary import summary_lines
from crack_perception.evaluation.recordings.bag import BagTopic, Losses
from crack_perception.evaluation.replay.input_topics import IMAGE, InputTopics
from crack_perception.evaluation.replay.messages import NodeProblem
from crack_perception.evaluation.replay.pictures import PictureSpool
from crack_perception.evaluation.replay.plan import ReplayPlan
from crack_perception.evaluation.replay.report import build_report
from crack_perception.evaluation.replay.runner import severity_scale


class PageReader(HTMLParser):
    """Parser that collects the resources of a page and checks that its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        # HTMLParser reports <path .../> through handle_startendtag and <path ...> with children through this one.
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("cells", [False, True])
def test_write_html_is_complete_and_self_contained(tmp_path: Path, cells: bool) -> None:
    truth = flight(cells)
    accuracy = accuracy_of(truth)
    report = build_report(options(tmp_path), plan_of(tmp_path), recording(), accuracy, map_accuracy_of(truth), [])
    with closing(PictureSpool(tmp_path / "spool")) as pictures:
        _, encoded = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))
        for index in range(3):
            pictures.append((index + 1) * SECOND_NS, encoded.tobytes())
        write_html(tmp_path / "report.html", report, truth, recording(), accuracy, map_section_of(truth), pictures)
    page = (tmp_path / "report.html").read_text()
    reader = PageReader()
    reader.feed(page)
    assert reader.open == []
    assert reader.loaded
    kinds = [item.split(";base64,")[0] for item in reader.loaded]
    assert kinds.count("data:image/svg+xml") == 1 and set(kinds) == {"data:image/svg+xml", "data:image/jpeg"}
    assert "false: no crack there" in page or cells
    assert not re.search(r"https?://|@import|url\(http|<script", page)
    assert "nan" not in page.lower().replace("nanosec", "")
    assert "a note &amp; more" in page
    assert "somewhere &lt;fast&gt;" in page
    assert ('class="cell found"' in page) == cells
    # Once in the legend, and once on the wall for the missed crack.
    assert page.count('class="crack missed"') == (0 if cells else 2)


def test_write_html_without_truth_or_results_renders(tmp_path: Path) -> None:
    silent = changed(frames=(), arrived_s={}, arrays=0, located_arrays=0, status={}, active_status={})
    report = build_report(options(tmp_path), plan_of(tmp_path), silent, None, None, [])
    with closing(PictureSpool(tmp_path / "spool")) as pictures:
        write_html(tmp_path / "report.html", report, None, silent, None, "", pictures)
    assert "no detection array was received" in (tmp_path / "report.html").read_text()
    assert any("PROBLEM" in line for line in summary_lines(report))


def test_choose_frames_selects_by_score() -> None:
    accuracy = accuracy_of(flight())
    choices = {choice.title: choice.key_ns for choice in choose_frames(recording().frames, accuracy, [1 * SECOND_NS])}
    assert choices == {"Best": SECOND_NS}
    everything = [SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS]
    titles = [choice.title for choice in choose_frames(recording().frames, accuracy, everything)]
    assert titles[0] == "Best"
    assert len({choice.key_ns for choice in choose_frames(recording().frames, accuracy, everything)}) == len(titles)
    without_truth = choose_frames(recording().frames, None, everything)
    assert [(choice.title, choice.caption) for choice in without_truth] == [
        ("Most regions", "1 region"),
        ("Typical", "1 region"),
        ("Fewest regions", "0 regions"),
    ]


def test_choose_frames_of_a_recording_that_loops_selects_from_every_lap() -> None:
    first, second, third = recording().frames
    lap_ns = 10 * SECOND_NS
    # The crack is found in the second lap only, the false region in the third.
    laps = (
        *(replace(frame, regions=()) for frame in (first, second, third)),
        *(replace(frame, lap_offset_ns=lap_ns) for frame in (first, replace(second, regions=()), third)),
        *(replace(frame, lap_offset_ns=2 * lap_ns) for frame in (replace(first, regions=()), second, third)),
    )
    accuracy = measure_accuracy(flight(), laps, severity_scale(recording().parameters))
    assert accuracy is not None
    choices = {choice.title: choice.key_ns for choice in choose_frames(laps, accuracy, [f.key_ns for f in laps])}
    assert choices["Best"] == first.stamp_ns + lap_ns
    assert choices["Most false regions"] == second.stamp_ns + 2 * lap_ns
    without_truth = choose_frames(laps, None, [frame.key_ns for frame in laps])
    assert without_truth[0].key_ns in (first.stamp_ns + lap_ns, second.stamp_ns + 2 * lap_ns)


def test_ticks_returns_round_numbers() -> None:
    assert ticks(0.0, 10.0, 5) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert ticks(0.45, 4.8, 10) == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
    assert ticks(3.0, 3.0) == [3.0]


HOSTILE = "</table><script>alert(1)</script>\"'&<img src=x onerror=y>"


def test_write_html_hostile_text_is_escaped(tmp_path: Path) -> None:
    losses = Losses()
    losses.add(f"/{HOSTILE}", 2, HOSTILE)
    altered = changed(
        status={**recording().status, "model_name": HOSTILE, "backend": HOSTILE},
        active_status={"pose_source": HOSTILE, "range_source": HOSTILE},
        parameters={**recording().parameters, "map_frame": HOSTILE, HOSTILE: HOSTILE},
        losses=losses,
        node_problems=(NodeProblem(HOSTILE, 3, HOSTILE),),
    )
    topic = BagTopic(f"/{HOSTILE}", IMAGE, 3)
    hostile = ReplayPlan(InputTopics({"image": topic}, (topic,)), flight(), {}, (HOSTILE, "\udcff"))
    scale = severity_scale(recording().parameters)
    section = map_section(crack_map(), map_accuracy_of(flight()), flight(), altered.footprints_m, scale, HOSTILE)
    report = build_report(
        options(tmp_path), hostile, altered, accuracy_of(flight()), map_accuracy_of(flight()), [HOSTILE]
    )
    with closing(PictureSpool(tmp_path / "spool")) as pictures:
        write_html(tmp_path / "report.html", report, flight(), altered, accuracy_of(flight()), section, pictures)
    page = (tmp_path / "report.html").read_text()
    reader = PageReader()
    reader.feed(page)
    assert reader.open == []
    assert "script" not in reader.seen and "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 8
