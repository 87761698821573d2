# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Dask clusters of real processes on this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from patience import wait_for

_ADDRESS = re.compile(r"Scheduler at:\s+(\S+)")


@dataclass(frozen=True)
class Cluster:
    """Running cluster: address of the scheduler, processes and log files of the workers."""

    address: str
    workers: list[subprocess.Popen[bytes]]
    logs: list[Path]
    scheduler: subprocess.Popen[bytes]
    join: Callable[[], None]
    """Starts one more worker."""


@contextmanager
def cluster(folder: Path, workers: int, *tls: str) -> Iterator[Cluster]:
    """Start a scheduler and workers of one thread each.

    Args:
        folder: Of logs and scratch files.
        workers: Number of workers.
        tls: Options of both for TLS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        protocol = "tls" if tls else "tcp"
        options = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--protocol", protocol]
        log = folder / "scheduler.log"
        scheduler = _started(stack, log, "scheduler", *options, *tls)
        wait_for(lambda: _ADDRESS.search(log.read_text()) is not None)
        found = _ADDRESS.search(log.read_text())
        assert found
        logs = [folder / f"worker_{number}.log" for number in range(workers)]
        options = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        options += ["--local-directory", str(folder), "--protocol", protocol]
        processes = [_started(stack, path, "worker", found[1], *options, *tls) for path in logs]

        def join() -> None:
            _started(stack, folder / "worker_late.log", "worker", found[1], *options, *tls)

        yield Cluster(found[1], processes, logs, scheduler, join)


def _started(stack: ExitStack, log: Path, role: str, *options: str) -> subprocess.Popen[bytes]:
    file = stack.enter_context(log.open("wb"))
    command = [sys.executable, "-m", "distributed.cli.dask_" + role, *options]
    process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process
