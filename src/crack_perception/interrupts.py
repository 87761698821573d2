# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Signals as KeyboardInterrupt, and blocks in which they wait because results are being written."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

# After an interrupt, cleanup begins within this time; further signals meanwhile would interrupt that.
_UNWINDING_S = 2.0


@dataclass
class _State:
    """Of the process: signals are received by its main thread."""

    blocks: int = 0
    """Number of entered ``uninterrupted`` blocks."""
    is_pending: bool = False
    """An interrupt waits for the end of the outermost block."""
    raised_s: float = float("-inf")
    """Monotonic time of the last interrupt."""

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt, or note it where it has to wait."""
        if self.blocks:
            self.is_pending = True
        elif time.monotonic() - self.raised_s > _UNWINDING_S:
            self.raise_now()

    def raise_now(self) -> None:
        self.is_pending = False
        self.raised_s = time.monotonic()
        raise KeyboardInterrupt


_STATE = _State()


@contextlib.contextmanager
def signals_as_interrupts(is_whole_program: bool = False) -> Iterator[list[int]]:
    """Raise KeyboardInterrupt on SIGINT, SIGTERM and SIGHUP inside the block; yield the signals received so far.

    A verb then keeps its finished results and ends its child processes. Signals that follow within two seconds, and
    those inside ``uninterrupted`` blocks, do not disturb that. SIGINT works even where it was inherited as ignored
    (background job, service); an ignored SIGHUP stays ignored (``nohup``). Outside the main thread, where Python allows
    no handlers, nothing changes.

    Args:
        is_whole_program: The process ends after the block, and further signals would only interrupt that: they are
            ignored if one was received.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        received.append(number)
        _STATE.interrupt()

    if not _is_main_thread():
        yield received
        return
    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handled.append(signal.SIGHUP)
    _STATE.is_pending, _STATE.raised_s = False, float("-inf")
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            if is_whole_program and received:
                signal.signal(number, signal.SIG_IGN)
            elif handler is not None:  # None: installed outside Python, cannot be restored
                signal.signal(number, handler)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals wait until the block has ended; then raise KeyboardInterrupt if one was received.

    An error of the block takes precedence; the interrupt then follows at the end of the next block.
    """
    if not _is_main_thread():
        yield
        return
    _STATE.blocks += 1
    try:
        yield
    finally:
        _STATE.blocks -= 1
    if _STATE.is_pending and not _STATE.blocks:
        _STATE.raise_now()


@contextlib.contextmanager
def blocked_interrupt() -> Iterator[None]:
    """Block SIGINT in this thread; a process that is started meanwhile inherits that, and this one decides for both.

    Otherwise Ctrl-C in a terminal reaches it too, and Python reports it with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interrupt_later() -> None:
    """Raise KeyboardInterrupt at the end of the present ``uninterrupted`` block, after one was caught."""
    _STATE.is_pending = True


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
