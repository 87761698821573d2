# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The real crack_node in its own process, fed from memory over DDS, and the monitor of its results."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64
from vision_msgs.msg import Detection2DArray, Detection3DArray

from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.flight import FlightInMemory
from crack_perception.evaluation.benchmark.node_run import NodeRun
from crack_perception.evaluation.recordings.messages import read_header
from crack_perception.evaluation.replay.messages import node_status
from crack_perception.evaluation.replay.node_client import LifecycleClient, spinning_node, wait_until
from crack_perception.evaluation.replay.node_process import NodeProcess, ProcessSampler, assignments, renamed
from crack_perception.evaluation.replay.player import InputPublishers, Player
from crack_perception.evaluation.replay.ros_isolation import isolated_ros

_ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
_NS_PER_S = 1e9


class Monitor:
    """Subscriber to a crack node's results that does not deserialize detections; another thread spins ``node``.

    Args:
        node: Node of the benchmark.
        target: Full name of the crack node.

    Attributes:
        arrived_s: Stamp of every frame with results -> monotonic time of their arrival [s].
        located: Number of frames whose results have a map position.
        processing_ms: Processing times reported by the node, one for each frame.
        status: Key-value pairs of the node's latest diagnostics.
    """

    def __init__(self, node: Node, target: str) -> None:
        self._node = node
        # The middleware stamps messages on arrival by the system clock, independent of delays in this process.
        self._monotonic_offset_s = time.monotonic() - time.time()
        self.status: Mapping[str, str] = {}
        self._target = target
        self.reset()
        self._subscriptions = [
            node.create_subscription(Detection2DArray, f"{target}/detections", self._on_detections_2d, _ALL, raw=True),
            node.create_subscription(
                Detection3DArray, f"{target}/detections_3d", self._on_detections_3d, _ALL, raw=True
            ),
            node.create_subscription(Float64, f"{target}/debug/processing_time_ms", self._on_processing, _ALL),
            node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _ALL),
        ]

    def reset(self) -> None:
        """Discard the results received so far."""
        self.arrived_s: dict[int, float] = {}
        self.located = 0
        self.processing_ms: list[float] = []

    def unmatched(self) -> list[str]:
        """Return the topics without a publisher."""
        topics = [subscription.topic_name for subscription in self._subscriptions]
        return [topic for topic in topics if not self._node.count_publishers(topic)]

    def _on_detections_2d(self, data: bytes, info: Mapping[str, Any]) -> None:
        received_ns = int(info["received_timestamp"])
        # Not every middleware reports the time of arrival.
        arrived_s = received_ns / _NS_PER_S + self._monotonic_offset_s if received_ns else time.monotonic()
        self.arrived_s.setdefault(read_header(data).stamp_ns, arrived_s)

    def _on_detections_3d(self, data: bytes) -> None:
        self.located += 1

    def _on_processing(self, message: Float64) -> None:
        self.processing_ms.append(float(message.data))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        status = node_status(message, self._target)
        if status is not None:
            self.status = status


NODE_MODULE = "crack_perception.ros.crack_node"
NAMESPACE, NAME = "/benchmark", "crack_node"
TARGET = f"{NAMESPACE}/{NAME}"

# Every frame is processed completely, so that overload shows as missed frames.
_FIXED_PARAMETERS = {"autostart": "false", "frame_budget_ms": "0.0"}

# Generous, because they only matter on failure: other programs may use most of the machine.
_START_PATIENCE_S = 180.0
_DISCOVERY_PATIENCE_S = 60.0
# The first image after discovery may be delayed while endpoints are still being matched.
_SETTLING_S = 1.0
_QUIET_S = 0.7
# Time to copy and stamp the flight's first messages before they are due.
_PREPARATION_S = 0.1


