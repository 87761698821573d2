# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Replay of bags through the real node in its own process over DDS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from evaluation_bags import POSE, pose, write_bag
from patience import PATIENCE_S, wait_for
from tiny_model import write_tiny_model

from crack_perception.cli.main import main
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.replay.mapper_session import MAPPER_MODULE
from crack_perception.evaluation.replay.plan import ReplayOptions
from crack_perception.evaluation.replay.runner import replay
from crack_perception.evaluation.replay.session import NODE_MODULE
from crack_perception.mapping.export.geojson import load_map_geojson
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import write_flight
from crack_perception.simulation.flight.truth import load_truth

pytestmark = pytest.mark.slow

FRAMES = 15
MODULES = {NODE_MODULE, MAPPER_MODULE}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fast model that classifies dark pixels as cracks."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short flight along a procedural wall."""
    bag = tmp_path_factory.mktemp("flights") / "flight"
    settings = FlightSettings(
        width=480, height=360, fps=5.0, duration_s=FRAMES / 5.0, standoff_m=1.0, speed_m_s=0.2, cracks=6, seed=3
    )
    write_flight(settings, bag, False, lambda written, total: None)
    return bag


# What a busy machine leaves out changes the boxes of a frame: all tiles, scored once.
SAME_WORK = {"frame_budget_ms": "0.0", "second_look": "false"}


