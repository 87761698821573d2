# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Demo: cached flight, choice of the model, summary sentence, faults, and the whole command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from slow_model import write_slow_model
from tiny_model import write_tiny_model

import crack_perception
from crack_perception.cli.main import main
from crack_perception.evaluation.replay.demo import (
    MAX_STRETCH,
    choice_of,
    choice_sentence,
    choose_model,
    faults,
    fingerprint,
    machine_sentence,
    provide_flight,
)
from crack_perception.simulation.flight.settings import FlightSettings

TINY_FLIGHT = FlightSettings(width=160, height=120, fps=5.0, duration_s=0.4, standoff_m=0.5)


def test_fingerprint_differs_for_different_flights(tmp_path: Path) -> None:
    texture = tmp_path / "wall.png"
    texture.write_bytes(b"one picture")
    settings = FlightSettings(texture=texture, texture_mm_per_px=0.3)
    first = fingerprint(settings)
    assert fingerprint(FlightSettings(texture=texture, texture_mm_per_px=0.3)) == first
    assert fingerprint(FlightSettings(texture=texture, texture_mm_per_px=0.4)) != first
    texture.write_bytes(b"another picture")
    assert fingerprint(settings) != first


def test_fingerprint_changed_simulator_module_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "simulation" / "wall" / "texture.py"
    module.parent.mkdir(parents=True)
    module.write_text("GRAIN = 1")
    monkeypatch.setattr(crack_perception, "__file__", str(tmp_path / "__init__.py"))
    first = fingerprint(TINY_FLIGHT)
    module.write_text("GRAIN = 2")
    assert fingerprint(TINY_FLIGHT) != first


def test_provide_flight_reuses_flight_until_settings_change(tmp_path: Path) -> None:
    bag, output = tmp_path / "bag", []
    provide_flight(TINY_FLIGHT, bag, False, output.append)
    written_ns = (bag / "metadata.yaml").stat().st_mtime_ns
    provide_flight(TINY_FLIGHT, bag, False, output.append)
    assert (bag / "metadata.yaml").stat().st_mtime_ns == written_ns
    assert "reusing" in output[-1]
    provide_flight(FlightSettings(**{**vars(TINY_FLIGHT), "seed": 1}), bag, False, output.append)
    changed_ns = (bag / "metadata.yaml").stat().st_mtime_ns
    assert changed_ns != written_ns
    provide_flight(FlightSettings(**{**vars(TINY_FLIGHT), "seed": 1}), bag, True, output.append)
    assert (bag / "metadata.yaml").stat().st_mtime_ns != changed_ns


