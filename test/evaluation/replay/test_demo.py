"""The demo: a flight, its replay and a page, and the flight kept for the next time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from slow_model import write_slow_model
from tiny_model import write_tiny_model

from crack_perception.cli.main import main
from crack_perception.evaluation.replay.demo import choose_model, fingerprint, provide_flight
from crack_perception.simulation.flight.settings import FlightSettings

TINY_FLIGHT = FlightSettings(width=160, height=120, fps=5.0, duration_s=0.4, standoff_m=0.5)


def test_fingerprint_tells_flights_apart(tmp_path: Path) -> None:
    texture = tmp_path / "wall.png"
    texture.write_bytes(b"one picture")
    settings = FlightSettings(texture=texture, texture_mm_per_px=0.3)
    first = fingerprint(settings)
    assert fingerprint(FlightSettings(texture=texture, texture_mm_per_px=0.3)) == first
    assert fingerprint(FlightSettings(texture=texture, texture_mm_per_px=0.4)) != first
    texture.write_bytes(b"another picture")
    assert fingerprint(settings) != first


def test_a_flight_is_kept_until_its_settings_change(tmp_path: Path) -> None:
    bag, said = tmp_path / "bag", []
    provide_flight(TINY_FLIGHT, bag, False, said.append)
    written_ns = (bag / "metadata.yaml").stat().st_mtime_ns
    provide_flight(TINY_FLIGHT, bag, False, said.append)
    assert (bag / "metadata.yaml").stat().st_mtime_ns == written_ns
    assert "keeping" in said[-1]
    provide_flight(FlightSettings(**{**vars(TINY_FLIGHT), "seed": 1}), bag, False, said.append)
    changed_ns = (bag / "metadata.yaml").stat().st_mtime_ns
    assert changed_ns != written_ns
    provide_flight(FlightSettings(**{**vars(TINY_FLIGHT), "seed": 1}), bag, True, said.append)
    assert (bag / "metadata.yaml").stat().st_mtime_ns != changed_ns


def test_a_flight_that_is_gone_is_simulated_again(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    provide_flight(TINY_FLIGHT, bag, False, lambda line: None)
    shutil.rmtree(bag)
    provide_flight(TINY_FLIGHT, bag, False, lambda line: None)
    assert (bag / "metadata.yaml").is_file()


@pytest.mark.slow
def test_demo_ends_with_its_figures_and_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, model = tmp_path / "demo", write_tiny_model(tmp_path / "tiny", tile_px=256)
    code = main(["demo", "--out", str(out), "--seconds", "1.6", "--model", str(model)])
    said = capsys.readouterr().out.splitlines()
    assert code == 0
    assert said[-1].split() == ["report", str(out / "report.html")]
    assert any("cracks found" in line for line in said)
    report = json.loads((out / "report.json").read_text())
    frames = report["frames"]
    assert frames["sent"] == frames["received"] == frames["arrays_received"] + frames["dropped"] == 16
    assert (out / "bag" / "truth.json").is_file()
    # The wall is flown twice, and its map stands beside the truth.
    assert report["map"]["recall"] is not None and (out / "map" / "crack_map.png").is_file()
    assert any(line.startswith("map ") for line in said)


@pytest.mark.slow
def test_demo_on_a_machine_that_is_too_slow_evaluates_the_flight_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model = tmp_path / "demo", write_slow_model(tmp_path / "slow", tile_px=256)
    options = ["demo", "--out", str(out), "--seconds", "1.6", "--model", str(model)]
    assert main(options) == 0
    said = capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["pace"]["mode"] in ("slowed down", "frames dropped")
    assert report["pace"]["stretch"] > 1.1 and report["playback"]["held_s"] > 0.5
    assert report["pace"]["handled_hz"] < 0.8 * report["pace"]["camera_hz"] == pytest.approx(8.0, rel=1e-3)
    assert "Hz of this flight's 10 Hz with the model slow; it was played" in said
    assert report["map"]["recall"] is not None
    # In real time, such a machine drops frames, which the strict rule does not forgive.
    assert main([*options, "--strict"]) == 1
    strict = json.loads((out / "report.json").read_text())
    assert strict["pace"]["mode"] == "frames dropped" and strict["playback"]["held_s"] == 0.0
    assert f"the node dropped {strict['frames']['dropped']} frames" in capsys.readouterr().out


def test_choose_model_takes_standard_for_small_images_at_a_low_rate(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    provide_flight(TINY_FLIGHT, bag, False, lambda line: None)
    choice = choose_model(bag, "onnxruntime")
    assert 0 < choice.frame_s < 1.0
    assert (choice.name, choice.stretch >= 1.0) == ("standard", True)


def test_demo_refuses_a_texture_without_a_scale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--texture", str(tmp_path / "wall.png")]) == 2
    assert "--texture-mm-per-px" in capsys.readouterr().err
