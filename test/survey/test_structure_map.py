# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Map of a structure from stored observations: exactly what was observed, and what has grown between campaigns."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from map_cracks import straight_crack
from map_observations import frame, segment
from review_maps import WALL_M, level_crack
from shapely import from_wkb
from structure_recordings import flight, sharp, stored

from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.recognition.severity import SeverityScale
from crack_perception.survey.geoparquet import corners_of, line_of, line_wkb, lines_wkb, polygon_wkb
from crack_perception.survey.placement import MapSource
from crack_perception.survey.progress import Progress
from crack_perception.survey.settings import SurveySettings
from crack_perception.survey.small_plan import small_plan
from crack_perception.survey.storage import Storage
from crack_perception.survey.structure_map import CAMPAIGN_GAP_NS, campaigns, map_structure
from crack_perception.survey.tables import FRAMES, LINES, observations
from crack_perception.survey.tasks import Job

DAY_NS = 24 * 3600 * 1_000_000_000


def test_observations_are_read_as_they_were_stored(tmp_path: Path) -> None:
    widths = np.array([0.4, np.nan, 0.6])
    one = segment((0.1, 0.2), (0.3, 1 / 3), line_m=np.random.default_rng(1).normal(size=(3, 3)), width_mm=widths)
    frames = [frame(1.0, one, segment((0, 0), (1, 0))), frame(2.0), frame(3.0, one)]
    storage = Storage(str(tmp_path))
    stored(storage, "k", frames)
    tables = [io.BytesIO(storage.read(f"recordings/k/{name}.parquet") or b"") for name in (FRAMES, LINES)]
    pairs = list(observations(*tables, "k"))
    assert all(view is None for _, view in pairs)  # these frames were stored without a resolution
    read = [observation for observation, _ in pairs]
    assert [each.stamp_ns for each in read] == [each.stamp_ns for each in frames]
    assert [len(each.observations) for each in read] == [2, 0, 1]
    for each, expected in zip(read, frames, strict=True):
        np.testing.assert_array_equal(each.footprint_m, expected.footprint_m)
        for line, known in zip(each.observations, expected.observations, strict=True):
            for name in ("line_m", "width_mm", "width_sigma_mm", "normal", "covariance_m2", "gsd_mm_per_px", "score"):
                np.testing.assert_array_equal(getattr(line, name), getattr(known, name))


