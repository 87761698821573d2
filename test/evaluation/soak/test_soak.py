# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The soak test on the real nodes, with four faults; ``scripts/soak --minutes 2`` runs them all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_S

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.cli.main import main

pytestmark = pytest.mark.slow


def test_soak_selected_faults_are_reported_and_end_with_exit_code_0(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    code = main(["soak", "--minutes", "0.1", "--faults", "range ", "--out", str(file)])
    rows = {row["fault"]: row for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}
    assert {"range at its maximum", "range in millimetres", "range NaN", "range stops"} <= rows.keys()
    assert {"counters and results", "files of the map"} <= rows.keys()
    assert [f"{name}: {row['seen']}" for name, row in rows.items() if not row["passed"]] == []
    assert code == 0


def test_soak_interrupted_keeps_the_faults_until_then(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    command = [sys.executable, "-m", "crack_perception.cli.main", "soak", "--minutes", "5", "--size", "240p"]
    command += ["--rate", "10", "--faults", "range ", "--out", str(file)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            first = next(line for line in process.stderr if line.startswith(("pass", "FAIL")))
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
            table, error = process.communicate(timeout=2 * PATIENCE_S)
        finally:
            process.kill()
    document = json.loads(file.read_text(encoding="utf-8"))
    assert process.returncode == 130
    assert error.splitlines()[-1] == "crack_perception soak: interrupted"
    assert "Traceback" not in error
    assert document["incomplete"] == "interrupted"
    assert not document["passed"]
    assert document["rows"][0]["fault"] in first
    assert "**Incomplete**: interrupted." in table
