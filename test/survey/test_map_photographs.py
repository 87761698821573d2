# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of the cracks of a survey: chosen for every recording and for every map, and shown on the page."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from map_cracks import jpeg_of, photograph_of_crack
from survey_inputs import PART_S, Archive, copy_of, survey

from crack_perception.cli.main import main
from crack_perception.errors import UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.evidence.photograph import Photograph, plain_photograph
from crack_perception.mapping.evidence.reviewed import projected_px
from crack_perception.mapping.evidence.self_describing import photograph_in
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import Snapshot, read_snapshot
from crack_perception.survey import recorded_photographs
from crack_perception.survey.engine import Engine
from crack_perception.survey.placement import MapSource
from crack_perception.survey.recorded_photographs import PHOTOGRAPHS, SCHEMA, join_photographs, pictures, recorded
from crack_perception.survey.settings import survey_settings
from crack_perception.survey.structure_map import map_structure
from crack_perception.survey.tasks import Job


def by_name(archive: Archive) -> dict[str, dict[str, Any]]:
    return {structure["structure"]: structure for structure in archive.summary["structures"]}


def map_of(archive: Archive, name: str) -> tuple[Path, Snapshot]:
    path = archive.out / by_name(archive)[name]["folder"] / "map.sqlite"
    return path, read_snapshot(path)


def sources_of(structure: dict[str, Any]) -> list[MapSource]:
    return [MapSource(each["key"], each["name"], each["first_stamp_ns"]) for each in structure["recordings"]]


@pytest.mark.parametrize("name", ["bridge north", "bridge south", "dam"])
def test_survey_map_has_photographs_that_show_its_cracks(archive: Archive, name: str) -> None:
    path, snapshot = map_of(archive, name)
    cracks = {crack.id: crack for crack in snapshot.cracks}
    folder = path.with_name("map.photographs")
    assert {each.crack_id for each in snapshot.photographs} <= set(cracks)
    pictured_m = sum(cracks[each].length_m for each in {photograph.crack_id for photograph in snapshot.photographs})
    assert pictured_m > 0.7 * sum(crack.length_m for crack in cracks.values())  # of very short ones there is none
    assert sorted(each.name for each in folder.iterdir()) == sorted(each.file for each in snapshot.photographs)
    for photograph in snapshot.photographs:
        data = (folder / photograph.file).read_bytes()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert (picture.shape[1], picture.shape[0]) == photograph.size_px
        stored = photograph_in(data)
        names = {each["key"]: each["name"] for each in by_name(archive)[name]["recordings"]}
        whole = replace(stored, file=photograph.file, crack_id=photograph.crack_id, source=names[stored.source])
        assert plain_photograph(whole) == plain_photograph(photograph)
        line = photograph.lines[0]
        apart_m = np.linalg.norm(line.points_m[:, None] - cracks[photograph.crack_id].line_m, axis=2).min(axis=1)
        assert np.median(apart_m) < 0.05
        # Pose and camera take the line in the map to that in the picture, but for the distortion; it is dark there.
        apart_px = projected_px(photograph, line.points_m) - line.points_px
        assert np.abs(apart_px).max() < 20.0
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        x, y = np.rint(line.points_px).astype(int).T
        assert np.median(grey[y, x]) < np.median(grey) - 10


def test_survey_second_campaign_has_photographs_of_its_own(archive: Archive) -> None:
    _, snapshot = map_of(archive, "bridge north")
    sources = [{p.source for p in snapshot.photographs if p.crack_id == crack.id} for crack in snapshot.cracks]
    assert any(len(each) == 2 for each in sources)


def test_survey_summary_and_table_name_the_best_photograph(archive: Archive) -> None:
    structure = by_name(archive)["dam"]
    path, snapshot = map_of(archive, "dam")
    assert structure["photographs"] == len(snapshot.photographs)
    rows = {row["id"]: row for row in pq.read_table(path.with_name("cracks.parquet")).to_pylist()}
    for crack in structure["worst"][:6]:
        own = [each for each in snapshot.photographs if each.crack_id == crack["id"]]
        if not own:
            assert crack["photograph"] is None and rows[crack["id"]]["photograph"] is None
            continue
        best = max(own, key=lambda each: each.quality)
        shown = crack["photograph"]
        assert shown["path"] == rows[crack["id"]]["photograph"] == f"map.photographs/{best.file}"
        assert shown["lines_px"] and all(2 <= len(line) <= 40 for line in shown["lines_px"])
        assert (path.parent / shown["path"]).is_file()
    assert any(crack.get("photograph") for crack in structure["worst"])


