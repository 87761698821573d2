# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The command line: verbs, exit codes, signals, and one-line errors instead of tracebacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from patience import PATIENCE_S, wait_for
from tiny_model import write_tiny_model

from crack_perception import __version__
from crack_perception.cli.main import VERBS, main

PROGRAM = [sys.executable, "-m", "crack_perception.cli.main"]
HEAVY = {"cv2", "onnx", "onnxruntime", "rclpy", "rosbags", "sklearn", "torch"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and a picture."""
    place = tmp_path_factory.mktemp("cli")
    write_tiny_model(place / "tiny")
    assert cv2.imwrite(str(place / "wall.png"), np.full((600, 800, 3), 180, np.uint8))
    return place


def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False, **options
    )


@pytest.mark.parametrize("verb", VERBS)
def test_main_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: crack_perception {verb}")


def test_main_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert set(VERBS) <= set(listed)


def test_main_version_is_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("arguments", [[], ["fly"], ["--fly"], ["score"], ["detect", "--gsd"]])
def test_main_usage_error_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: crack_perception" in capsys.readouterr().err


def test_main_unknown_model_is_one_line_and_exit_code_2(folder: Path) -> None:
    done = run("score", "--model", folder / "nowhere", folder / "wall.png")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"crack_perception score: there is no model '{folder / 'nowhere'}'")
    assert len(done.stderr.splitlines()) == 1


def test_main_help_imports_no_heavy_module() -> None:
    program = "import sys; from crack_perception.cli.main import build_parser; build_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True)
    loaded = set(done.stdout.split())
    assert "crack_perception.cli.train" in loaded
    assert not loaded & HEAVY


def test_main_closed_pipe_has_no_traceback(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            [*PROGRAM, "score", "--model", folder / "tiny", folder / "wall.png"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_main_interrupt_prints_one_line(folder: Path) -> None:
    out = folder / "interrupted"
    arguments = ["detect", "--model", folder / "tiny", "--out", out, *[folder / "wall.png"] * 2000]
    process = subprocess.Popen([*PROGRAM, *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    try:
        deadline_s = time.monotonic() + PATIENCE_S
        while not (out / "wall_2_annotated.jpg").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert error.splitlines()[-1] == "crack_perception detect: interrupted"
    assert "Traceback" not in error


def test_main_closed_stdout_ends_silently(folder: Path) -> None:
    command = [*PROGRAM, "score", "--model", str(folder / "tiny"), str(folder / "wall.png")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_main_full_disk_is_one_line_and_exit_code_1(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, "score", "--model", folder / "tiny", folder / "wall.png"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "crack_perception score: the output: cannot be written (the disk is full). "
        "Make room, or choose a folder on another disk"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["score", "--help"]])
def test_main_help_on_a_full_disk_is_one_line_and_exit_code_1(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "crack_perception: the output: cannot be written (the disk is full). "
        "Make room, or choose a folder on another disk"
    ]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_main_closed_streams_reach_no_file_of_the_user(folder: Path, tmp_path: Path, closed: str) -> None:
    program = f'exec "$@" {closed}'
    command = [*PROGRAM, "score", "--model", folder / "tiny", folder / "wall.png"]
    done = subprocess.run(["sh", "-c", program, "sh", *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if closed == ">&-":
        assert done.stderr.startswith("crack_perception score: the output: cannot be written (it is closed). Open it")
    command[-1:] = ["--out", tmp_path / "scores.csv", folder / "wall.png", folder / "nowhere.png"]
    done = subprocess.run(["sh", "-c", program, "sh", *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    rows = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows] == ["path", str(folder / "wall.png"), str(folder / "nowhere.png")]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_main_any_output_encoding_holds_every_file_name(folder: Path, encoding: str) -> None:
    path = folder / "Br\u00fccke \u88c2.png"
    path.write_bytes((folder / "wall.png").read_bytes())
    done = subprocess.run(
        [*PROGRAM, "score", "--model", folder / "tiny", path],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    expected = str(path).encode(encoding, "backslashreplace")
    assert done.stdout.splitlines()[1].startswith(expected)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_main_signal_keeps_report_of_finished_inputs(folder: Path, number: int, code: int) -> None:
    out = folder / f"signal{number}"
    command = [*PROGRAM, "detect", "--model", folder / "tiny", "--out", out, *[folder / "wall.png"] * 2000]
    # A shell's background jobs inherit an ignored SIGINT.
    process = subprocess.Popen(
        [*map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        deadline_s = time.monotonic() + 60
        while not (out / "wall_2_annotated.jpg").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    *finished, last = error.splitlines()
    assert (process.returncode, last) == (code, "crack_perception detect: interrupted")
    report = json.loads((out / "detections.json").read_text(encoding="utf-8"))
    assert not report["complete"]
    assert 1 <= len(report["inputs"]) < 2000
    assert len(finished) in (len(report["inputs"]) - 1, len(report["inputs"]))


def test_main_names_with_control_characters_cannot_reach_the_terminal(tmp_path: Path) -> None:
    done = run("replay", tmp_path / "\x1b[31mred", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr and "\\x1b[31mred does not exist" in done.stderr


SLOW_WRITES = """
import pathlib, sys, time
from crack_perception.cli import detect
from crack_perception.cli.main import main
from crack_perception.vision.images import video
close, write = video.VideoWriter.close, detect._Report.write
def slow_close(self, end_s):
    pathlib.Path("closing").touch()
    time.sleep(0.5)
    close(self, end_s)
def slow_write(self):
    pathlib.Path("writing").touch()
    time.sleep(0.5)
    write(self)
video.VideoWriter.close, detect._Report.write = slow_close, slow_write
sys.exit(main())
"""


def test_main_more_signals_while_results_are_written_wait_for_that(folder: Path, tmp_path: Path) -> None:
    video = cv2.VideoWriter(str(folder / "wall.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (640, 480))
    if not video.isOpened():
        pytest.skip("this OpenCV cannot write videos")
    for level in range(600):
        video.write(np.full((480, 640, 3), 100 + level % 100, np.uint8))
    video.release()
    command = [sys.executable, "-c", SLOW_WRITES, "detect", "--model", folder / "tiny", "--out", "out"]
    process = subprocess.Popen(
        [*map(str, command), str(folder / "wall.avi")], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for((tmp_path / "out" / "wall_annotated.mp4").exists)
        for awaited in ("", "closing", "writing"):
            wait_for(lambda mark=awaited: (tmp_path / mark).exists())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
                process.send_signal(number)
        _, error = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, error) == (130, "crack_perception detect: interrupted\n")
    (entry,) = json.loads((tmp_path / "out" / "detections.json").read_text(encoding="utf-8"))["inputs"]
    assert entry["incomplete"] == "interrupted" and 1 <= len(entry["frames"]) < 600
    written = cv2.VideoCapture(str(tmp_path / "out" / "wall_annotated.mp4"))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == len(entry["frames"])
