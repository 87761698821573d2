# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception join-log``: join a PX4 flight log and a video into a bag."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from crack_perception.cli.common import print_progress, require_packages
from crack_perception.errors import UsageError

HELP = "join a PX4 flight log (ULog) and a video into a bag for replay (optional extras `replay` and `ulog`)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("log", type=Path, metavar="LOG", help="flight log of PX4 (.ulg), also of SITL")
    parser.add_argument("video", type=Path, metavar="VIDEO", help="video of the camera")
    parser.add_argument("--out", type=Path, required=True, metavar="BAG", help="folder of the bag to write")
    parser.add_argument(
        "--camera", type=Path, required=True, metavar="FILE", help="calibration (YAML of camera_calibration)"
    )
    parser.add_argument(
        "--video-offset",
        type=float,
        default=0.0,
        metavar="S",
        help="time of the video's first frame after the start of the log in seconds (default: 0)",
    )
    parser.add_argument(
        "--mount",
        default="0,0,0",
        metavar="X,Y,Z",
        help="camera on the body: forward, left, up in metres (default: 0,0,0)",
    )
    parser.add_argument(
        "--mount-rpy",
        default="0,0,0",
        metavar="R,P,Y",
        help="roll, pitch (positive down) and yaw of the camera in degrees; 0,0,0 looks forward (default: 0,0,0)",
    )
    parser.add_argument(
        "--range-orientation",
        type=int,
        default=0,
        metavar="N",
        help="orientation of the distance sensor that is used: 0 forward, 25 down (default: 0)",
    )
    parser.add_argument(
        "--fps", type=float, default=0.0, metavar="HZ", help="most images a second; 0: all (default: 0)"
    )
    parser.add_argument("--jpeg-quality", type=int, default=92, metavar="Q", help="quality of the images (default: 92)")
    parser.add_argument("--force", action="store_true", help="replace an existing bag")


def run(arguments: argparse.Namespace) -> int:
    """Write the bag and print its path."""
    require_packages("rosbags", extra="replay")
    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.evaluation.recordings.log_join import DAMAGED, JoinOptions, join

    counts = join(
        JoinOptions(
            log=arguments.log,
            video=arguments.video,
            camera=arguments.camera,
            out=arguments.out,
            offset_s=arguments.video_offset,
            mount_m=_three(arguments.mount, "--mount"),
            mount_deg=_three(arguments.mount_rpy, "--mount-rpy"),
            orientation=arguments.range_orientation,
            rate_hz=arguments.fps,
            quality=arguments.jpeg_quality,
            force=arguments.force,
        ),
        print_progress,
    )
    print_progress(", ".join(f"{count} {name}" for name, count in counts.items()))
    print(arguments.out)
    return EXIT_PROBLEM if DAMAGED in counts else EXIT_DONE


def _three(text: str, option: str) -> tuple[float, float, float]:
    try:
        first, second, third = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text} is not three numbers", f"For example {option}=0.1,0,0") from error
    if not all(map(math.isfinite, (first, second, third))):
        raise UsageError(f"{option} {text} is not three finite numbers", f"For example {option}=0.1,0,0")
    return first, second, third
