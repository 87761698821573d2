# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A whole survey: eight recordings, resumed runs, bad recordings, maps and growth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from patience import PATIENCE_S, wait_for
from survey_inputs import STRUCTURES, Archive, copy_of, results, survey, write_bad_recordings

from crack_perception.mapping.storage.map_file import CrackMap
from crack_perception.survey.engine import Engine, local_engine
from crack_perception.survey.progress import Progress
from crack_perception.survey.query import Archive as Queried
from crack_perception.survey.settings import survey_settings
from crack_perception.survey.sources import SourceKind, StructureTable
from crack_perception.survey.storage import Storage
from crack_perception.survey.tasks import DONE

geopandas = pytest.importorskip("geopandas", reason="it needs Python 3.11")


def test_survey_eight_recordings_all_processed(archive: Archive) -> None:
    summary = archive.summary
    assert summary["recordings"] == 8
    assert summary["problems"] == summary["skipped"] == summary["resumed"] == 0
    assert summary["frames"] == 5 * 10 + 8
    assert [structure["structure"] for structure in summary["structures"]] == list(STRUCTURES)
    kinds = [recording["kind"] for structure in summary["structures"] for recording in structure["recordings"]]
    assert kinds.count(SourceKind.BAG.value) == 5
    assert kinds.count(SourceKind.PHOTOGRAPHS.value) == 3


def test_survey_flights_are_mapped_and_photographs_are_not(archive: Archive) -> None:
    by_name = {structure["structure"]: structure for structure in archive.summary["structures"]}
    assert by_name["tower"]["cracks"] is None
    for name in STRUCTURES[:3]:
        structure = by_name[name]
        crack_map = CrackMap(archive.out / structure["folder"] / "map.sqlite")
        assert structure["cracks"] == len(crack_map.query(state=["new", "confirmed"])) > 0
        assert crack_map.inspected_areas_m
        severities = [crack["severity"] or 0.0 for crack in structure["worst"]]
        assert severities == sorted(severities, reverse=True)


def test_survey_cracks_are_geoparquet_of_an_independent_reader(archive: Archive) -> None:
    structure = archive.summary["structures"][0]
    cracks = geopandas.read_parquet(archive.out / structure["folder"] / "cracks.parquet")
    crack_map = CrackMap(archive.out / structure["folder"] / "map.sqlite")
    assert cracks.crs is None
    assert list(cracks["id"]) == [crack.id for crack in crack_map]
    for line, crack in zip(cracks.geometry, crack_map, strict=True):
        assert line.geom_type == "LineString"
        np.testing.assert_array_equal(np.array(line.coords), crack.line_m)
    recording = structure["recordings"][0]
    detections = geopandas.read_parquet(archive.out / "recordings" / recording["key"] / "detections.parquet")
    assert len(detections) == recording["detections"]
    assert set(detections.geometry.dropna().geom_type) == {"MultiLineString"}
    frames = geopandas.read_parquet(archive.out / "recordings" / recording["key"] / "frames.parquet")
    assert set(frames.geometry.dropna().geom_type) == {"Polygon"}


def test_survey_two_campaigns_report_growth_and_one_does_not(archive: Archive) -> None:
    by_name = {structure["structure"]: structure for structure in archive.summary["structures"]}
    assert by_name["bridge north"]["campaigns"] == 2
    assert by_name["bridge north"]["grown"] == 0  # the same wall, seen again
    assert by_name["dam"]["campaigns"] == 1
    assert by_name["dam"]["grown"] is None


