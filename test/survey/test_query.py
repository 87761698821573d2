# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Queries of an archive: conditions on cracks, detections and frames, and errors of the user."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from survey_inputs import Archive

from crack_perception.cli.main import main
from crack_perception.errors import UsageError
from crack_perception.survey.query import Archive as Queried
from crack_perception.survey.storage import Storage
from crack_perception.survey.structure_map import SCHEMA


def rows_of(
    archive: Archive, capsys: pytest.CaptureFixture[str], condition: str, *options: str
) -> list[dict[str, str]]:
    assert main(["query", str(archive.out), condition, *options]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_query_condition_selects_cracks_worst_first(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    everything = rows_of(archive, capsys, "")
    assert len(everything) >= sum(structure["cracks"] or 0 for structure in archive.summary["structures"]) > 0
    middle = sorted(float(row["length_m"]) for row in everything)[len(everything) // 2]
    longer = rows_of(archive, capsys, f"length_m > {middle}")
    assert {row["length_m"] for row in longer} == {
        row["length_m"] for row in everything if float(row["length_m"]) > middle
    }
    severities = [float(row["severity"]) for row in everything if row["severity"]]
    assert severities == sorted(severities, reverse=True)
    assert "geometry" not in everything[0]


def test_query_severity_and_growth_selects_only_compared_structures(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rows_of(archive, capsys, "severity >= 0.3 and grown") == []
    not_grown = rows_of(archive, capsys, "not grown")
    assert {row["structure"] for row in not_grown} == {"bridge north"}


def test_query_detections_and_frames_name_structure_and_recording(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    detections = rows_of(archive, capsys, "structure = 'dam'", "--table", "detections")
    expected = [r for s in archive.summary["structures"] if s["structure"] == "dam" for r in s["recordings"]]
    assert len(detections) == sum(recording["detections"] for recording in expected)
    assert {row["recording_name"] for row in detections} <= {recording["name"] for recording in expected}
    frames = rows_of(archive, capsys, "not has_pose and name is not null", "--table", "frames", "--limit", "3")
    assert [row["structure"] for row in frames] == ["bridge south", "bridge south", "tower"] or len(frames) == 3


def test_query_times_are_in_utc_whatever_the_zone_of_the_machine_is(
    archive: Archive, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        rows = rows_of(archive, capsys, "structure = 'dam' and last_seen >= '2023-11-14 22:13:20'")
        assert rows == rows_of(archive, capsys, "structure = 'dam'")
        assert rows_of(archive, capsys, "structure = 'dam' and last_seen >= '2023-11-14 22:14:20'") == []
        assert all(re.fullmatch(r"2023-11-14T22:13:2\d\.\d{6}Z", row["last_seen"]) for row in rows)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_query_lost_and_rejected_cracks_come_last(tmp_path: Path) -> None:
    rows = [("open", "new", 0.2), ("open", "lost", 0.9), ("rejected", "confirmed", 0.8), ("accepted", "confirmed", 0.5)]
    table = [
        {"structure": "wall", "id": number, "verdict": verdict, "state": state, "severity": severity}
        for number, (verdict, state, severity) in enumerate(rows)
    ]
    storage = Storage(str(tmp_path))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table, schema=SCHEMA), buffer)
    storage.write("structures/wall/cracks.parquet", buffer.getvalue())
    storage.write_json(
        "survey.json", {"structures": [{"structure": "wall", "folder": "structures/wall", "recordings": []}]}
    )
    names, found = Queried(str(tmp_path)).rows("")
    assert [row[names.index("id")] for row in found] == [3, 0, 1, 2]


@pytest.mark.parametrize("condition", ["no_such_column > 1", "severity >=", "severity = 'wide'"])
def test_query_bad_condition_names_the_columns(archive: Archive, condition: str) -> None:
    with pytest.raises(UsageError, match="Columns are structure, severity"):
        list(Queried(str(archive.out)).rows(condition)[1])


@pytest.fixture(params=["folder", "memory"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An archive of one structure with two cracks, in a folder or another file system."""
    out = str(tmp_path / "out") if request.param == "folder" else f"memory://{tmp_path.name}"
    cracks = pa.Table.from_pylist([{"structure": "b", "id": id_} for id_ in (1, 2)], SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(cracks, buffer)
    storage = Storage(out)
    storage.write("structures/b/cracks.parquet", buffer.getvalue())
    storage.write_json("survey.json", {"structures": [{"structure": "b", "folder": "structures/b", "recordings": []}]})
    return out


def test_query_small_archive_is_read_from_every_file_system(small: str) -> None:
    assert [row[1] for row in Queried(small).rows("id < 2 -- the first one")[1]] == [1]


@pytest.mark.parametrize(
    "condition",
    [
        "true)); COPY (SELECT 1) TO '{out}'; SELECT * FROM (SELECT * FROM (SELECT 1",
        "true; COPY (SELECT 1) TO '{out}'",
        "id = 1) OR (id = 2",
        "id = 1 ORDER BY id",
        "id, 1",
        "(SELECT count(*) FROM read_text('{secret}')) > 0",
        "(SELECT count(*) FROM read_csv('{secret}')) > 0",
        "id IN (SELECT 1 FROM glob('{folder}/*'))",
        "id = 1; SET enable_external_access = true",
    ],
)
def test_query_condition_is_one_expression_on_the_archive_alone(small: str, tmp_path: Path, condition: str) -> None:
    secret, out = tmp_path / "secret.csv", tmp_path / "written.csv"
    secret.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be used"):
        list(Queried(small).rows(condition.format(out=out, secret=secret, folder=tmp_path))[1])
    assert not out.exists()
