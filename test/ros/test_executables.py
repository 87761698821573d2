# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The executables: usage, unknown arguments, and signals while their modules are imported."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import PATIENCE_S

from crack_perception.ros.executables import MAPPER_USAGE, NODE_USAGE, TRANSFORMS_USAGE, plain_arguments

ROOT = Path(__file__).resolve().parents[2]
REPETITIONS = int(os.environ.get("CRACK_PERCEPTION_END_REPETITIONS", "2"))


def command(name: str, *arguments: str) -> list[str]:
    code = f"import sys\nfrom crack_perception.ros.executables import {name}\n"
    # The first line shows that the executable's own code has begun: Python itself may be interrupted before.
    code += f"print('STARTED', flush=True)\nsys.exit({name}())"
    return [sys.executable, "-c", code, *arguments]


def ended(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(name, *arguments), capture_output=True, text=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("name", ["crack_node", "crack_mapper", "px4_transforms"])
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_prints_topics_and_parameters_and_exits_with_0(name: str, word: str) -> None:
    done = ended(name, word)
    assert done.returncode == 0 and done.stderr == ""
    assert f"usage: {name}" in done.stdout and "docs/parameters.md" in done.stdout


@pytest.mark.parametrize("name", ["crack_node", "crack_mapper"])
def test_unknown_argument_is_refused_by_name(name: str) -> None:
    done = ended(name, "autostart:=true", "--ros-args", "-p", "autostart:=true")
    assert done.returncode == 2
    assert "'autostart:=true' is not known" in done.stderr and "--ros-args" in done.stderr


def test_plain_arguments_are_those_outside_ros_arguments() -> None:
    words = ["a", "--ros-args", "-p", "b:=1", "--", "c", "--ros-args", "-r", "d:=e"]
    assert plain_arguments(words) == ["a", "c"]


@pytest.mark.parametrize(
    ("heading", "usage"),
    [("crack_node", NODE_USAGE), ("crack_mapper", MAPPER_USAGE), ("px4_transforms", TRANSFORMS_USAGE)],
)
def test_usage_names_every_documented_topic_and_service(heading: str, usage: str) -> None:
    section = (ROOT / "docs" / "topics.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    names = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert len(names) > 3
    words = set(re.findall(r"[~\w/]+", usage))
    assert [name for name in names if name.replace("crack_node/", "SOURCE/") not in words] == []


@pytest.mark.slow
@pytest.mark.parametrize("module", ["crack_node", "mapper_node"])
def test_module_interrupted_at_any_moment_of_its_start_ends_with_0(module: str, tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    from crack_perception.evaluation.replay.node_process import NodeProcess

    for index, pause_s in enumerate((0.0, 0.02, 0.1, 0.4, 1.0)):
        log = tmp_path / f"{index}.log"
        with NodeProcess(f"crack_perception.ros.{module}", ["-p", "autostart:=false"], log) as process:
            time.sleep(pause_s)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0, process.log_text()
        assert "Traceback" not in process.log_text(), process.log_text()


@pytest.mark.parametrize("module", ["crack_node", "mapper_node"])
def test_module_prints_the_usage_of_the_executable(module: str) -> None:
    command = [sys.executable, "-m", f"crack_perception.ros.{module}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: crack_")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crack_node", "crack_mapper"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_signal_while_modules_are_imported_ends_with_0(name: str, number: signal.Signals, repetition: int) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    chosen = random.Random(f"{name} {number} {repetition}")
    process = subprocess.Popen(
        command(name, "--ros-args", "-p", "autostart:=false"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # The tests may run under nohup, whose ignored SIGHUP is inherited.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "STARTED\n"
        time.sleep(chosen.uniform(0.05, 2.0))
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
