"""Start crack_node on a drone's topics with crack_mapper behind it, and RViz when asked.

ros2 launch crack_perception drone.launch.py image_topic:=/front/image_raw pose_topic:=/mavros/local_position/pose \\
    map_folder:=flights/bridge_7
"""

from __future__ import annotations

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription, SomeSubstitutionsType
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

SHARE = Path(__file__).resolve().parents[1]
LARGE_IMAGES_PROFILE = str(SHARE / "config" / "fastdds_large_images.xml")
# Fast DDS 3 (Kilted) has a new name for it and warns of the old one.
BEFORE_FAST_DDS_3 = ("humble", "iron", "jazzy")
PROFILE_VARIABLE = (
    "FASTRTPS_DEFAULT_PROFILES_FILE"
    if os.environ.get("ROS_DISTRO") in BEFORE_FAST_DDS_3
    else "FASTDDS_DEFAULT_PROFILES_FILE"
)

NODE_NAME = "crack_node"
BOOLEAN = ["true", "false"]
AS_IN_PARAMS_FILE = ""
RESPAWN_DELAY_S = 2.0

INPUTS = ("image", "camera_info", "depth", "range", "pose", "odom")
"""Input topics of the node; the launch argument NAME_topic says where each comes from."""
PARAMETERS = ("model", "backend", "image_transport", "pose_source")
"""Parameters of the node that a launch argument of the same name overrides."""
SHOWN_IN_RVIZ = ("annotated", "markers")
"""Outputs of the node that rviz/drone.rviz subscribes to under /crack_node."""


def argument(
    name: str, default: SomeSubstitutionsType, description: str, choices: list[str] | None = None
) -> DeclareLaunchArgument:
    """A launch argument, its description ending with what an empty value means."""
    if choices and choices[0] == AS_IN_PARAMS_FILE:
        description += " (empty: as in params_file)"
    return DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)


ARGUMENTS = [
    argument(
        "image_topic",
        "/camera/image_raw",
        "Camera images; with image_transport:=compressed '/compressed' is appended, as image_transport does",
    ),
    argument(
        "image_transport",
        AS_IN_PARAMS_FILE,
        "Whether the images come as Image or as CompressedImage",
        [AS_IN_PARAMS_FILE, "raw", "compressed"],
    ),
    argument("camera_info_topic", "/camera/camera_info", "Calibration of the camera (CameraInfo)"),
    argument("depth_topic", "/camera/depth/image_raw", "Depth image registered to the camera, if there is one"),
    argument("range_topic", "/drone/range", "Rangefinder along the optical axis (Range), if there is one"),
    argument("pose_topic", "/drone/pose", "Pose in the map of what the parameter pose_of names (type by pose_type)"),
    argument("odom_topic", "/drone/odom", "Pose in the map of what the parameter pose_of names (type by odom_type)"),
    argument(
        "pose_source",
        AS_IN_PARAMS_FILE,
        "Source of the camera's pose; auto takes tf where it connects map and camera, else the topics",
        [AS_IN_PARAMS_FILE, "auto", "tf", "pose", "odom", "none"],
    ),
    argument("model", AS_IN_PARAMS_FILE, "Shipped model, or a folder with card.json (empty: as in params_file)"),
    argument(
        "backend",
        AS_IN_PARAMS_FILE,
        "What runs the model",
        [AS_IN_PARAMS_FILE, "auto", "onnxruntime", "openvino", "tensorrt"],
    ),
    argument("namespace", "", "Namespace of the node, for example the drone's name"),
    argument("node_name", NODE_NAME, "Name of the node"),
    argument("params_file", str(SHARE / "config" / "drone.yaml"), "Parameters of the node (YAML)"),
    argument("mapper", "true", "Start crack_mapper too, which makes one map of all frames", BOOLEAN),
    argument("mapper_params_file", str(SHARE / "config" / "mapper.yaml"), "Parameters of crack_mapper (YAML)"),
    argument(
        "mapper_autostart", LaunchConfiguration("autostart"), "Whether crack_mapper configures and activates at once"
    ),
    argument(
        "map_folder",
        AS_IN_PARAMS_FILE,
        "Folder that keeps the map (crack_map.sqlite) and takes what is saved of it (empty: as in mapper_params_file)",
    ),
    argument("use_sim_time", "false", "Take the time from /clock (bag or simulator)", BOOLEAN),
    argument("autostart", "true", "Configure and activate at once; false leaves it to a lifecycle manager", BOOLEAN),
    argument("respawn", "true", f"Start the node again {RESPAWN_DELAY_S:g} s after it died", BOOLEAN),
    argument("rviz", "false", "Show the annotated images and the cracks in the map (needs rviz2)", BOOLEAN),
    argument("rviz_config", str(SHARE / "rviz" / "drone.rviz"), "What RViz shows"),
    argument(
        "fastdds_large_images",
        "false",
        "Use the shipped Fast DDS profile for images of a megabyte and more; the camera driver, too, must be started "
        "with it (see config/fastdds_large_images.xml)",
        BOOLEAN,
    ),
    argument("log_level", "info", "Least severity that is logged", ["debug", "info", "warn", "error", "fatal"]),
]


