# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Time from the start of the node's process to its first result, while the camera is running already."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.flight import FlightInMemory
from crack_perception.evaluation.benchmark.interleaved import quantiles
from crack_perception.evaluation.benchmark.node_under_test import NAME, NAMESPACE, NODE_MODULE, TARGET, Monitor
from crack_perception.evaluation.replay.node_client import spinning_node
from crack_perception.evaluation.replay.node_process import NodeProcess, assignments, renamed
from crack_perception.evaluation.replay.player import InputPublishers, Player
from crack_perception.evaluation.replay.ros_isolation import isolated_ros

RATE_HZ = 10.0
"""Rate of the camera; its period is the resolution of the measured time."""

_PATIENCE_S = 180.0


class _FirstResultError(Exception):
    """Ends the playback: the first result has arrived."""


def time_to_first_result(
    flight: FlightInMemory, parameters: Mapping[str, str], rounds: int, log: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Start the node several times while images are published, and stop it after its first result.

    The node configures and activates itself (``autostart``): imports, loading of the model, the choice of threads and
    tiles per call, and discovery are part of the time.

    Args:
        flight: Flight that is published.
        parameters: Parameters of the node in addition to those that the flight requires.
        rounds: Number of starts.
        log: File for the node's output.
        say: Called with each line of progress.

    Returns:
        ``rate_hz``, ``first_result_s`` and ``cpu_s`` (processor time of the node until then), as quantiles.

    Raises:
        UserError: The node ends, or gives no result within three minutes.
    """
    arguments = [
        *renamed(NAME, NAMESPACE),
        *assignments({**flight.parameters, **parameters, "autostart": "true"}),
    ]
    seconds: list[float] = []
    cpu_seconds: list[float] = []
    for _ in range(rounds):
        with isolated_ros() as domain, spinning_node("crack_benchmark_start", domain) as node:
            publishers, monitor = InputPublishers(node, NAMESPACE, flight.inputs), Monitor(node, TARGET)
            began_s = time.monotonic()
            with NodeProcess(NODE_MODULE, arguments, log) as process:
                _play_until_result(flight, publishers, monitor, process.check_alive)
                cpu = psutil.Process(process.pid).cpu_times()
            seconds.append(min(monitor.arrived_s.values()) - began_s)
            cpu_seconds.append(cpu.user + cpu.system)
            say(f"  first result after {seconds[-1]:.2f} s, {cpu_seconds[-1]:.2f} s of processor time")
    return {"rate_hz": RATE_HZ, "first_result_s": quantiles(seconds), "cpu_s": quantiles(cpu_seconds)}


def _play_until_result(
    flight: FlightInMemory, publishers: InputPublishers, monitor: Monitor, check: Callable[[], None]
) -> None:
    def tick() -> None:
        check()
        if monitor.arrived_s:
            raise _FirstResultError

    player = Player(publishers.by_topic, flight.image_topic, publishers.clock, 1.0, tick)
    try:
        player.play(flight.stream(RATE_HZ, round(RATE_HZ * _PATIENCE_S), time.time_ns()))
    except _FirstResultError:
        return
    raise UserError(f"{TARGET} gave no result within {_PATIENCE_S:.0f} s of its start")
