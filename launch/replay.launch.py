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
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_srvs.srv import Trigger

DRONE_LAUNCH = str(Path(__file__).resolve().with_name("drone.launch.py"))
CLOCK_HZ = "100"
SAVE_PATIENCE_S = 120.0
SIGNAL_PATIENCE_S = 2.0
SERVICE_CHECK_S = 0.1
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


def node_names(context: LaunchContext) -> list[str]:
    """Full names of the nodes that are started; the mapper first, because it listens to crack_node."""
    namespace = f"/{value_of(context, 'namespace').strip('/')}/".replace("//", "/")
    names = ["crack_mapper"] if value_of(context, "mapper") in TRUE else []
    return [f"{namespace}{name}" for name in (*names, value_of(context, "node_name"))]


async def call(context: LaunchContext, service: type, name: str, request: object) -> Any:
    """Wait for a service, call it, and wait for its answer."""
    client = get_ros_node(context).create_client(service, name)
    while not client.service_is_ready():
        await asyncio.sleep(SERVICE_CHECK_S)
    loop = context.asyncio_loop
    answer = loop.create_future()

    def settle(result: object) -> None:
        if not answer.done():
            answer.set_result(result)

    client.call_async(request).add_done_callback(lambda done: loop.call_soon_threadsafe(settle, done.result()))
    return await answer


async def change_state(context: LaunchContext, node: str, transition_id: int) -> bool:
    """Ask a node for a transition and wait until it is done; whether it succeeded."""
    request = ChangeState.Request(transition=Transition(id=transition_id))
    answer = await call(context, ChangeState, f"{node}/change_state", request)
    return bool(answer.success)


async def activate_nodes(context: LaunchContext) -> None:
    """Configure and activate the nodes, then emit ``NodesActive``.

    Raises:
        RuntimeError: A node refused, which ends the launch with exit code 1.
    """
    for node in node_names(context):
        for transition_id, done in (
            (Transition.TRANSITION_CONFIGURE, "configured"),
            (Transition.TRANSITION_ACTIVATE, "activated"),
        ):
            if not await change_state(context, node, transition_id):
                raise RuntimeError(f"{node} could not be {done}; its message above says why")
    await context.emit_event(NodesActive())


async def finish(context: LaunchContext) -> None:
    """Process and save everything that the bag has brought, the plan too, then end the launch."""
    logger = logging.get_logger("replay")
    names = node_names(context)
    await change_state(context, names[-1], Transition.TRANSITION_DEACTIVATE)
    if len(names) > 1:
        try:
            answer = await asyncio.wait_for(
                call(context, Trigger, f"{names[0]}/save", Trigger.Request()), SAVE_PATIENCE_S
            )
            logger.info(answer.message)
        except asyncio.TimeoutError:
            logger.warning(f"{names[0]} has been saving for {SAVE_PATIENCE_S:g} s: ending without its plan")
    await context.emit_event(Shutdown(reason=AT_END))


def coroutine(work: Callable[[LaunchContext], Awaitable[None]]) -> OpaqueCoroutine:
    """An action that does some work beside the events, until the launch is shut down."""

    async def until_shutdown(context: LaunchContext) -> None:
        # A task that ends as cancelled would end the launch at once, without its processes.
        with suppress(asyncio.CancelledError):
            await work(context)

    return OpaqueCoroutine(coroutine=until_shutdown)


def check_bag(context: LaunchContext) -> None:
    """Refuse a bag that is not there before anything is started."""
    bag = Path(value_of(context, "bag")).expanduser()
    if not bag.exists():
        raise RuntimeError(f"bag: {bag} does not exist. Give the folder or the file of a rosbag2 recording.")
    if bag.is_dir() and not (bag / "metadata.yaml").is_file():
        raise RuntimeError(f"bag: {bag} has no metadata.yaml. Give the folder of a rosbag2 recording, or reindex it.")
    if shutil.which("ros2") is None:
        raise RuntimeError("The command ros2 was not found. Source a ROS 2 that has ros2bag.")


def play_bag(context: LaunchContext) -> list[ExecuteProcess | RegisterEventHandler]:
    """The player, and the end of the launch when it ends."""
    bag = str(Path(value_of(context, "bag")).expanduser())
    command = ["ros2", "bag", "play", bag, "--rate", value_of(context, "rate"), "--clock", CLOCK_HZ]
    # Its topics exist from its start, so the delay is the time for the nodes to discover them.
    command += ["--delay", value_of(context, "delay")]
    if value_of(context, "loop") in TRUE:
        command.append("--loop")
    player = ExecuteProcess(cmd=command, name="bag_player", output="screen")

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if context.is_shutdown:
            return []
        if event.returncode != 0:
            return [fail_later(f"ros2 bag play ended with {event.returncode}")]
        return [coroutine(finish)] if value_of(context, "exit_at_end") in TRUE else []

    return [RegisterEventHandler(OnProcessExit(target_action=player, on_exit=on_exit)), player]


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
    return LaunchDescription(
        [
            *ARGUMENTS,
            OpaqueFunction(function=check_bag),
            RegisterEventHandler(
                EventHandler(
                    matcher=lambda event: isinstance(event, NodesActive),
                    entities=[OpaqueFunction(function=play_bag)],
                )
            ),
            RegisterEventHandler(EventHandler(matcher=is_node_exit, entities=[OpaqueFunction(function=on_node_exit)])),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(DRONE_LAUNCH), launch_arguments=NODE_ARGUMENTS.items()
            ),
            coroutine(activate_nodes),
        ]
    )
