# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Playing of a bag into the real nodes and recording of their results."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any

from rclpy.node import Node

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections, ObservedLine
from crack_perception.evaluation.recordings.bag import Bag, BagMessage, Losses
from crack_perception.evaluation.recordings.messages import with_frame
from crack_perception.evaluation.replay.files import ReplayFiles
from crack_perception.evaluation.replay.mapper_session import MAPPER_MODULE, MapperSession, mapper_arguments
from crack_perception.evaluation.replay.messages import NodeProblem
from crack_perception.evaluation.replay.node_client import LifecycleClient, read_parameters, spinning_node, wait_until
from crack_perception.evaluation.replay.node_process import NodeProcess, ProcessSampler, assignments, renamed
from crack_perception.evaluation.replay.pacing import Pacer
from crack_perception.evaluation.replay.pictures import PictureSpool
from crack_perception.evaluation.replay.plan import NAMESPACE, NODE_NAME, TARGET, ReplayOptions, ReplayPlan
from crack_perception.evaluation.replay.player import InputPublishers, Playback, Player
from crack_perception.evaluation.replay.read_ahead import ReadAhead
from crack_perception.evaluation.replay.recorder import RECORDED_TOPICS, Recorder
from crack_perception.evaluation.replay.ros_isolation import isolated_ros
from crack_perception.interrupts import interrupt_later, uninterrupted

NODE_MODULE = "crack_perception.ros.crack_node"
MAPPER = f"{NAMESPACE}/crack_mapper"
MAP_TOPICS = ("footprint", "footprint_points", "crack_points", "detections_3d", "evidence")

# Generous, because they only matter on failure: other programs may use most of the machine.
_START_PATIENCE_S = 180.0
_STOP_PATIENCE_S = 60.0
_DISCOVERY_PATIENCE_S = 60.0
# Maximum waiting time for topics that the node's configuration may not use.
_OPTIONAL_PATIENCE_S = 3.0
_QUIET_S = 10.0
_LAST_DIAGNOSTICS_S = 15.0
_PROGRESS_S = 10.0
_CHECK_DISCOVERY = (
    "Check the ROS_DOMAIN_ID, the RMW_IMPLEMENTATION and the remappings in the environment, and qos_overrides in the "
    "parameters"
)


@dataclass(frozen=True)
class Recording:
    """Results of playing a bag.

    Attributes:
        playback: Record of the published messages.
        frames: Detections of every processed frame, in the order of playing.
        arrived_s: Key of the image (``SentImage.key_ns``) -> monotonic time of the arrival of its detections [s].
        arrays, located_arrays, markers: Numbers of Detection2DArrays, Detection3DArrays and MarkerArrays.
        status: Last diagnostics of the node.
        active_status: Last diagnostics of the node while it was active.
        parameters: All parameters of the node while it ran.
        cpu_percent, rss_mb: CPU load [% of a core] and memory [10^6 bytes] of the node's process.
        observed: Crack lines of all located frames.
        footprints_m: Footprints of the located frames, polygons (M, 3) in the map frame.
        mapper_status: Last diagnostics of the mapper; empty without a mapper.
        map_problem: Why the map was not saved; empty on success, None without a mapper.
        input_sha256: SHA-256 of topics, stamps and payloads of all messages played; empty after an interruption.
        unused_inputs: Inputs without a subscription of the node.
        losses: Unreadable messages of the bag.
        node_problems: Faults reported by the node, by kind.
        interrupted: A signal ended the playback; the results are those of what was played.
    """

    playback: Playback
    frames: tuple[FrameDetections, ...]
    arrived_s: dict[int, float]
    arrays: int
    located_arrays: int
    markers: int
    status: dict[str, str]
    active_status: dict[str, str]
    parameters: dict[str, Any]
    cpu_percent: float
    rss_mb: float
    observed: tuple[ObservedLine, ...]
    footprints_m: tuple[FloatArray, ...]
    mapper_status: dict[str, str]
    map_problem: str | None
    input_sha256: str
    unused_inputs: tuple[str, ...]
    losses: Losses = field(default_factory=Losses)
    node_problems: tuple[NodeProblem, ...] = ()
    interrupted: bool = False


