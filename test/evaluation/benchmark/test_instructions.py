# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Counted instructions: the marks between the steps, the files that valgrind writes, and a machine without it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark import instructions


def test_count_instructions_without_valgrind_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert instructions.count_instructions(["nano"], "360p", 0, tmp_path) is None


def test_run_steps_calls_the_mark_before_and_after_every_step(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = np.full((300, 300, 3), 170, np.uint8)
    np.save(tmp_path / "clean.npy", frame)
    np.save(tmp_path / "cracked.npy", frame)
    marks: list[int] = []
    monkeypatch.setattr(os, "getppid", lambda: marks.append(1) or 1)
    models = [str(tiny_model), str(tiny_model)]
    instructions._run_steps(tmp_path, models)
    assert len(marks) == 2 * len(instructions._steps_of(models))


def test_total_of_a_file_of_callgrind_is_its_number_of_instructions(tmp_path: Path) -> None:
    path = tmp_path / "counts.1"
    path.write_text("# callgrind format\ndesc: Trigger: --dump-before=getppid\nevents: Ir\n\ntotals: 21695096\n")
    assert instructions._total(path) == 21695096


def test_total_of_a_file_without_totals_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "counts.1"
    path.write_text("# callgrind format\n")
    with pytest.raises(UserError, match="no count of instructions"):
        instructions._total(path)
