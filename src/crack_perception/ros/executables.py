# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The executables of the nodes: arguments and signals that are handled before ROS is imported.

Importing ROS, OpenCV and an inference engine takes a second or more. A signal in that time ends the process with exit
code 0, as later ones do, and ``--help`` does not wait for it; therefore this module imports none of them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from crack_perception.errors import printable
from crack_perception.ros.common.allocation import keep_memory
from crack_perception.ros.common.end_signals import exit_at_end_signals

_EXIT_DONE, _EXIT_USAGE = 0, 2

NODE_USAGE = """\
usage: crack_node [--help] [--ros-args ROS_ARGUMENTS...]

Lifecycle node that detects cracks in camera images, with width, severity and pose.

subscribes to:  image, camera_info; where available range, depth, pose, odom, /tf, /tf_static
publishes:      ~/detections, ~/detections_3d, ~/crack_points, ~/footprint, ~/footprint_points, ~/evidence,
                ~/annotated, ~/annotated/compressed, ~/markers, ~/label_info, ~/debug/frame_age_ms,
                ~/debug/processing_time_ms, /diagnostics

example:
  ros2 run crack_perception crack_node --ros-args -r image:=/camera/image_raw -r camera_info:=/camera/camera_info \\
      --params-file config/drone.yaml -p autostart:=true
"""

MAPPER_USAGE = """\
usage: crack_mapper [--help] [--ros-args ROS_ARGUMENTS...]

Lifecycle node that fuses the detections of one or several crack_node into a persistent crack map.

subscribes to:  for each node in the parameter sources: SOURCE/detections_3d, SOURCE/crack_points, SOURCE/footprint,
                SOURCE/footprint_points, SOURCE/evidence
publishes:      ~/map, ~/map_points, ~/markers, ~/coverage/surface_N, ~/coverage_markers, ~/revisit, ~/revisit_path,
                /diagnostics
services:       ~/save, ~/reset, ~/query

example:
  ros2 run crack_perception crack_mapper --ros-args -p database:=flights/bridge_7/crack_map.sqlite -p autostart:=true
"""

TRANSFORMS_USAGE = """\
usage: px4_transforms [--help] [--ros-args ROS_ARGUMENTS...]

Lifecycle node that publishes the poses of PX4's vehicle, and of a camera on its gimbal, on tf. It needs px4_msgs.

subscribes to:  vehicle_odometry, gimbal_device_attitude_status
publishes:      /tf, /diagnostics

example:
  ros2 run crack_perception px4_transforms --ros-args -r vehicle_odometry:=/fmu/out/vehicle_odometry \\
      -r gimbal_device_attitude_status:=/fmu/out/gimbal_device_attitude_status -p autostart:=true
"""

_PARAMETERS_USAGE = """
parameters:     docs/parameters.md lists all of them with type, range and default; of a running node:
                ros2 param list /{name}, ros2 param describe /{name} NAME
exit codes:     0 ended by SIGINT, SIGTERM, SIGHUP or by ROS; 1 the map could not be saved at the end; 2 wrong usage
"""


def crack_node() -> int:
    """Run the perception node; the exit code."""
    keep_memory()
    return _run("crack_node", NODE_USAGE, "crack_perception.ros.detector.node")


def crack_mapper() -> int:
    """Run the mapper; the exit code."""
    return _run("crack_mapper", MAPPER_USAGE, "crack_perception.ros.mapper.node")


def px4_transforms() -> int:
    """Run the node that converts PX4's poses; the exit code."""
    return _run("px4_transforms", TRANSFORMS_USAGE, "crack_perception.ros.px4.transforms")


def _run(name: str, usage: str, module: str) -> int:
    exit_at_end_signals()
    words = plain_arguments(sys.argv[1:])
    if "--help" in words or "-h" in words:
        print(usage + _PARAMETERS_USAGE.format(name=name), end="")
        return _EXIT_DONE
    if words:
        print(
            f"{name}: the argument '{printable(words[0])}' is not known. Give parameters and remappings after "
            f"--ros-args, for example '--ros-args -p autostart:=true'; '{name} --help' lists the topics.",
            file=sys.stderr,
        )
        return _EXIT_USAGE
    return int(importlib.import_module(module).main())


def plain_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments that are not ROS's: ROS's stand between ``--ros-args`` and ``--`` or the end."""
    plain, is_ros = [], False
    for argument in arguments:
        if argument == "--ros-args":
            is_ros = True
        elif argument == "--" and is_ros:
            is_ros = False
        elif not is_ros:
            plain.append(argument)
    return plain
