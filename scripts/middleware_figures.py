# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Row of the table in docs/platforms.md for the present middleware: the real crack_node, fed with images over it.

    RMW_IMPLEMENTATION=rmw_cyclonedds_cpp .venv/bin/python scripts/middleware_figures.py [--rate HZ] [--images N]

Sends the images of a simulated flight (1080p, raw) to a node with the model nano in its own process; a subscriber that
starts later waits for a latched topic; all parameters are read; then the node is killed, a second one takes its place,
and the images are sent again. Exit codes: 0 everything arrived, 1 something did not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from vision_msgs.msg import LabelInfo

from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.flight import FlightInMemory, benchmark_settings, fly
from crack_perception.evaluation.benchmark.node_under_test import (
    NAME,
    NAMESPACE,
    NODE_MODULE,
    TARGET,
    Monitor,
    NodeUnderTest,
)
from crack_perception.evaluation.replay.node_client import read_parameters, spinning_node, wait_until
from crack_perception.evaluation.replay.node_process import NodeProcess, assignments, renamed
from crack_perception.evaluation.replay.player import InputPublishers
from crack_perception.evaluation.replay.ros_isolation import isolated_ros

PATIENCE_S = 60.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@contextmanager
def running(node: Node, flight: FlightInMemory, publishers: InputPublishers, log: Path) -> Iterator[NodeUnderTest]:
    """Start a node and wait until it is connected."""
    parameters = {"model": "nano", "autostart": "false", "frame_budget_ms": "0.0", "diagnostics_period_s": "0.2"}
    arguments = [*renamed(NAME, NAMESPACE), *assignments({**flight.parameters, **parameters})]
    with NodeProcess(NODE_MODULE, arguments, log) as process:
        tested = NodeUnderTest(node, publishers, Monitor(node, TARGET), process)
        tested.configure()
        tested.activate()
        yield tested


def received(tested: NodeUnderTest, flight: FlightInMemory, rate_hz: float, images: int) -> str:
    """Send images; return how many the node has received and how many have results."""
    before = int(tested.monitor.status.get("frames_received", 0))
    run = tested.run(flight, rate_hz, images / rate_hz)

    def count() -> int:
        return int(tested.monitor.status.get("frames_received", 0)) - before

    wait_until(lambda: count() >= len(run.sent), 5.0, tested.check_alive)
    return f"{count()} of {len(run.sent)} received, {len(run.arrived_s)} with results"


def late_joiner_s(domain: int, tested: NodeUnderTest) -> float | None:
    """Return the time after which a new participant has a latched message; None if it gets none."""
    messages: list[LabelInfo] = []
    started_s = time.monotonic()
    with spinning_node("late_joiner", domain) as late:
        late.create_subscription(LabelInfo, f"{TARGET}/label_info", messages.append, LATCHED)
        has_come = wait_until(lambda: bool(messages), PATIENCE_S, tested.check_alive)
    return time.monotonic() - started_s if has_come else None


def main() -> int:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=10.0, metavar="HZ", help="of the images (default: %(default)s)")
    parser.add_argument("--images", type=int, default=40, metavar="N", help="sent each time (default: %(default)s)")
    chosen = parser.parse_args()
    flight = fly(benchmark_settings("1080p", seed=11))
    with (
        tempfile.TemporaryDirectory() as folder,
        isolated_ros() as domain,
        spinning_node("middleware_figures", domain) as node,
    ):
        publishers = InputPublishers(node, NAMESPACE, flight.inputs)
        log = Path(folder, "node.log")
        with running(node, flight, publishers, log) as tested:
            first = received(tested, flight, chosen.rate, chosen.images)
            latched_s = late_joiner_s(domain, tested)
            parameters = len(read_parameters(node, TARGET, tested.check_alive))
            os.kill(tested.pid, 9)
        with running(node, flight, publishers, log) as tested:
            second = received(tested, flight, chosen.rate, chosen.images)
    latched = "none" if latched_s is None else f"{latched_s:.1f} s"
    print("| middleware | images of 1080p | latched topic, late joiner | parameters read | after kill and restart |")
    print("|---|---|---|---|---|")
    print(f"| {rclpy.get_rmw_implementation_identifier()} | {first} | {latched} | {parameters} | {second} |")
    all_received = f"{chosen.images} of {chosen.images} received"
    return 0 if first.startswith(all_received) and second.startswith(all_received) and latched_s is not None else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
