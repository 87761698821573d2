# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Decisions on the review page: stored, undone, refused, with their author."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from desk_page import SIZES, Open, decisions, listed, until, verdict, wait_selected
from patience import wait_for
from review_maps import wall_map

from crack_perception.mapping.evidence.decisions import Verdict
from crack_perception.mapping.storage.snapshot import read_snapshot

pytestmark = pytest.mark.slow


@SIZES
def test_page_accept_is_stored_and_goes_on_and_undo_takes_it_back(
    tmp_path: Path, open_page: Open, size: tuple[int, int]
) -> None:
    path = wall_map(tmp_path)
    page = open_page(path, size)
    wait_selected(page, 4)
    second = listed(page)[1]
    page.click("#accept")
    wait_selected(page, second)
    assert decisions(path) == [(4, "accept")]
    page.wait_for_selector(".row[data-id='4'] .mark.accepted")
    assert page.locator("#progress-words").inner_text() == "1 of 5 cracks decided"
    page.click("#undo")
    wait_selected(page, 4)
    assert decisions(path) == [] and verdict(path, 4) is Verdict.OPEN
    page.click("#redo")
    page.wait_for_selector("#accept[aria-pressed=true]")
    assert decisions(path) == [(4, "accept")]
    history = page.locator("#history li")
    assert "Ana accepted crack 4" in history.first.inner_text()
    history.first.get_by_role("button").click()
    page.wait_for_selector("#history li.undone")
    assert verdict(path, 4) is Verdict.OPEN


def test_page_author_is_asked_once_and_kept(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path, author="")
    wait_selected(page, 4)
    page.click("#reject")
    page.fill("#author-name", "Ben")
    page.click("#author-dialog .primary")
    page.wait_for_selector(".row[data-id='4'] .mark.rejected")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.click("#accept")
    wait_for(lambda: len(decisions(path)) == 2)
    assert [each.author for each in read_snapshot(path).decisions] == ["Ben", "Ben"]
    page.click("#author")
    page.click("#author-dialog .close")
    assert not page.locator("#author-dialog").is_visible()


def test_page_cancelled_author_stores_nothing(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path, author="")
    wait_selected(page, 4)
    page.keyboard.press("a")
    page.wait_for_selector("#author-dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#author-dialog", state="hidden")
    page.keyboard.press("j")
    until(page, "document.querySelector('#crack').dataset.id !== '4'")
    assert decisions(path) == []


def test_page_of_a_map_in_use_is_read_only_in_words_until_it_is_free(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path)
    wait_selected(page, 4)
    program = (
        "import sys, pathlib\nfrom crack_perception.mapping.storage.database import MapStore\n"
        "store = MapStore(pathlib.Path(sys.argv[1]))\nprint('READY', flush=True)\nsys.stdin.read()\nstore.close()\n"
    )
    mapper = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert mapper.stdout and mapper.stdout.readline() == "READY\n"
        page.wait_for_selector("#banner:not([hidden])")
        assert "crack_mapper, is using this map" in page.locator("#banner").inner_text()
        assert page.locator("#accept").is_disabled() and page.locator("#comment").is_disabled()
        page.keyboard.press("j")
        until(page, "document.querySelector('#crack').dataset.id !== '4'")
    finally:
        mapper.communicate(timeout=60)
    page.wait_for_selector("#banner", state="hidden")
    page.keyboard.press("a")
    wait_for(lambda: len(decisions(path)) == 1)


def test_page_refused_merge_is_explained(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path)
    wait_selected(page, 4)
    for crack_id in (1, 3):
        page.locator(f".row[data-id='{crack_id}'] .tick").click()
    page.click("#marked-merge")
    until(page, "document.getElementById('status').textContent.includes('not one line')")
    assert decisions(path) == []
