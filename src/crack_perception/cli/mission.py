# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception mission``: a mission of an autopilot through the revisit poses of a crack map."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crack_perception.mapping.export.geographic import GeographicOrigin

HELP = "write a mission (QGroundControl .plan or MAVLink .waypoints) that revisits what a crack map has left open"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "map", type=Path, metavar="MAP", help="SQLite file of crack_mapper, for example crack_map.sqlite"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file.plan or file.waypoints")
    parser.add_argument(
        "--origin-wgs84", metavar="LAT,LON,ALT", help="place of the map's origin: degrees and ellipsoidal height in m"
    )
    parser.add_argument(
        "--heading",
        type=float,
        default=90.0,
        metavar="DEG",
        help="direction of the map's x axis, clockwise from true north (default: %(default)s, x to the east)",
    )
    parser.add_argument(
        "--targets", choices=("all", "cracks", "areas"), default="all", help="what is revisited (default: %(default)s)"
    )
    parser.add_argument(
        "--width", type=float, default=0.3, metavar="MM", help="crack width to be resolved (default: %(default)s)"
    )
    parser.add_argument("--preset", default="gb50204", help="severity classification (default: %(default)s)")
    parser.add_argument(
        "--standoff",
        type=float,
        default=1.0,
        metavar="M",
        help="least distance from the surface (default: %(default)s)",
    )
    parser.add_argument(
        "--camera",
        metavar="NAME",
        help="another camera than that of the map: a name, or FX,WIDTH,HEIGHT in pixels (see plan-flight)",
    )
    parser.add_argument(
        "--autopilot",
        choices=("px4", "ardupilot"),
        default="px4",
        help="whose commands are used (default: %(default)s)",
    )
    parser.add_argument(
        "--home-height",
        type=float,
        default=0.0,
        metavar="M",
        help="height of the take-off place in the map; altitudes are above it (default: %(default)s)",
    )
    parser.add_argument("--speed", type=float, default=1.0, metavar="M_S", help="in m/s (default: %(default)s)")
    parser.add_argument(
        "--hold", type=float, default=3.0, metavar="S", help="wait before each photograph (default: %(default)s)"
    )
    parser.add_argument(
        "--gimbal-up",
        type=float,
        default=30.0,
        metavar="DEG",
        help="highest pitch of the gimbal (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the mission and print what it does."""
    from crack_perception.cli.common import print_progress
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.errors import UsageError, UserError, file_error
    from crack_perception.mapping.coverage.revisit import RevisitSettings, plan_revisit
    from crack_perception.mapping.evidence.reviewed import reviewed_cracks, without_rejected
    from crack_perception.mapping.storage.map_file import read_snapshot
    from crack_perception.planning.cameras import camera_of
    from crack_perception.planning.mission import (
        Autopilot,
        MissionSettings,
        close_legs,
        mission_of,
        qgroundcontrol_plan,
        waypoint_file,
    )
    from crack_perception.recognition.severity import SeverityScale

    path: Path = arguments.out
    writers = {".plan": qgroundcontrol_plan, ".waypoints": waypoint_file}
    if path.suffix.lower() not in writers:
        raise UsageError(f"{path}: is neither a .plan nor a .waypoints file", "Name it so")
    for name in ("width", "standoff", "speed"):
        if not 0.0 < getattr(arguments, name) < 1e6:
            raise UsageError(f"--{name} is {getattr(arguments, name):g}", "Give a positive number")
    settings = MissionSettings(
        origin=_origin(arguments.origin_wgs84, arguments.heading),
        autopilot=Autopilot[arguments.autopilot.upper()],
        home_height_m=arguments.home_height,
        speed_m_s=arguments.speed,
        hold_s=max(0.0, arguments.hold),
        highest_pitch_deg=arguments.gimbal_up,
    )
    scale = SeverityScale.of_preset(arguments.preset)
    snapshot = read_snapshot(arguments.map)
    camera = snapshot.camera if arguments.camera is None else camera_of(arguments.camera)
    if camera is None:
        raise UserError(
            f"{arguments.map}: does not hold the camera, because its frames had no resolution", "Give --camera"
        )
    cracks = [each.crack for each in without_rejected(reviewed_cracks(snapshot.cracks, decisions=snapshot.decisions))]
    plan = plan_revisit(
        cracks if arguments.targets != "areas" else (),
        snapshot.coverage if arguments.targets != "cracks" else (),
        camera,
        scale,
        RevisitSettings(arguments.width, arguments.standoff),
    )
    mission = mission_of(plan.poses, settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(writers[path.suffix.lower()](mission), encoding="utf-8")
    except OSError as error:
        raise file_error(path, error, "Choose another file with --out") from error
    on_cracks = sum(bool(pose.cracks) for pose in mission.poses)
    print(f"{len(mission.poses)} poses ({on_cracks} for cracks), {mission.length_m:.0f} m: {path}")
    if mission.beyond_gimbal:
        print_progress(f"{len(mission.beyond_gimbal)} poses are left out: they look higher than --gimbal-up")
    if plan.left_out:
        print_progress(f"{plan.left_out} more poses are left out: fly this mission, then plan the next one")
    if plan.unsettled_cracks:
        print_progress(
            f"{plan.unsettled_cracks} cracks stay undetermined: the camera cannot settle them from --standoff"
        )
    close = close_legs(mission.poses, snapshot.coverage, 0.5 * arguments.standoff)
    if close:
        numbers = ", ".join(map(str, close[:10]))
        print_progress(f"warning: the straight way after pose {numbers} passes the structure closely. Edit it")
    print_progress("Only surfaces in the map are known to the mission: check it for obstacles before flying")
    return EXIT_DONE


def _origin(text: str | None, heading_deg: float) -> GeographicOrigin:
    """The place of the map on the earth.

    Raises:
        UsageError: It is missing, or no place.
    """
    from crack_perception.errors import UsageError
    from crack_perception.mapping.export.geographic import GeographicOrigin

    if text is None:
        raise UsageError(
            "an autopilot flies by latitude and longitude, and the map's place on the earth is not known",
            "Give --origin-wgs84 LAT,LON,ALT and --heading",
        )
    try:
        latitude, longitude, altitude = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--origin-wgs84 {text} is not three numbers", "For example 48.1372,11.5755,560") from error
    return GeographicOrigin(latitude, longitude, altitude, heading_deg)
