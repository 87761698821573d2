# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Start crack_node on a drone's topics with crack_mapper, and RViz if requested.

ros2 launch crack_perception drone.launch.py stack:=px4 camera:=realsense map_folder:=flights/bridge_7
ros2 launch crack_perception drone.launch.py image_topic:=/front/image_raw pose_topic:=/mavros/local_position/pose
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription, SomeSubstitutionsType, logging
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterFile

from crack_perception.errors import UserError
from crack_perception.middleware import profile_variable
from crack_perception.parameter_files import copy_mark, parameter_values
from crack_perception.ros.profiles import (
    INPUTS,
    Profile,
    beside_file,
    map_frame_of,
    names,
    overridden,
    read_profile,
    topics_of,
)

SHARE = Path(__file__).resolve().parents[1]
CONFIG = SHARE / "config"
LARGE_IMAGES_PROFILE = str(SHARE / "config" / "fastdds_large_images.xml")
PROFILE_VARIABLE = profile_variable()

DEFAULT_FILES = {
    "params_file": str(CONFIG / "drone.yaml"),
    "mapper_params_file": str(CONFIG / "mapper.yaml"),
    "rviz_config": str(SHARE / "rviz" / "drone.rviz"),
}

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

PARAMETERS = ("model", "backend", "image_transport", "pose_source")
"""Parameters of the node that a launch argument of the same name overrides."""
SHOWN_IN_RVIZ = ("annotated", "crack_points", "footprint", "markers")
"""Topics of the node that rviz/drone.rviz subscribes to under /crack_node."""
MAP_SHOWN_IN_RVIZ = ("map_points", "markers", "coverage_markers", "coverage/surface_1", "revisit", "revisit_path")
"""Topics of the mapper that rviz/drone.rviz subscribes to under /crack_mapper."""


def argument(
    name: str, default: SomeSubstitutionsType, description: str, choices: list[str] | None = None
) -> DeclareLaunchArgument:
    """Declare a launch argument; its description ends with the meaning of an empty value."""
    if choices and choices[0] == AS_IN_PARAMS_FILE:
        description += " (empty: as in params_file)"
    return DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)


AS_IN_PROFILE = "(empty: as in stack and camera, else {})"

