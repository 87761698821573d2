"""Signals of the command line: every way to end a verb runs its clean-up."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt for SIGINT, SIGTERM and SIGHUP inside the block; yields the signals received so far.

    A verb then keeps its finished results and ends the processes that it has started. SIGINT works even where it was
    inherited as ignored (background job, service); an ignored SIGHUP stays ignored (``nohup``). Outside the main
    thread, where Python allows no handlers, nothing changes.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handled.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: installed outside Python, which cannot restore it
                signal.signal(number, handler)
