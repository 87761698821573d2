# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Engines that run the tasks of a survey: processes of this machine, or the workers of a Dask cluster.

Both are executors of ``concurrent.futures``. Scheduling, transport and the retry of tasks of lost workers are those of
Dask; on one machine the operating system's pool of processes is enough.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import connection
from pathlib import Path
from typing import Any

from crack_perception.cores import usable_cores
from crack_perception.errors import UserError, file_error
from crack_perception.interrupts import blocked_interrupt

_WAIT_FOR_WORKERS_S = 120
# Time between two questions for the number of workers.
_ASK_AGAIN_S = 5.0
# What clients of distributed raise where their scheduler has gone.
_LOST_CONNECTION = (OSError, RuntimeError, TimeoutError, CancelledError)
# Packages that results depend on; the first one must have the same version everywhere.
_PACKAGES = ("crack_perception", "numpy", "onnxruntime", "pyarrow")
# Libraries of a worker that would start a thread on every core.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class ClusterOptions:
    """Connection to a Dask cluster.

    Attributes:
        address: Of its scheduler, for example ``tcp://host:8786``, or ``tls://host:8786``.
        ca_file, cert_file, key_file: PEM files of TLS: authority, certificate and key of this client; all or none.
        timeout_s: Time for the connection [s].
    """

    address: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    timeout_s: float = 20.0


class ProcessLostError(Exception):
    """Raised for a task whose process, or the whole engine, has ended."""


@dataclass(eq=False)
class Engine:
    """Running engine.

    Attributes:
        executor: Runs the tasks; another one after ``renew``.
        workers: Number of tasks that run at once.
        description: For the user.
        start: Starts another executor in place of one that has lost a process; None where there is none.
        ask: Returns the present number of tasks that run at once; None where it does not change.
    """

    executor: Executor
    workers: int
    description: str
    start: Callable[[], Executor] | None = None
    ask: Callable[[], int] | None = None
    _asked_s: float = 0.0

    @property
    def patience_s(self) -> float | None:
        """Time after which ``capacity`` may have changed [s]; None where it does not change."""
        return None if self.ask is None else _ASK_AGAIN_S

    def capacity(self) -> int:
        """Return the number of tasks that run at once, workers that have joined since among them.

        Raises:
            ProcessLostError: The scheduler does not answer.
        """
        if self.ask is not None and time.monotonic() - self._asked_s >= _ASK_AGAIN_S:
            self._asked_s = time.monotonic()
            try:
                self.workers = max(1, self.ask())
            except _LOST_CONNECTION as error:
                raise ProcessLostError from error
        return self.workers

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a task.

        Raises:
            ProcessLostError: The engine has lost a process and takes no tasks.
        """
        try:
            with blocked_interrupt():  # it may start a process
                return self.executor.submit(function, *arguments)
        except BrokenProcessPool as error:
            raise ProcessLostError from error
        except _LOST_CONNECTION as error:
            if self.ask is None:
                raise
            raise ProcessLostError from error

    def renew(self) -> None:
        """Start anew after a process was lost.

        Raises:
            UserError: This engine cannot be started anew.
        """
        if self.start is None:
            raise UserError(
                f"the connection to {self.description} is lost",
                "Start it again, and run the same command: finished parts are kept",
            )
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.executor = self.start()


def explained(error: Exception) -> str:
    """Return why a task failed, for the user, where it is no error of the user."""
    if type(error).__name__ == "KilledWorker":  # of distributed, which may not be installed
        return (
            "every worker that had it ended unexpectedly (out of memory, or a fault of a library?). "
            "Repair the recording, or use workers with more memory"
        )
    if isinstance(error, MemoryError):
        return "memory is short. Use fewer --workers, or a machine with more memory"
    if isinstance(error, OSError) and error.errno:
        return str(file_error(error.filename or tempfile.gettempdir(), error, verb="used"))
    return f"{type(error).__name__}: {error}. This is a fault of the program: please report it"


def _end_with_parent() -> None:
    """End this process when the one that started it ends, even if that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent_watch", daemon=True).start()


