"""Play a recorded flight into crack_node and crack_mapper; accepts the arguments of drone.launch.py, too.

ros2 launch crack_perception replay.launch.py bag:=flights/bridge_7 map_folder:=flights/bridge_7_map rviz:=true
"""

from __future__ import annotations

import shutil
from pathlib import Path

from launch import Action, Event, EventHandler, LaunchContext, LaunchDescription, logging
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
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
from launch_ros.events.lifecycle import ChangeState, StateTransition
from launch_ros.ros_adapters import get_ros_node
from lifecycle_msgs.msg import Transition
from rclpy.task import Future
from std_srvs.srv import Trigger

DRONE_LAUNCH = str(Path(__file__).resolve().with_name("drone.launch.py"))
CLOCK_HZ = "100"
SAVE_PATIENCE_S = 120.0
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

REFUSED = "crack_node could not be configured; see its message above"
AT_END = "the bag is over"

# The launch, not the node, drives the lifecycle here, so that the bag begins only when the node listens. The mapper is
# ready long before the node has loaded its model.
NODE_ARGUMENTS = {
    "use_sim_time": "true",
    "autostart": "false",
    "mapper_autostart": "true",
    "respawn": "false",
    "fastdds_large_images": "true",
}


def value_of(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def is_crack_node(action: object) -> bool:
    """Whether this is crack_node; crack_mapper, the other lifecycle node, configures and activates itself."""
    return isinstance(action, LifecycleNode) and not action.node_name.endswith("/crack_mapper")


def change_state(transition_id: int) -> EmitEvent:
    """Ask crack_node for a transition."""
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=is_crack_node, transition_id=transition_id))


def on_transition(start: str, goal: str, *entities: Action) -> RegisterEventHandler:
    """Do something when crack_node has gone from one state to another."""

    def matches(event: Event) -> bool:
        return (
            isinstance(event, StateTransition)
            and is_crack_node(event.action)
            and (event.start_state, event.goal_state) == (start, goal)
        )

    return RegisterEventHandler(EventHandler(matcher=matches, entities=list(entities)))


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
            return [OpaqueFunction(function=fail, args=[f"ros2 bag play ended with {event.returncode}"])]
        return [change_state(Transition.TRANSITION_DEACTIVATE)] if value_of(context, "exit_at_end") in TRUE else []

    return [RegisterEventHandler(OnProcessExit(target_action=player, on_exit=on_exit)), player]


def fail(context: LaunchContext, reason: str) -> None:
    """End the launch with an exit code other than 0."""
    raise RuntimeError(reason)


def save_map(context: LaunchContext) -> list[Action]:
    """Let crack_mapper write all of its files, the plan among them, then end the launch."""
    end = EmitEvent(event=Shutdown(reason=AT_END))
    if value_of(context, "mapper") not in TRUE:
        return [end]
    namespace = value_of(context, "namespace").strip("/")
    client = get_ros_node(context).create_client(Trigger, f"/{namespace}/crack_mapper/save".replace("//", "/"))
    if not client.service_is_ready():
        return [LogInfo(msg="crack_mapper does not answer: its files may be incomplete"), end]

    def on_answer(future: Future) -> None:
        answer = future.result()
        logging.get_logger("crack_mapper").info(answer.message if answer else "no answer from save")
        context.asyncio_loop.call_soon_threadsafe(context.emit_event_sync, Shutdown(reason=AT_END))

    client.call_async(Trigger.Request()).add_done_callback(on_answer)
    patience = TimerAction(period=SAVE_PATIENCE_S, actions=[LogInfo(msg="crack_mapper is still saving: ending"), end])
    return [patience]


def generate_launch_description() -> LaunchDescription:
    """Include the nodes, configure and activate crack_node, play, then save the map."""
    refused = [LogInfo(msg=REFUSED), OpaqueFunction(function=fail, args=[REFUSED])]
    return LaunchDescription(
        [
            *ARGUMENTS,
            OpaqueFunction(function=check_bag),
            on_transition("configuring", "inactive", change_state(Transition.TRANSITION_ACTIVATE)),
            on_transition("configuring", "unconfigured", *refused),
            on_transition("activating", "active", OpaqueFunction(function=play_bag)),
            on_transition("deactivating", "inactive", OpaqueFunction(function=save_map)),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(DRONE_LAUNCH), launch_arguments=NODE_ARGUMENTS.items()
            ),
            change_state(Transition.TRANSITION_CONFIGURE),
        ]
    )
