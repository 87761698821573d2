# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Readers of the review page for its tests: rows of the list, the plan, stored decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest
from patience import wait_for

from crack_perception.mapping.evidence.decisions import Verdict, effective, reviews
from crack_perception.mapping.storage.snapshot import read_snapshot

DESKTOP, TABLET = (1440, 900), (820, 1180)
SIZES = pytest.mark.parametrize("size", [DESKTOP, TABLET], ids=["desktop", "tablet"])


class Open(Protocol):
    """Opens the review page of a map at a size; other options are those of the command."""

    def __call__(self, path: Path, size: tuple[int, int] = DESKTOP, *options: str, author: str = "Ana") -> Any: ...


def decisions(path: Path) -> list[tuple[int, str]]:
    return [(each.crack_id, each.action.value) for each in effective(read_snapshot(path).decisions)]


def verdict(path: Path, crack_id: int) -> Verdict:
    found = reviews(read_snapshot(path).decisions).get(crack_id)
    return found.verdict if found else Verdict.OPEN


def listed(page: Any) -> list[int]:
    """The ids in the list from top to bottom."""
    return page.evaluate(
        "[...document.querySelectorAll('.row')].sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
        ".map(row => Number(row.dataset.id))"
    )


def wait_listed(page: Any, expected: list[int]) -> None:
    wait_for(lambda: listed(page) == expected)


def wait_selected(page: Any, crack_id: int) -> None:
    page.wait_for_selector(f"#crack[data-id='{crack_id}']")
    page.wait_for_selector(f".row.selected[data-id='{crack_id}']")


def until(page: Any, condition: str) -> None:
    """Wait for a condition in JavaScript; the page's policy forbids Playwright's own way, which evaluates texts."""
    wait_for(lambda: bool(page.evaluate(condition)))


def scale(page: Any) -> float:
    return float(page.locator("#plan").get_attribute("data-scale"))


def drawn(page: Any) -> int:
    return int(page.locator("#plan").get_attribute("data-drawn"))


def colour_at(page: Any, along_m: float, height_m: float) -> tuple[int, ...]:
    """Red, green, blue of the plan at a place on the wall."""
    return tuple(
        page.evaluate(
            """([u, v]) => {
              const plan = document.getElementById('plan'), density = window.devicePixelRatio || 1;
              const {scale, x, y} = plan.dataset;
              const at = [u * scale + Number(x), -v * scale + Number(y)].map(value => Math.round(value * density));
              return [...plan.getContext('2d').getImageData(...at, 1, 1).data].slice(0, 3);
            }""",
            [along_m, height_m],
        )
    )
