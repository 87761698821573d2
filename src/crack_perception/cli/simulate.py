"""``crack_perception simulate``: a flight along walls as a bag with ground truth."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.simulation.flight.presets import LENSES, PRESETS

HELP = "render a drone's flight along walls with known cracks into a bag (rosbag2 MCAP) with ground truth"

_PROGRESS_INTERVAL_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments; the defaults in brackets are those of the preset `demo`."""
    parser.add_argument("--out", type=Path, required=True, metavar="BAG", help="folder of the bag to write")
    parser.add_argument("--force", action="store_true", help="replace a bag that is already there")
    parser.add_argument("--preset", choices=list(PRESETS), default="demo", help="a set of defaults (%(default)s)")
    parser.add_argument("--seed", type=int, help="same seed, same flight (0)")
    wall = parser.add_argument_group("wall (procedural concrete unless a photograph is given)")
    wall.add_argument("--texture", type=Path, metavar="IMAGE", help="photograph that is the wall")
    wall.add_argument("--texture-mm-per-px", type=float, metavar="MM", help="size of a pixel of the photograph")
    wall.add_argument(
        "--texture-labels",
        type=Path,
        metavar="CSV",
        help="rows of 0 and 1, one for every 256-px tile of the photograph that is sound or cracked",
    )
    wall.add_argument("--cracks", type=int, metavar="N", help="cracks drawn on every facet (10; 0 on a photograph)")
    wall.add_argument(
        "--facets", type=int, metavar="N", help="1: a wall, 2: and one round its corner, 3: and a soffit (1)"
    )
    flight = parser.add_argument_group("flight")
    flight.add_argument("--duration", dest="duration_s", type=float, metavar="S", help="seconds with images (22)")
    flight.add_argument(
        "--passes", type=int, metavar="K", help="how often every facet is flown, each time a little elsewhere (2)"
    )
    flight.add_argument(
        "--standoff",
        dest="standoff_m",
        type=float,
        metavar="M",
        help="distance from the wall (1.5; on a photograph: where the image is a little coarser than it)",
    )
    flight.add_argument(
        "--speed",
        dest="speed_m_s",
        type=float,
        metavar="M_S",
        help="speed along the wall (0.3; on a photograph: so that it is covered once, up to 0.3)",
    )
    flight.add_argument("--attitude-deg", type=float, help="deviation of roll, pitch and yaw (2)")
    flight.add_argument(
        "--gimbal",
        action="store_true",
        default=None,
        help="carry the camera on a stabilised gimbal, which moves on the drone; its pose is on /tf",
    )
    camera = parser.add_argument_group("camera")
    camera.add_argument("--fps", type=float, help="images a second (10)")
    camera.add_argument("--width", type=int, help="image width in pixels (1920)")
    camera.add_argument("--height", type=int, help="image height in pixels (1080)")
    camera.add_argument("--hfov", dest="hfov_deg", type=float, metavar="DEG", help="horizontal field of view (50)")
    camera.add_argument("--distortion", choices=list(LENSES), help="lens model (plumb_bob)")
    camera.add_argument("--exposure-ms", type=float, help="exposure time, which blurs what moves (2)")
    camera.add_argument("--image-noise", type=float, help="factor on the sensor's noise (1)")
    camera.add_argument("--compressed", action="store_true", default=None, help="write CompressedImage (JPEG)")
    camera.add_argument(
        "--jpeg-quality", type=int, metavar="Q", help="1 to 100; raw images get its artefacts too (90 if --compressed)"
    )
    errors = parser.add_argument_group("measurement errors (standard deviations)")
    errors.add_argument("--pose-noise-m", type=float, help="of the pose's position, each axis (0.01)")
    errors.add_argument("--attitude-noise-deg", type=float, help="of the pose's attitude, each axis (0.3)")
    errors.add_argument("--range-noise", dest="range_noise_m", type=float, metavar="M", help="of the range (0.01)")
    errors.add_argument("--range-noise-share", type=float, metavar="S", help="of the range, as a share of it (0)")
    errors.add_argument(
        "--noise-white-share",
        type=float,
        metavar="S",
        help="share of the pose noise's variance that changes at every pose, the rest drifts (0.1)",
    )
    errors.add_argument("--pose-dropout", type=float, metavar="S", help="share of the time without poses (0)")
    errors.add_argument("--image-dropout", type=float, metavar="S", help="share of the time without images (0)")


def run(arguments: argparse.Namespace) -> int:
    """Write the bag, report progress on stderr and the bag's path on stdout."""
    if importlib.util.find_spec("rosbags") is None:
        raise UserError("bags need the Python package rosbags", "Install it: pip install 'crack_perception[replay]'")
    from crack_perception.simulation.flight.settings import settings_of
    from crack_perception.simulation.flight.simulation import write_flight

    settings = settings_of(arguments.preset, vars(arguments))
    print(f"Planning the flight and its wall (seed {settings.seed})", file=sys.stderr)
    truth = write_flight(settings, arguments.out, arguments.force, _Progress())
    print(
        f"{len(truth.frames)} images of {len(truth.surfaces)} facets, {len(truth.cracks)} cracks and "
        f"{len(truth.cells)} labelled squares, "
        f"{truth.frames[0].gsd_mm_per_px:.3f} mm a pixel at {truth.frames[0].range_m:.2f} m",
        file=sys.stderr,
    )
    print(arguments.out)
    return 0


class _Progress:
    """A line every few seconds."""

    def __init__(self) -> None:
        self._start_s = self._said_s = 0.0

    def __call__(self, written: int, total: int) -> None:
        now_s = time.monotonic()
        if written == 1:
            self._start_s = self._said_s = now_s
        elif now_s - self._said_s >= _PROGRESS_INTERVAL_S:
            self._said_s = now_s
            left_s = (now_s - self._start_s) / (written - 1) * (total - written)
            print(f"{written} of {total} images, {left_s:.0f} s left", file=sys.stderr, flush=True)
