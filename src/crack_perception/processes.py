# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pools of processes for offline work."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from crack_perception.errors import UserError


def process_pool(count: int, begin: Callable[..., object], *arguments: Any) -> ProcessPoolExecutor:
    """Return a pool of new processes, which share nothing with this one.

    Args:
        count: Number of processes.
        begin: Called with the arguments in each process, first of all.

    Raises:
        UserError: This system gives no shared memory, which the queues between the processes need.
    """
    try:
        return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), begin, arguments)
    except OSError as error:
        raise UserError(
            f"processes cannot be started: there is no shared memory ({error.strerror})",
            "Mount /dev/shm so that it can be written (docker: --shm-size or --ipc=host)",
        ) from error