@contextmanager
def local_engine(workers: int | None) -> Iterator[Engine]:
    """Start processes on this machine.

    Args:
        workers: Number of processes; None: the available cores.
    """
    count = workers or usable_cores()
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    others = set(multiprocessing.active_children())

    def start() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _end_with_parent)

    engine = Engine(start(), count, f"{count} process{'es' if count > 1 else ''} of this machine", start)
    try:
        yield engine
    except BaseException:  # an interrupted run does not wait for the parts in progress
        engine.executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        engine.executor.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def cluster_engine(options: ClusterOptions, workers: int | None, report: Callable[[str], object]) -> Iterator[Engine]:
    """Connect to a Dask cluster; its workers need this package and the paths of the recordings.

    Args:
        options: Where it is.
        workers: Number of workers to wait for; None: one.
        report: Called with a line for the user.

    Raises:
        UserError: It cannot be reached, has too few workers, or one of another version of this package.
    """
    from distributed import Client

    try:
        client = Client(options.address, security=_security(options), set_as_default=False, timeout=options.timeout_s)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise UserError(
            f"the Dask scheduler {options.address} cannot be reached ({error})",
            "Start one with `dask scheduler`, or check the address and the TLS files",
        ) from error
    with client:
        try:
            client.wait_for_workers(workers or 1, timeout=_WAIT_FOR_WORKERS_S)
        except TimeoutError as error:
            raise UserError(
                f"the cluster {options.address} has fewer than {workers or 1} workers",
                "Start more with `dask worker`, or lower --workers",
            ) from error

        checked: set[str] = set()

        def threads() -> int:
            found = client.nthreads()
            _check_versions(client, set(found) - checked, report)
            checked.update(found)
            return sum(found.values())

        report(f"Dashboard: {client.dashboard_link}")
        # No retries of tasks that fail: those of lost workers are repeated by the scheduler anyway.
        executor = client.get_executor(pure=False)
        count = threads()
        yield Engine(executor, count, f"{count} threads of {len(checked)} workers of {options.address}", ask=threads)


def _check_versions(client: Any, workers: Collection[str], report: Callable[[str], object]) -> None:
    """Check the packages of workers that have joined.

    Raises:
        UserError: A worker has no crack_perception of this version.
    """
    if not workers:
        return
    for name in _PACKAGES:
        here = _version(name)
        # A function of the standard library, because those of this package may not exist in that of the worker.
        found = client.run(metadata.version, name, workers=sorted(workers), on_error="return")
        for address, there in sorted(found.items()):
            shown = "none" if isinstance(there, metadata.PackageNotFoundError) else there
            if shown == here or not isinstance(shown, str):  # the same, or the worker has gone
                continue
            if name == _PACKAGES[0]:
                raise UserError(
                    f"the worker {address} has {name} {shown}, this machine {here}",
                    "Install the same version on all machines of the cluster, start the workers again, and run the "
                    "same command: finished parts are kept",
                )
            report(f"note: the worker {address} has {name} {shown}, this machine {here}: last digits may differ")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _security(options: ClusterOptions) -> Any:
    """Return the TLS configuration; None for an unencrypted connection.

    Raises:
        UserError: Some of the files are not given or do not exist.
    """
    from distributed.security import Security

    files = {"tls_ca_file": options.ca_file, "tls_client_cert": options.cert_file, "tls_client_key": options.key_file}
    if not any(files.values()):
        return None
    missing = [str(path) for path in files.values() if path is not None and not path.is_file()]
    if missing or not all(files.values()):
        raise UserError(
            f"TLS files do not exist: {', '.join(missing)}" if missing else "TLS needs three files",
            "Give --tls-ca, --tls-cert and --tls-key",
        )
    return Security(require_encryption=True, **{name: str(path) for name, path in files.items()})
