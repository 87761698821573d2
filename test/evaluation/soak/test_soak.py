# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The short form of the soak test on the real nodes: every fault once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.cli.main import main

pytestmark = pytest.mark.slow


def test_soak_short_form_every_fault_is_as_expected(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    code = main(["soak", "--minutes", "2", "--out", str(file)])
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert [f"{row['fault']}: {row['seen']}" for row in rows if not row["passed"]] == []
    assert code == 0
    assert len({row["fault"] for row in rows}) > 25
