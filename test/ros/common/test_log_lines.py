# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Names of frames, topics and files in log lines and diagnostics cannot send control characters to a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_S, wait_for

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time

from crack_perception.evaluation.replay.node_process import NodeProcess
from crack_perception.ros.common.diagnostics import diagnostic_array

ROOT = Path(__file__).resolve().parents[3]
NASTY = "\x1b[31mred\x07\r[INFO] all is well"


def test_nodes_log_only_through_printable_lines() -> None:
    shell = ROOT / "src" / "crack_perception" / "ros"
    direct = [str(file) for file in sorted(shell.rglob("*.py")) if "get_logger()" in file.read_text(encoding="utf-8")]
    assert [Path(name).name for name in direct] == ["lifecycle.py", "parameter_table.py"]


@pytest.mark.parametrize(("module", "parameter"), [("crack_node", "model"), ("mapper_node", "database")])
def test_node_parameter_with_control_characters_is_logged_printable(
    module: str, parameter: str, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    value = "/proc/nowhere/" + NASTY.encode("unicode_escape").decode()
    settings.write_text(f'/**:\n  ros__parameters:\n    autostart: true\n    {parameter}: "{value}"\n')
    log = tmp_path / "node.log"
    with NodeProcess(f"crack_perception.ros.{module}", ["--params-file", str(settings)], log) as process:
        wait_for(lambda: "Cannot configure" in process.log_text())
    text = log.read_bytes()
    assert b"\x1b" not in text and b"\x07" not in text and b"\r" not in text
    assert rb"\x1b[31mred\x07\r[INFO] all is well" in text


def test_node_parameters_file_with_control_characters_in_its_name_is_refused_printable(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "crack_perception.ros.crack_node",
        "--ros-args",
        "--params-file",
        f"/nowhere/{NASTY}",
    ]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr and rb"\x1b[31mred" in done.stderr


def test_diagnostics_names_with_control_characters_are_printable() -> None:
    array = diagnostic_array(Time(), "/crack_node", "tiny", f"No image on {NASTY}", [NASTY], {"last_problem": NASTY})
    status = array.status[0]
    assert status.message.isprintable() and "No image on \\x1b[31mred" in status.message
    assert status.values[0].value.isprintable()
