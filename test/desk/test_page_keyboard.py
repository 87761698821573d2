# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The review page without a mouse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from desk_page import Open, decisions, scale, until, verdict, wait_listed, wait_selected
from patience import wait_for
from review_maps import wall_map, write_orthophoto

from crack_perception.mapping.evidence.decisions import Verdict
from crack_perception.mapping.storage.snapshot import read_snapshot

pytestmark = pytest.mark.slow


def test_page_structural_review_is_marked_by_key_and_undone(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path)
    wait_selected(page, 4)
    page.focus("#list")
    page.keyboard.press("t")
    wait_for(lambda: decisions(path) == [(4, "structural_review")])
    until(page, "document.getElementById('crack-words').textContent.includes('structural review')")
    assert page.locator("#structural").is_checked()
    page.keyboard.press("Control+z")
    until(page, "!document.getElementById('structural').checked")
    page.locator("#structural").check()
    until(page, "document.getElementById('crack-words').textContent.includes('structural review')")


def test_page_keyboard_alone_reviews_names_merges_splits_and_undoes(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path, author="")
    wait_selected(page, 4)
    keys = page.keyboard
    keys.press("a")
    page.wait_for_selector("#author-dialog[open]")
    keys.type("Ana Lima")
    keys.press("Enter")
    page.wait_for_selector(".row[data-id='4'] .mark.accepted")
    keys.press("/")
    keys.type("1")
    wait_listed(page, [1])
    keys.press("Enter")
    wait_selected(page, 1)
    keys.press("n")
    keys.type("Pier 7 <b>north</b>")
    keys.press("Enter")
    until(page, "document.getElementById('crack-title').textContent === 'Pier 7 <b>north</b> (crack 1)'")
    keys.press("c")
    keys.type("Wet after rain.")
    keys.press("Control+Enter")
    page.wait_for_selector("#comments li")
    keys.press("Escape")
    keys.press("x")
    keys.press("/")
    keys.press("Control+a")
    keys.type("2")
    wait_listed(page, [2])
    keys.press("ArrowDown")
    wait_selected(page, 2)
    keys.press("x")
    keys.press("m")
    page.wait_for_selector("#marked", state="hidden")
    assert decisions(path)[-1] == (1, "merge"), "into the selected crack"
    keys.press("Control+z")
    until(page, "document.querySelector('#status').textContent.startsWith('Undone: merged')")
    keys.press("/")
    keys.press("Control+a")
    keys.press("Delete")
    until(page, "document.querySelectorAll('.row').length === 5")
    keys.press("Escape")
    while page.locator("#crack").get_attribute("data-id") != "4":
        keys.press("k")
        until(
            page, "document.querySelector('.row.selected').dataset.id === document.querySelector('#crack').dataset.id"
        )
    keys.press("w")
    keys.press("Home")
    keys.press("PageUp")
    keys.press("ArrowRight")
    assert re.fullmatch(r"1\.3\d mm ± 0\.04 at 0\.15 m", page.locator("#chart-words").inner_text())
    keys.press("s")
    until(page, "document.querySelectorAll('.row').length === 6")
    keys.press("r")
    wait_for(lambda: verdict(path, 4) is Verdict.REJECTED)
    assert {each.author for each in read_snapshot(path).decisions} == {"Ana Lima"}
    kinds = [action for _, action in decisions(path)]
    assert kinds == ["accept", "rename", "comment", "split", "reject"]
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#author").inner_text() == "Reviewer: Ana Lima"


