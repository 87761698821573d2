# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Play a recorded flight into crack_node and crack_mapper; accepts the arguments of drone.launch.py, too.

ros2 launch crack_perception replay.launch.py bag:=flights/bridge_7 map_folder:=flights/bridge_7_map rviz:=true
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from launch import Action, Event, EventHandler, LaunchContext, LaunchDescription, logging
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueCoroutine,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.ros_adapters import get_ros_node

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.playable import PlayableBag, playable_bag
from crack_perception.evaluation.replay.launched_nodes import LaunchedNodes

DRONE_LAUNCH = str(Path(__file__).resolve().with_name("drone.launch.py"))
CLOCK_HZ = "100"
SIGNAL_PATIENCE_S = 2.0
TRUE = ("true", "True", "1")
BOOLEAN = [*TRUE, "false", "False", "0"]

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Folder or file of the rosbag2 recording"),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the playback; 1.0 is as recorded"),
    DeclareLaunchArgument(
        "delay",
        default_value="3.0",
        description="Time between the start of the player and the first message [s], in which the nodes discover it",
    ),
    DeclareLaunchArgument("loop", default_value="false", description="Restart the bag at its end", choices=BOOLEAN),
    DeclareLaunchArgument(
        "exit_at_end", default_value="true", description="End the launch at the end of the bag", choices=BOOLEAN
    ),
]

AT_END = "the bag is over"

# The launch, not the nodes, drives the lifecycle here, so that the bag begins only when both nodes listen.
NODE_ARGUMENTS = {
    "use_sim_time": "true",
    "autostart": "false",
    "mapper_autostart": "false",
    "respawn": "false",
    "fastdds_large_images": "true",
}


class NodesActive(Event):
    """Both nodes are active: the bag can be played."""


def value_of(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def node_names(context: LaunchContext) -> tuple[str, str]:
    """Full names of the mapper (empty where it is not started) and of crack_node."""
    namespace = f"/{value_of(context, 'namespace').strip('/')}/".replace("//", "/")
    mapper = f"{namespace}crack_mapper" if value_of(context, "mapper") in TRUE else ""
    return mapper, f"{namespace}{value_of(context, 'node_name')}"


async def in_thread(context: LaunchContext, work: Callable[[], Any]) -> Any:
    """Run blocking work beside the events of the launch; its UserError ends the launch with exit code 1.

    Raises:
        RuntimeError: The work failed.
        CancelledError: It was abandoned, because the launch is being ended.
    """
    try:
        return await context.asyncio_loop.run_in_executor(None, work)
    except UserError as error:
        if context.is_shutdown:
            raise asyncio.CancelledError from error
        raise RuntimeError(str(error)) from error


class Replay:
    """The course of one replay: activate the nodes, play the bag, save the map."""

    def __init__(self) -> None:
        self._nodes: LaunchedNodes | None = None

    async def activate_nodes(self, context: LaunchContext) -> None:
        """Configure and activate the nodes, then emit ``NodesActive``.

        Raises:
            RuntimeError: A node refused or did not respond in time, which ends the launch with exit code 1.
        """

        def check() -> None:
            if context.is_shutdown:
                raise UserError("the launch is being ended")

        self._nodes = LaunchedNodes(get_ros_node(context), *node_names(context), check)
        await in_thread(context, self._nodes.activate)
        await context.emit_event(NodesActive())

    async def finish(self, context: LaunchContext) -> None:
        """Process and save everything that the bag has brought, the plan too, then end the launch.

        Raises:
            RuntimeError: A node did not respond in time or could not save, which ends the launch with exit code 1.
        """
        assert self._nodes is not None  # the bag is played only when they are active
        report = await in_thread(context, self._nodes.finish)
        if report:
            logging.get_logger("replay").info(report)
        await context.emit_event(Shutdown(reason=AT_END))

    def play_bag(self, context: LaunchContext) -> list[ExecuteProcess | RegisterEventHandler]:
        """The player, and the end of the launch when it ends."""
        recording = playable(context)
        command = ["ros2", "bag", "play", str(recording.path), "--rate", value_of(context, "rate"), "--clock", CLOCK_HZ]
        # Its topics exist from its start, so the delay is the time for the nodes to discover them.
        command += ["--delay", value_of(context, "delay")]
        if value_of(context, "loop") in TRUE:
            command.append("--loop")
        player = ExecuteProcess(cmd=command, name="bag_player", output="screen")

        def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
            if context.is_shutdown:
                return []
            if event.returncode != 0:
                return [fail_later(f"ros2 bag play ended with {event.returncode}. {recording.explanation}".strip())]
            return [coroutine(self.finish)] if value_of(context, "exit_at_end") in TRUE else []

        return [RegisterEventHandler(OnProcessExit(target_action=player, on_exit=on_exit)), player]


def coroutine(work: Callable[[LaunchContext], Awaitable[None]]) -> OpaqueCoroutine:
    """An action that does some work beside the events, until the launch is shut down."""

    async def until_shutdown(context: LaunchContext) -> None:
        # A task that ends as cancelled would end the launch at once, without its processes.
        with suppress(asyncio.CancelledError):
            await work(context)

    return OpaqueCoroutine(coroutine=until_shutdown)


def playable(context: LaunchContext) -> PlayableBag:
    """The recording as ``ros2 bag play`` reads it.

    Raises:
        RuntimeError: It cannot be read.
    """
    try:
        return playable_bag(Path(value_of(context, "bag")).expanduser())
    except UserError as error:
        raise RuntimeError(f"bag: {error}") from error


def check_bag(context: LaunchContext) -> None:
    """Refuse a bag that cannot be played before anything is started."""
    recording = playable(context)
    if recording.explanation:
        logging.get_logger("replay").warning(recording.explanation)
    if shutil.which("ros2") is None:
        raise RuntimeError("The command ros2 was not found. Source a ROS 2 that has ros2bag.")


def is_node_exit(event: Event) -> bool:
    """Whether crack_node or crack_mapper has ended."""
    return isinstance(event, ProcessExited) and isinstance(event.action, LifecycleNode)


def on_node_exit(context: LaunchContext) -> list[Action]:
    """Fail: no node ends before the launch does."""
    event = context.locals.event
    if context.is_shutdown:
        return []
    return [fail_later(f"{event.action.node_name} ended with {event.returncode} before the bag was over")]


def fail_later(reason: str) -> TimerAction:
    """End the launch with exit code 1, unless it is being ended anyway.

    Ctrl-C reaches all processes at once: they may end before the launch has noticed its own signal.
    """

    def fail(context: LaunchContext) -> None:
        raise RuntimeError(reason)

    return TimerAction(period=SIGNAL_PATIENCE_S, actions=[OpaqueFunction(function=fail)])


def generate_launch_description() -> LaunchDescription:
    """Include the nodes, configure and activate them, play, then save the map."""
    replay = Replay()
    return LaunchDescription(
        [
            *ARGUMENTS,
            OpaqueFunction(function=check_bag),
            RegisterEventHandler(
                EventHandler(
                    matcher=lambda event: isinstance(event, NodesActive),
                    entities=[OpaqueFunction(function=replay.play_bag)],
                )
            ),
            RegisterEventHandler(EventHandler(matcher=is_node_exit, entities=[OpaqueFunction(function=on_node_exit)])),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(DRONE_LAUNCH), launch_arguments=NODE_ARGUMENTS.items()
            ),
            coroutine(replay.activate_nodes),
        ]
    )