def test_survey_report_of_a_structure_shows_its_photographs(archive: Archive, tmp_path: Path) -> None:
    pytest.importorskip("typst", reason="the extra `report` is not installed: run scripts/setup")
    path, snapshot = map_of(archive, "dam")
    assert main(["report", str(path), "--out", str(tmp_path), "--formats", "html,csv"]) == 0
    (page,) = tmp_path.glob("*.html")
    assert page.read_text().count("data:image/jpeg;base64,") >= len({each.crack_id for each in snapshot.photographs})


def test_survey_without_photographs_has_the_same_tables_and_no_pictures(
    archive: Archive, engine: Engine, tmp_path: Path
) -> None:
    settings = survey_settings(None, {"model": "nano"}, {}, PART_S, evidence_bytes=0)
    summary = survey([archive.recordings / "bridge south"], tmp_path / "out", engine, settings=settings)
    (first,) = (each for each in summary["structures"] if each["structure"] == "first")
    assert first["photographs"] == 0
    assert not list((tmp_path / "out").rglob("*photographs*"))
    (own,) = (each for each in by_name(archive)["bridge south"]["recordings"] if each["name"].endswith("first"))
    for name, columns in {"lines": ["stamp_ns", "geometry"], "detections": ["stamp_ns", "width_mm"]}.items():
        with_pictures = pq.read_table(archive.out / "recordings" / own["key"] / f"{name}.parquet", columns=columns)
        key = first["recordings"][0]["key"]
        without = pq.read_table(tmp_path / "out" / "recordings" / key / f"{name}.parquet", columns=columns)
        assert with_pictures.equals(without)


