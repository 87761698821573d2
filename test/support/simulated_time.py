# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A clock that only waiting advances, so that a test compares exact times on any machine."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, TracebackType

import pytest

_STEP_S = 1e-6
"""Added to every wait, so that a remainder of rounding cannot be waited for without end."""


class SimulatedTime:
    """Takes the place of the modules ``time`` and ``threading`` in modules that wait for conditions.

    Attributes:
        now_s: Present time.
        waits_s: Lengths of all waits so far.
        on_wait: Called at the begin of every wait, as another thread would act meanwhile.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        self.now_s = 1000.0
        self.waits_s: list[float] = []
        self.on_wait: Callable[[], object] = lambda: None
        for module in modules:
            for name in {"time", "threading"} & vars(module).keys():
                monkeypatch.setattr(module, name, self)

    def monotonic(self) -> float:
        return self.now_s

    def Condition(self) -> _Condition:
        return _Condition(self)


class _Condition:
    def __init__(self, time: SimulatedTime) -> None:
        self._time = time

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def acquire(self) -> None:
        pass

    def release(self) -> None:
        pass

    def notify_all(self) -> None:
        pass

    def wait(self, timeout_s: float) -> bool:
        self._time.waits_s.append(timeout_s)
        self._time.now_s += timeout_s + _STEP_S
        self._time.on_wait()
        return False
