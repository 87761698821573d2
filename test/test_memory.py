# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Available memory: of the machine and of a container."""

from __future__ import annotations

from pathlib import Path

from crack_perception.memory import available_bytes


def machine(folder: Path) -> Path:
    file = folder / "meminfo"
    file.write_text("MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n")
    return file


def test_available_bytes_of_a_machine_is_what_can_be_freed(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path), tmp_path / "nowhere") == 8_000_000 * 1024


def test_available_bytes_of_a_container_is_within_its_limit(tmp_path: Path) -> None:
    for name, text in (("max", "2000000"), ("current", "1500000"), ("stat", "anon 3\ninactive_file 200000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert available_bytes(machine(tmp_path), tmp_path) == 700_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(machine(tmp_path), tmp_path) == 8_000_000 * 1024


def test_available_bytes_of_an_unknown_system_is_none(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "nowhere", tmp_path) is None
