# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The plan of the review page: zoom, choice of cracks, orthophoto and resolution."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk_page import SIZES, TABLET, Open, colour_at, decisions, scale, until, wait_selected
from patience import wait_for
from review_maps import add_coverage, wall_map, write_orthophoto

pytestmark = pytest.mark.slow


@SIZES
def test_page_plan_zooms_by_wheel_buttons_keys_and_pans(tmp_path: Path, open_page: Open, size: tuple[int, int]) -> None:
    page = open_page(wall_map(tmp_path), size)
    wait_selected(page, 4)
    whole = scale(page)
    box = page.locator("#plan").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.wheel(0, -400)
    until(page, f"document.getElementById('plan').dataset.scale > {1.5 * whole}")
    page.click("#plan-all")
    until(page, f"Math.abs(document.getElementById('plan').dataset.scale / {whole} - 1) < 0.01")
    page.click("#plan-in")
    until(page, f"document.getElementById('plan').dataset.scale > {1.3 * whole}")
    page.focus("#plan")
    page.keyboard.press("0")
    until(page, f"Math.abs(document.getElementById('plan').dataset.scale / {whole} - 1) < 0.01")
    before = float(page.locator("#plan").get_attribute("data-x"))
    page.keyboard.press("ArrowRight")
    until(page, f"document.getElementById('plan').dataset.x < {before - 70}")
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 100, middle[1] + 40, steps=4)
    page.mouse.up()
    until(page, f"document.getElementById('plan').dataset.x > {before}")


def test_page_plan_zooms_by_two_fingers(tmp_path: Path, open_page: Open) -> None:
    page = open_page(wall_map(tmp_path), TABLET)
    wait_selected(page, 4)
    whole = scale(page)
    box = page.locator("#plan").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 60), ("touchMove", 90), ("touchMove", 130), ("touchMove", 180)):
        points = [{"x": x - apart / 2, "y": y, "id": 1}, {"x": x + apart / 2, "y": y, "id": 2}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(page, f"document.getElementById('plan').dataset.scale > {2 * whole}")
    assert 2.5 < scale(page) / whole < 3.5, "three times the distance of the fingers"


@SIZES
def test_page_crack_is_chosen_on_the_plan(tmp_path: Path, open_page: Open, size: tuple[int, int]) -> None:
    page = open_page(wall_map(tmp_path), size)
    wait_selected(page, 4)
    plan = page.locator("#plan")
    k, x, y = (float(plan.get_attribute(f"data-{name}")) for name in ("scale", "x", "y"))
    plan.click(position={"x": 1.25 * k + x, "y": -1.0 * k + y + 4})
    wait_selected(page, 1)
    plan.click(position={"x": 2.0 * k + x, "y": -1.0 * k + y}, modifiers=["Control"])
    page.wait_for_selector("#marked:not([hidden])")
    area = "document.getElementById('list-area')"
    assert page.evaluate(f"{area}.scrollWidth <= {area}.clientWidth")
    page.select_option("#facet", "1")
    until(page, "document.getElementById('plan').dataset.drawn === '1'")


@SIZES
def test_page_orthophoto_lies_under_the_lines_with_the_chosen_opacity(
    tmp_path: Path, open_page: Open, size: tuple[int, int]
) -> None:
    path = wall_map(tmp_path)
    write_orthophoto(path)
    page = open_page(path, size)
    wait_selected(page, 4)
    until(page, "document.getElementById('plan').dataset.pictures === '1'")
    opacity = page.locator("#opacity")
    assert opacity.is_visible() and opacity.input_value() == "80"
    opacity.fill("100")
    wait_for(lambda: colour_at(page, 0.37, 0.61) == (60, 160, 60))
    assert colour_at(page, 3.27, 0.77) == (255, 255, 255), "the white square lies where it was on the wall"
    assert colour_at(page, 2.93, 0.77) == (60, 160, 60) == colour_at(page, 3.27, 0.43)
    assert colour_at(page, 4.0, 2.0) != (60, 160, 60), "the line is over the picture"
    opacity.fill("0")
    wait_for(lambda: colour_at(page, 0.37, 0.61) == colour_at(page, 3.27, 0.77))
    opacity.fill("50")
    wait_for(lambda: 130 < colour_at(page, 0.37, 0.61)[0] < 170)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.select_option("#facet", "1")
    page.wait_for_selector("#orthophoto", state="hidden")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#opacity").input_value() == "50"


def test_page_orthophoto_is_as_fine_as_its_tiles_where_it_is_enlarged(tmp_path: Path, open_page: Open) -> None:
    path = wall_map(tmp_path)
    page = open_page(path)
    wait_selected(page, 4)
    assert not page.locator("#orthophoto").is_visible()
    index = write_orthophoto(path)
    page.wait_for_selector("#orthophoto")  # made while the page is open
    page.locator("#opacity").fill("100")
    page.locator(".row[data-id='2']").click()
    page.focus("#plan")
    page.keyboard.press("0")
    until(page, "document.getElementById('plan').dataset.pictures === '1'")
    assert page.locator("#plan").get_attribute("data-tiles") == "0"
    page.click("#plan-crack")
    until(page, "Number(document.getElementById('plan').dataset.tiles) > 0")
    assert colour_at(page, 2.1, 0.97) == (60, 160, 60)
    index.write_text("{")
    until(page, "document.getElementById('orthophoto').title.includes('orthophoto.json')")
    assert page.locator("#opacity").is_disabled()
    page.click("#accept")  # a damaged orthophoto hinders nobody
    wait_for(lambda: decisions(path) == [(2, "accept")])


@SIZES
def test_page_resolution_lies_on_the_plan_with_its_legend(
    tmp_path: Path, open_page: Open, size: tuple[int, int]
) -> None:
    path = wall_map(tmp_path)
    add_coverage(path)
    page = open_page(path, size)
    wait_selected(page, 4)
    assert page.locator("#coverage-legend").is_hidden()
    before = colour_at(page, 0.15, 1.25)
    page.locator("#coverage").check()
    until(page, "document.getElementById('plan').dataset.classes === '1'")
    wait_for(lambda: colour_at(page, 0.15, 1.25) != before)
    assert page.locator("#coverage-legend").inner_text().split("\n")[1:] == ["narrower than 1.5 mm"]
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#coverage").is_checked()
    page.locator("#coverage").uncheck()
    until(page, "document.getElementById('plan').dataset.classes === '0'")
    assert page.locator("#coverage-legend").is_hidden()
