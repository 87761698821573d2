# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception detect``: annotated pictures and videos, and detections as JSON."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from patience import PATIENCE_S
from tiny_model import write_tiny_model

from crack_perception.cli.main import main

GREY = 180


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def wall(width: int = 320, height: int = 256, column: int | None = 160) -> np.ndarray:
    """A grey wall, with a dark line of 3 px down a column."""
    pixels = np.full((height, width, 3), GREY, np.uint8)
    if column is not None:
        pixels[:, column - 1 : column + 2] = 5
    return pixels


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def write_video(path: Path, frames: list[np.ndarray], rate_hz: float = 10.0) -> Path:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (width, height))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write videos")
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def detect(model: str, out: Path, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit code and detections.json."""
    code = main(["detect", "--model", model, "--out", str(out), *map(str, arguments)])
    return code, json.loads((out / "detections.json").read_text(encoding="utf-8"))


def test_detect_picture_reports_and_draws_crack(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = write(tmp_path / "wall.png", wall())
    code, report = detect(model, tmp_path / "new" / "out", "--gsd", "0.2", picture)
    assert code == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(tmp_path / "new" / "out" / "detections.json")
    assert shown.err == f"{picture}: 1 crack, wall_annotated.jpg\n"
    (entry,) = report["inputs"]
    assert entry["path"] == str(picture)
    (region,) = entry["regions"]
    assert region["centre_px"] == pytest.approx([159.5, 127.5], abs=0.5)
    assert region["size_px"] == pytest.approx([256, 64], abs=0.5)
    assert region["angle_rad"] == pytest.approx(np.pi / 2)
    assert region["crack_score"] > 0.99
    assert region["severity"] == "obvious"
    assert region["severity_probabilities"] == pytest.approx({"minor": 0.0, "obvious": 1.0}, abs=1e-4)
    # The line is 3 px wide, the estimate of the tiny model is 2.
    assert 2.0 < region["width_px"] < 3.1
    assert region["width_sigma_px"] > 0
    assert region["width_mm"] == pytest.approx(0.2 * region["width_px"])
    assert region["width_sigma_mm"] == pytest.approx(0.2 * region["width_sigma_px"])
    (line,) = region["lines"]
    assert line["length_px"] == pytest.approx(256, rel=0.06)
    assert np.median(np.array(line["points_px"]), axis=0) == pytest.approx([160, 127.5], abs=4)
    assert len(line["width_px"]) == len(line["points_px"])
    assert np.median([width for width in line["width_px"] if width]) == pytest.approx(3.0, abs=0.3)
    annotated = cv2.imread(str(tmp_path / "new" / "out" / entry["annotated"]))
    assert annotated.shape == (256, 320, 3)
    left_edge = annotated[100:200, 125:131].reshape(-1, 3).astype(int)
    assert np.abs(left_edge - GREY).sum(axis=1).max() > 100, "the box is drawn beside the crack"


def test_detect_report_holds_settings(model: str, tmp_path: Path) -> None:
    _, report = detect(model, tmp_path, "--preset", "ec2", "--threshold", "0.7", write(tmp_path / "wall.png", wall()))
    assert report["model"]["name"] == "tiny"
    assert len(report["model"]["sha256"]) == 64
    assert "onnxruntime" in report["backend"]
    assert (report["threshold"], report["gsd_mm_per_px"], report["severity_preset"]) == (0.7, None, "ec2")


def test_detect_without_gsd_severity_is_undetermined(model: str, tmp_path: Path) -> None:
    _, report = detect(model, tmp_path, write(tmp_path / "wall.png", wall()))
    (region,) = report["inputs"][0]["regions"]
    assert region["severity"] == "undetermined"
    assert region["severity_probabilities"] == {}
    assert region["width_mm"] is None
    assert region["width_sigma_mm"] is None


def test_detect_intact_wall_has_no_regions(model: str, tmp_path: Path) -> None:
    code, report = detect(model, tmp_path, write(tmp_path / "wall.png", wall(column=None)))
    assert code == 0
    assert report["inputs"][0]["regions"] == []
    assert (tmp_path / report["inputs"][0]["annotated"]).is_file()


def test_detect_inputs_of_same_name_get_distinct_outputs(model: str, tmp_path: Path) -> None:
    inputs = [
        write(tmp_path / folder / name, wall(width, 64, None))
        for width, (folder, name) in enumerate(
            [("a", "wall.png"), ("b", "wall.png"), ("a", "wall_2.png"), ("a", "wall.bmp")], start=100
        )
    ]
    _, report = detect(model, tmp_path / "out", *inputs)
    names = [entry["annotated"] for entry in report["inputs"]]
    assert len(set(names)) == 4
    assert [cv2.imread(str(tmp_path / "out" / name)).shape[1] for name in names] == [100, 101, 102, 103]


def test_detect_video_reports_every_frame(model: str, tmp_path: Path) -> None:
    columns = [None, 60, 160, None, 260]
    video = write_video(tmp_path / "flight.avi", [wall(column=column) for column in columns])
    code, report = detect(model, tmp_path / "out", video)
    assert code == 0
    (entry,) = report["inputs"]
    assert [frame["frame"] for frame in entry["frames"]] == [0, 1, 2, 3, 4]
    assert [frame["time_s"] for frame in entry["frames"]] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [len(frame["regions"]) for frame in entry["frames"]] == [0, 1, 1, 0, 1]
    assert [frame["regions"][0]["centre_px"][0] for frame in entry["frames"] if frame["regions"]] == pytest.approx(
        [31.5, 159.5, 287.5], abs=64
    )
    capture = cv2.VideoCapture(str(tmp_path / "out" / entry["annotated"]))
    sizes = []
    while (read := capture.read())[0]:
        sizes.append(read[1].shape)
    assert sizes == [(256, 320, 3)] * 5


def test_detect_bad_inputs_are_reported_and_skipped(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "wall.png", wall())
    text = tmp_path / "notes.txt"
    text.write_text("no picture", encoding="utf-8")
    broken = tmp_path / "flight.mp4"
    broken.write_bytes(b"no video")
    code, report = detect(model, tmp_path / "out", text, tmp_path / "no.png", tmp_path / "no.mp4", broken, good)
    assert code == 1
    assert ["error" in entry for entry in report["inputs"]] == [True, True, True, True, False]
    assert len(report["inputs"][4]["regions"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    for path in (text, tmp_path / "no.png", tmp_path / "no.mp4", broken):
        assert sum(line.startswith(f"{path}: ") for line in error.splitlines()) == 1


def test_detect_unwritable_output_is_reported(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = write(tmp_path / "wall.png", wall())
    assert main(["detect", "--model", model, "--out", str(picture), str(picture)]) == 1
    assert f"{picture}: cannot be created" in capsys.readouterr().err
    (tmp_path / "out" / "detections.json").mkdir(parents=True)
    assert main(["detect", "--model", model, "--out", str(tmp_path / "out"), str(picture)]) == 1
    assert "detections.json: cannot be written" in capsys.readouterr().err
    (tmp_path / "blocked" / "wall_annotated.jpg").mkdir(parents=True)
    code, report = detect(model, tmp_path / "blocked", picture)
    assert code == 1
    assert "cannot be written" in report["inputs"][0]["error"]


def test_detect_file_names_of_any_bytes_are_accepted(model: str, tmp_path: Path) -> None:
    picture, video = (tmp_path / os.fsdecode(b"w\xff" + suffix) for suffix in (b".png", b".avi"))
    try:
        write(picture, wall())
        video.write_bytes(b"")
    except OSError:
        pytest.skip("this file system has no such names")
    code, report = detect(model, tmp_path / "out", picture, video)
    assert code == 1
    assert len(report["inputs"][0]["regions"]) == 1
    assert (tmp_path / "out" / report["inputs"][0]["annotated"]).is_file()
    assert "not UTF-8" in report["inputs"][1]["error"]


def test_detect_video_into_a_folder_of_any_bytes_is_refused_with_the_reason(model: str, tmp_path: Path) -> None:
    video = write_video(tmp_path / "wall.avi", [wall()] * 3)
    out = tmp_path / os.fsdecode(b"out \xff")
    code, report = detect(model, out, video)
    assert code == 1
    assert "the name of the annotated video is not UTF-8" in report["inputs"][0]["error"]


def test_detect_number_out_of_range_is_usage_error(model: str, tmp_path: Path) -> None:
    picture = write(tmp_path / "wall.png", wall())
    out = tmp_path / "out"
    assert main(["detect", "--model", model, "--out", str(out), "--gsd", "0", str(picture)]) == 2
    assert not out.exists()


def test_detect_output_never_overwrites_an_input(model: str, tmp_path: Path) -> None:
    first = write(tmp_path / "a.png", wall())
    second = write(tmp_path / "a_annotated.jpg", wall(column=None))
    link = tmp_path / "links"
    link.mkdir()
    (link / "b.png").write_bytes(first.read_bytes())
    (tmp_path / "b_annotated.jpg").symlink_to(second)
    before = second.read_bytes()
    code, report = detect(model, tmp_path, first, second, link / "b.png")
    assert code == 0
    assert second.read_bytes() == before
    names = [entry["annotated"] for entry in report["inputs"]]
    assert len(set(names)) == 3
    assert not {"a_annotated.jpg", "b_annotated.jpg"} & set(names)
    assert [len(entry["regions"]) for entry in report["inputs"]] == [1, 0, 1]


def test_detect_report_path_as_input_is_usage_error(model: str, tmp_path: Path) -> None:
    path = tmp_path / "detections.json"
    path.write_text("mine", encoding="utf-8")
    assert main(["detect", "--model", model, "--out", str(tmp_path), str(path)]) == 2
    assert path.read_text(encoding="utf-8") == "mine"


def test_detect_folder_expands_to_pictures_without_outputs(model: str, tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "deep/c.png", "notes.txt"):
        write(tmp_path / name, wall()) if not name.endswith("txt") else (tmp_path / name).write_text("notes")
    out = tmp_path / "out"
    _, report = detect(model, out, tmp_path)
    assert [Path(entry["path"]).name for entry in report["inputs"]] == ["a.jpg", "b.png"]
    for _ in range(2):
        _, report = detect(model, out, "--recursive", tmp_path)
        assert [Path(entry["path"]).name for entry in report["inputs"]] == ["a.jpg", "b.png", "c.png"]
    (tmp_path / "empty").mkdir()
    assert main(["detect", "--model", model, "--out", str(out), str(tmp_path / "empty")]) == 2


def test_detect_into_the_folder_of_the_pictures_twice_does_not_read_its_own_results(model: str, tmp_path: Path) -> None:
    write(tmp_path / "a.png", wall())
    for option in ((), ("--recursive",)):
        code, report = detect(model, tmp_path, *option, tmp_path)
        assert code == 0 and [Path(entry["path"]).name for entry in report["inputs"]] == ["a.png"]
        assert (tmp_path / "a_annotated.jpg").is_file()


def test_detect_resume_processes_only_unfinished_inputs(model: str, tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.png", wall()), tmp_path / "b.png"
    code, report = detect(model, tmp_path / "out", first, second)
    assert (code, "error" in report["inputs"][1]) == (1, True)
    write(second, wall())
    annotated = tmp_path / "out" / report["inputs"][0]["annotated"]
    annotated.write_bytes(b"kept")
    code, report = detect(model, tmp_path / "out", "--resume", first, second)
    assert (code, report["complete"]) == (0, True)
    assert annotated.read_bytes() == b"kept"
    assert [len(entry["regions"]) for entry in report["inputs"]] == [1, 1]
    arguments = ["detect", "--model", model, "--out", str(tmp_path / "out"), "--resume", "--gsd", "1", str(first)]
    assert main(arguments) == 2


def test_detect_resume_after_kill_reads_journal(model: str, tmp_path: Path) -> None:
    first = write(tmp_path / "a.png", wall())
    _, report = detect(model, tmp_path, first)
    entry = {**report["inputs"][0], "mark": 1}
    settings = {key: value for key, value in report.items() if key not in ("inputs", "complete")}
    journal = tmp_path / "detections.partial.jsonl"
    journal.write_text(json.dumps({"settings": settings}) + "\n" + json.dumps(entry) + '\n{"path": "cut o')
    (tmp_path / "detections.json").unlink()
    _, report = detect(model, tmp_path, "--resume", first)
    assert report["inputs"] == [entry]
    assert not journal.exists()


def test_detect_truncated_video_is_error_with_frames(model: str, tmp_path: Path) -> None:
    video = write_video(tmp_path / "flight.avi", [wall(column=160)] * 20)
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 6 // 10])
    code, report = detect(model, tmp_path / "out", video)
    (entry,) = report["inputs"]
    assert code == 1
    assert 5 < len(entry["frames"]) < 15
    assert f"read {len(entry['frames'])} of 20 frames" in entry["error"]


def test_detect_no_data_border_is_not_scored(model: str, tmp_path: Path) -> None:
    pixels = np.dstack([wall(), np.full((256, 320), 255, np.uint8)])
    pixels[:, :160] = 0
    _, report = detect(model, tmp_path, write(tmp_path / "ortho.png", pixels))
    (region,) = report["inputs"][0]["regions"]
    assert region["centre_px"][0] > 150


def test_detect_resume_processes_a_changed_input_again(model: str, tmp_path: Path) -> None:
    image, out = write(tmp_path / "a.png", wall()), tmp_path / "out"
    assert len(detect(model, out, image)[1]["inputs"][0]["regions"]) == 1
    intact = write(tmp_path / "b.png", wall(column=None)).read_bytes()
    deadline = time.monotonic() + PATIENCE_S
    while image.stat().st_ctime_ns <= (out / "detections.json").stat().st_mtime_ns and time.monotonic() < deadline:
        image.write_bytes(intact)
    code, report = detect(model, out, "--resume", image)
    assert (code, report["complete"], report["inputs"][0]["regions"]) == (0, True, [])
