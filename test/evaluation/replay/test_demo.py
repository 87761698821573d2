"""Demo: cached flight, replay and page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from slow_model import write_slow_model
from tiny_model import write_tiny_model

import crack_perception
from crack_perception.cli.main import main
from crack_perception.evaluation.replay.demo import choose_model, fingerprint, provide_flight
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
