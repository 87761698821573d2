"""Processor time and memory of another process while something happens."""

from __future__ import annotations

import threading
import time

import psutil

_PERIOD_S = 0.5


class ProcessSampler:
    """Samples from ``start`` to ``stop``.

    Attributes:
        cpu_percent: Mean over that time; 100 is one core kept busy.
        rss_mb: Largest resident memory seen, in 10^6 bytes.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="process sampler", daemon=True)
        self.cpu_percent = 0.0
        self.rss_mb = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the figures stay."""
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
