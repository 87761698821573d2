# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Memory pre-allocation: no page faults and no growth after the first frame."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.evaluation.benchmark.flight import benchmark_settings, fly
from crack_perception.evaluation.benchmark.node_under_test import NodeUnderTest, node_under_test

FRAME_BYTES = 1920 * 1080 * 3

# Prints the page faults of a round, and how many frames the process grew by in the first one.
ROUNDS = f"""
import resource
from pathlib import Path
from crack_perception.ros.common.allocation import keep_memory

def frames():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / {FRAME_BYTES}

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def one_round():
    # Large blocks that overlap in time, each written to, as frames do; the first one outlives the round.
    return [bytes([i]) * ({FRAME_BYTES} + i % 3 * {FRAME_BYTES // 32}) for i in range(8)][0]

{{before}}
start = frames()
last = one_round()
grown = frames() - start
last = one_round()
start = faults()
for _ in range(10):
    last = one_round()
print((faults() - start) / 10, grown)
"""

RESERVE = "from crack_perception.ros.detector.memory import FrameMemory"

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def faults_and_growth(before: str) -> tuple[float, float]:
    """Measure in a separate process, because the settings hold until a process ends."""
    script = ROUNDS.format(before=before)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    faults, grown = done.stdout.split()
    return float(faults), float(grown)


def test_keep_memory_freed_blocks_are_reused_without_page_faults() -> None:
    by_default, grown = faults_and_growth("")
    kept, _ = faults_and_growth("keep_memory()")
    assert by_default > 1000
    assert kept < 0.1 * by_default
    assert grown > 0.9


def test_reserve_first_size_stops_growth() -> None:
    _, without = faults_and_growth("keep_memory()")
    _, within = faults_and_growth(f"keep_memory(); {RESERVE}; FrameMemory().reserve({FRAME_BYTES})")
    assert without > 7.5
    assert within < 0.5


def test_reserve_larger_frames_reserves_again() -> None:
    reserved = f"{RESERVE}; memory = FrameMemory(); memory.reserve({FRAME_BYTES // 2})"
    _, too_small = faults_and_growth(f"keep_memory(); {reserved}; memory.reserve({FRAME_BYTES // 4})")
    _, enough = faults_and_growth(f"keep_memory(); {reserved}; memory.reserve({FRAME_BYTES})")
    assert too_small > 1.0
    assert enough < 0.5


@pytest.mark.slow
def test_node_delayed_in_flight_does_not_grow(tiny_model: Path, tmp_path: Path) -> None:
    flight = fly(benchmark_settings("1080p", seed=3))

    def private_frames(node: NodeUnderTest) -> float:
        memory = psutil.Process(node.pid).memory_info()
        return (memory.rss - memory.shared) / FRAME_BYTES

    with node_under_test(flight, {"model": str(tiny_model)}, tmp_path / "node.log") as node:
        node.configure()
        node.activate()
        at_rest = private_frames(node)
        node.run(flight, 10.0, 1.0)
        flying = private_frames(node)
        # Without pre-allocation, 1 to 4 frames here, and up to 5 more below. Ten frames are reserved; a
        # part of them takes the place of memory that start-up has freed.
        assert flying - at_rest > 7.0

        signals = iter([(0.5, signal.SIGSTOP), (1.5, signal.SIGCONT), (float("inf"), signal.SIGCONT)])
        due_s, due = next(signals)
        begin_s = time.monotonic()

        def interrupt() -> None:
            nonlocal due_s, due
            if time.monotonic() - begin_s > due_s:
                os.kill(node.pid, due)
                due_s, due = next(signals)

        node.run(flight, 30.0, 2.0, on_tick=interrupt)
        assert due_s == float("inf")
        assert private_frames(node) - flying < 1.0
