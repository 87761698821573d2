# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Both nodes report at start which settings of their command line and files have no effect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from flying_node import TakeOff

from crack_perception.evaluation.replay.node_process import NodeProcess


@pytest.mark.parametrize(
    ("module", "misspelt", "meant"),
    [("crack_node", "treshold", "threshold"), ("crack_mapper", "data_base", "database")],
)
def test_start_misspelt_parameters_are_reported(
    take_off: TakeOff, tmp_path: Path, module: str, misspelt: str, meant: str
) -> None:
    flight = take_off()
    typo, other = tmp_path / "typo.yaml", tmp_path / "other.yaml"
    typo.write_text(f"/**:\n  ros__parameters:\n    {misspelt}: 0.9\n    diagnostics_period_s: 0.2\n")
    other.write_text(f"{module}:\n  ros__parameters:\n    map_frame: odom\n")
    log = tmp_path / "node.log"
    files = ["--params-file", str(typo), "--params-file", str(other)]
    name = {"crack_node": "crack_node", "crack_mapper": "mapper_node"}[module]
    with NodeProcess(f"crack_perception.ros.{name}", ["-r", "__ns:=/bridge", "-p", "rate:=1", *files], log):
        flight.wait(
            lambda: any("/bridge/" in message.status[0].name for message in flight.received["diagnostics"]), 30.0
        )
    status = next(m.status[0] for m in flight.received["diagnostics"] if "/bridge/" in m.status[0].name)
    assert status.level == DiagnosticStatus.WARN
    for text in (log.read_text(), status.message):
        assert f"sets '{misspelt}'" in text and f"Did you mean '{meant}'?" in text and "typo.yaml" in text
        assert f"Nothing under the key '{module}' in {other} is for /bridge/{module}" in text
        assert "The command line sets 'rate'" in text
    assert {value.key: value.value for value in status.values}["problems_parameters"] == "3"


def test_start_valid_settings_report_nothing(take_off: TakeOff) -> None:
    flight = take_off(threshold=0.5)
    assert "problems_parameters" not in flight.figures()
    flight = take_off(treshold=0.5)
    assert flight.node._ineffective_settings == [
        "The constructor sets 'treshold', but /crack_node has no such parameter. Did you mean 'threshold'?"
    ]


@pytest.mark.parametrize("module", ["crack_node", "mapper_node"])
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--params-file", "{folder}/flat.yaml"], "flat.yaml: is no ROS parameter file"),
        (["--params-file", "{folder}/none.yaml"], "none.yaml: no such parameter file"),
        (["-p", "threshold"], "ROS cannot start"),
    ],
)
def test_start_invalid_command_line_exits_with_the_reason(
    tmp_path: Path, module: str, arguments: list[str], reason: str
) -> None:
    (tmp_path / "flat.yaml").write_text("threshold: 0.9\n")
    words = [word.format(folder=tmp_path) for word in arguments]
    done = subprocess.run(
        [sys.executable, "-m", f"crack_perception.ros.{module}", "--ros-args", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert reason in done.stderr and "Traceback" not in done.stderr