def test_survey_second_run_repeats_nothing_and_gives_the_same(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    summary = survey([archive.recordings], out, engine)
    assert summary["resumed"] == summary["recordings"] == 8
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == stamps


@pytest.mark.slow
def test_survey_moved_recordings_are_recognised_by_their_content(
    archive: Archive, engine: Engine, tmp_path: Path
) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    moved = copy_of(archive.recordings / "dam", tmp_path / "elsewhere" / "old dam")
    summary = survey([moved.parent], out, engine)
    assert summary["resumed"] == 2
    names = [structure["structure"] for structure in summary["structures"]]
    assert names == sorted({*STRUCTURES, "old dam"} - {"dam"})


def test_survey_other_settings_compute_again(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    settings = survey_settings(None, {"model": "nano", "severity_preset": "ec2"}, {}, 1.0)
    summary = survey([archive.recordings / "tower"], out, engine, settings=settings)
    assert summary["resumed"] == 0


def test_survey_bad_recordings_are_skipped_and_named(
    archive: Archive, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = write_bad_recordings(tmp_path / "bad")
    summary = survey([bad, archive.recordings / "tower"], tmp_path / "out", engine)
    assert summary["skipped"] == summary["problems"] == 2
    assert summary["recordings"] == 4
    problems = [r["problem"] for structure in summary["structures"] for r in structure["recordings"] if r["problem"]]
    assert any("noise.mcap" in problem for problem in problems)
    assert any("cut.jpg" in problem for problem in problems)
    assert capsys.readouterr().err.count("skipped: ") == 2


def test_survey_bag_without_a_place_in_the_map_is_a_problem(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    bag = archive.recordings / "dam" / "left"
    for topics, expected in (({}, 1), ({"pose": ""}, 0)):
        settings = survey_settings(None, {"model": "nano", "pose_max_gap_s": 0.001}, topics, 1.0)
        summary = survey([bag], tmp_path / f"out{expected}", engine, settings=settings)
        assert (summary["problems"], summary["unplaced"], summary["skipped"]) == (expected, expected, 0)
        assert summary["structures"][0]["recordings"][0]["frames"] == 10


@pytest.mark.slow
def test_survey_copy_of_a_recording_counts_once(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "dam"
    copy_of(archive.recordings / "dam" / "left", folder / "left")
    once = survey([folder.parent / "dam"], tmp_path / "once", engine)
    copy_of(archive.recordings / "dam" / "left", folder / "left again")
    twice = survey([folder.parent / "dam"], tmp_path / "twice", engine)
    assert twice["recordings"] == 2
    assert twice["problems"] == 0
    assert all(each["recordings"][0]["frames"] == 10 for each in twice["structures"])
    assert twice["structures"][0]["worst"] == once["structures"][0]["worst"]


@pytest.mark.slow
def test_survey_killed_run_continues_with_the_same_result(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inputs = copy_of(archive.recordings / "dam", tmp_path / "in" / "dam").parent
    command = [sys.executable, "-m", "crack_perception.cli.main", "survey", str(inputs), "--out", str(out)]
    command += ["--model", "nano", "--part", "1", "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: any(out.glob(f"recordings/*/parts/*/{DONE}")), 4 * PATIENCE_S)
    finally:
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
    assert started
    wait_for(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in started))
    finished = {path: path.stat().st_mtime_ns for path in out.rglob(f"parts/*/{DONE}")}
    assert not (out / "survey.json").exists()
    assert finished
    summary = survey([inputs], out, engine)
    assert summary["problems"] == 0
    fresh = {name: data for name, data in results(archive.out).items() if "/dam/" in name or _is_of(archive, name)}
    assert results(out) == fresh
    assert not list(out.rglob("*.partial-*"))


class _InterruptedProgress(Progress):
    """Raises KeyboardInterrupt, as a signal does, when a number of recordings are finished."""

    def __init__(self, recordings: int) -> None:
        super().__init__()
        self._left = recordings

    def finish_recording(self) -> None:
        super().finish_recording()
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def test_survey_interrupted_run_keeps_finished_recordings_in_its_page(
    archive: Archive, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    inputs = [archive.recordings / "tower", archive.recordings / "bridge south"]
    with pytest.raises(KeyboardInterrupt):
        survey(inputs, out, engine, progress=_InterruptedProgress(2))
    summary = json.loads((out / "survey.json").read_text(encoding="utf-8"))
    recordings = [recording for structure in summary["structures"] for recording in structure["recordings"]]
    assert summary["recordings"] == len(recordings) == 2
    assert summary["interrupted"] == 2
    assert all(recording["frames"] and not recording["problem"] for recording in recordings)
    assert "2 of its recordings are not processed" in (out / "index.html").read_text(encoding="utf-8")
    assert "2 of 4 recordings are finished" in capsys.readouterr().err
    summary = survey(inputs, out, engine)
    assert summary["problems"] == summary["interrupted"] == 0
    assert summary["resumed"] == 2
    of_both = {
        recording["key"]
        for structure in archive.summary["structures"]
        if structure["structure"] in ("tower", "bridge south")
        for recording in structure["recordings"]
    }
    expected = {name: data for name, data in results(archive.out).items() if name.split("/")[1] in of_both}
    assert {name: data for name, data in results(out).items() if name.startswith("recordings/")} == expected
    assert "not processed" not in (out / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_survey_interrupted_in_a_terminal_ends_without_a_traceback(archive: Archive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "crack_perception.cli.main", "survey", str(archive.recordings), "--out", str(out)]
    command += ["--model", "nano", "--part", "1", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            wait_for(lambda: any(out.glob(f"recordings/*/parts/*/{DONE}")), 4 * PATIENCE_S)
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does: to the workers as well
            _, error = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in error
    assert error.splitlines()[-1] == "crack_perception survey: interrupted"
    assert json.loads((out / "survey.json").read_text(encoding="utf-8"))["interrupted"] > 0


def _is_of(archive: Archive, name: str) -> bool:
    dam = next(s for s in archive.summary["structures"] if s["structure"] == "dam")
    return any(f"/{recording['key']}/" in f"/{name}" for recording in dam["recordings"])


def test_survey_process_that_was_lost_before_is_started_again(archive: Archive, tmp_path: Path) -> None:
    with local_engine(1) as own:
        assert own.executor.submit(os._exit, 1).exception() is not None
        summary = survey([archive.recordings / "tower"], tmp_path / "out", own)
    assert summary["problems"] == 0


@pytest.mark.slow
def test_survey_table_names_structure_and_place(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    from crack_perception.survey.sources import read_structure_table

    csv = tmp_path / "structures.csv"
    csv.write_text(
        f"path,structure,latitude,longitude,height,heading\n{archive.recordings / 'dam'},Old dam,47.5,11.25,800,90\n"
    )
    table = read_structure_table(csv)
    out = tmp_path / "out"
    summary = survey([archive.recordings / "dam"], out, engine, table)
    (structure,) = summary["structures"]
    assert structure["structure"] == "Old dam"
    cracks = geopandas.read_parquet(out / structure["folder"] / "cracks.parquet")
    assert cracks.crs.equals("OGC:CRS84")
    assert abs(cracks.total_bounds - np.array([11.25, 47.5, 11.25, 47.5])).max() < 0.01


@pytest.mark.slow
def test_survey_object_storage_gives_the_same_as_a_folder(archive: Archive) -> None:
    url = f"memory://{uuid.uuid4().hex}/archive"
    with ThreadPoolExecutor(1) as executor:  # the storage is in the memory of this process
        inputs = [archive.recordings / name for name in ("bridge south", "tower")]
        table = StructureTable({path.resolve(): path.name for path in inputs})
        summary = survey(inputs, url, Engine(executor, 1, "one thread"), table)
    assert summary["problems"] == 0
    by_name = {structure["structure"]: structure for structure in archive.summary["structures"]}
    south = next(structure for structure in summary["structures"] if structure["structure"] == "bridge south")
    assert south["worst"] == by_name["bridge south"]["worst"]
    storage = Storage(url)
    for structure in summary["structures"]:
        for recording in structure["recordings"]:
            name = f"recordings/{recording['key']}/detections.parquet"
            assert storage.read(name) == (archive.out / name).read_bytes()
    names, rows = Queried(url).rows("length_m > 0")
    assert len(list(rows)) == len(CrackMap(archive.out / south["folder"] / "map.sqlite"))
    assert "severity" in names


def test_survey_rows_are_the_frames_of_the_recording(archive: Archive) -> None:
    recording = archive.summary["structures"][2]["recordings"][0]
    frames = pq.read_table(archive.out / "recordings" / recording["key"] / "frames.parquet")
    stamps = frames["stamp_ns"].to_pylist()
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 10
    assert frames["has_pose"].to_pylist().count(True) >= 9
    assert json.loads((archive.out / "survey.json").read_text())["frames"] == archive.summary["frames"]
