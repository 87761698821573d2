# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs on the review page: lines and widths over them, enlargement."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from desk_page import SIZES, Open, until, wait_selected
from review_maps import wall_map

pytestmark = pytest.mark.slow


@SIZES
def test_page_photograph_has_its_line_and_widths_on_the_crack(
    tmp_path: Path, open_page: Open, size: tuple[int, int]
) -> None:
    page = open_page(wall_map(tmp_path), size)
    wait_selected(page, 4)
    page.wait_for_selector("#photograph[data-loaded^='4-']")
    assert page.locator("#thumbnails button").count() == 2
    page.wait_for_selector("#photograph text.width")
    widths = [float(text) for text in page.locator("#photograph text.width").all_text_contents()]
    assert len(widths) >= 2 and all(1.35 <= width <= 1.65 for width in widths)
    points = np.array(
        [
            [float(part) for part in pair.split(",")]
            for pair in page.locator("#photograph .line").first.get_attribute("points").split()
        ]
    )
    page.keyboard.press("l")
    page.wait_for_selector("#photograph .line", state="detached")
    assert not page.locator("#overlay").is_checked()
    png = page.locator("#photograph").screenshot()
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    inside = points[(points[:, 0] > 2) & (points[:, 0] < picture.shape[1] - 3)]
    on_line = [picture[round(y) - 1 : round(y) + 2, round(x)].min() for x, y in inside]
    beside = [picture[round(y) + 12, round(x)] for x, y in inside]
    assert len(inside) > 5 and np.median(on_line) < 100 < 130 < np.median(beside)
    page.keyboard.press("f")
    page.wait_for_selector("#photograph-dialog[open] #enlarged[data-loaded^='4-']")
    before = float(page.locator("#enlarged").get_attribute("data-scale"))
    page.locator("#enlarged").hover()
    page.mouse.wheel(0, -500)
    until(page, f"document.getElementById('enlarged').dataset.scale > {1.5 * before}")
    page.keyboard.press("l")
    page.wait_for_selector("#enlarged .line", state="attached")  # a level one has no height
    page.keyboard.press("]")
    until(page, "document.getElementById('enlarged-words').textContent.includes('photograph 2 of 2')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#photograph-dialog", state="hidden")
