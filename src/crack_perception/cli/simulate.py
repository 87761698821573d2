# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception simulate``: simulate a flight along walls as a bag with ground truth."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from crack_perception.cli.common import print_progress, require_packages
from crack_perception.simulation.flight.presets import LENSES, PRESETS

HELP = "simulate a flight along walls with known cracks as a bag (rosbag2 MCAP) with ground truth"

_PROGRESS_INTERVAL_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb; defaults in the help are those of the preset `demo`."""
    parser.add_argument("--out", type=Path, required=True, metavar="BAG", help="folder of the bag to write")
    parser.add_argument("--force", action="store_true", help="replace an existing bag")
    parser.add_argument(
        "--photographs",
        type=int,
        metavar="N",
        help="write every N-th image as a JPEG with the tags of a DJI drone into the folder --out instead of a bag",
    )
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        default="demo",
        help="set of defaults; defaults in brackets are those of demo (%(default)s)",
    )
    parser.add_argument("--seed", type=int, help="random seed (0)")
    wall = parser.add_argument_group("wall (procedural concrete unless a photograph is given)")
    wall.add_argument("--texture", type=Path, metavar="IMAGE", help="photograph to use as the wall")
    wall.add_argument("--texture-mm-per-px", type=float, metavar="MM", help="pixel size of the photograph in mm")
    wall.add_argument(
        "--texture-labels",
        type=Path,
        metavar="CSV",
        help="labels of the photograph: rows of 0 (intact) and 1 (cracked), one per 256-px tile",
    )
    wall.add_argument("--cracks", type=int, metavar="N", help="cracks to draw on every facet (10; 0 on a photograph)")
    wall.add_argument(
        "--facets", type=int, metavar="N", help="1: a wall, 2: also a wall around its corner, 3: also a soffit (1)"
    )
    flight = parser.add_argument_group("flight")
    flight.add_argument("--duration", dest="duration_s", type=float, metavar="S", help="seconds with images (22)")
    flight.add_argument("--passes", type=int, metavar="K", help="passes over every facet, each slightly offset (2)")
    flight.add_argument(
        "--standoff",
        dest="standoff_m",
        type=float,
        metavar="M",
        help="distance from the wall in metres (1.5; on a photograph: image slightly coarser than the photograph)",
    )
    flight.add_argument(
        "--speed",
        dest="speed_m_s",
        type=float,
        metavar="M_S",
        help="speed along the wall in m/s (0.3; on a photograph: covers it once, at most 0.3)",
    )
    flight.add_argument("--attitude-deg", type=float, help="standard deviation of roll, pitch and yaw in degrees (2)")
    flight.add_argument(
        "--gimbal",
        action="store_true",
        default=None,
        help="mount the camera on a stabilised gimbal, with its pose on /tf",
    )
    camera = parser.add_argument_group("camera")
    camera.add_argument("--fps", type=float, help="images per second (10)")
    camera.add_argument("--width", type=int, help="image width in pixels (1920)")
    camera.add_argument("--height", type=int, help="image height in pixels (1080)")
    camera.add_argument("--hfov", dest="hfov_deg", type=float, metavar="DEG", help="horizontal field of view (50)")
    camera.add_argument("--distortion", choices=list(LENSES), help="lens model (plumb_bob)")
    camera.add_argument("--exposure-ms", type=float, help="exposure time in ms, for motion blur (2)")
    camera.add_argument("--image-noise", type=float, help="factor on the sensor noise (1)")
    camera.add_argument("--compressed", action="store_true", default=None, help="write CompressedImage (JPEG)")
    camera.add_argument(
        "--jpeg-quality",
        type=int,
        metavar="Q",
        help="JPEG quality from 1 to 100, also for raw images (90 if --compressed)",
    )
    errors = parser.add_argument_group("measurement errors (standard deviations)")
    errors.add_argument("--pose-noise-m", type=float, help="position of the pose, each axis, in metres (0.01)")
    errors.add_argument("--attitude-noise-deg", type=float, help="attitude of the pose, each axis, in degrees (0.3)")
    errors.add_argument("--range-noise", dest="range_noise_m", type=float, metavar="M", help="range in metres (0.01)")
    errors.add_argument("--range-noise-share", type=float, metavar="S", help="range, as a share of it (0)")
    errors.add_argument(
        "--noise-white-share",
        type=float,
        metavar="S",
        help="white share of the pose noise's variance, the rest drifts (0.1)",
    )
    errors.add_argument("--pose-dropout", type=float, metavar="S", help="share of the time without poses (0)")
    errors.add_argument("--image-dropout", type=float, metavar="S", help="share of the time without images (0)")


def run(arguments: argparse.Namespace) -> int:
    """Write the bag; progress goes to stderr, the path of the bag to stdout."""
    if arguments.photographs is not None:
        return _write_photographs(arguments)
    require_packages("rosbags", extra="replay")
    from crack_perception.simulation.flight.settings import settings_of
    from crack_perception.simulation.flight.simulation import write_flight

    settings = settings_of(arguments.preset, vars(arguments))
    print_progress(f"Planning the flight and its walls (seed {settings.seed})")
    truth = write_flight(settings, arguments.out, arguments.force, _Progress())
    print_progress(
        f"{len(truth.frames)} images of {len(truth.surfaces)} facets, {len(truth.cracks)} cracks and "
        f"{len(truth.cells)} labelled squares, "
        f"{truth.frames[0].gsd_mm_per_px:.3f} mm per pixel at {truth.frames[0].range_m:.2f} m"
    )
    print(arguments.out)
    return 0


def _write_photographs(arguments: argparse.Namespace) -> int:
    from crack_perception.errors import UsageError
    from crack_perception.simulation.flight.photographs import write_photographs
    from crack_perception.simulation.flight.settings import settings_of

    if arguments.photographs < 1:
        raise UsageError(f"--photographs {arguments.photographs} is no number of images", "Give 1 or more")
    if arguments.out.exists() and any(arguments.out.glob("*.JPG")) and not arguments.force:
        raise UsageError(f"{arguments.out}: holds photographs", "Choose another folder, or replace them with --force")
    settings = settings_of(arguments.preset, vars(arguments))
    write_photographs(settings, arguments.out, arguments.photographs, _Progress())
    print(arguments.out)
    return 0


class _Progress:
    """Print a progress line every few seconds."""

    def __init__(self) -> None:
        self._start_s = self._printed_s = 0.0

    def __call__(self, written: int, total: int) -> None:
        now_s = time.monotonic()
        if written == 1:
            self._start_s = self._printed_s = now_s
        elif now_s - self._printed_s >= _PROGRESS_INTERVAL_S:
            self._printed_s = now_s
            left_s = (now_s - self._start_s) / (written - 1) * (total - written)
            print_progress(f"{written} of {total} images, {left_s:.0f} s left")
