# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Test of the warning about a missing JPEG decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crack_perception.vision.images.jpeg import decoding

if TYPE_CHECKING:
    from flying_node import TakeOff


@pytest.mark.parametrize(("transport", "is_logged"), [("compressed", True), ("raw", False)])
def test_configure_without_simplejpeg_logs_it_for_compressed_images(
    take_off: TakeOff, monkeypatch: pytest.MonkeyPatch, transport: str, is_logged: bool
) -> None:
    monkeypatch.setattr(decoding, "simplejpeg", None)
    flight = take_off(image_transport=transport)
    lines: list[str] = []
    monkeypatch.setattr(flight.node, "log_warning", lines.append)
    assert flight.in_node(flight.node.trigger_configure).name == "SUCCESS"
    assert any("simplejpeg is not installed" in line for line in lines) == is_logged
    decoder = flight.figures().get("jpeg_decoder", "")
    assert decoder.startswith("OpenCV: simplejpeg is not installed") == is_logged and bool(decoder) == is_logged
