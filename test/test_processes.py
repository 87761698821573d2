# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pools of processes: their start, and its failure where there is no shared memory."""

from __future__ import annotations

import errno
import multiprocessing.context
import os

import pytest

from crack_perception.errors import UserError
from crack_perception.processes import process_pool


def test_process_pool_runs_tasks_in_another_process() -> None:
    with process_pool(1, os.getpid) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()


def test_process_pool_without_shared_memory_names_cause_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")  # as sem_open does where /dev/shm cannot be written

    monkeypatch.setattr(multiprocessing.context.BaseContext, "SimpleQueue", refuse)
    monkeypatch.setattr(multiprocessing.context.BaseContext, "Lock", refuse)
    with pytest.raises(UserError, match=r"there is no shared memory \(Read-only file system\)") as caught:
        process_pool(1, os.getpid)
    assert "/dev/shm" in caught.value.remedy