def test_map_structure_photographs_keep_the_limit_and_follow_it(archive: Archive, tmp_path: Path) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    structure = by_name(archive)["dam"]
    settings = survey_settings(None, {"model": "nano"}, {}, PART_S)
    folder = out / structure["folder"] / "map.photographs"
    whole = sum(path.stat().st_size for path in folder.iterdir())
    limited = replace(settings, evidence_bytes=whole // 2)
    map_structure(Job(str(out), "", limited), "dam", sources_of(structure), None)
    left = {path.name for path in folder.iterdir()}
    snapshot = read_snapshot(folder.with_name("map.sqlite"))
    assert left == {each.file for each in snapshot.photographs}
    assert 0 < sum(path.stat().st_size for path in folder.iterdir()) <= limited.evidence_bytes
    # The recordings have what was left out: no original file is needed to take it up again.
    map_structure(Job(str(out), "", settings), "dam", sources_of(structure), None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in (archive.out / structure["folder"] / "map.photographs").iterdir()
    }
    # So does a recording whose photographs were deleted to save room.
    for source in sources_of(structure):
        (out / "recordings" / source.key / f"{PHOTOGRAPHS}.parquet").unlink()
    without = map_structure(Job(str(out), "", limited), "dam", sources_of(structure), None)
    assert without["photographs"] == 0 and without["cracks"] == structure["cracks"]


def test_map_structure_lost_crack_with_decisions_keeps_its_photographs(archive: Archive, tmp_path: Path) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    structure = by_name(archive)["dam"]
    path = out / structure["folder"] / "map.sqlite"
    before = read_snapshot(path)
    with closing(MapStore(path)) as store:
        store.add_decisions(
            [Decision(crack.id, Action.ACCEPT, author="inspector", time_ns=1) for crack in before.cracks]
        )
    only = [source for source in sources_of(structure) if source.name.endswith("right")]
    map_structure(Job(str(out), "", survey_settings(None, {"model": "nano"}, {}, PART_S)), "dam", only, None)
    after = read_snapshot(path)
    lost = {crack.id for crack in after.cracks if crack.state is CrackState.LOST}
    kept = {each.file for each in before.photographs if each.crack_id in lost}
    assert kept and kept == {each.file for each in after.photographs if each.crack_id in lost}
    assert {each.file for each in after.photographs} == {
        each.name for each in path.with_name("map.photographs").iterdir()
    }


def test_map_structure_damaged_table_is_named(archive: Archive, tmp_path: Path) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    structure = by_name(archive)["dam"]
    key = structure["recordings"][0]["key"]
    table = out / "recordings" / key / "lines.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    job = Job(str(out), "", replace(survey_settings(None, {"model": "nano"}, {}, PART_S), evidence_bytes=1))
    with pytest.raises(UserError, match=rf"recordings/{key}/lines\.parquet: is damaged"):
        map_structure(job, "dam", sources_of(structure), None)


def table_of(*photographs: tuple[Photograph, bytes]) -> bytes:
    """Return a table as of a part."""
    part = recorded_photographs.PartPhotographs("k", 0, None, 90, 0)  # type: ignore[arg-type]
    for number, (photograph, jpeg) in enumerate(photographs):
        row = part._row(photograph, jpeg, number)
        part._best.put(recorded_photographs.view_of(photograph), len(jpeg), row, [])
    return part.table()


def photograph_at(x_m: float, quality: float = 1.0, seconds: int = 0) -> tuple[Photograph, bytes]:
    """A photograph of a crack at a place; each has 1000 bytes."""
    photograph = photograph_of_crack(1, stamp_ns=1 + seconds * 10**9)
    line = photograph.lines[0]
    x = np.linspace(x_m, x_m + 0.5, len(line.points_px))
    moved = replace(line, points_m=np.column_stack([x, np.zeros(len(x)), np.zeros(len(x))]))
    return replace(photograph, lines=(moved,), gsd_mm_per_px=1.0 / quality), bytes([round(x_m) % 256]) * 1000


def joined(tmp_path: Path, *parts: bytes) -> Callable[[], io.BytesIO]:
    join_photographs([partial(bytes, part) for part in parts], tmp_path / "joined")
    return lambda: io.BytesIO((tmp_path / "joined").read_bytes())


def test_join_photographs_of_one_place_the_best_of_all_parts_are_kept(tmp_path: Path) -> None:
    early = [photograph_at(0.0, 1.0, seconds) for seconds in (0, 2, 4)]
    late = [photograph_at(0.0, 3.0, 100), photograph_at(0.0, 0.5, 102), photograph_at(9.0, 0.5, 104)]
    opened = joined(tmp_path, table_of(*early), table_of(*late))
    found = [photograph for _, photograph, _ in recorded(opened())]
    assert sorted(each.gsd_mm_per_px for each in found) == pytest.approx([1 / 3, 1.0, 1.0, 2.0])
    assert opened().getvalue() == joined(tmp_path, table_of(*early), table_of(*late))().getvalue()


def test_join_photographs_is_bounded_and_leaves_out_the_least_valuable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_photographs, "MOST_RECORDING_BYTES", 20_000)
    places = [photograph_at(10.0 * number, 1.0 + number % 7, 10 * number) for number in range(100)]
    opened = joined(tmp_path, table_of(*places[:50]), table_of(*places[50:]))
    found = list(recorded(opened()))
    assert sum(size for _, _, size in found) == 20_000
    # Those of the best quality; each is a crack of its own.
    qualities = sorted((1.0 / photograph.gsd_mm_per_px for _, photograph, _ in found), reverse=True)
    assert qualities == pytest.approx(sorted((1.0 + number % 7 for number in range(100)), reverse=True)[:20])


def test_pictures_reads_the_wanted_rows(tmp_path: Path) -> None:
    places = [photograph_at(3.0 * number, 1.0, 10 * number) for number in range(40)]
    opened = joined(tmp_path, table_of(*places))
    assert pq.ParquetFile(opened()).num_row_groups == 3
    found = dict(pictures(opened(), {0, 17, 39}))
    assert found == {row: places[row][1] for row in (0, 17, 39)}
    assert pq.read_schema(opened()).equals(SCHEMA)


def test_photograph_moved_shows_the_same_in_the_other_frame() -> None:
    photograph = replace(photograph_of_crack(1), orientation_xyzw=np.array([0.5, -0.5, 0.5, 0.5]))
    line = photograph.lines[0]
    points_m = np.random.default_rng(1).normal(size=(len(line.points_px), 3)) + photograph.position_m
    photograph = replace(photograph, lines=(replace(line, points_m=points_m),))
    moved = photograph.moved(Pose.of([3.0, -2.0, 1.0], [0.1, 0.2, 0.3, 0.9]))
    np.testing.assert_allclose(
        projected_px(moved, moved.lines[0].points_m), projected_px(photograph, points_m), atol=1e-6
    )
    assert jpeg_of(moved)