@pytest.fixture(scope="module")
def replayed(flight: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a replay of the flight."""
    out = tmp_path_factory.mktemp("replays") / "out"
    # A busy machine may need long for each frame.
    options = ReplayOptions(flight, out, parameters={"model": str(model), **SAME_WORK}, wait_budget_s=300.0)
    replay(options, lambda line: None)
    return out


@pytest.fixture(scope="module")
def report(replayed: Path) -> dict[str, Any]:
    """Report of that replay."""
    return dict(json.loads((replayed / "report.json").read_text()))


def node_processes() -> list[int]:
    """Return the node processes of this run's replays."""
    children = psutil.Process().children(recursive=True)
    return [child.pid for child in children if child.is_running() and MODULES & set(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def boxes_by_stamp(folder: Path) -> dict[int, list[list[float]]]:
    """Return the centre and size of all regions of each frame in a replay's folder."""
    frames = json.loads((folder / "detections.json").read_text())["frames"]
    return {
        frame["stamp_ns"]: [[*region["centre_px"], *region["size_px"]] for region in frame["regions"]]
        for frame in frames
    }


def test_replay_every_frame_is_processed(report: dict[str, Any]) -> None:
    frames = report["frames"]
    assert {name: frames[name] for name in ("sent", "received", "processed", "dropped", "failed")} == {
        "sent": FRAMES,
        "received": FRAMES,
        "processed": FRAMES,
        "dropped": 0,
        "failed": 0,
    }
    assert (frames["arrays_received"], frames["arrays_3d_received"]) == (FRAMES, FRAMES)
    assert report["problems"] == []


def test_replay_rate_age_and_load_are_plausible(report: dict[str, Any]) -> None:
    # Images are delayed on a busy machine, never sent early.
    assert 0.1 < report["rate_hz"] < 5.5
    assert 0 < report["age_ms"]["median"] <= report["age_ms"]["p95"] <= report["age_ms"]["max"] < 60_000
    assert 0 < report["cpu_percent"] < 400
    assert report["rss_mb"] > 20
    assert 0 <= report["playback"]["worst_lateness_ms"] < 60_000


def test_replay_report_names_model_and_backend(report: dict[str, Any]) -> None:
    assert report["model"]["name"] == "tiny"
    assert len(report["model"]["sha256"]) == len(report["input_sha256"]) == 64
    assert report["sources"] == {"pose": "pose", "range": "range+surface"}
    parameters = report["config"]["node_parameters"]
    assert parameters["use_sim_time"] is True
    assert parameters["camera_extrinsic.translation"] == pytest.approx([0.1, 0.0, 0.05])
    assert any("camera_extrinsic is taken from /tf_static, base_link" in note for note in report["notes"])


def test_replay_positions_are_near_the_true_surface(report: dict[str, Any], replayed: Path, flight: Path) -> None:
    document = json.loads((replayed / "detections.json").read_text())
    assert [frame["stamp_ns"] for frame in document["frames"]] == [f.stamp_ns for f in load_truth(flight).frames]
    positions = [region["position_m"] for frame in document["frames"] for region in frame["regions"]]
    assert len(positions) > FRAMES
    surface = load_truth(flight).surfaces[0]
    heights_m = (np.array(positions) - surface.origin_m) @ surface.normal
    assert np.median(np.abs(heights_m)) < 0.05
    accuracy = report["accuracy"]
    assert accuracy["position_error_m"]["median"] < 0.05
    assert accuracy["position_inside_95"] > 0.8
    assert accuracy["frames_judged"] == FRAMES


def test_replay_map_is_saved_and_evaluated(report: dict[str, Any], replayed: Path) -> None:
    figures = report["map"]
    cracks = load_map_geojson(replayed / "map" / "crack_map.geojson")
    assert len(cracks) == sum(figures["objects"].values()) > 0
    assert 0.0 <= figures["recall"] <= 1.0 and 0.0 <= figures["duplicates"] <= 1.0
    assert figures["position_error_before_m"]["median"] < 0.05
    assert figures["mapping_ms"]["median"] > 0
    assert {path.name for path in (replayed / "map").iterdir()} >= {
        "crack_map.sqlite",
        "crack_map.csv",
        "crack_map.png",
    }
    assert "data:image/svg+xml" in (replayed / "report.html").read_text()


def test_replay_writes_video_and_page(replayed: Path) -> None:
    assert (replayed / "annotated.mp4").stat().st_size > 1000
    assert "data:image/jpeg" in (replayed / "report.html").read_text()
    assert not list(replayed.glob("*.part"))


def test_replay_leaves_no_node_running(report: dict[str, Any]) -> None:
    assert node_processes() == []


def test_replay_double_rate_without_video_and_map_takes_half_the_time(
    flight: Path, model: Path, report: dict[str, Any], replayed: Path, tmp_path: Path
) -> None:
    params = tmp_path / "params.yaml"
    lines = "".join(f"    {name}: {value}\n" for name, value in SAME_WORK.items())
    params.write_text(f"crack_node:\n  ros__parameters:\n{lines}")
    command = ["replay", str(flight), "--out", str(tmp_path), "--model", str(model), "--params", str(params)]
    code = main([*command, "--rate", "2", "--no-video", "--no-map"])
    again = json.loads((tmp_path / "report.json").read_text())
    assert code == 0
    # A busy machine publishes late: the delays that the replay measured do not count.
    with open_bag(flight) as bag:
        planned_s = bag.duration_s / 2
    played_s, late_s = again["playback"]["duration_s"], again["playback"]["worst_lateness_ms"] / 1000
    assert planned_s * 0.99 <= played_s <= late_s + 1.5 * planned_s
    assert again["input_sha256"] == report["input_sha256"]
    assert not (tmp_path / "annotated.mp4").exists()
    assert again["map"] is None and not (tmp_path / "map").exists()
    # A frame has the same boxes at any rate; without a wait budget a busy machine may drop frames.
    boxes, expected = boxes_by_stamp(tmp_path), boxes_by_stamp(replayed)
    assert boxes and boxes.items() <= expected.items()


def test_replay_bag_without_images_reports_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "bag", [("/drone/pose", POSE, 0, pose())])
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr().err
    assert "no camera images" in output
    assert "/drone/pose" in output


def test_replay_unknown_bag_reports_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_replay_refused_transition_reports_the_reason(
    flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("/**:\n  ros__parameters:\n    model: no_such_model\n")
    out = tmp_path / "out"
    assert main(["replay", str(flight), "--out", str(out), "--params", str(settings)]) == 1
    output = capsys.readouterr().err
    assert "refused to configure" in output
    assert "no_such_model" in output
    assert node_processes() == []
    assert not (out / "report.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_replay_interrupted_reports_what_was_played_and_leaves_no_process(
    flight: Path, model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    # At a tenth of the rate the replay takes half a minute, unless it is interrupted.
    command = [sys.executable, "-m", "crack_perception.cli.main", "replay", str(flight), "--out", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--model", str(model), "--rate", "0.1"], stderr=subprocess.PIPE, text=True, env=os.environ.copy()
    ) as replay:
        assert replay.stderr is not None
        assert any("playing" in line for line in replay.stderr)
        started = node_processes()
        assert len(started) == 2
        # Without a played image there would be no results.
        wait_for(lambda: (tmp_path / "annotated.part").stat().st_size > 0)
        for _ in range(3):
            replay.send_signal(number)
            time.sleep(0.2)
        code = replay.wait(PATIENCE_S)
    assert code == 128 + number
    wait_for(lambda: not any(map(psutil.pid_exists, started)))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["interrupted"] and "interrupted" in report["problems"][0]
    assert 0 < report["frames"]["sent"] < 20
    assert (tmp_path / "report.html").exists()
