# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests that every source file states copyright and licence."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPYRIGHT = "# Copyright 2026 The crack_perception maintainers"
LICENCE = "# SPDX-License-Identifier: Apache-2.0"
FOLDERS = ("src", "test", "launch", "examples", "scripts", ".ci")
TOP_LINES = 3


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    scripts = [path for path in found if path.suffix in ("", ".sh") and path.read_bytes().startswith(b"#!")]
    return sorted({*scripts, *(path for path in found if path.suffix == ".py"), ROOT / "setup.py"})


def test_source_files_begin_with_copyright_and_licence() -> None:
    paths = sources()
    assert len(paths) > 300
    tops = {path: path.read_text(encoding="utf-8").split("\n")[:TOP_LINES] for path in paths}
    wrong = [str(path.relative_to(ROOT)) for path, top in tops.items() if not {COPYRIGHT, LICENCE} <= set(top)]
    assert wrong == []
