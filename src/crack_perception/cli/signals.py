"""Signals of the command line: every way to end a verb runs its clean-up."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_signals() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt even where it was inherited as ignored; SIGTERM and SIGHUP raise SystemExit.

    So the processes that a verb has started are ended too. An ignored SIGHUP stays ignored (``nohup``). Outside the
    main thread, where Python allows no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGINT] == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _exit)
    if before[signal.SIGHUP] != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _exit)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: installed outside Python, which cannot put it back
                signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
