# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The soak test on the real nodes, with four faults; ``scripts/soak --minutes 2`` runs them all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
