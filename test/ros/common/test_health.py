# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Health are counted one by one and logged rarely."""

from __future__ import annotations

import pytest

from crack_perception.ros.common import health
from crack_perception.ros.common.health import Health


def test_report_many_of_one_kind_log_one_line_and_count_all(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: now_s[0])
    lines: list[str] = []
    log = Health(lines.append)
    for _ in range(50):
        log.report("bad_image", "a frame was refused")
    log.report("no_pose", "no pose")
    assert lines == ["a frame was refused", "no pose"]
    now_s[0] += 6
    log.report("bad_image", "a frame was refused")
    assert lines[-1] == "a frame was refused (49 more of this kind since the last line)"
    assert log.counts() == {"bad_image": 51, "no_pose": 1}
    assert log.present(within_s=3.0) == ["a frame was refused"]
    assert log.present(within_s=10.0) == ["a frame was refused", "no pose"]
