# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Termination signals, received without interrupting callbacks."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_at_end_signals() -> None:
    """End the process with exit code 0 at the first end signal, as long as it has nothing to save.

    For the time in which a node imports its modules: Python would report SIGINT with a traceback. ``EndSignals``
    replaces it. An ignored SIGINT is received, an ignored SIGHUP is not, as there. Blocked signals are unblocked: who
    starts a node with them blocked leaves no moment in which Python's own start takes them.
    """
    numbers = _received_signals()
    for number in numbers:
        signal.signal(number, _exit)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _received_signals() -> list[signal.Signals]:
    return [number for number in END_SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def _exit(number: int, frame: FrameType | None) -> None:
    os._exit(0)


class EndSignals:
    """Context manager that turns SIGINT, SIGTERM and SIGHUP into one call from a separate thread.

    A signal neither raises an exception nor interrupts a callback, however often it arrives: rclpy's own handlers would
    invalidate the context under callbacks that publish. SIGINT is received even where it was inherited as ignored
    (background jobs, systemd); SIGHUP is not, because that is how ``nohup`` works.

    The signals stay ignored after the end of the context: the process is about to exit, and another Ctrl-C must not
    turn a clean end into an error.

    Args:
        on_end: Called once with the number of the first signal, outside the main thread.
    """

    def __init__(self, on_end: Callable[[int], None]) -> None:
        self._on_end = on_end
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        self._thread = threading.Thread(target=self._wait, name="end_signals", daemon=True)
        self._old_wakeup_fd = -1
        self._received: list[signal.Signals] = []

    def __enter__(self) -> EndSignals:
        # The interpreter writes the number of a signal into this socket at once, even while the main thread waits in
        # native code, where no Python handler runs.
        self._old_wakeup_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._received = _received_signals()
        for number in self._received:
            signal.signal(number, _leave_to_thread)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._received:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._old_wakeup_fd)
        self._write.close()
        self._thread.join()
        self._read.close()

    def _wait(self) -> None:
        is_ending = False
        while numbers := self._read.recv(64):
            wanted = [number for number in numbers if number in self._received]
            if not wanted:
                continue
            if is_ending:
                os.write(2, b"Already shutting down: saving results\n")
            else:
                is_ending = True
                self._on_end(wanted[0])


def _leave_to_thread(number: int, frame: FrameType | None) -> None:
    """Do nothing: only a signal that has a Python handler is written into the wakeup socket."""
