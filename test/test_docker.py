# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The Dockerfiles: what they copy and start exists, and the launch arguments of their examples are real."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_dockerfile_entrypoint_and_launch_arguments_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (entrypoint,) = re.findall(r'^ENTRYPOINT \["/ws/src/crack_perception/(\S+)"\]$', text, re.MULTILINE)
    assert (ROOT / entrypoint).stat().st_mode & 0o111
    launch = (ROOT / "launch" / "drone.launch.py").read_text(encoding="utf-8")
    arguments = re.findall(r"(\w+):=(\w+)", text)
    assert arguments and all(f'"{name}"' in launch for name, _ in arguments)
    for name, value in arguments:
        if name in ("stack", "camera"):
            assert (ROOT / "config" / f"{name}s" / f"{value}.yaml").is_file()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_dockerfile_has_what_its_stacks_and_cameras_need(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    # PX4's own messages, of the release that an argument names, are there before the packages are built.
    (branch,) = re.findall(r"^ARG PX4_MSGS=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"release/\d+\.\d+", branch)
    assert text.index("https://github.com/PX4/px4_msgs.git src/px4_msgs") < text.index("colcon build")
    assert re.search(r"pip install [^\n]*\bav\b", text)
    assert all(re.search(f"{name}[_-]msgs", text) for name in ("foxglove", "ffmpeg[_-]image[_-]transport"))
    for package in re.findall(r"--packages-select (.+?) --", text.replace("\\\n", " ")):
        assert "$packages" in package and "crack_perception" in package


def test_docs_show_px4_in_a_container_with_its_build_argument() -> None:
    text = (ROOT / "docs" / "flight_stacks.md").read_text(encoding="utf-8")
    shown = re.findall(r"```\n(docker build.*?)```", text, re.DOTALL)
    assert shown and all("PX4_MSGS=" in block for block in shown if "stack:=px4 " in block)


def test_entrypoint_runs_the_command_where_no_set_up_file_exists() -> None:
    done = subprocess.run(
        [str(ROOT / "docker" / "entrypoint.sh"), "echo", "started"],
        env={"PATH": "/usr/bin:/bin", "ROS_DISTRO": "none"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "started\n")
