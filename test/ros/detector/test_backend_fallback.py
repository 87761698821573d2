# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A node that was asked for a backend which cannot run here flies on the default and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flying_node import TakeOff


def test_configure_missing_backend_is_a_warning(take_off: TakeOff, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from diagnostic_msgs.msg import DiagnosticStatus

    monkeypatch.setitem(sys.modules, "openvino", None)
    flight = take_off(backend="openvino").start()
    stamp = flight.fly_one_frame()
    flight.wait(lambda: any(message.header.stamp == stamp for message in flight.received["detections"]))
    assert flight.figures()["backend"].startswith("onnxruntime")
    (status,) = flight.received["diagnostics"][-1].status
    assert status.level == DiagnosticStatus.WARN
    assert "The backend openvino cannot be used, onnxruntime runs instead: openvino is not installed" in status.message


def test_configure_default_backend_has_no_warning(take_off: TakeOff) -> None:
    flight = take_off(backend="onnxruntime").start()
    flight.fly_one_frame()

    def notes() -> list[Any]:
        return [status.message for message in flight.received["diagnostics"] for status in message.status]

    flight.wait(lambda: bool(notes()))
    assert not any("backend" in note for note in notes())
