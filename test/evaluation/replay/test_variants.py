# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Variants of a replay: parsing, comparison, and two real replays of one bag."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from tiny_model import write_tiny_model

from crack_perception.cli.main import main
from crack_perception.errors import UsageError, UserError
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.evaluation.replay.variants import comparison_rows, comparison_table, parse_variants
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import write_flight


def test_variants_take_parameters_and_a_file() -> None:
    one, other = parse_variants(["fast:model=nano,threshold=0.6", "fine:params=fine.yaml"])
    assert (one.name, dict(one.parameters), one.params_file) == ("fast", {"model": "nano", "threshold": "0.6"}, None)
    assert (other.name, dict(other.parameters), other.params_file) == ("fine", {}, Path("fine.yaml"))


@pytest.mark.parametrize(
    "texts",
    [["a:model=nano"], ["a:model=nano", "a:model=standard"], ["a", "b:x=1"], ["../a:x=1", "b:x=1"], ["a:x", "b:y"]],
)
def test_variants_of_another_form_are_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_variants(texts)


def test_comparison_shows_what_one_report_knows() -> None:
    reports = {
        "a": {"accuracy": {"crack_recall": 0.91234}, "frames": {"dropped": 0}},
        "b": {"accuracy": None, "frames": {"dropped": 7}},
    }
    rows = comparison_rows(reports)
    assert rows == [("recall", [0.91234, None]), ("dropped", [0.0, 7.0])]
    assert comparison_table(list(reports), rows)[2:] == ["| recall | 0.9123 | unknown |", "| dropped | 0 | 7 |"]


def test_truth_is_recognised_by_its_content(tmp_path: Path) -> None:
    bag = tmp_path / "flight"
    write_flight(FlightSettings(width=64, height=48, fps=5.0, duration_s=0.4), bag, False, lambda written, total: None)
    masks = tmp_path / "masks"
    masks.mkdir()
    cv2.imwrite(str(masks / "0.png"), np.full((48, 64), 255, np.uint8))
    lines = tmp_path / "lines.json"
    line = {"type": "LineString", "coordinates": [[0, 0, 0], [1, 0, 0]]}
    lines.write_text(json.dumps({"type": "FeatureCollection", "features": [{"geometry": line}]}))
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"images": [{"id": 1, "file_name": "0.png"}], "annotations": []}))
    found = {}
    for name, path in {"flight": None, "truth": bag / "truth.json", "m": masks, "l": lines, "b": boxes}.items():
        with open_bag(bag) as opened:
            plan = plan_replay(opened, ReplayOptions(bag, tmp_path / "out", truth=path))
        assert plan.has_truth
        found[name] = (plan.truth is not None, plan.marked.kind if plan.marked else "", len(plan.true_lines))
    assert found == {
        "flight": (True, "", 0),
        "truth": (True, "", 0),
        "m": (False, "marked pixels", 0),
        "l": (False, "", 1),
        "b": (False, "marked boxes", 0),
    }
    cv2.imwrite(str(masks / "1.png"), np.full((24, 32), 255, np.uint8))
    with open_bag(bag) as opened, pytest.raises(UserError, match="32x24 px, the images of the recording have 64x48"):
        plan_replay(opened, ReplayOptions(bag, tmp_path / "out", truth=masks))
    (tmp_path / "other.json").write_text("{}")
    with open_bag(bag) as opened, pytest.raises(UserError, match=r"other\.json"):
        plan_replay(opened, ReplayOptions(bag, tmp_path / "out", truth=tmp_path / "other.json"))


@pytest.mark.slow
def test_replay_two_variants_against_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_tiny_model(tmp_path / "tiny")
    bag = tmp_path / "flight"
    settings = FlightSettings(width=320, height=240, fps=4.0, duration_s=1.0, standoff_m=1.0, cracks=2, seed=3)
    write_flight(settings, bag, False, lambda written, total: None)
    truth = tmp_path / "boxes.json"
    images = [{"id": number, "file_name": f"{number}.png"} for number in range(4)]
    whole = [{"image_id": number, "bbox": [0, 0, 320, 240]} for number in range(4)]
    truth.write_text(json.dumps({"images": images, "annotations": whole}))
    command = ["replay", str(bag), "--out", str(tmp_path / "out"), "--no-video", "--no-map", "--truth", str(truth)]
    command += ["--rate", "0.5", "--model", str(model), "--variant", "low:threshold=0.05"]
    command += ["--variant", "high:threshold=0.99", "--require", "false_regions==0,processed>=1"]
    assert main(command) == 0
    comparison = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert comparison["figures"]["false_regions"] == {"low": 0.0, "high": 0.0}
    assert comparison["figures"]["recall"]["low"] >= comparison["figures"]["recall"]["high"]
    for name, threshold in (("low", 0.05), ("high", 0.99)):
        report = json.loads((tmp_path / "out" / name / "report.json").read_text())
        assert report["config"]["node_parameters"]["threshold"] == threshold
        assert all(result["met"] for result in report["requirements"])
        assert report["accuracy"]["kind"] == "marked boxes"
    assert "| recall |" in capsys.readouterr().out
