# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The index page in a real Chromium: structures with the worst crack first, links, problems, escaped names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S
from survey_inputs import Archive

from crack_perception.survey.page import index_page

playwright = pytest.importorskip("playwright.sync_api", reason="the extra test is not installed")

BROWSER = next(
    (found for name in ("chromium", "google-chrome", "chromium-browser") if (found := shutil.which(name))), ""
)
WIDTHS = [1440, 1024, 390]

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium: apt-get install chromium, or Google Chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        options = ["--disable-gpu", "--no-first-run", *([] if os.geteuid() else ["--no-sandbox"])]
        started = driver.chromium.launch(executable_path=BROWSER, args=options, timeout=PATIENCE_S * 1000)
        yield started
        started.close()


def opened(browser: Any, path: Path, width: int) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("width", WIDTHS)
def test_index_page_shows_the_worst_structure_first_and_all_files(browser: Any, archive: Archive, width: int) -> None:
    page = opened(browser, archive.out / "index.html", width)
    names = page.locator("table").first.locator("tbody tr td:first-child").all_inner_texts()
    assert sorted(names) == [structure["structure"] for structure in archive.summary["structures"]]
    assert names[-1] == "tower"  # without a map
    by_name = {structure["structure"]: structure for structure in archive.summary["structures"]}
    worst = [(by_name[name]["worst"][0]["severity"] or 0.0) for name in names[:-1]]
    assert worst == sorted(worst, reverse=True)
    for link in page.locator("a[href*='structures/']").all():
        assert (archive.out / Path(link.evaluate("a => decodeURI(a.getAttribute('href'))"))).is_file()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    tables = "tables => tables.every(table => table.scrollWidth <= table.parentElement.clientWidth)"
    assert width < 1000 or page.eval_on_selector_all(".wide > table", tables)
    photographs = page.locator("ul.photographs img")
    assert photographs.count() == sum(
        bool(crack.get("photograph")) for structure in archive.summary["structures"] for crack in structure["worst"]
    )
    for photograph in photographs.all():
        photograph.scroll_into_view_if_needed()
        assert photograph.evaluate("each => each.decode().then(() => each.naturalWidth)") >= 480
    plans = page.locator("img.plan")
    assert plans.count() == len(names) - 1
    for plan in plans.all():
        assert plan.evaluate(
            "each => each.decode().then(() => each.naturalWidth / each.naturalHeight)"
        ) == pytest.approx(20 / 7, rel=0.02)
    page.close()


def test_index_page_names_are_escaped_and_problems_are_open(browser: Any, archive: Archive, tmp_path: Path) -> None:
    structure = {
        **archive.summary["structures"][0],
        "structure": "<b>bridge</b>",
        "recordings": [{"name": "<i>flight</i>", "problem": "damaged & lost"}],
    }
    path = tmp_path / "index.html"
    path.write_text(index_page({**archive.summary, "structures": [structure], "skipped": 1}, {}), encoding="utf-8")
    page = opened(browser, path, WIDTHS[0])
    assert page.locator("h2").inner_text() == "<b>bridge</b>"
    assert page.locator("td.problem").is_visible()
    assert page.locator("td.problem").inner_text() == "skipped: damaged & lost"
    page.close()