def record_replay(
    bag: Bag,
    plan: ReplayPlan,
    options: ReplayOptions,
    pictures: PictureSpool | None,
    files: ReplayFiles,
    progress: Callable[[str], None],
    saving: ExitStack,
) -> Recording:
    """Start the nodes, play the bag, wait for the results and stop the nodes.

    A signal while the bag is played ends the playback, and the results until then are collected.

    Args:
        bag, plan, options: Bag to play, and how to play it.
        pictures: Spool of the annotated pictures; None does not request them.
        files: Output files of the nodes.
        progress: Called with each line of progress.
        saving: Lets signals wait from the end of the playback on, until it is closed.

    Raises:
        UserError: The node does not start, refuses a transition, ends or does not subscribe to the images.
    """
    digest, losses = hashlib.sha256(), Losses()
    topics = [topic.name for topic in plan.inputs.by_input.values()]
    with (
        closing(ReadAhead(_hashed(_framed(bag.messages(topics, losses, options.window), plan), digest))) as messages,
        isolated_ros() as domain,
        spinning_node("crack_replay", domain) as node,
    ):
        # Created before the node, so that it discovers them when it starts.
        publishers = InputPublishers(node, NAMESPACE, plan.inputs)
        recorder = Recorder(node, TARGET, MAPPER, pictures)
        with (
            NodeProcess(NODE_MODULE, ros_arguments(plan, options), files.node_log) as process,
            ExitStack() as companions,
        ):
            session = _Session(node, publishers, recorder, process, progress, _optional(plan))
            session.bring_up()
            if options.map:
                session.start_mapper(files, companions)
            messages.wait_until_filled(_START_PATIENCE_S)
            seconds = min(bag.duration_s - options.window.start_s, options.window.duration_s) / options.rate
            progress(f"playing {seconds:.0f} s of {plan.inputs.image.name} (rate {options.rate:g})")
            return replace(session.play(messages, plan, options, digest, saving), losses=losses)


def ros_arguments(plan: ReplayPlan, options: ReplayOptions) -> list[str]:
    """Return the node's command line after ``--ros-args``; later settings take precedence."""
    arguments = [*renamed(NODE_NAME, NAMESPACE), *assignments(plan.parameters)]
    if options.params_file is not None:
        arguments += ["--params-file", str(options.params_file)]
    return arguments + assignments({**options.parameters, "autostart": "false", "use_sim_time": "true"})


def _optional(plan: ReplayPlan) -> set[str]:
    """Return the inputs that need no subscription: tf when the pose comes from a topic."""
    return set() if plan.parameters["pose_source"] in ("auto", "tf") else {"/tf", "/tf_static"}


