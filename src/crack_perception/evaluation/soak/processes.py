# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Memory, threads and file descriptors of the node processes during a soak test."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil

_PERIOD_S = 1.0
_ENDS = 0.1
# In less than a minute, memory still grows by what is used for the first time.
_LEAST_SAMPLES = 60


@dataclass
class Series:
    """Samples of one process, one per second.

    Attributes:
        name: Name of the node.
        private_mb: Memory in 10^6 bytes without files and shared memory.
        threads, descriptors: Numbers of threads and file descriptors.
    """

    name: str
    private_mb: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Growth:
    """Means of the first and the last tenth of a series after its warm-up, and its slope.

    Attributes:
        first, last: Means.
        per_hour: Slope by least squares, in units per hour.
    """

    first: float
    last: float
    per_hour: float

    @property
    def share(self) -> float:
        """Growth as a share of the first mean."""
        return self.last / self.first - 1.0 if self.first else 0.0


def growth(samples: list[float] | list[int], warm_up: float) -> Growth | None:
    """Compute the growth of a series after its warm-up; None with too few samples.

    Args:
        samples: Samples, one per second.
        warm_up: Share of the samples that is skipped.
    """
    values = np.asarray(samples[round(warm_up * len(samples)) :], np.float64)
    if len(values) < _LEAST_SAMPLES:
        return None
    count = max(1, round(_ENDS * len(values)))
    slope = float(np.polyfit(np.arange(len(values)) * _PERIOD_S, values, 1)[0])
    return Growth(float(np.median(values[:count])), float(np.median(values[-count:])), 3600.0 * slope)


class ProcessWatch:
    """Samples the registered processes in a separate thread."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self._watched: dict[str, tuple[psutil.Process, Series]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="process watch", daemon=True)
        self._thread.start()

    def watch(self, name: str, pid: int) -> None:
        """Sample this process, in place of an earlier one with the same name."""
        series = Series(name)
        with self._lock:
            self.series.append(series)
            self._watched[name] = (psutil.Process(pid), series)

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopped.wait(_PERIOD_S):
            with self._lock:
                watched = list(self._watched.values())
            for process, series in watched:
                try:
                    with process.oneshot():
                        memory: Any = process.memory_info()
                        threads, descriptors = process.num_threads(), process.num_fds()
                except psutil.Error:
                    continue
                series.private_mb.append((memory.rss - memory.shared) / 1e6)
                series.threads.append(threads)
                series.descriptors.append(descriptors)


class Starved:
    """Context manager that lets a process run only for a share of the time, by stopping and continuing it.

    Args:
        pid: Process id.
        share: Share of the time, 0 to 1.
    """

    _SLICE_S = 0.04

    def __init__(self, pid: int, share: float) -> None:
        self._process = psutil.Process(pid)
        self._share = share
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="starving", daemon=True)

    def __enter__(self) -> Starved:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            while not self._ended.is_set():
                self._process.suspend()
                time.sleep((1.0 - self._share) * self._SLICE_S)
                self._process.resume()
                time.sleep(self._share * self._SLICE_S)
        except psutil.NoSuchProcess:
            return
        finally:
            with suppress(psutil.NoSuchProcess):
                self._process.resume()
