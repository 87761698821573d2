"""The real node in a process of its own, watched and always brought down."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from crack_perception.errors import UserError

# The mapper saves its map meanwhile, on a machine that may be busy.
_STOP_PATIENCE_S = 30.0
_TAIL_LINES = 15


class NodeProcess:
    """``python -m MODULE --ros-args ...`` as a context manager; leaving it ends the process, whatever happens.

    Args:
        module: Module that runs the node.
        ros_arguments: What follows ``--ros-args``.
        log_path: File that takes the node's output.
    """

    def __init__(self, module: str, ros_arguments: Sequence[str], log_path: Path) -> None:
        self._command = [sys.executable, "-m", module, "--ros-args", *ros_arguments]
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NodeProcess:
        with self._log_path.open("wb") as log:
            # A session of its own keeps the terminal's Ctrl-C from the node: it is stopped below, in order.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running()
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
        """Raise when the node has ended.

        Raises:
            UserError: With the end of the node's output.
        """
        code = self._running().poll()
        if code is not None:
            raise UserError(f"the node ended by itself (exit code {code}); it said:\n{self.log_tail()}\n")

    def log_tail(self) -> str:
        """The last lines of the node's output."""
        lines = self.log_text().splitlines()
        return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the node was not started")
        return self._process
