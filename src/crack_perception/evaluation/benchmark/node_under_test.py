"""The real crack_node in a process of its own, fed from memory over DDS."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rclpy.node import Node

from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.flight import FlightInMemory
from crack_perception.evaluation.benchmark.monitor import Monitor
from crack_perception.evaluation.benchmark.node_run import NodeRun
from crack_perception.evaluation.replay.input_publishers import InputPublishers
from crack_perception.evaluation.replay.lifecycle_client import LifecycleClient
from crack_perception.evaluation.replay.node_arguments import assignments, renamed
from crack_perception.evaluation.replay.node_process import NodeProcess
from crack_perception.evaluation.replay.player import Player
from crack_perception.evaluation.replay.process_sampler import ProcessSampler
from crack_perception.evaluation.replay.ros_isolation import isolated_ros
from crack_perception.evaluation.replay.ros_session import spinning_node
from crack_perception.evaluation.replay.waiting import wait_until

NODE_MODULE = "crack_perception.ros.crack_node"
NAMESPACE, NAME = "/benchmark", "crack_node"
TARGET = f"{NAMESPACE}/{NAME}"

# Every frame is looked at whole: what the machine cannot do has to show as missed frames.
_FIXED_PARAMETERS = {"autostart": "false", "frame_budget_ms": "0.0"}

_START_PATIENCE_S = 60.0
_DISCOVERY_PATIENCE_S = 15.0
# The first image after discovery may be held up while both sides still learn of each other's endpoints.
_SETTLING_S = 1.0
_QUIET_S = 0.7
# The flight's first messages are copied and stamped before they are due.
_PREPARATION_S = 0.1
_NS_PER_S = 1e9


class NodeUnderTest:
    """A node that is up; see :func:`node_under_test`.

    Args:
        node: Node of the benchmark, which another thread spins.
        publishers: Of the node's inputs.
        monitor: Hears the node.
        process: The node's.
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
        """Raise UserError when the node has ended."""
        self._process.check_alive()

    def configure(self) -> None:
        """Have the node load its model.

        Raises:
            UserError: It does not start, or refuses.
        """
        self._lifecycle.change("configure", _START_PATIENCE_S)

    def activate(self) -> None:
        """Have it listen, and wait until both sides know of each other.

        Raises:
            UserError: It refuses, or does not listen to something.
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
        """Percent of a core and 10^6 bytes of resident memory of the node while nothing is sent to it."""
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
        least_images: int = 2,
        on_tick: Callable[[], None] = lambda: None,
    ) -> NodeRun:
        """Publish the flight's images at a fixed rate and wait for the last answer.

        Args:
            flight: What is published.
            rate_hz: Images a second.
            seconds: For how long.
            least_images: As many at least, even if that takes longer.
            on_tick: Called about every 10 ms.

        Raises:
            UserError: The node has died.
        """
        images = max(least_images, math.ceil(rate_hz * seconds))

        def tick() -> None:
            self.check_alive()
            on_tick()

        monitor = self.monitor
        monitor.forget()
        messages = flight.stream(rate_hz, images, time.time_ns() + round(_PREPARATION_S * _NS_PER_S))
        first = next(messages)
        player = Player(self._publishers.by_topic, flight.image_topic, self._publishers.clock, 1.0, tick)
        sampler, own_sampler = ProcessSampler(self.pid), ProcessSampler(os.getpid())
        # The player begins when it is given the first message: from then on everything is published at its stamp.
        time.sleep(max(0.0, (first.stamp_ns - time.time_ns()) / _NS_PER_S))
        sampler.start()
        own_sampler.start()
        playback = player.play(itertools.chain([first], messages))
        sampler.stop()
        own_sampler.stop()
        last_s = playback.images[-1].sent_s

        def is_settled() -> bool:
            newest_s = max(monitor.arrived_s.values(), default=last_s)
            # Of each frame the time that it took is the last thing said.
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
    """Start a node for a flight and bring it down at the end; it is left unconfigured.

    Args:
        flight: Whose topics are published.
        parameters: Of the node, besides what the flight implies.
        log: File that takes the node's output.
    """
    arguments = [*renamed(NAME, NAMESPACE), *assignments({**flight.parameters, **parameters, **_FIXED_PARAMETERS})]
    with isolated_ros() as domain, spinning_node("crack_benchmark", domain) as node:
        # On the graph before the node is, so that it knows them when it starts.
        publishers = InputPublishers(node, NAMESPACE, flight.inputs)
        monitor = Monitor(node, TARGET)
        with NodeProcess(NODE_MODULE, arguments, log) as process:
            yield NodeUnderTest(node, publishers, monitor, process)