ARGUMENTS = [
    argument(
        "stack",
        "",
        f"Flight stack that gives the pose: {', '.join(names(CONFIG, 'stacks'))}; or the path of a profile (.yaml)",
    ),
    argument("camera", "", f"Camera driver: {', '.join(names(CONFIG, 'cameras'))}; or the path of a profile (.yaml)"),
    argument(
        "image_topic",
        "",
        "Camera images; with image_transport:=compressed or ffmpeg that is appended, as image_transport does "
        + AS_IN_PROFILE.format("/camera/image_raw"),
    ),
    argument(
        "image_transport",
        AS_IN_PARAMS_FILE,
        "Type of the image topic: Image, CompressedImage, FFMPEGPacket (ffmpeg) or CompressedVideo (foxglove)",
        [AS_IN_PARAMS_FILE, "raw", "compressed", "ffmpeg", "foxglove"],
    ),
    *(
        argument(f"{name}_topic", "", f"{what} {AS_IN_PROFILE.format(default)}")
        for name, default, what in (
            ("camera_info", "/camera/camera_info", "Calibration of the camera (CameraInfo)"),
            ("depth", "/camera/depth/image_raw", "Depth image registered to the camera, if there is one"),
            ("range", "/drone/range", "Rangefinder along the optical axis (type by range_type), if there is one"),
            ("pose", "/drone/pose", "Pose in the map of what the parameter pose_of names (type by pose_type)"),
            ("odom", "/drone/odom", "Pose in the map of what the parameter pose_of names (type by odom_type)"),
        )
    ),
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
    argument(
        "frame_prefix",
        "",
        "Prefix of the drone's frames on tf in the profiles, for example uav_1/; the frame of the map has none",
    ),
    argument("node_name", NODE_NAME, "Name of the node"),
    argument(
        "params_file",
        DEFAULT_FILES["params_file"],
        "Parameters of the node (YAML; $(env NAME) is resolved); your own file takes precedence over stack and camera",
    ),
    argument("mapper", "true", "Start crack_mapper, which fuses all detections into one map", BOOLEAN),
    argument(
        "mapper_params_file",
        DEFAULT_FILES["mapper_params_file"],
        "Parameters of crack_mapper (YAML; substitutions as in params_file); map_frame is crack_node's unless your own "
        "file sets it",
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
    argument("rviz_config", DEFAULT_FILES["rviz_config"], "What RViz shows"),
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


class MarkedParameterFile(ParameterFile):
    """Parameter file with substitutions; the copy in which launch resolves them names its source."""

    def __init__(self, source: str) -> None:
        super().__init__(source, allow_substs=True)
        self._source = source
        self._copy: Path | None = None

    def evaluate(self, context: LaunchContext) -> Path:
        """Resolve the substitutions into a copy."""
        if self._copy is None:
            self._copy = super().evaluate(context)
            with self._copy.open("a", encoding="utf-8") as copy:
                copy.write(copy_mark(self._source))
        return self._copy


def parameter_file(context: LaunchContext, argument_name: str) -> MarkedParameterFile:
    """The parameter file that a launch argument names."""
    return MarkedParameterFile(value_of(context, argument_name))


def full_name(context: LaunchContext, node: str) -> str:
    """Full name of a node in the launch's namespace."""
    return f"/{value_of(context, 'namespace').strip('/')}/{node}".replace("//", "/")


def check_files(context: LaunchContext) -> None:
    """Refuse unusable files before anything is started: a launch that fails later leaves nodes running."""
    profile_of(context)
    needed = {"params_file": value_of(context, "node_name")}
    if is_true(context, "mapper"):
        needed["mapper_params_file"] = MAPPER_NAME
    for name, node_name in needed.items():
        path = Path(value_of(context, name))
        if not path.is_file():
            raise RuntimeError(f"{name}: {path} is not a file. Give the path of a YAML parameter file.")
        try:
            file_values(context, name, node_name)
        except Exception as error:
            raise RuntimeError(f"{name}: {path} cannot be used ({error}). Correct the file.") from error
    config = Path(value_of(context, "rviz_config"))
    if is_true(context, "rviz") and not config.is_file():
        raise RuntimeError(f"rviz_config: {config} is not a file. Give the path of a configuration of RViz.")


def is_shipped(context: LaunchContext, argument_name: str) -> bool:
    """Return True for the shipped file. It holds defaults; a file of the user takes precedence over profiles."""
    return value_of(context, argument_name) == DEFAULT_FILES[argument_name]


def file_values(context: LaunchContext, argument_name: str, node_name: str) -> dict[str, Any]:
    """Return the values that a parameter file sets for a node in the namespace of the launch."""
    evaluated = parameter_file(context, argument_name)
    try:
        return parameter_values(evaluated.evaluate(context), full_name(context, node_name))
    finally:
        evaluated.cleanup()


def crack_node_values(context: LaunchContext) -> dict[str, Any]:
    """Return the values that the parameter file sets for crack_node."""
    return file_values(context, "params_file", value_of(context, "node_name"))


def map_frame(context: LaunchContext) -> str:
    """The frame of crack_node's map."""
    return map_frame_of(profile_of(context), crack_node_values(context), is_shipped(context, "params_file"))


def profile_of(context: LaunchContext) -> Profile:
    """The profiles of the flight stack and the camera as one."""
    try:
        stack = read_profile(CONFIG, "stacks", value_of(context, "stack"))
        both = read_profile(CONFIG, "cameras", value_of(context, "camera")).over(stack)
        return both.with_frame_prefix(value_of(context, "frame_prefix"))
    except UserError as error:
        raise RuntimeError(str(error)) from error


def report_overridden(context: LaunchContext) -> None:
    """Log the settings of the profiles that the user's parameter file changes; a copy of drone.yaml changes many."""
    if is_shipped(context, "params_file"):
        return
    changes = overridden(profile_of(context), crack_node_values(context))
    if changes:
        logging.get_logger("drone").warning(
            f"{value_of(context, 'params_file')} takes precedence over stack and camera and sets {'; '.join(changes)}. "
            "Remove these lines from it if the profile is right"
        )


def start_crack_node(context: LaunchContext) -> list[LifecycleNode]:
    """The perception node with its remappings; arguments that were left empty stay out of its parameters."""
    profile = profile_of(context)
    arguments = {name: value_of(context, f"{name}_topic") for name in INPUTS}
    topics = topics_of(profile, arguments, value_of(context, "image_transport"))
    overrides = beside_file(profile.parameters, crack_node_values(context), is_shipped(context, "params_file"))
    overrides |= {name: value_of(context, name) for name in PARAMETERS if value_of(context, name)}
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


def start_converters(context: LaunchContext) -> list[LifecycleNode]:
    """The nodes that convert what the flight stack publishes."""
    profile = profile_of(context)
    common = {"map_frame": map_frame(context)}
    flags = {name: is_true(context, name) for name in ("use_sim_time", "autostart")}
    return [
        LifecycleNode(
            package="crack_perception",
            executable=name,
            name=name,
            namespace=value_of(context, "namespace"),
            parameters=[{**common, **profile.node_parameters.get(name, {}), **flags}],
            remappings=[item for item in profile.topics.items() if item[0] not in INPUTS],
            ros_arguments=["--log-level", value_of(context, "log_level")],
            respawn=is_true(context, "respawn"),
            respawn_delay=RESPAWN_DELAY_S,
            output="screen",
            **END_TIMEOUTS,
        )
        for name in profile.nodes
    ]


def start_crack_mapper(context: LaunchContext) -> list[LifecycleNode]:
    """The mapper of this node's detections, in the node's namespace."""
    flags = {"use_sim_time": "use_sim_time", "autostart": "mapper_autostart"}
    overrides = beside_file(
        {"map_frame": map_frame(context)},
        file_values(context, "mapper_params_file", MAPPER_NAME),
        is_shipped(context, "mapper_params_file"),
    )
    overrides |= {name: is_true(context, flag) for name, flag in flags.items()}
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
    node, mapper = full_name(context, value_of(context, "node_name")), full_name(context, MAPPER_NAME)
    # The user's own configuration may show another frame.
    frame = ["--fixed-frame", map_frame(context)] if is_shipped(context, "rviz_config") else []
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", value_of(context, "rviz_config"), *frame],
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
            OpaqueFunction(function=report_overridden),
            SetEnvironmentVariable(PROFILE_VARIABLE, LARGE_IMAGES_PROFILE, condition=large_images),
            OpaqueFunction(function=start_crack_node),
            OpaqueFunction(function=start_converters),
            OpaqueFunction(function=start_crack_mapper, condition=IfCondition(LaunchConfiguration("mapper"))),
            OpaqueFunction(function=start_rviz, condition=IfCondition(LaunchConfiguration("rviz"))),
        ]
    )
