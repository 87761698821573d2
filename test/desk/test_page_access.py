# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The review page for people who see little or use no mouse: names of controls, visible focus, contrast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from desk_page import DESKTOP, SIZES, Open, wait_selected
from review_maps import add_coverage, wall_map, write_orthophoto

pytestmark = pytest.mark.slow

LEAST_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3, for texts of usual size; 3 for large ones."""
LEAST_OUTLINE_PX = 2

CONTROLS = "button, input, select, textarea, summary, [tabindex='0']"
UNREACHED = f"""() => [...document.querySelectorAll(`{CONTROLS}`)]
  .filter(each => each.checkVisibility() && !each.disabled && !each.dataset.reached)
  .map(each => each.id || each.ariaLabel || each.textContent)"""
FOCUSED = """() => {
  const focused = document.activeElement, style = getComputedStyle(focused);
  if (focused === document.body) return null;
  const isKnown = Boolean(focused.dataset.reached);
  focused.dataset.reached = 'yes';
  const outline_px = style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth);
  return {name: focused.id || focused.ariaLabel || focused.textContent, outline_px, isKnown};
}"""
FAINT = """least => {
  const parsed = text => { const [r, g, b, a] = text.match(/[0-9.]+/g).map(Number); return [r, g, b, a ?? 1]; };
  const over = (top, below) => top.slice(0, 3).map((part, at) => part * top[3] + below[at] * (1 - top[3]));
  const ground = element => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      layers.push(parsed(getComputedStyle(each).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = colour => colour.map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const seen = new Map();
  const check = (element, colour, text) => {
    const style = getComputedStyle(element), below = ground(element);
    const [one, other] = [light(over(parsed(colour), below)), light(below)];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : least)) seen.set(text.trim().slice(0, 40), `${ratio.toFixed(2)} ${colour} on ${below}`);
    checked += 1;
  };
  let checked = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement: parent, data } = texts.currentNode;
    const isShown = parent.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    // Texts over a photograph have an edge of their own; what is switched off need not be legible.
    if (!data.trim() || !isShown || parent.closest('.photograph, :disabled, option, script')) continue;
    const style = getComputedStyle(parent);
    check(parent, parent instanceof SVGElement ? style.fill : style.color, data);
  }
  for (const field of document.querySelectorAll('input, select, textarea')) {
    if (field.disabled || !field.checkVisibility()) continue;
    check(field, getComputedStyle(field).color, field.id);
    if (field.placeholder) check(field, getComputedStyle(field, '::placeholder').color, field.placeholder);
  }
  return {checked, faint: Object.fromEntries(seen)};
}"""


def full_page(tmp_path: Path, open_page: Open, size: tuple[int, int] = DESKTOP) -> Any:
    """The page with an orthophoto, coverage, open filters, decided and marked cracks, and a comment."""
    path = wall_map(tmp_path)
    write_orthophoto(path)
    add_coverage(path)
    page = open_page(path, size)
    wait_selected(page, 4)
    page.locator("#coverage").check()
    page.click("#filters summary")
    page.click("#accept")
    page.wait_for_selector(".row[data-id='4'] .mark.accepted")
    page.click("#reject")
    page.wait_for_selector(".row .mark.rejected")
    page.locator(".row[data-id='4']").click()
    wait_selected(page, 4)
    page.fill("#comment", "Wet after rain.")
    page.click("#add-comment")
    page.wait_for_selector("#comments li")
    page.locator(".row[data-id='5'] .tick").click()
    page.wait_for_selector("#marked:not([hidden])")
    page.wait_for_selector("#photograph[data-loaded^='4-']")
    return page


@SIZES
def test_page_texts_have_contrast(tmp_path: Path, open_page: Open, size: tuple[int, int]) -> None:
    page = full_page(tmp_path, open_page, size)
    found = page.evaluate(FAINT, LEAST_CONTRAST)
    assert found["faint"] == {} and found["checked"] > 80
    page.keyboard.press("Escape")
    page.click("#help")
    page.wait_for_selector("#help-dialog[open]")
    assert page.evaluate(FAINT, LEAST_CONTRAST)["faint"] == {}


def test_page_contrast_of_a_faint_text_is_found(tmp_path: Path, open_page: Open) -> None:
    page = open_page(wall_map(tmp_path))
    wait_selected(page, 4)
    page.evaluate("document.getElementById('count').style.color = '#7b8794'")
    assert list(page.evaluate(FAINT, LEAST_CONTRAST)["faint"].values()) == ["3.66 rgb(123, 135, 148) on 255,255,255"]


@SIZES
def test_page_every_control_is_reached_by_tab_with_a_visible_focus(
    tmp_path: Path, open_page: Open, size: tuple[int, int]
) -> None:
    page = full_page(tmp_path, open_page, size)
    page.evaluate("document.activeElement.blur()")
    invisible = []
    for _ in range(120):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:  # past the last one
            continue
        if focused["isKnown"]:
            break
        if focused["outline_px"] < LEAST_OUTLINE_PX:
            invisible.append(focused["name"])
    else:
        raise AssertionError("the walk does not come back to its beginning")
    assert page.evaluate(UNREACHED) == []
    assert invisible == []


@SIZES
def test_page_every_control_has_a_name_for_screen_readers(
    tmp_path: Path, open_page: Open, size: tuple[int, int]
) -> None:
    page = full_page(tmp_path, open_page, size)
    page.keyboard.press("f")
    page.wait_for_selector("#photograph-dialog[open]")
    named = names(page)
    assert "Enlarged photograph" in " ".join(named)
    page.keyboard.press("Escape")
    page.wait_for_selector("#photograph-dialog", state="hidden")
    assert len(names(page)) > 40


def names(page: Any) -> list[str]:
    """Names of the controls in Chromium's accessibility tree; fails at one without a name."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    found = []
    for node in nodes:
        properties = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
        if node.get("ignored") or not properties.get("focusable") or node["role"]["value"] == "RootWebArea":
            continue
        name = node.get("name", {}).get("value", "")
        assert name.strip(), node
        found.append(name)
    return found
