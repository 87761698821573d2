# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the measurement of all four tables on a small folder of labelled tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("onnx")
pytest.importorskip("matplotlib")

from labelled_tiles import write_labelled_tiles

from crack_perception.cli.main import main
from crack_perception.training.paper.tables.markdown import PLOTS
from crack_perception.training.paper.tables.run import JSON_NAME, MARKDOWN_NAME, TablesSettings, measure

BACKBONES = ("mobilenet_v3_small_w050_b2", "mobilenet_v3_small_w050_b3")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TablesSettings:
    place = tmp_path_factory.mktemp("tables")
    data = write_labelled_tiles(place)
    return TablesSettings(data, BACKBONES, (), None, place / "cache", 1, 20, (1, 2, 3, 4), 1, base=BACKBONES[1])


@pytest.fixture(scope="module")
def report(settings: TablesSettings) -> dict[str, Any]:
    return measure(settings, settings.data / "out")


@pytest.mark.slow
def test_measure_all_tables_have_costs_and_intervals(report: dict[str, Any], settings: TablesSettings) -> None:
    out = settings.data / "out"
    assert json.loads((out / JSON_NAME).read_text()) == report
    tables = report["tables"]
    assert [row["name"] for row in tables["1"]["rows"]] == [f"{name} (random)" for name in BACKBONES]
    for row in [*tables["1"]["rows"], *tables["3"]["rows"]]:
        assert row["macs_per_tile"] > 0
        assert row["time_ratio"] > 0
        low, high = row["f1_interval"]
        assert 0 <= low <= row["f1"] <= high <= 1
        assert "random weights" in row["initialisation"]
    assert tables["1"]["rows"][0]["time_ratio"] == pytest.approx(1.0, abs=1e-3)
    assert {row["name"].split(", ")[1] for row in tables["4"]["rows"]} == {"svm", "forest"}
    assert all(row["masked"]["n"] == 2 for row in tables["4"]["rows"])
    for name in PLOTS.values():
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert name in (out / MARKDOWN_NAME).read_text()


@pytest.mark.slow
def test_measure_first_row_of_table_2_has_no_gain(report: dict[str, Any]) -> None:
    first = report["tables"]["2"]["rows"][0]
    assert first["name"] == f"{BACKBONES[1]} (random), standardised"
    assert {figures["gain"] for figures in first.values() if isinstance(figures, dict)} == {0.0}


@pytest.mark.slow
def test_measure_repeated_run_uses_cached_features(
    report: dict[str, Any], settings: TablesSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = {**settings.__dict__, "tables": (1, 4)}
    with caplog.at_level("INFO"):
        second = measure(TablesSettings(**again), tmp_path)
    assert "computing the features" not in caplog.text
    for row, former in zip(second["tables"]["1"]["rows"], report["tables"]["1"]["rows"], strict=True):
        assert row["sources"] == former["sources"]
    assert second["tables"]["4"] == report["tables"]["4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tables", "1,5"], "from 1 to 4"),
        (["--sample", "0"], "at least 1"),
        (["--backbones", "vgg16"], "must include mobilenet_v3_small"),
    ],
)
def test_tables_command_wrong_argument_exits_with_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["tables", "--data", str(tmp_path), "--out", str(tmp_path / "out"), *arguments])
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_tables_command_missing_manifest_names_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main(["tables", *arguments, "--backbones", "mobilenet_v3_small", "--model", "nano"]) == 1
    assert str(tmp_path) in capsys.readouterr().err
