# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Engines that run the tasks of a survey: processes of this machine, or the workers of a Dask cluster.

Both are executors of ``concurrent.futures``. Scheduling, transport and the retry of tasks of lost workers are those of
Dask; on one machine the operating system's pool of processes is enough.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from crack_perception.cores import usable_cores
from crack_perception.errors import UserError

_RETRIES = 3
_WAIT_FOR_WORKERS_S = 120
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


@dataclass(frozen=True)
class Engine:
    """Running engine.

    Attributes:
        executor: Runs the tasks.
        workers: Number of tasks that run at once.
        description: For the user.
    """

    executor: Executor
    workers: int
    description: str


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
    executor = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        yield Engine(executor, count, f"{count} process{'es' if count > 1 else ''} of this machine")
    except BaseException:  # an interrupted run does not wait for the parts in progress
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
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
        UserError: It cannot be reached, or has too few workers.
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
        threads = sum(client.nthreads().values())
        report(f"Dashboard: {client.dashboard_link}")
        executor = client.get_executor(retries=_RETRIES, pure=False)
        yield Engine(executor, threads, f"{threads} threads of {len(client.nthreads())} workers of {options.address}")


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
