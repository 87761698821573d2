# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The review page in a real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from desk_page import DESKTOP, TABLET, Open
from desk_process import served
from patience import PATIENCE_S

BROWSERS = ("chromium", "google-chrome", "chromium-browser")
OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

REFUSED = "status of 409"
"""Chromium reports an answer with an error status; the page says what was refused."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("uvicorn", reason="the extra desk is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra test is not installed")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium, or Google Chrome")
    with playwright.sync_playwright() as driver:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        started = driver.chromium.launch(executable_path=program, args=[*OPTIONS, *sandbox], timeout=PATIENCE_S * 1000)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens the page of a map; fails at the end if it wrote errors or asked another server for anything."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def make(path: Path, size: tuple[int, int] = DESKTOP, *options: str, author: str = "Ana") -> Any:
            named = ["--author", author] if author else []
            _, address = stack.enter_context(served(path, *named, *options))
            context = browser.new_context(
                viewport={"width": size[0], "height": size[1]}, has_touch=size == TABLET, reduced_motion="reduce"
            )
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_S * 1000)
            page.on(
                "console",
                lambda message: (
                    message.type == "error" and REFUSED not in message.text and complaints.append(message.text)
                ),
            )
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: request.url.startswith(address) or complaints.append(request.url))
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            return page

        yield make
    assert complaints == []