class NodeUnderTest:
    """Running node; see :func:`node_under_test`.

    Args:
        node: Node of the benchmark, spun by another thread.
        publishers: Publishers of the node's inputs.
        monitor: Monitor of the node's results.
        process: Process of the node.
    """

    def __init__(self, node: Node, publishers: InputPublishers, monitor: Monitor, process: NodeProcess) -> None:
        self.monitor = monitor
        self._publishers = publishers
        self._process = process
        self._lifecycle = LifecycleClient(node, TARGET, process)

    @property
    def pid(self) -> int:
        """Process id of the node."""
        return self._process.pid

    def check_alive(self) -> None:
        """Raise UserError if the node has ended."""
        self._process.check_alive()

    def configure(self) -> None:
        """Configure the node, which loads its model.

        Raises:
            UserError: The node does not start, or refuses the transition.
        """
        self._lifecycle.change("configure", _START_PATIENCE_S)

    def activate(self) -> None:
        """Activate the node and wait until all topics are connected.

        Raises:
            UserError: The node refuses the transition, or a topic stays unconnected.
        """
        self._lifecycle.change("activate", _START_PATIENCE_S)

        def missing() -> list[str]:
            return [name for name in [*self._publishers.unmatched(), *self.monitor.unmatched()] if name != "/clock"]

        if not wait_until(lambda: not missing(), _DISCOVERY_PATIENCE_S, self.check_alive):
            raise UserError(
                f"{TARGET} is active but not connected on {', '.join(missing())} after {_DISCOVERY_PATIENCE_S:.0f} s",
                "Check the ROS_DOMAIN_ID and the RMW_IMPLEMENTATION in the environment",
            )
        time.sleep(_SETTLING_S)

    def load_during(self, seconds: float) -> tuple[float, float]:
        """Measure the CPU load [% of a core] and resident memory [10^6 bytes] of the node without input."""
        sampler = ProcessSampler(self.pid)
        sampler.start()
        time.sleep(seconds)
        sampler.stop()
        self.check_alive()
        return sampler.cpu_percent, sampler.rss_mb

    def run(
        self,
        flight: FlightInMemory,
        rate_hz: float,
        seconds: float,
        min_images: int = 2,
        on_tick: Callable[[], None] = lambda: None,
    ) -> NodeRun:
        """Publish the flight's images at a fixed rate and wait for the last results.

        Args:
            flight: Flight to publish.
            rate_hz: Image rate [Hz].
            seconds: Duration of the run [s].
            min_images: Minimum number of images, even if the run then takes longer.
            on_tick: Called about every 10 ms.

        Raises:
            UserError: The node has ended.
        """
        images = max(min_images, math.ceil(rate_hz * seconds))

        def tick() -> None:
            self.check_alive()
            on_tick()

        monitor = self.monitor
        monitor.reset()
        messages = flight.stream(rate_hz, images, time.time_ns() + round(_PREPARATION_S * _NS_PER_S))
        first = next(messages)
        player = Player(self._publishers.by_topic, flight.image_topic, self._publishers.clock, 1.0, tick)
        sampler, own_sampler = ProcessSampler(self.pid), ProcessSampler(os.getpid())
        # The player starts with the first message; from then on every message is published at its stamp.
        time.sleep(max(0.0, (first.stamp_ns - time.time_ns()) / _NS_PER_S))
        sampler.start()
        own_sampler.start()
        playback = player.play(itertools.chain([first], messages))
        sampler.stop()
        own_sampler.stop()
        last_s = playback.images[-1].sent_s

        def is_settled() -> bool:
            newest_s = max(monitor.arrived_s.values(), default=last_s)
            # The processing time is the last message of each frame.
            is_complete = min(len(monitor.arrived_s), len(monitor.processing_ms)) >= images
            return is_complete or time.monotonic() > max(newest_s, last_s) + _QUIET_S

        player.keep_ticking(is_settled)
        return NodeRun(
            rate_hz,
            tuple(playback.images),
            dict(monitor.arrived_s),
            monitor.located,
            tuple(monitor.processing_ms),
            sampler.cpu_percent,
            sampler.rss_mb,
            own_sampler.cpu_percent,
            playback.worst_lateness_s,
        )


@contextmanager
def node_under_test(flight: FlightInMemory, parameters: Mapping[str, str], log: Path) -> Iterator[NodeUnderTest]:
    """Start an unconfigured node for a flight, and stop it at the end.

    Args:
        flight: Flight whose topics are published.
        parameters: Node parameters in addition to those that the flight requires.
        log: File for the node's output.
    """
    arguments = [*renamed(NAME, NAMESPACE), *assignments({**flight.parameters, **parameters, **_FIXED_PARAMETERS})]
    with isolated_ros() as domain, spinning_node("crack_benchmark", domain) as node:
        # Created before the node, so that it discovers them when it starts.
        publishers = InputPublishers(node, NAMESPACE, flight.inputs)
        monitor = Monitor(node, TARGET)
        with NodeProcess(NODE_MODULE, arguments, log) as process:
            yield NodeUnderTest(node, publishers, monitor, process)
