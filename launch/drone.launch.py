# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Start crack_node on a drone's topics with crack_mapper, and RViz if requested.

ros2 launch crack_perception drone.launch.py image_topic:=/front/image_raw pose_topic:=/mavros/local_position/pose \\
    map_folder:=flights/bridge_7
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription, SomeSubstitutionsType
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterFile

from crack_perception.middleware import profile_variable

SHARE = Path(__file__).resolve().parents[1]
LARGE_IMAGES_PROFILE = str(SHARE / "config" / "fastdds_large_images.xml")
PROFILE_VARIABLE = profile_variable()

NODE_NAME = "crack_node"
MAPPER_NAME = "crack_mapper"
TRUE = ("true", "True", "1")
BOOLEAN = [*TRUE, "false", "False", "0"]
AS_IN_PARAMS_FILE = ""
RESPAWN_DELAY_S = 2.0
# Repeated signals have no further effect on the nodes: only SIGKILL must wait until the map is saved. A launch that is
# itself ended by kill, not by Ctrl-C, sends its nodes nothing before SIGTERM.
# Saving 10,000 cracks takes seconds; the mapper abandons a disk without progress for twice 15 s.
END_TIMEOUTS = {"sigterm_timeout": "3", "sigkill_timeout": "60"}

INPUTS = ("image", "camera_info", "depth", "range", "pose", "odom")
"""Input topics of the node; the launch argument NAME_topic gives the topic."""
PARAMETERS = ("model", "backend", "image_transport", "pose_source")
"""Parameters of the node that a launch argument of the same name overrides."""
SHOWN_IN_RVIZ = ("annotated", "crack_points", "footprint", "markers")
"""Topics of the node that rviz/drone.rviz subscribes to under /crack_node."""
MAP_SHOWN_IN_RVIZ = ("coverage_markers", "map_points", "markers", "revisit", "revisit_path")
"""Topics of the mapper that rviz/drone.rviz subscribes to under /crack_mapper."""


def argument(
    name: str, default: SomeSubstitutionsType, description: str, choices: list[str] | None = None
) -> DeclareLaunchArgument:
    """Declare a launch argument; its description ends with the meaning of an empty value."""
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
        "Type of the image topic: Image or CompressedImage",
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
        "Inference backend",
        [AS_IN_PARAMS_FILE, "auto", "onnxruntime", "openvino", "tensorrt"],
    ),
    argument("namespace", "", "Namespace of the node, for example the drone's name"),
    argument("node_name", NODE_NAME, "Name of the node"),
    argument(
        "params_file", str(SHARE / "config" / "drone.yaml"), "Parameters of the node (YAML; $(env NAME) is resolved)"
    ),
    argument("mapper", "true", "Start crack_mapper, which fuses all detections into one map", BOOLEAN),
    argument(
        "mapper_params_file",
        str(SHARE / "config" / "mapper.yaml"),
        "Parameters of crack_mapper (YAML; substitutions as in params_file)",
    ),
    argument(
        "map_folder",
        AS_IN_PARAMS_FILE,
        "Folder of the map (crack_map.sqlite) and its exports (empty: as in mapper_params_file)",
    ),
    argument("use_sim_time", "false", "Take the time from /clock (bag or simulator)", BOOLEAN),
    argument("autostart", "true", "Configure and activate at once; false leaves it to a lifecycle manager", BOOLEAN),
    argument(
        "mapper_autostart",
        LaunchConfiguration("autostart"),
        "Configure and activate crack_mapper at once (default: as autostart)",
        BOOLEAN,
    ),
    argument("respawn", "true", f"Start the node again {RESPAWN_DELAY_S:g} s after it died", BOOLEAN),
    argument("rviz", "false", "Show the images and the map in RViz (skipped where rviz2 is not installed)", BOOLEAN),
    argument("rviz_config", str(SHARE / "rviz" / "drone.rviz"), "What RViz shows"),
    argument(
        "fastdds_large_images",
        "false",
        "Use the shipped Fast DDS profile for images of a megabyte and more; the camera driver, too, must be started "
        "with it (see config/fastdds_large_images.xml)",
        BOOLEAN,
    ),
    argument("log_level", "info", "Least severity of log messages", ["debug", "info", "warn", "error", "fatal"]),
]