def value_of(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def start_crack_node(context: LaunchContext) -> list[LifecycleNode]:
    """The perception node with its remappings; arguments that were left empty stay out of its parameters."""
    topics = {name: value_of(context, f"{name}_topic") for name in INPUTS}
    if value_of(context, "image_transport") == "compressed" and not topics["image"].endswith("/compressed"):
        topics["image"] += "/compressed"
    overrides: dict[str, str | bool] = {name: value_of(context, name) for name in PARAMETERS if value_of(context, name)}
    overrides |= {name: value_of(context, name) == "true" for name in ("use_sim_time", "autostart")}
    return [
        LifecycleNode(
            package="crack_perception",
            executable="crack_node",
            name=value_of(context, "node_name"),
            namespace=value_of(context, "namespace"),
            parameters=[value_of(context, "params_file"), overrides],
            remappings=list(topics.items()),
            ros_arguments=["--log-level", value_of(context, "log_level")],
            respawn=value_of(context, "respawn") == "true",
            respawn_delay=RESPAWN_DELAY_S,
            output="screen",
        )
    ]


def start_crack_mapper(context: LaunchContext) -> list[Node]:
    """The mapper of this node's findings, in the node's namespace."""
    flags = {"use_sim_time": "use_sim_time", "autostart": "mapper_autostart"}
    overrides: dict[str, str | bool | list[str]] = {
        name: value_of(context, flag) == "true" for name, flag in flags.items()
    }
    if value_of(context, "node_name") != NODE_NAME:
        overrides["sources"] = [value_of(context, "node_name")]
    if value_of(context, "map_folder"):
        folder = Path(value_of(context, "map_folder")).expanduser().absolute()
        overrides |= {"database": str(folder / "crack_map.sqlite"), "output_folder": str(folder)}
    return [
        Node(
            package="crack_perception",
            executable="crack_mapper",
            name="crack_mapper",
            namespace=value_of(context, "namespace"),
            parameters=[value_of(context, "mapper_params_file"), overrides],
            ros_arguments=["--log-level", value_of(context, "log_level")],
            respawn=value_of(context, "respawn") == "true",
            respawn_delay=RESPAWN_DELAY_S,
            output="screen",
        )
    ]


def start_rviz(context: LaunchContext) -> list[Node]:
    """RViz on the topics of the nodes, whatever their names and namespace."""
    namespace = f"/{value_of(context, 'namespace').strip('/')}/".replace("//", "/")
    node, mapper = f"{namespace}{value_of(context, 'node_name')}", f"{namespace}crack_mapper"
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", value_of(context, "rviz_config")],
            parameters=[{"use_sim_time": value_of(context, "use_sim_time") == "true"}],
            remappings=[
                *((f"/crack_node/{topic}", f"{node}/{topic}") for topic in SHOWN_IN_RVIZ),
                ("/crack_mapper/markers", f"{mapper}/markers"),
            ],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments, environment, then the nodes."""
    large_images = IfCondition(LaunchConfiguration("fastdds_large_images"))
    return LaunchDescription(
        [
            *ARGUMENTS,
            SetEnvironmentVariable(PROFILE_VARIABLE, LARGE_IMAGES_PROFILE, condition=large_images),
            OpaqueFunction(function=start_crack_node),
            OpaqueFunction(function=start_crack_mapper, condition=IfCondition(LaunchConfiguration("mapper"))),
            OpaqueFunction(function=start_rviz, condition=IfCondition(LaunchConfiguration("rviz"))),
        ]
    )
