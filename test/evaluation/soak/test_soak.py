# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The soak test on the real nodes, with one kind of fault; ``scripts/soak --minutes 2`` runs them all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.cli.main import main

pytestmark = pytest.mark.slow


def test_soak_selected_faults_are_reported_and_end(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    main(["soak", "--minutes", "0.1", "--faults", "wrong encoding", "--out", str(file)])
    rows = {row["fault"]: row for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}
    expected = ("wrong encoding", "counters and results", "files of the map")
    assert [f"{name}: {rows[name]['seen']}" for name in expected if not rows[name]["passed"]] == []