def value_of(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def is_true(context: LaunchContext, name: str) -> bool:
    """Value of a launch argument that is a boolean."""
    return value_of(context, name) in TRUE


def parameter_file(context: LaunchContext, argument_name: str) -> ParameterFile:
    """The parameter file that a launch argument names, with substitutions."""
    return ParameterFile(value_of(context, argument_name), allow_substs=True)


def check_files(context: LaunchContext) -> None:
    """Refuse unusable files before anything is started: a launch that fails later leaves nodes running."""
    needed = {"params_file": True, "mapper_params_file": is_true(context, "mapper")}
    for name in (name for name, is_needed in needed.items() if is_needed):
        path = Path(value_of(context, name))
        if not path.is_file():
            raise RuntimeError(f"{name}: {path} is not a file. Give the path of a YAML parameter file.")
        evaluated = parameter_file(context, name)
        try:
            evaluated.evaluate(context)
        except Exception as error:
            raise RuntimeError(f"{name}: {path} cannot be used ({error}). Correct the file.") from error
        finally:
            evaluated.cleanup()
    config = Path(value_of(context, "rviz_config"))
    if is_true(context, "rviz") and not config.is_file():
        raise RuntimeError(f"rviz_config: {config} is not a file. Give the path of a configuration of RViz.")


def start_crack_node(context: LaunchContext) -> list[LifecycleNode]:
    """The perception node with its remappings; arguments that were left empty stay out of its parameters."""
    topics = {name: value_of(context, f"{name}_topic") for name in INPUTS}
    if value_of(context, "image_transport") == "compressed" and not topics["image"].endswith("/compressed"):
        topics["image"] += "/compressed"
    overrides: dict[str, str | bool] = {name: value_of(context, name) for name in PARAMETERS if value_of(context, name)}
    overrides |= {name: is_true(context, name) for name in ("use_sim_time", "autostart")}
    return [
        LifecycleNode(
            package="crack_perception",
            executable="crack_node",
            name=value_of(context, "node_name"),
            namespace=value_of(context, "namespace"),
            parameters=[parameter_file(context, "params_file"), overrides],
            remappings=list(topics.items()),
            ros_arguments=["--log-level", value_of(context, "log_level")],
            respawn=is_true(context, "respawn"),
            respawn_delay=RESPAWN_DELAY_S,
            output="screen",
            **END_TIMEOUTS,
        )
    ]


def start_crack_mapper(context: LaunchContext) -> list[LifecycleNode]:
    """The mapper of this node's detections, in the node's namespace."""
    flags = {"use_sim_time": "use_sim_time", "autostart": "mapper_autostart"}
    overrides: dict[str, str | bool | list[str]] = {name: is_true(context, flag) for name, flag in flags.items()}
    if value_of(context, "node_name") != NODE_NAME:
        overrides["sources"] = [value_of(context, "node_name")]
    if value_of(context, "map_folder"):
        folder = Path(value_of(context, "map_folder")).expanduser().absolute()
        overrides |= {"database": str(folder / "crack_map.sqlite"), "output_folder": str(folder)}
    return [
        LifecycleNode(
            package="crack_perception",
            executable="crack_mapper",
            name=MAPPER_NAME,
            namespace=value_of(context, "namespace"),
            parameters=[parameter_file(context, "mapper_params_file"), overrides],
            ros_arguments=["--log-level", value_of(context, "log_level")],
            respawn=is_true(context, "respawn"),
            respawn_delay=RESPAWN_DELAY_S,
            output="screen",
            **END_TIMEOUTS,
        )
    ]


def start_rviz(context: LaunchContext) -> list[Node | LogInfo]:
    """RViz on the topics of the nodes, whatever their names and namespace; a message where it is not installed."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return [LogInfo(msg="rviz:=true: rviz2 is not installed, the nodes run without it. Install rviz2 to see them.")]
    namespace = f"/{value_of(context, 'namespace').strip('/')}/".replace("//", "/")
    node, mapper = f"{namespace}{value_of(context, 'node_name')}", f"{namespace}{MAPPER_NAME}"
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", value_of(context, "rviz_config")],
            parameters=[{"use_sim_time": is_true(context, "use_sim_time")}],
            remappings=[
                *((f"/crack_node/{topic}", f"{node}/{topic}") for topic in SHOWN_IN_RVIZ),
                *((f"/{MAPPER_NAME}/{topic}", f"{mapper}/{topic}") for topic in MAP_SHOWN_IN_RVIZ),
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
            OpaqueFunction(function=check_files),
            SetEnvironmentVariable(PROFILE_VARIABLE, LARGE_IMAGES_PROFILE, condition=large_images),
            OpaqueFunction(function=start_crack_node),
            OpaqueFunction(function=start_crack_mapper, condition=IfCondition(LaunchConfiguration("mapper"))),
            OpaqueFunction(function=start_rviz, condition=IfCondition(LaunchConfiguration("rviz"))),
        ]
    )
