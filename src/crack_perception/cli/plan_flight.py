# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception plan-flight``: standoff, lanes, speed and time for a crack width."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crack_perception.mapping.coverage.view import CameraGeometry

HELP = "compute standoff, lanes, speed and time of a flight that resolves a crack width"

_SIZE = re.compile(r"(\d+(?:\.\d+)?)[x×,](\d+(?:\.\d+)?)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--width", type=float, required=True, metavar="MM", help="crack width to be resolved")
    parser.add_argument("--area", default="20x10", metavar="WxH", help="wall in metres (default: %(default)s)")
    camera = parser.add_argument_group("camera", "either --camera, or --sensor-mm, --focal-mm and --image")
    camera.add_argument(
        "--camera", metavar="NAME", help="a known camera (a wrong name lists them), or FX,WIDTH,HEIGHT in pixels"
    )
    camera.add_argument("--sensor-mm", type=float, metavar="MM", help="width of the sensor")
    camera.add_argument("--focal-mm", type=float, metavar="MM", help="real focal length of the lens")
    camera.add_argument("--image", metavar="WxH", help="size of the image in pixels")
    parser.add_argument(
        "--overlap", type=float, default=0.6, help="share of an image that the next one repeats (default: %(default)s)"
    )
    parser.add_argument(
        "--side-overlap",
        type=float,
        default=0.3,
        help="share of a lane that the next one repeats (default: %(default)s)",
    )
    parser.add_argument(
        "--shutter",
        type=_seconds,
        default="1/1000",
        metavar="S",
        help="exposure time in seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--blur-px", type=float, default=0.5, metavar="PX", help="most motion in an exposure (default: %(default)s)"
    )
    parser.add_argument(
        "--interval", type=float, default=0.5, metavar="S", help="least time between photographs (default: %(default)s)"
    )
    parser.add_argument(
        "--max-speed", type=float, default=2.0, metavar="M_S", help="highest speed in m/s (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.svg", help="picture of the lanes (default: none)")


def run(arguments: argparse.Namespace) -> int:
    """Print the table and write the picture."""
    from crack_perception.cli.common import print_progress
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.errors import UsageError
    from crack_perception.paths import write_text
    from crack_perception.planning.calculator import FlightWish, doubts, estimate_flight, table
    from crack_perception.planning.picture import flight_svg

    out: Path | None = arguments.out
    if out is not None and out.suffix.lower() != ".svg":
        raise UsageError(f"{out}: the picture is an SVG", "Name a file that ends in .svg")
    camera = _camera(arguments)
    wish = FlightWish(
        width_mm=arguments.width,
        area_m=_size(arguments.area, "--area"),
        overlap=arguments.overlap,
        side_overlap=arguments.side_overlap,
        shutter_s=arguments.shutter,
        blur_px=arguments.blur_px,
        interval_s=arguments.interval,
        most_speed_m_s=arguments.max_speed,
    )
    flight = estimate_flight(camera, wish)
    rows = table(camera, wish, flight)
    for name, value in rows:
        print(f"{name:<26}{value}")
    for warning in doubts(wish, flight):
        print_progress(f"warning: {warning}")
    if out is not None:
        write_text(out, flight_svg(wish, flight, rows))
        print(f"{'Picture':<26}{out}")
    return EXIT_DONE


def _camera(arguments: argparse.Namespace) -> CameraGeometry:
    from crack_perception.errors import UsageError
    from crack_perception.planning.cameras import CAMERAS, camera_of, camera_with_lens

    lens = arguments.sensor_mm, arguments.focal_mm, arguments.image
    if arguments.camera is not None:
        if any(each is not None for each in lens):
            raise UsageError("--camera and a sensor with a lens are two cameras", "Give one of them")
        return camera_of(arguments.camera)
    if any(each is None for each in lens):
        raise UsageError(
            "there is no camera",
            f"Give --camera ({', '.join(CAMERAS)}, or FX,WIDTH,HEIGHT), or --sensor-mm, --focal-mm and --image",
        )
    width_px, height_px = _size(arguments.image, "--image")
    return camera_with_lens(arguments.sensor_mm, arguments.focal_mm, round(width_px), round(height_px))


def _size(text: str, option: str) -> tuple[float, float]:
    from crack_perception.errors import UsageError

    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option} {text} is no width and height", "For example 20x10")
    return float(match[1]), float(match[2])


def _seconds(text: str) -> float:
    """Seconds of ``0.001`` or ``1/1000``."""
    numerator, _, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text} is no time; give seconds, for example 1/1000 or 0.001") from error
