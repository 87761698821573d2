# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the suite itself: failure if no test passed, and default signals for started processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def run_suite(folder: Path, source: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on one file with this suite's conftest."""
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    words = [*command, sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TEST), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [*words, "--rootdir", str(folder), "test_sample.py"],
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
