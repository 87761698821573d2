"""Play a recorded flight into crack_node and crack_mapper, in its own time. Takes the arguments of drone.launch.py too.

ros2 launch crack_perception replay.launch.py bag:=flights/bridge_7 map_folder:=flights/bridge_7_map rviz:=true
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

DRONE_LAUNCH = str(Path(__file__).resolve().with_name("drone.launch.py"))
CLOCK_HZ = "100"
BOOLEAN = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Folder or file of the rosbag2 recording"),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the playback; 1.0 is as recorded"),
    DeclareLaunchArgument(
        "loop", default_value="false", description="Begin again when the bag is over", choices=BOOLEAN
    ),
    DeclareLaunchArgument(
        "exit_at_end", default_value="true", description="End everything when the bag is over", choices=BOOLEAN
    ),
]

REFUSED = "crack_node could not be configured; its message above says why"

# The launch, not the node, drives the lifecycle here, so that the bag begins only when the node listens. The mapper is
# ready long before the node has loaded its model.
NODE_ARGUMENTS = {
    "use_sim_time": "true",
    "autostart": "false",
    "mapper_autostart": "true",
    "respawn": "false",
    "fastdds_large_images": "true",
}


def is_lifecycle_node(action: object) -> bool:
    """Picks crack_node, the only lifecycle node that this launch drives."""
    return isinstance(action, LifecycleNode)


def change_state(transition_id: int) -> EmitEvent:
    """Ask crack_node for a transition."""
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=is_lifecycle_node, transition_id=transition_id))


def play_bag(context: LaunchContext) -> list[ExecuteProcess | RegisterEventHandler]:
    """The player, and the end of the launch when it ends."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ("bag", "rate", "loop")}
    command = ["ros2", "bag", "play", value["bag"], "--rate", value["rate"], "--clock", CLOCK_HZ]
    if value["loop"] == "true":
        command.append("--loop")
    player = ExecuteProcess(cmd=command, name="bag_player", output="screen")
    at_end = OnProcessExit(
        target_action=player,
        on_exit=[
            EmitEvent(
                event=Shutdown(reason="the bag is over"), condition=IfCondition(LaunchConfiguration("exit_at_end"))
            )
        ],
    )
    return [RegisterEventHandler(at_end), player]


def generate_launch_description() -> LaunchDescription:
    """Include the node, configure and activate it, then play."""
    on_configured = OnStateTransition(
        start_state="configuring", goal_state="inactive", entities=[change_state(Transition.TRANSITION_ACTIVATE)]
    )
    on_refused = OnStateTransition(
        start_state="configuring",
        goal_state="unconfigured",
        entities=[LogInfo(msg=REFUSED), EmitEvent(event=Shutdown(reason=REFUSED))],
    )
    on_active = OnStateTransition(
        start_state="activating", goal_state="active", entities=[OpaqueFunction(function=play_bag)]
    )
    return LaunchDescription(
        [
            *ARGUMENTS,
            *(RegisterEventHandler(handler) for handler in (on_configured, on_refused, on_active)),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(DRONE_LAUNCH), launch_arguments=NODE_ARGUMENTS.items()
            ),
            change_state(Transition.TRANSITION_CONFIGURE),
        ]
    )