def test_map_structure_longer_crack_of_a_later_campaign_has_grown(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    # Irregular, so that the maps of the two campaigns fit each other in one way only.
    numbers = np.random.default_rng(5)
    starts = [(x, y) + numbers.uniform(-0.4, 0.4, 2) for x in (-3.0, -1.0, 1.0) for y in (-2.0, 0.0, 2.0)]
    same = [sharp(tuple(start), tuple(start + numbers.uniform(-0.5, 0.5, 2))) for start in starts]
    old = stored(storage, "old", flight(0, *same, sharp((3, 1), (3.3, 1))))
    new = stored(storage, "new", flight(200, *same, sharp((3, 1), (3.6, 1))))
    job = Job(str(tmp_path), "", SurveySettings({}, ""))
    summary = map_structure(job, "wall", [new, old], None)
    assert summary["campaigns"] == 2
    assert summary["not_compared"] == ""
    assert summary["grown"] == 1
    cracks = pq.read_table(tmp_path / "structures" / "wall" / "cracks.parquet").to_pylist()
    (grown,) = [crack for crack in cracks if crack["grown"]]
    assert grown["length_growth_m"] == pytest.approx(0.3, abs=0.05)
    assert grown["y_m"] == pytest.approx(1.0, abs=0.05)
    assert {crack["change"] for crack in cracks if not crack["grown"]} == {"unchanged"}
    # Nothing has changed: the summary is that of the first run.
    stamp = (tmp_path / "structures" / "wall" / "map.sqlite").stat().st_mtime_ns
    assert map_structure(job, "wall", [old, new], None) == summary
    assert (tmp_path / "structures" / "wall" / "map.sqlite").stat().st_mtime_ns == stamp


def test_small_plan_draws_the_present_cracks_of_every_facet() -> None:
    cracks = [
        level_crack(1, 0.5, 1.5, 1.0, 0.1),
        level_crack(2, 2.0, 5.0, 2.0, 3.0),
        replace(level_crack(3, 1.0, 2.0, 2.5), state=CrackState.LOST),
        straight_crack(4, line_m=np.array([[6.0, 1.0, 1.0], [6.0, 1.5, 1.2], [6.0, 2.0, 1.0]]), normal=np.eye(3)[0]),
    ]
    scale = SeverityScale.of_preset("gb50204")
    plan = small_plan(cracks, [WALL_M], scale, "Plan of <b>")
    assert plan is not None
    root = ElementTree.fromstring(plan.encode())
    groups = {each.get("id"): each for each in root.iter() if each.get("id")}
    lines = list(groups["cracks"])
    assert len(lines) == 3
    assert len({line.get("stroke") for line in lines}) >= 2
    assert [text.text for text in groups["frames"].iter() if text.tag.endswith("text")] == [
        "A: 6.2 m wide",
        "B: 1.2 m wide",
    ]
    assert small_plan([], [], scale, "nothing") is None


def test_campaigns_end_with_a_pause() -> None:
    at = [MapSource("k", "n", stamp) for stamp in (0, DAY_NS, DAY_NS + CAMPAIGN_GAP_NS + 1)]
    assert [len(group) for group in campaigns(at)] == [2, 1]
    assert campaigns([]) == []


def test_campaigns_clock_that_was_not_set_is_no_campaign() -> None:
    unset, march = MapSource("k", "n", 60_000_000_000), 1_772_000_000_000_000_000
    dated = [MapSource("k", "n", stamp) for stamp in (march, march + 60 * DAY_NS)]
    assert campaigns([unset, dated[0]]) == [[dated[0]]]
    assert campaigns([unset, *dated]) == [[dated[0]], [dated[1]]]
    assert campaigns([unset]) == [[unset]]


def test_observations_are_read_in_batches(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    crack = segment((0, 0), (3, 0))
    stored(storage, "k", [frame(float(number + 1), *[crack] * 10) for number in range(600)], group_rows=200)
    size = tmp_path / "recordings" / "k" / "lines.parquet"
    whole = pq.read_table(size).nbytes
    before, most = pa.total_allocated_bytes(), 0
    with storage.opened("recordings/k/frames.parquet") as frames, storage.opened("recordings/k/lines.parquet") as lines:
        for _ in observations(frames, lines, "k"):
            most = max(most, pa.total_allocated_bytes() - before)
    assert most < whole / 5


def test_progress_line_counts_recordings_and_estimates_those_that_are_not_begun() -> None:
    now_s = [0.0]
    progress = Progress(io.StringIO(), lambda: now_s[0])
    progress.announce(10, 1000)
    progress.expect(100, 200)
    now_s[0] = 20.0
    progress.add(100)
    progress.finish_recording()
    assert "20%  100 of about 500 frames, 5.0 frames/s, 80 s left, 1 of 10 recordings" in progress.line()
    progress.expect(300, 800)
    assert "100 of 400 frames, 5.0 frames/s, 60 s left" in progress.line()


def test_wkb_is_read_by_shapely_and_back() -> None:
    points = np.random.default_rng(2).normal(size=(5, 3))
    assert np.array_equal(np.array(from_wkb(line_wkb(points)).coords), points)
    assert np.array_equal(line_of(line_wkb(points)), points)
    polygon = from_wkb(polygon_wkb(points))
    assert polygon.geom_type == "Polygon"
    assert np.array_equal(np.array(polygon.exterior.coords)[:-1], points)
    assert np.array_equal(corners_of(polygon_wkb(points)), points)
    several = from_wkb(lines_wkb([points, points[:2]]))
    assert [len(line.coords) for line in several.geoms] == [5, 2]


def test_progress_line_has_rate_and_time_left() -> None:
    now_s = [0.0]
    stream = io.StringIO()
    progress = Progress(stream, lambda: now_s[0])
    progress.expect(400)
    progress.add(100, is_repeated=True)
    now_s[0] = 20.0
    progress.add(100)
    assert "50%  200 of 400 frames, 5.0 frames/s, 40 s left" in stream.getvalue()