def tab_to(page: Any, selector: str) -> None:
    """Press the tabulator until the focus is on that element."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({selector!r})"):
            return
    raise AssertionError(f"{selector} is not reached")


def test_page_keyboard_alone_sorts_filters_marks_and_moves_the_plan(tmp_path: Path, open_page: Open) -> None:
    page = open_page(wall_map(tmp_path))
    wait_selected(page, 4)
    keys = page.keyboard
    keys.press("/")
    tab_to(page, "#sort")
    keys.press("End")
    wait_listed(page, [1, 2, 3, 4, 5])
    tab_to(page, "#filters summary")
    keys.press("Enter")
    tab_to(page, "#filter-severity input[value=undetermined]")
    keys.press("Space")
    wait_listed(page, [5])
    keys.press("Space")
    wait_listed(page, [1, 2, 3, 4, 5])
    tab_to(page, "#filter-width")
    keys.type("1")
    wait_listed(page, [4])
    tab_to(page, "#filter-clear")
    keys.press("Enter")
    wait_listed(page, [1, 2, 3, 4, 5])
    tab_to(page, "#list")
    for key, expected in (("Home", 1), ("ArrowDown", 2), ("End", 5), ("ArrowUp", 4)):
        keys.press(key)
        wait_selected(page, expected)
    keys.press("Space")
    page.wait_for_selector("#marked:not([hidden])")
    assert "marked" in page.locator(".row.selected").get_attribute("aria-label")
    active = page.locator("#list").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("data-id") == "4"
    tab_to(page, "#facet")
    keys.press("ArrowDown")
    until(page, "document.getElementById('plan').dataset.drawn === '1'")
    tab_to(page, "#plan")
    whole = scale(page)
    keys.press("+")
    until(page, f"document.getElementById('plan').dataset.scale > {1.3 * whole}")
    keys.press("0")
    until(page, f"Math.abs(document.getElementById('plan').dataset.scale / {whole} - 1) < 0.01")
    keys.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") == "plan-all", "the plan does not keep the focus"


def test_page_keyboard_alone_rejects_reopens_and_undoes_from_the_history(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path)
    wait_selected(page, 4)
    keys = page.keyboard
    tab_to(page, "#advance")
    keys.press("Space")
    keys.press("r")
    page.wait_for_selector("#reject[aria-pressed=true]")
    assert verdict(path, 4) is Verdict.REJECTED
    keys.press("o")
    page.wait_for_selector("#reject[aria-pressed=false]")
    assert verdict(path, 4) is Verdict.OPEN
    keys.press("v")
    keys.press("End")
    wait_for(lambda: decisions(path)[-1] == (4, "severity"))
    keys.press("Escape")
    assert page.evaluate("document.activeElement === document.body")
    keys.press("Control+z")
    wait_for(lambda: (4, "severity") not in decisions(path))
    keys.press("Control+Shift+z")
    wait_for(lambda: (4, "severity") in decisions(path))
    tab_to(page, "#history button")
    keys.press("Enter")
    page.wait_for_selector("#history li.undone")


def test_page_windows_give_the_focus_back_to_where_it_was(tmp_path: Path, open_page: Open) -> None:
    page = open_page(wall_map(tmp_path))
    wait_selected(page, 4)
    page.wait_for_selector("#photograph[data-loaded^='4-']")
    keys = page.keyboard
    for key, opener, window in (
        ("?", "#list", "help-dialog"),
        ("f", "#list", "photograph-dialog"),
        ("Enter", "#author", "author-dialog"),
    ):
        tab_to(page, opener)
        keys.press(key)
        page.wait_for_selector(f"#{window}[open]")
        assert page.evaluate(f"document.getElementById('{window}').contains(document.activeElement)")
        keys.press("Escape")
        page.wait_for_selector(f"#{window}", state="hidden")
        assert page.evaluate(f"document.activeElement.matches('{opener}')")


def test_page_single_keys_can_be_switched_off(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path)
    wait_selected(page, 4)
    keys = page.keyboard
    keys.press("?")
    page.wait_for_selector("#help-dialog[open]")
    page.locator("#single-keys").focus()
    keys.press("Space")
    keys.press("Escape")
    keys.press("r")
    keys.press("j")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    wait_selected(page, 4)
    keys.press("r")
    page.focus("#accept")
    keys.press("Enter")
    wait_for(lambda: decisions(path) == [(4, "accept")])


def test_page_keys_work_while_the_opacity_has_the_focus(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    write_orthophoto(path)
    page = open_page(path)
    wait_selected(page, 4)
    tab_to(page, "#opacity")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#opacity").input_value() == "75"
    page.keyboard.press("a")
    wait_for(lambda: decisions(path) == [(4, "accept")])
