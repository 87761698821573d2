# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flow control of a playback on a simulated clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from crack_perception.evaluation.replay import pacing
from crack_perception.evaluation.replay.pacing import Pacer

CAMERA_S = 0.1


class SlowNode:
    """Simulated node that processes one image at a time in a fixed time; ``tick`` advances the clock by 10 ms."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, frame_s: float) -> None:
        self.now_s = 0.0
        self._frame_s = frame_s
        self._done_s: list[float] = []
        self.waiting = 0
        monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: self.now_s))

    def send(self) -> None:
        begin_s = max([self.now_s, *self._done_s[-1:]])
        self._done_s.append(begin_s + self._frame_s)
        self.waiting = max(self.waiting, len(self._done_s) - self.answered())

    def answered(self) -> int:
        return sum(done_s <= self.now_s for done_s in self._done_s)

    def tick(self) -> None:
        self.now_s += 0.01

    def fly(self, pacer: Pacer, images: int) -> None:
        for sent in range(images):
            pacer.hold(sent, self.tick)
            self.send()
            self.now_s += CAMERA_S


def test_pacer_fast_node_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    node = SlowNode(monkeypatch, 0.08)
    pacer = Pacer(node.answered, 100.0)
    node.fly(pacer, 50)
    assert pacer.held_s == 0.0


def test_pacer_slow_node_gets_its_rate_and_no_second_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    node = SlowNode(monkeypatch, 0.4)
    pacer = Pacer(node.answered, 100.0)
    node.fly(pacer, 50)
    assert node.waiting == 1
    assert node.now_s == pytest.approx(50 * 0.4, rel=0.05)
    assert pacer.held_s == pytest.approx(50 * (0.4 - CAMERA_S), rel=0.05)


def test_pacer_budget_exhausted_keeps_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    node = SlowNode(monkeypatch, 1.0)
    pacer = Pacer(node.answered, 3.0)
    node.fly(pacer, 30)
    assert pacer.held_s == pytest.approx(3.0, abs=0.02)
    assert node.now_s == pytest.approx(30 * CAMERA_S + 3.0, abs=0.1)


def test_pacer_image_without_result_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    node = SlowNode(monkeypatch, 0.05)
    lost = 3
    pacer = Pacer(lambda: node.answered() - min(lost, node.answered()), 100.0)
    node.fly(pacer, 30)
    assert 10.0 < pacer.held_s < 50.0


def test_pacer_exception_in_tick_propagates(monkeypatch: pytest.MonkeyPatch) -> None:
    node = SlowNode(monkeypatch, 100.0)
    pacer = Pacer(lambda: 0, 100.0)

    def die() -> None:
        raise RuntimeError("the node ended")

    node.send()
    node.send()
    with pytest.raises(RuntimeError, match="the node ended"):
        pacer.hold(2, die)
