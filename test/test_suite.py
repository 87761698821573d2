# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the suite itself: failure if no test passed, signals that end it, default signals for its processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_S, wait_for

TEST = Path(__file__).parent
ONE_SKIPPED = "import pytest\npytest.skip('not here', allow_module_level=True)\n"
ONE_PASSED = "def test_it() -> None:\n    pass\n"
SIGNALS = """
import signal, subprocess, sys
PROGRAM = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"

def test_child_can_be_interrupted() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).strip() == "True"
"""

# Python's handler runs between two instructions of the main thread. A signal that comes just before one long sleep, or
# that another thread gets (rclpy.init starts some), would wait for its end.
WAITING = """
import pathlib, time

def test_waits_for_a_signal() -> None:
    INIT
    try:
        pathlib.Path("started").touch()
        for _ in range(6000):
            time.sleep(0.1)
    finally:
        pathlib.Path("ended").touch()
"""
FORKED = """
import multiprocessing, time

def test_forked_process_can_be_terminated() -> None:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    process.start()
    process.terminate()
    process.join()
    assert process.exitcode == -15
"""


def suite_command(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment that run test_sample.py with this suite's conftest."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TEST), os.environ.get("PYTHONPATH", "")])}
    return [*words, "--rootdir", str(folder), "test_sample.py"], environment


def run_suite(folder: Path, source: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on one file with this suite's conftest."""
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    words, environment = suite_command(folder)
    return subprocess.run(
        [*command, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("source", [ONE_SKIPPED, ""], ids=["all skipped", "none collected"])
def test_run_without_a_passed_test_fails(tmp_path: Path, source: str) -> None:
    done = run_suite(tmp_path, source)
    assert done.returncode == 1, done.stdout
    assert "No test passed" in done.stdout


def test_run_with_a_passed_test_succeeds(tmp_path: Path) -> None:
    assert run_suite(tmp_path, ONE_PASSED).returncode == 0


def test_run_with_sigint_ignored_restores_it(tmp_path: Path) -> None:
    # As done by nohup and for background jobs of a shell script.
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = run_suite(tmp_path, SIGNALS, sys.executable, "-c", ignoring)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("has_ros", [False, True], ids=["plain", "after rclpy.init"])
def test_run_terminated_ends_with_143_after_its_cleanup(tmp_path: Path, has_ros: bool) -> None:
    if has_ros:
        pytest.importorskip("rclpy", reason="no ROS 2 environment: run scripts/setup")
    source = WAITING.replace("INIT", "import rclpy; rclpy.init()" if has_ros else "pass")
    (tmp_path / "test_sample.py").write_text(source, encoding="utf-8")
    words, environment = suite_command(tmp_path)
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as run:
        try:
            wait_for((tmp_path / "started").exists)
            run.send_signal(signal.SIGTERM)
            assert run.wait(PATIENCE_S) == 128 + signal.SIGTERM
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGABRT)  # pytest's faulthandler prints where every thread is
            run.wait(PATIENCE_S)
            raise
        finally:
            run.kill()
    assert (tmp_path / "ended").exists()


def test_run_process_forked_by_a_test_can_be_terminated(tmp_path: Path) -> None:
    assert run_suite(tmp_path, FORKED).returncode == 0


def test_nightly_workflow_sets_variables_that_tests_read() -> None:
    workflow = (TEST.parent / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8")
    variables = set(re.findall(r"CRACK_PERCEPTION_\w+", workflow))
    files = [path for path in TEST.rglob("test_*.py") if path.name != "test_suite.py"]
    read = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert len(variables) == 5
    assert [name for name in variables if f'"{name}"' not in read] == []
