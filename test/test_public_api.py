# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the public API: imports, detector and results, and documented examples."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from sample_files import write_sample_files

import crack_perception
from crack_perception import Crack, CrackDetector, Cracks, UserError
from crack_perception.cli.main import main

PUBLIC_MODULES = (
    "crack_perception",
    "crack_perception.mapping.storage.map_file",
    "crack_perception.recognition.cracks",
    "crack_perception.recognition.detector",
)
HEAVY = {"cv2", "numpy", "onnxruntime", "rclpy", "torch"}
IMPORT_S = 0.3
GSD_MM_PER_PX = 0.5


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_files(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def wall(samples: Path) -> np.ndarray:
    return cv2.imread(str(samples / "wall.jpg"))


@pytest.fixture(scope="module")
def detector() -> CrackDetector:
    return CrackDetector("nano", backend="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def cracks(detector: CrackDetector, wall: np.ndarray) -> Cracks:
    found = detector(wall, gsd_mm_per_px=GSD_MM_PER_PX)
    assert len(found) >= 1
    return found


def python(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def same(one: Cracks, other: Cracks) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("boxes", "scores", "width_px", "width_mm", "severity_probabilities")
    )


def test_package_import_loads_no_heavy_package() -> None:
    names = python("import crack_perception, sys; dir(crack_perception); print(*sys.modules)").split()
    assert {name.split(".")[0] for name in names} & HEAVY == set()


@pytest.mark.parametrize("value", [None, "0"])
def test_package_switches_off_usage_data_of_onnx_runtime_unless_the_user_has_decided(value: str | None) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {} if value is None else {"ORT_DISABLE_TELEMETRY": value}
    program = "import os, crack_perception; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == (value or "1")


def test_package_import_is_fast() -> None:
    program = "import time; s = time.process_time(); import crack_perception; print(time.process_time() - s)"
    assert statistics.median(float(python(program)) for _ in range(3)) < IMPORT_S


def test_package_names_in_all_exist() -> None:
    assert {"CrackDetector", "CrackMap"} <= set(crack_perception.__all__) <= set(dir(crack_perception))
    for name in crack_perception.__all__:
        assert getattr(crack_perception, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = crack_perception.no_such_name


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_docstring_examples_run(name: str, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(samples)
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0


def test_public_classes_have_examples() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    for name in ("CrackDetector", "Cracks", "CrackMap"):
        assert any(test.examples for test in finder.find(getattr(crack_perception, name), name)), name


def test_cracks_arrays_have_one_entry_per_crack(cracks: Cracks) -> None:
    count = len(cracks)
    assert cracks.boxes.shape == (count, 5)
    assert cracks.corners.shape == (count, 4, 2)
    assert cracks.xyxy.shape == (count, 4)
    assert cracks.severity_probabilities.shape == (count, 2)
    for name in ("scores", "lines", "line_widths_px", "width_px", "width_sigma_px", "width_mm", "severity"):
        assert getattr(cracks, name).shape == (count,), name
    assert (np.diff(cracks.scores) <= 0).all()
    assert np.allclose(cracks.width_mm, cracks.width_px * GSD_MM_PER_PX)
    assert any(cracks.lines)
    for lines, widths in zip(cracks.lines, cracks.line_widths_px, strict=True):
        assert all(line.shape == (len(width), 2) for line, width in zip(lines, widths, strict=True))


def test_cracks_width_matches_crack(cracks: Cracks) -> None:
    longest = max(cracks, key=lambda crack: sum(map(len, crack.lines)))
    assert longest.width_px == pytest.approx(4.0, abs=1.0)
    assert longest.severity == "obvious"


def test_cracks_index_slice_and_mask_select(cracks: Cracks) -> None:
    twice = cracks[[0, 0]]
    assert isinstance(cracks[0], Crack) and isinstance(cracks[-1], Crack)
    assert len(twice) == 2 and np.array_equal(twice.boxes[0], cracks.boxes[0])
    assert len(twice[1:]) == 1 and len(twice[twice.scores > 2.0]) == 0 and len(cracks[[]]) == 0
    assert [crack.score for crack in twice] == twice.scores.tolist()
    assert twice[[]].severity_labels == cracks.severity_labels
    with pytest.raises(IndexError):
        _ = cracks[len(cracks)]


def test_detector_path_and_array_same_result(detector: CrackDetector, cracks: Cracks, samples: Path) -> None:
    assert same(detector(samples / "wall.jpg", gsd_mm_per_px=GSD_MM_PER_PX), cracks)
    assert same(detector(str(samples / "wall.jpg"), gsd_mm_per_px=GSD_MM_PER_PX), cracks)


def test_detector_call_is_stateless(detector: CrackDetector, cracks: Cracks, wall: np.ndarray) -> None:
    other = np.full((300, 200, 3), 90, np.uint8)
    assert len(detector(other)) == 0
    before = wall.copy()
    assert same(detector(wall, gsd_mm_per_px=GSD_MM_PER_PX), cracks)
    assert np.array_equal(wall, before)


def test_detector_shared_between_threads(detector: CrackDetector, cracks: Cracks, wall: np.ndarray) -> None:
    images = [wall, np.full((300, 200, 3), 90, np.uint8)] * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: detector(image, gsd_mm_per_px=GSD_MM_PER_PX), images))
    assert all(same(result, cracks) for result in found[::2])
    assert [len(result) for result in found[1::2]] == [0] * 4


def test_detector_without_gsd_millimetres_unknown(detector: CrackDetector, wall: np.ndarray) -> None:
    found = detector(wall)
    assert np.isfinite(found.width_px).all() and np.isnan(found.width_mm).all()
    assert set(found.severity) == {"undetermined"}
    assert np.isnan(found.severity_probabilities).all()
    json.dumps(found.to_geojson(), allow_nan=False)


def test_detector_custom_edges_give_custom_classes(wall: np.ndarray) -> None:
    with CrackDetector("nano", severity=[0.5, 1.0, 1.5], severity_confidence=0.5) as detector:
        found = detector(wall, gsd_mm_per_px=GSD_MM_PER_PX)
    assert found.severity_labels == ("<0.5mm", "0.5-1mm", "1-1.5mm", ">=1.5mm")
    assert found.severity_probabilities.shape == (len(found), 4)
    assert np.allclose(found.severity_probabilities.sum(axis=1), 1.0)


def test_detector_model_folder_accepted(tiny_model: Path) -> None:
    image = np.full((128, 128, 3), 180, np.uint8)
    image[20:24, 20:40] = 5
    with CrackDetector(tiny_model, threshold=0.6) as detector:
        assert (detector.model_name, detector.threshold) == ("tiny", 0.6)
        assert "onnxruntime" in detector.backend
        assert len(detector(image)) == 1
        assert len(detector(image[..., 0])) == 1


def test_score_equals_command_line_and_shows_intact_images(
    detector: CrackDetector, wall: np.ndarray, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "nano", "--backend", "onnxruntime", "--gsd", str(GSD_MM_PER_PX)]
    assert main(["score", *arguments, str(samples / "wall.jpg")]) == 0
    row = capsys.readouterr().out.splitlines()[1].split(",")
    score = detector.score(wall, gsd_mm_per_px=GSD_MM_PER_PX)
    assert score == pytest.approx(float(row[1]), abs=1e-5) and score >= detector.threshold
    assert detector.score(samples / "wall.jpg", gsd_mm_per_px=GSD_MM_PER_PX) == pytest.approx(score, abs=1e-5)
    assert 0.0 <= detector.score(np.full((300, 200, 3), 90, np.uint8)) < detector.threshold


def test_detector_failed_backend_is_a_user_error(wall: np.ndarray) -> None:
    detector = CrackDetector("nano", backend="onnxruntime", threads=1)
    detector.close()
    for use in (detector, detector.score):
        with pytest.raises(UserError, match="closed"):
            use(wall)


def test_plot_takes_what_the_detector_takes(detector: CrackDetector, samples: Path, wall: np.ndarray) -> None:
    cracks = detector(samples / "wall.jpg")
    assert np.array_equal(cracks.plot(samples / "wall.jpg"), cracks.plot(wall))
    assert cracks.plot(wall[..., 0]).shape == wall.shape
    with pytest.raises(UserError, match="no_such_file"):
        cracks.plot("no_such_file.jpg")


def test_plot_input_unchanged(cracks: Cracks, wall: np.ndarray) -> None:
    before = wall.copy()
    drawn = cracks.plot(wall)
    assert drawn.shape == wall.shape and (drawn != wall).any()
    assert np.array_equal(wall, before)
    assert cracks[[]].plot(wall).shape == wall.shape


def test_to_geojson_has_lines_or_boxes(cracks: Cracks) -> None:
    collection = cracks.to_geojson()
    assert json.loads(json.dumps(collection, allow_nan=False)) == collection
    assert len(collection["features"]) == len(cracks)
    for feature, crack in zip(collection["features"], cracks, strict=True):
        assert feature["geometry"]["type"] == ("MultiLineString" if crack.lines else "Polygon")
        assert feature["properties"]["severity"] == crack.severity
        assert feature["properties"]["width_mm"] == crack.width_mm


def test_to_supervision_gives_detections(cracks: Cracks) -> None:
    supervision = pytest.importorskip("supervision", reason="the package supervision is not installed")
    detections = cracks.to_supervision()
    assert len(detections) == len(cracks)
    assert np.allclose(detections.xyxy, cracks.xyxy, atol=1e-2)
    assert detections.data["class_name"].tolist() == cracks.severity.tolist()
    annotated = supervision.OrientedBoxAnnotator().annotate(np.zeros((600, 800, 3), np.uint8), detections)
    assert annotated.any()
    assert len(cracks[[]].to_supervision()) == 0


def test_to_supervision_missing_package_named(cracks: Cracks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match="pip install supervision"):
        cracks.to_supervision()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"model": "no_such_model"}, "no_such_model"),
        ({"backend": "no_such_backend"}, "no_such_backend"),
        ({"threads": -1}, "-1"),
        ({"threshold": 1.5}, "1.5"),
        ({"tile_overlap": 0.95}, "0.95"),
        ({"severity": "no_such_preset"}, "no_such_preset"),
        ({"severity": [0.3, 0.1]}, "0.3, 0.1"),
        ({"severity_confidence": 0.2}, "0.2"),
    ],
)
def test_detector_wrong_argument_named(arguments: dict, part: str) -> None:
    with pytest.raises(UserError, match=part):
        CrackDetector(**({"model": "nano"} | arguments))


@pytest.mark.parametrize(
    ("image", "part"),
    [
        ("no_such_file.jpg", "no_such_file.jpg"),
        (np.zeros((10, 10, 3)), "float64"),
        (np.zeros((0, 10, 3), np.uint8), "0, 10, 3"),
        (np.zeros((10, 10, 2), np.uint8), "10, 10, 2"),
        ([[1, 2]], "list"),
    ],
)
def test_detector_unusable_image_refused(detector: CrackDetector, image: object, part: str) -> None:
    with pytest.raises(UserError, match=part):
        detector(image)


@pytest.mark.parametrize("gsd", [0.0, -1.0, float("nan"), float("inf"), 1e9, 1e-9])
def test_detector_unusable_gsd_refused(detector: CrackDetector, wall: np.ndarray, gsd: float) -> None:
    with pytest.raises(UserError, match="gsd_mm_per_px"):
        detector(wall, gsd_mm_per_px=gsd)


def test_plot_on_another_image_is_refused(detector: CrackDetector, wall: np.ndarray) -> None:
    cracks = detector(wall)
    assert len(cracks)
    with pytest.raises(UserError, match=r"the image has 20x20 px, but a crack lies at"):
        cracks.plot(np.ascontiguousarray(wall[:20, :20]))
