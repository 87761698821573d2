# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception mission``: a mission of an autopilot through the revisit poses of a crack map."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crack_perception.cli.common import add_preset_argument, print_progress

if TYPE_CHECKING:
    from crack_perception.mapping.coverage.revisit import RevisitPlan
    from crack_perception.mapping.export.geographic import GeographicOrigin
    from crack_perception.planning.legs import CloseLeg
    from crack_perception.planning.mission import Mission

HELP = "write a mission (QGroundControl .plan or MAVLink .waypoints) that revisits what a crack map has left open"

_EXAMPLE = "48.1372,11.5755,560"
_MOST_NAMED = 10
_RANGES = {
    "width": (0.01, 1000.0, "mm"),
    "standoff": (0.1, 1000.0, "m"),
    "speed": (0.05, 20.0, "m/s"),
    "hold": (0.0, 600.0, "s"),
    "gimbal_up": (-90.0, 90.0, "deg"),
}
"""Argument -> least and greatest number, and unit."""
_MOST_PLACE_M = 20_000.0
_FAR_M, _HIGH_M = 1000.0, 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "map", type=Path, metavar="MAP", help="SQLite file of crack_mapper, for example crack_map.sqlite"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file.plan or file.waypoints")
    parser.add_argument(
        "--origin-wgs84",
        metavar="LAT,LON,ALT",
        help="place of the map's origin: degrees and ellipsoidal height in m (default: that beside the map, from "
        "map-photos, survey or geo_origin of crack_mapper)",
    )
    parser.add_argument(
        "--heading",
        type=float,
        metavar="DEG",
        help="direction of the map's x axis, clockwise from true north, with --origin-wgs84 (default: 90, x to the "
        "east)",
    )
    parser.add_argument(
        "--targets", choices=("all", "cracks", "areas"), default="all", help="what is revisited (default: %(default)s)"
    )
    parser.add_argument(
        "--width", type=float, default=0.3, metavar="MM", help="crack width to be resolved (default: %(default)s)"
    )
    add_preset_argument(parser)
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
        "--home", metavar="X,Y", help="take-off place in the map, in m (default: the map's origin, 0,0)"
    )
    parser.add_argument(
        "--home-height",
        type=float,
        metavar="M",
        help="height of the take-off place in the map; altitudes are above it (default: 0; required where a file "
        "beside the map holds its place, because its height 0 is then rarely the ground)",
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
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.errors import UsageError, UserError
    from crack_perception.mapping.coverage.revisit import RevisitSettings, plan_revisit
    from crack_perception.mapping.evidence.reviewed import reviewed_cracks, without_rejected
    from crack_perception.mapping.storage.snapshot import read_snapshot
    from crack_perception.paths import write_text
    from crack_perception.planning.cameras import camera_of
    from crack_perception.planning.legs import close_legs
    from crack_perception.planning.mission import (
        Autopilot,
        MissionSettings,
        mission_of,
        qgroundcontrol_plan,
        waypoint_file,
    )
    from crack_perception.recognition.severity import SeverityScale

    path: Path = arguments.out
    writers = {".plan": qgroundcontrol_plan, ".waypoints": waypoint_file}
    if path.suffix.lower() not in writers:
        raise UsageError(f"{path}: is neither a .plan nor a .waypoints file", "Name it so")
    for name, (least, most, unit) in _RANGES.items():
        if not least <= getattr(arguments, name) <= most:
            option = name.replace("_", "-")
            raise UsageError(
                f"--{option} is {getattr(arguments, name):g}", f"Give a number from {least:g} to {most:g} {unit}"
            )
    origin = _origin(arguments)
    settings = MissionSettings(
        origin=origin,
        autopilot=Autopilot[arguments.autopilot.upper()],
        home_m=_home(arguments.home),
        home_height_m=_home_height_m(arguments, origin),
        clearance_m=0.5 * arguments.standoff,
        speed_m_s=arguments.speed,
        hold_s=arguments.hold,
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
    cannot = _cannot(plan, arguments)
    if cannot and not plan.poses:
        raise UserError(f"there is no pose to fly: {cannot}", "Give another --camera, or a smaller --standoff")
    mission = mission_of(plan.poses, settings, snapshot.coverage)
    write_text(path, writers[path.suffix.lower()](mission))
    on_cracks = sum(bool(pose.cracks) for pose in mission.poses)
    print(f"{len(mission.poses)} poses ({on_cracks} for cracks), {mission.length_m:.0f} m: {path}")
    if mission.beyond_gimbal:
        print_progress(f"{len(mission.beyond_gimbal)} poses are left out: they look higher than --gimbal-up")
    if plan.left_out:
        print_progress(f"{plan.left_out} more poses are left out: fly this mission, then plan the next one")
    if cannot:
        print_progress(f"warning: {cannot}")
    for line in _warnings(mission, close_legs(mission.legs(), snapshot.coverage, settings.clearance_m)):
        print_progress(line)
    reached_m = mission.return_altitude_m(snapshot.coverage)
    if reached_m is not None:
        print_progress(
            f"warning: on the way of the return the structure reaches {reached_m:.1f} m above the take-off place. Set "
            "the return altitude higher (PX4: RTL_RETURN_ALT, ArduPilot: RTL_ALT)"
        )
    print_progress("Only surfaces in the map are known to the mission: check it for obstacles before flying")
    return EXIT_DONE


def _cannot(plan: RevisitPlan, arguments: argparse.Namespace) -> str:
    """Return what the camera cannot do from the least standoff; empty where it can do all."""
    if plan.unsettled_cracks:
        return (
            f"{plan.unsettled_cracks} crack{'s stay' if plan.unsettled_cracks > 1 else ' stays'} undetermined, which "
            f"the camera cannot settle from --standoff {arguments.standoff:g} m"
        )
    if arguments.targets != "cracks" and plan.resolvable_mm > arguments.width:
        return (
            f"the camera resolves {plan.resolvable_mm:.2g} mm from --standoff {arguments.standoff:g} m, and areas need "
            f"--width {arguments.width:g} mm"
        )
    return ""


def _warnings(mission: Mission, close: Sequence[CloseLeg]) -> Iterator[str]:
    """Yield lines about poses far off, ways that are close to the structure, and an end that is no return."""
    import numpy as np

    home_m = mission.settings.above_home_m(mission.settings.home_height_m)
    away_m = np.array([pose.position_m for pose in mission.poses]) - home_m
    farthest_m, highest_m = float(np.hypot(away_m[:, 0], away_m[:, 1]).max()), float(away_m[:, 2].max())
    if farthest_m > _FAR_M:
        yield f"warning: a pose is {farthest_m:.0f} m away from the take-off place. Check --home"
    if highest_m > _HIGH_M:
        yield (
            f"warning: a pose is {highest_m:.0f} m above the take-off place, and {_HIGH_M:g} m is the limit of many "
            "countries. Check --home-height"
        )
    if close:
        named = "; ".join(map(str, close[:_MOST_NAMED]))
        more = f"; and {len(close) - _MOST_NAMED} more" if len(close) > _MOST_NAMED else ""
        yield f"warning: the straight way passes the structure closely: {named}{more}. Edit the mission there"
    if mission.lands or mission.way_out:
        end = "lands at the take-off place" if mission.lands else "returns from the first pose in the open"
        yield (
            "the last pose is under the structure, where a return would climb into it: the mission flies back along "
            f"its poses and {end}"
        )


def _origin(arguments: argparse.Namespace) -> GeographicOrigin:
    """The place of the map on the earth: that of the arguments, else that beside the map.

    Raises:
        UsageError: It is missing, or no place.
    """
    from crack_perception.cli.place import three_numbers
    from crack_perception.errors import UsageError
    from crack_perception.mapping.export.geographic import GeographicOrigin, origin_path, read_origin

    if arguments.origin_wgs84 is not None:
        heading_deg = 90.0 if arguments.heading is None else arguments.heading
        return GeographicOrigin(*three_numbers(arguments.origin_wgs84, "--origin-wgs84", _EXAMPLE), heading_deg)
    stored = read_origin(arguments.map)
    if stored is None:
        raise UsageError(
            "an autopilot flies by latitude and longitude, and the map's place on the earth is not known",
            "Give --origin-wgs84 LAT,LON,ALT and --heading",
        )
    if arguments.heading is not None:
        raise UsageError(
            f"--heading needs an origin: {origin_path(arguments.map)} has its own heading",
            "Give --origin-wgs84 as well",
        )
    return stored


def _home(text: str | None) -> tuple[float, float]:
    from crack_perception.errors import UsageError

    try:
        x, y = (0.0, 0.0) if text is None else map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"--home {text} is not two numbers", "For example --home=-12.5,3") from error
    if not math.hypot(x, y) <= _MOST_PLACE_M:
        raise UsageError(
            f"--home {text} is no place within {_MOST_PLACE_M / 1000:g} km of the map's origin",
            "Give metres in the map, for example --home=-12.5,3",
        )
    return x, y


def _home_height_m(arguments: argparse.Namespace, origin: GeographicOrigin) -> float:
    """Height of the take-off place in the map.

    Raises:
        UsageError: It is not given although the map's height 0 may be that of a photograph or of an ellipsoid.
    """
    from crack_perception.errors import UsageError
    from crack_perception.mapping.export.geographic import origin_path

    if arguments.home_height is None:
        if origin_path(arguments.map).exists():
            raise UsageError(
                f"the height of the take-off place in {arguments.map} is not known: its height 0 lies "
                f"{origin.altitude_m:.2f} m high, that of the first photograph unless --origin was given",
                "Give --home-height, the height of the take-off place minus that; map-photos prints it where the tags "
                "of the photographs hold their height above the take-off",
            )
        return 0.0
    if not abs(arguments.home_height) <= _MOST_PLACE_M:
        raise UsageError(f"--home-height is {arguments.home_height:g}", "Give metres in the map")
    return float(arguments.home_height)
