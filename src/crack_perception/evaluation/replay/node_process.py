# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A node in its own process: command line, start, stop, and CPU and memory load."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

from crack_perception.errors import UserError
from crack_perception.interrupts import blocked_interrupt, uninterrupted


def renamed(name: str, namespace: str) -> list[str]:
    """Return the arguments after ``--ros-args`` that set a node's name and namespace."""
    return ["-r", f"__node:={name}", "-r", f"__ns:={namespace}"]


def assignments(parameters: Mapping[str, str]) -> list[str]:
    """Return the arguments after ``--ros-args`` that set parameters; a later value overrides an earlier one."""
    return [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]


# The mapper saves its map while it stops, possibly on a busy machine.
_STOP_PATIENCE_S = 30.0
_TAIL_LINES = 15


class NodeProcess:
    """``python -m MODULE --ros-args ...`` as a context manager, which always ends the process on exit.

    Args:
        module: Module that runs the node.
        ros_arguments: Arguments after ``--ros-args``.
        log_path: File for the node's output.
    """

    def __init__(self, module: str, ros_arguments: Sequence[str], log_path: Path) -> None:
        self._command = [sys.executable, "-m", module, "--ros-args", *ros_arguments]
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NodeProcess:
        with self._log_path.open("wb") as log, blocked_interrupt():
            # A separate session keeps the terminal's Ctrl-C away from the node, which is stopped in __exit__. It
            # unblocks SIGINT when it can handle it.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running()
        with uninterrupted():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(_STOP_PATIENCE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._running().pid

    def send_signal(self, number: int) -> None:
        """Send a signal; does nothing when the node has ended."""
        self._running().send_signal(number)

    def wait(self, timeout_s: float) -> int | None:
        """Wait until the node has ended; its exit code, None when it still runs after the time."""
        try:
            return self._running().wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def log_text(self) -> str:
        """All of the node's output so far."""
        return self._log_path.read_text(errors="replace")

    def check_alive(self) -> None:
        """Raise if the node has ended.

        Raises:
            UserError: The node has ended; the message contains the end of its output.
        """
        code = self._running().poll()
        if code is not None:
            raise UserError(f"the node ended unexpectedly (exit code {code}); its log ends with:\n{self.log_tail()}\n")

    def log_tail(self) -> str:
        """Return the last lines of the node's output."""
        lines = self.log_text().splitlines()
        return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the node was not started")
        return self._process


_PERIOD_S = 0.5


class ProcessSampler:
    """CPU load and memory of a process, sampled from ``start`` to ``stop``.

    Attributes:
        cpu_percent: Mean CPU load over that time; 100 is one core.
        rss_mb: Largest resident memory [10^6 bytes].
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="process sampler", daemon=True)
        self.cpu_percent = 0.0
        self.rss_mb = 0.0

    def start(self) -> None:
        """Start sampling."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sampling; the figures stay available."""
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        start_s, start_cpu_s = time.monotonic(), self._cpu_s()
        while True:
            stopped = self._stopped.wait(_PERIOD_S)
            try:
                self.rss_mb = max(self.rss_mb, self._process.memory_info().rss / 1e6)
                self.cpu_percent = 100.0 * (self._cpu_s() - start_cpu_s) / (time.monotonic() - start_s)
            except psutil.NoSuchProcess:
                return
            if stopped:
                return

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)
