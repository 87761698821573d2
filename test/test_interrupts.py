# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of signals as interrupts, with real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from crack_perception import interrupts
from crack_perception.interrupts import interrupt_later, signals_as_interrupts, uninterrupted

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def send(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0)  # the handler runs at the latest here


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_as_interrupts_every_signal_interrupts_and_is_reported(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    if before == signal.SIG_IGN:
        pytest.skip("the tests run under nohup")
    with pytest.raises(KeyboardInterrupt), signals_as_interrupts() as received:
        send(number)
    assert received == [number]
    assert signal.getsignal(number) == before


def test_uninterrupted_signal_waits_for_the_end_of_the_outermost_block() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), signals_as_interrupts():
        with uninterrupted():
            with uninterrupted():
                send()
                steps.append("inner")
            send(signal.SIGTERM)
            steps.append("outer")
        steps.append("after")
    assert steps == ["inner", "outer"]


def test_uninterrupted_without_a_signal_changes_nothing() -> None:
    with signals_as_interrupts() as received, uninterrupted():
        pass
    assert received == []


def test_uninterrupted_error_takes_precedence() -> None:
    with signals_as_interrupts():
        with pytest.raises(OSError, match="disk"), uninterrupted():
            send()
            raise OSError("disk")
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            pass


def test_interrupt_later_follows_a_caught_interrupt() -> None:
    saved = False
    with pytest.raises(KeyboardInterrupt), signals_as_interrupts():
        try:
            send()
        except KeyboardInterrupt:
            with uninterrupted():
                interrupt_later()
                send()
                saved = True
    assert saved


def test_signals_as_interrupts_signals_in_quick_succession_do_not_disturb_the_cleanup() -> None:
    saved = False
    with pytest.raises(KeyboardInterrupt), signals_as_interrupts() as received:
        try:
            send()
        finally:
            send(signal.SIGTERM)
            send()
            with uninterrupted():
                saved = True
    assert saved
    assert received == [signal.SIGINT, signal.SIGTERM, signal.SIGINT]


def test_signals_as_interrupts_signal_long_after_an_ignored_interrupt_interrupts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupts, "_UNWINDING_S", 0.0)
    with pytest.raises(KeyboardInterrupt), signals_as_interrupts():
        with pytest.raises(KeyboardInterrupt):
            send()
        send()


PROGRAM = """
import os, signal, sys, time
from crack_perception.interrupts import signals_as_interrupts
with signals_as_interrupts(is_whole_program=True):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        pass
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    os.kill(os.getpid(), number)
sys.exit(7)
"""


def test_signals_as_interrupts_of_a_whole_program_later_signals_do_not_change_its_end() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (7, "")