def test_provide_flight_missing_bag_is_simulated_again(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    provide_flight(TINY_FLIGHT, bag, False, lambda line: None)
    shutil.rmtree(bag)
    provide_flight(TINY_FLIGHT, bag, False, lambda line: None)
    assert (bag / "metadata.yaml").is_file()


@pytest.mark.slow
def test_demo_prints_figures_and_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, model = tmp_path / "demo", write_tiny_model(tmp_path / "tiny", tile_px=256)
    code = main(["demo", "--out", str(out), "--seconds", "1.6", "--model", str(model)])
    output = capsys.readouterr().out.splitlines()
    assert code == 0
    assert output[-1].split() == ["report", str(out / "report.html")]
    assert any("cracks found" in line for line in output)
    report = json.loads((out / "report.json").read_text())
    frames = report["frames"]
    assert frames["sent"] == frames["received"] == frames["arrays_received"] + frames["dropped"] == 16
    assert (out / "bag" / "truth.json").is_file()
    # The wall is flown over twice, and the map is compared with the truth.
    assert report["map"]["recall"] is not None and (out / "map" / "crack_map.png").is_file()
    assert any(line.startswith("map ") for line in output)
    # The PDF of the map needs the extra `report`, which the tests have.
    assert output[-2].split() == ["PDF", str(out / "report.pdf")] and (out / "report.pdf").is_file()


@pytest.mark.slow
def test_demo_slow_machine_evaluates_the_flight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, model = tmp_path / "demo", write_slow_model(tmp_path / "slow", tile_px=256)
    options = ["demo", "--out", str(out), "--seconds", "1.6", "--model", str(model)]
    assert main(options) == 0
    output = capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["pace"]["mode"] in ("slowed down", "frames dropped")
    assert report["pace"]["stretch"] > 1.1 and report["playback"]["held_s"] > 0.5
    assert report["pace"]["handled_hz"] < 0.8 * report["pace"]["camera_hz"] == pytest.approx(8.0, rel=1e-3)
    assert "Hz of this flight's 10 Hz with the model slow; it was played" in output
    assert report["map"]["recall"] is not None
    # In real time, such a machine drops frames, which are faults with --strict.
    assert main([*options, "--strict"]) == 1
    strict = json.loads((out / "report.json").read_text())
    assert strict["pace"]["mode"] == "frames dropped" and strict["playback"]["held_s"] == 0.0
    assert f"the node dropped {strict['frames']['dropped']} frames" in capsys.readouterr().out


def test_choose_model_small_images_selects_standard(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    provide_flight(TINY_FLIGHT, bag, False, lambda line: None)
    choice = choose_model(bag, "onnxruntime")
    assert 0 < choice.frame_s < 1.0
    assert (choice.name, choice.stretch >= 1.0) == ("standard", True)


def test_demo_texture_without_scale_is_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--texture", str(tmp_path / "wall.png")]) == 2
    assert "--texture-mm-per-px" in capsys.readouterr().err


def demo_report(
    processed: int = 220, stretch: float = 1.0, handled_hz: float | None = 9.9, **changes: Any
) -> dict[str, Any]:
    """Return the evaluated part of a report of 220 images at 10 Hz."""
    figures = {
        "frames": {
            "sent": 220,
            "received": 220,
            "processed": processed,
            "dropped": 220 - processed,
            "failed": 0,
            "arrays_received": processed,
        },
        "pace": {"mode": "", "camera_hz": 10.0, "handled_hz": handled_hz, "stretch": stretch},
        "model": {"name": "standard"},
        "map": {"recall": 0.984},
        "accuracy": {"crack_recall": 0.99},
        "problems": [],
        "map_problem": None,
    }
    frames = figures["frames"] | changes.pop("frames", {})
    return {**figures, **changes, "frames": frames}


def test_machine_sentence_real_time_names_the_rate() -> None:
    sentence = machine_sentence(demo_report())
    assert sentence.startswith("your machine handles this flight in real time (10 Hz) with the model standard")
    assert "every frame was processed" in sentence and "the map holds 98% of the cracks' length" in sentence


def test_machine_sentence_slowed_down_names_rate_and_stretch() -> None:
    sentence = machine_sentence(demo_report(stretch=3.2, handled_hz=3.04))
    assert sentence.startswith("your machine handles 3.0 Hz of this flight's 10 Hz with the model standard")
    assert "played 3.2 times slower than flown; every frame was processed" in sentence


def test_machine_sentence_dropped_frames_are_counted() -> None:
    sentence = machine_sentence(demo_report(processed=81, handled_hz=3.0))
    assert "81 of 220 frames were processed; the map still holds 98%" in sentence
    assert "nan" not in machine_sentence(demo_report(map=None)) and "map" not in machine_sentence(demo_report(map=None))


def test_faults_dropped_and_lost_frames_only_when_strict() -> None:
    slow = demo_report(processed=81, problems=["of 220 images sent the node received 219"], frames={"received": 219})
    assert faults(slow, strict=False) == []
    assert faults(slow, strict=True) == [
        "of 220 images sent the node received 219",
        "the node dropped 139 frames",
    ]
    assert faults(demo_report(), strict=True) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"frames": {"arrays_received": 0}}, "no detection array"),
        ({"accuracy": None}, "could not be compared"),
        ({"frames": {"failed": 2}}, "failed on 2 frames"),
        ({"frames": {"received": None}}, "no diagnostics"),
        ({"map_problem": "the disk is full"}, "no crack map: the disk is full"),
    ],
)
def test_faults_unevaluated_flight_names_the_cause(changes: dict[str, Any], expected: str) -> None:
    assert any(expected in fault for fault in faults(demo_report(**changes), strict=False))


def test_choice_of_takes_the_first_model_that_is_fast_enough() -> None:
    quick = choice_of([("standard", 0.05), ("medium", 0.02)], 10.0)
    assert (quick.name, quick.stretch, quick.slower) == ("standard", 1.0, ())
    assert choice_of([("standard", 0.18), ("medium", 0.02)], 10.0).name == "standard"
    between = choice_of([("standard", 0.6), ("medium", 0.25), ("nano", 0.2)], 10.0)
    assert (between.name, between.slower) == ("medium", (("standard", 0.6),))
    assert between.stretch == pytest.approx(3.75) and between.stretch <= MAX_STRETCH
    assert choice_sentence(between) == (
        "standard currently takes 600 ms, medium currently takes 250 ms per frame on this machine: medium is used"
    )


def test_choice_of_without_a_fast_model_takes_the_last() -> None:
    assert choice_of([("standard", 3.0), ("nano", 2.0)], 10.0).name == "nano"