class _Session:
    """Running node of a replay."""

    def __init__(
        self,
        node: Node,
        publishers: InputPublishers,
        recorder: Recorder,
        process: NodeProcess,
        progress: Callable[[str], None],
        optional: set[str],
    ) -> None:
        self._optional = optional
        self._node = node
        self._publishers = publishers
        self._recorder = recorder
        self._process = process
        self._progress = progress
        self._lifecycle = LifecycleClient(node, TARGET, process)
        self._mapper: MapperSession | None = None
        self._parameters: dict[str, Any] = {}

    def bring_up(self) -> None:
        """Configure and activate the node and wait until all topics are connected."""
        self._progress("starting crack_node")
        self._lifecycle.change("configure", _START_PATIENCE_S)
        self._lifecycle.change("activate", _START_PATIENCE_S)
        check = self._process.check_alive
        needed = {"image", "/clock", f"{TARGET}/detections"}
        if not wait_until(lambda: not needed & set(self._unmatched()), _DISCOVERY_PATIENCE_S, check):
            missing = ", ".join(sorted(needed & set(self._unmatched())))
            raise UserError(
                f"{TARGET} is active but not connected on {missing} after {_DISCOVERY_PATIENCE_S:.0f} s",
                _CHECK_DISCOVERY,
            )
        wait_until(lambda: not self._unmatched(), _OPTIONAL_PATIENCE_S, check)
        self._wait_for_listeners(dict.fromkeys(RECORDED_TOPICS, 1))
        self._parameters = read_parameters(self._node, TARGET, check)

    def start_mapper(self, files: ReplayFiles, companions: ExitStack) -> None:
        """Start a mapper and connect it to the node; ``companions`` stops it."""
        self._progress("starting crack_mapper")
        arguments = mapper_arguments(files.map_folder, NAMESPACE, NODE_NAME, self._parameters)
        process = companions.enter_context(NodeProcess(MAPPER_MODULE, arguments, files.mapper_log))
        self._mapper = MapperSession(self._node, MAPPER, process)
        self._mapper.bring_up()
        self._wait_for_listeners({topic: 1 + (topic in RECORDED_TOPICS) for topic in MAP_TOPICS})

    def _wait_for_listeners(self, counts: Mapping[str, int]) -> None:
        """Wait until the node publishes each topic to so many subscriptions.

        The node tells it in its diagnostics: a subscription that has discovered the node may not have been discovered
        by it yet, and until then misses what is published.

        Raises:
            UserError: The node ends, or does not discover the subscriptions.
        """

        def missing() -> list[str]:
            figures = self._recorder.active_status
            return [topic for topic, count in counts.items() if int(figures.get(f"listeners_{topic}", 0)) < count]

        if not wait_until(lambda: not missing(), _DISCOVERY_PATIENCE_S, self._process.check_alive):
            raise UserError(
                f"{TARGET} has not discovered the subscriptions to {', '.join(missing())} after "
                f"{_DISCOVERY_PATIENCE_S:.0f} s",
                _CHECK_DISCOVERY,
            )

    def play(
        self,
        messages: Iterable[BagMessage],
        plan: ReplayPlan,
        options: ReplayOptions,
        digest: hashlib._Hash,
        saving: ExitStack,
    ) -> Recording:
        """Play all messages, wait for the last result, deactivate the node and collect the results."""
        unused = tuple(self._unused())
        shown_s = time.monotonic()

        def on_tick() -> None:
            nonlocal shown_s
            self._process.check_alive()
            if time.monotonic() - shown_s >= _PROGRESS_S:
                shown_s = time.monotonic()
                self._progress(f"  {len(player.playback.images)} images")

        player = Player(
            self._publishers.by_topic,
            plan.inputs.image.name,
            self._publishers.clock,
            options.rate,
            on_tick,
            Pacer(self._answered, options.wait_budget_s) if options.wait_budget_s > 0 else None,
            self._recorder.note_image,
        )
        sampler = ProcessSampler(self._process.pid)
        sampler.start()
        is_interrupted = False
        try:
            playback = player.play(messages)
            saving.enter_context(uninterrupted())
        except KeyboardInterrupt:
            playback = player.playback
            if not playback.images:
                raise
            saving.enter_context(uninterrupted())
            interrupt_later()
            is_interrupted = True
            self._progress("interrupted: collecting the results of what was played")
        player.keep_ticking(lambda: self._is_settled(playback))
        sampler.stop()
        self._progress("stopping crack_node")
        self._deactivate(player)
        map_problem = self._save_map(player)
        recording = self._recording(playback, sampler, map_problem, digest, unused)
        self._lifecycle.change("cleanup", _STOP_PATIENCE_S)
        # Messages that were read ahead of an interrupted playback are in the digest.
        return replace(recording, interrupted=True, input_sha256="") if is_interrupted else recording

    def _recording(
        self,
        playback: Playback,
        sampler: ProcessSampler,
        map_problem: str | None,
        digest: hashlib._Hash,
        unused: tuple[str, ...],
    ) -> Recording:
        recorder = self._recorder
        return Recording(
            playback=playback,
            frames=tuple(recorder.frames()),
            arrived_s=dict(recorder.arrived_s),
            arrays=recorder.arrays,
            located_arrays=recorder.located_arrays,
            markers=recorder.markers,
            status=dict(recorder.status),
            active_status=dict(recorder.active_status),
            parameters=self._parameters,
            cpu_percent=sampler.cpu_percent,
            rss_mb=sampler.rss_mb,
            observed=tuple(recorder.observed_lines()),
            footprints_m=tuple(recorder.footprints_m()),
            mapper_status=dict(recorder.mapper_status),
            map_problem=map_problem,
            input_sha256=digest.hexdigest(),
            unused_inputs=unused,
            node_problems=recorder.node_problems(),
        )

    def _unmatched(self) -> list[str]:
        return [*self._unused(), *self._recorder.unmatched()]

    def _unused(self) -> list[str]:
        return [name for name in self._publishers.unmatched() if name not in self._optional]

    def _answered(self) -> int:
        """Return the number of images that the node has processed, or reported as dropped, failed or skipped."""
        return self._recorder.arrays + self._recorder.without_result

    def _is_settled(self, playback: Playback) -> bool:
        """Return whether all images are accounted for by the node, or nothing has arrived for a while."""
        recorder = self._recorder
        if self._answered() >= len(playback.images):
            return True
        last_image_s = playback.images[-1].sent_s if playback.images else float("-inf")
        return time.monotonic() - max(recorder.last_arrival_s, last_image_s) > _QUIET_S

    def _deactivate(self, player: Player) -> None:
        """Deactivate the node while the clock keeps running, and wait for its last diagnostics."""
        deactivated = self._lifecycle.request("deactivate", _STOP_PATIENCE_S)
        deadline_s = time.monotonic() + _STOP_PATIENCE_S
        player.keep_ticking(lambda: deactivated.done() or time.monotonic() > deadline_s)
        deadline_s = time.monotonic() + _LAST_DIAGNOSTICS_S
        player.keep_ticking(lambda: self._recorder.has_final_status() or time.monotonic() > deadline_s)

    def _save_map(self, player: Player) -> str | None:
        """Wait until the mapper has processed all frames, and save the map; returns ``Recording.map_problem``."""
        if self._mapper is None:
            return None
        self._progress("saving the crack map")
        received, since_s = -1, time.monotonic()

        def is_over() -> bool:
            """Return whether the mapper has received all frames, or reports no further one for a while."""
            nonlocal received, since_s
            now = int(self._recorder.mapper_status.get("frames_received", 0))
            if now > received:
                received, since_s = now, time.monotonic()
            return received >= self._recorder.located_arrays or time.monotonic() - since_s > _QUIET_S

        player.keep_ticking(is_over)
        return self._mapper.save(player.keep_ticking)


def _framed(messages: Iterable[BagMessage], plan: ReplayPlan) -> Iterator[BagMessage]:
    """Set the frame of the plan in messages with an empty frame."""
    types = {topic.name: topic.type_name for topic in plan.inputs.by_input.values()}
    for message in messages:
        if message.topic in plan.unnamed:
            named = with_frame(message.data, types[message.topic], plan.unnamed[message.topic])
            message = message._replace(data=named)
        yield message


def _hashed(messages: Iterable[BagMessage], digest: hashlib._Hash) -> Iterator[BagMessage]:
    """Yield the messages unchanged while updating a digest with their topics, stamps and payloads."""
    for message in messages:
        message.add_to(digest)
        yield message
