# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the documentation: generated pages, names in the text, links between files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sample_files import write_sample_files

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "QUALITY_DECLARATION.md"]
FROM_MODELS = {f"model_{card.parent.name}.md" for card in (ROOT / "models").glob("*/README.md")}
README_WORDS = 1000


def test_docs_generated_pages_up_to_date(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="no ROS 2 environment: run scripts/setup")
    pytest.importorskip("px4_msgs", reason="px4_msgs is not installed, and its topics would be missing")
    command = [sys.executable, str(ROOT / "scripts" / "reference_pages.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("parameters.md", "topics.md"):
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert written == (tmp_path / name).read_text(encoding="utf-8"), f"run scripts/reference_pages.py for {name}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_docs_links_exist(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and target not in FROM_MODELS]
    assert [target for target in local if not (path.parent / target).exists()] == []


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", [path for path in TEXTS if python_blocks(path)], ids=lambda path: path.name)
def test_docs_python_examples_run(path: Path, tmp_path: Path) -> None:
    """The examples of a page run one after another, on sample files of the names that they use."""
    write_sample_files(tmp_path)
    program = "\n".join(python_blocks(path))
    for name in re.findall(r'"([\w./]+/crack_map.sqlite)"', program):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(tmp_path / "crack_map.sqlite", tmp_path / name)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_docs_all_pages_in_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    assert set(re.findall(r"\w+\.md", navigation)) == {path.name for path in PAGES} | FROM_MODELS


def test_docs_command_line_page_lists_all_verbs() -> None:
    from crack_perception.cli.main import VERBS

    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"`{verb}" not in page] == []


def test_readme_within_word_limit() -> None:
    prose = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(prose.split()) <= README_WORDS
