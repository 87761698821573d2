# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the comparison of two processors, and of what ``scripts/aarch64`` says where something is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "aarch64"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """Return the script as a module."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import platform_results
    finally:
        sys.path.pop(0)
    return platform_results


@pytest.fixture(scope="module")
def results(module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Return the results of this processor."""
    folder = tmp_path_factory.mktemp("platform") / "images"
    module.render(folder)
    return module.compute(folder, "nano")


def test_compare_same_results_agree(module: ModuleType, results: dict[str, np.ndarray]) -> None:
    rows, is_same = module.compare(results, results)
    assert is_same
    assert not [row for row in rows[2:] if not row.endswith("| 0 | yes |")]


def test_compute_renders_cracks_that_are_found_and_surfaces_without(results: dict[str, np.ndarray]) -> None:
    scores = [values[0].max() for name, values in results.items() if name.startswith("model outputs/")]
    assert min(scores) < 0.3 and max(scores) > 0.9
    assert sum(len(values) for name, values in results.items() if name.startswith("centrelines")) > 100
    assert len(results["numbers of detect"]) > 100 and "obvious" in results["texts of score"]


def test_compare_last_bit_of_a_float_is_counted_and_accepted(
    module: ModuleType, results: dict[str, np.ndarray]
) -> None:
    name = next(name for name in results if name.startswith("model outputs/"))
    changed = results[name].copy()
    changed[0, 0] = np.nextafter(changed[0, 0], np.float32(2))
    rows, is_same = module.compare(results, results | {name: changed})
    assert is_same
    (row,) = [row for row in rows if row.startswith("| model outputs |")]
    values, equal = (int(cell) for cell in row.split("|")[2:4])
    assert equal == values - 1


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("tiles/", lambda values: values ^ 1),
        ("model outputs/", lambda values: values + np.float32(0.01)),
        ("model outputs/", lambda values: values * np.nan),
        ("texts of score", lambda values: np.char.add(values, "!")),
        ("numbers of detect", lambda values: values[:-1]),
    ],
)
def test_compare_different_result_is_reported(
    module: ModuleType, results: dict[str, np.ndarray], kind: str, change: object
) -> None:
    name = next(name for name in results if name.startswith(kind))
    assert callable(change)
    rows, is_same = module.compare(results, results | {name: change(results[name])})
    assert not is_same
    (row,) = [row for row in rows if row.endswith("| no |")]
    assert row.startswith(f"| {kind.rstrip('/')} |")


def run_script(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_aarch64_wrong_usage_ends_with_2() -> None:
    assert run_script("--nonsense").returncode == 2
    assert run_script("--model").returncode == 2


def test_aarch64_help_names_every_exit_code() -> None:
    done = run_script("--help")
    assert done.returncode == 0
    assert "0 the results agree; 1 they do not" in done.stdout and "3 something is missing" in done.stdout


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the script compares with x86-64")
@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="no .venv: run scripts/setup")
def test_aarch64_root_without_python_ends_with_3_and_names_it(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "uname", "dirname", "mkdir", "id"):
        (programs / name).symlink_to(shutil.which(name) or name)
    emulator = programs / "qemu-aarch64-static"
    emulator.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    emulator.chmod(0o755)
    done = run_script("--root", str(tmp_path), path=str(programs))
    assert done.returncode == 3
    assert f"{tmp_path} has no usr/bin/python3" in done.stderr and "remedy: " in done.stderr
