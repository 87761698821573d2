# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Two surveys of one simulated wall, between which some cracks have grown: rendered frames, detected and mapped.

Nothing is sent over DDS; the frames pass the same parts as in the nodes: detector, line measurement, projection onto a
known plane from noisy poses, crack map.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crack_perception.geometry.line_lifting import outline_on_surface
from crack_perception.geometry.poses.buffer import MovingPose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.map_planes import MapPlanes
from crack_perception.geometry.surface.plane import OPTICAL_AXIS
from crack_perception.inspection.analysis import SeverityConfig, analyse, located
from crack_perception.mapping.crack_map import CrackMap
from crack_perception.mapping.inspected_areas import InspectedAreas
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.mapping.storage.database import MapStore
from crack_perception.recognition.backends.selection import AUTO, open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement, line_score
from crack_perception.recognition.models import load_model
from crack_perception.recognition.severity import SeverityScale
from crack_perception.simulation.flight.measurements import noisy_poses
from crack_perception.simulation.flight.plan import GIMBAL_LEVER_M, Facet, FlightPlan, plan_flight
from crack_perception.simulation.flight.route import Route
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import Flight, stamp_of
from crack_perception.simulation.flight.trajectory import Trajectory
from crack_perception.simulation.wall.cracks import ImageScale, WallCrack, draw_cracks, plan_cracks

WIDER_MM = 0.2
LONGER_M = 0.05
YEAR_NS = 365 * 86_400 * 1_000_000_000
UNCHANGED, WIDER, LONGER, NEW, GONE = "unchanged", "wider", "longer", "new", "gone"
_KINDS = (WIDER, LONGER, UNCHANGED, NEW, UNCHANGED, GONE, UNCHANGED)
_TAPER_SHARE = 0.1
_CLEARANCE_M = 0.12


@dataclass(frozen=True, eq=False)
class TrueChange:
    """A crack of the wall in both surveys.

    Attributes:
        kind: What has happened to it.
        line_m: (N, 3) its centreline in the map, the longer one of the two.
        old_width_mm, new_width_mm: Mean widths; ``nan`` where it does not exist.
    """

    kind: str
    line_m: np.ndarray
    old_width_mm: float
    new_width_mm: float


@dataclass(frozen=True)
class Conditions:
    """How the surveys are flown.

    Attributes:
        standoff_m: Of the old survey and of the new one.
        position_noise_m, attitude_noise_deg: Of the poses.
        offset_m, heading_deg: Place and heading of the new survey's map frame in the old one.
    """

    standoff_m: tuple[float, float] = (0.6, 0.57)
    position_noise_m: float = 0.01
    attitude_noise_deg: float = 0.3
    offset_m: tuple[float, float, float] = (0.12, -0.2, 0.05)
    heading_deg: float = 1.0


def settings_of(seed: int, conditions: Conditions) -> FlightSettings:
    return FlightSettings(
        seed=seed,
        duration_s=18.0,
        fps=3.0,
        width=1280,
        height=960,
        standoff_m=conditions.standoff_m[0],
        speed_m_s=0.3,
        attitude_deg=0.8,
        exposure_ms=1.0,
        cracks=0,
    )


def wider(crack: WallCrack) -> WallCrack:
    return replace(crack, width_mm=crack.width_mm + WIDER_MM)


def longer(crack: WallCrack) -> WallCrack:
    """The crack with its last tip farther on; its taper moves along."""
    steps = np.linalg.norm(np.diff(crack.line_m, axis=0), axis=1)
    step_m = float(steps.mean())
    added = max(1, round(LONGER_M / step_m))
    reach = max(2, len(crack.line_m) // 20)
    direction = crack.line_m[-1] - crack.line_m[-1 - reach]
    direction /= np.linalg.norm(direction)
    more = crack.line_m[-1] + np.arange(1, added + 1)[:, None] * (LONGER_M / added) * direction
    taper = max(2, int(_TAPER_SHARE * len(crack.line_m)))
    width_mm = np.concatenate(
        [crack.width_mm[:-taper], np.full(added, crack.width_mm[-taper - 1]), crack.width_mm[-taper:]]
    )
    return replace(crack, line_m=np.vstack([crack.line_m, more]), width_mm=width_mm)


def wall_pair(seed: int, conditions: Conditions, count: int = 60) -> tuple[FlightPlan, FlightPlan, list[TrueChange]]:
    """Plans of two flights along one wall with the cracks of either, and what has changed."""
    settings = settings_of(seed, conditions)
    plan = plan_flight(settings)
    leg, wall = plan.route.legs[0], plan.facets[0].wall
    gsd_m = conditions.standoff_m[0] / settings.camera.focal_px
    # Cracks twice as long as those of a usual flight: several frames are needed to show one.
    scale = ImageScale(1000 * gsd_m, 2 * settings.width * gsd_m, settings.height * gsd_m)
    path_m = leg.path.at(np.linspace(0, settings.duration_s, 500))
    cracks = _apart(plan_cracks(settings.random("cracks"), count, path_m, scale, wall.size_m))
    old, new, changes = [], [], []
    for index, crack in enumerate(cracks):
        kind = _KINDS[index % len(_KINDS)]
        now = {WIDER: wider, LONGER: longer}.get(kind, lambda same: same)(crack)
        line_m = now.line_m
        if ((line_m < 0.005) | (line_m > wall.size_m - 0.005)).any():
            kind, now = UNCHANGED, crack
        if kind != NEW:
            old.append(crack)
        if kind != GONE:
            new.append(now)
        changes.append(
            TrueChange(
                kind,
                wall.surface.to_map(now.line_m),
                _mean(crack) if kind != NEW else math.nan,
                _mean(now) if kind != GONE else math.nan,
            )
        )
    return _plan(settings, plan, old, conditions, 0), _plan(settings, plan, new, conditions, 1), changes


def _apart(cracks: Sequence[WallCrack]) -> list[WallCrack]:
    """Those that keep clear of the ones before them, so that it is known which is which."""
    kept: list[WallCrack] = []
    for crack in cracks:
        if all(np.linalg.norm(crack.line_m[:, None] - each.line_m[::4], axis=2).min() > _CLEARANCE_M for each in kept):
            kept.append(crack)
    return kept


def _mean(crack: WallCrack) -> float:
    steps_m = np.linalg.norm(np.diff(crack.line_m, axis=0), axis=1)
    return float(np.average((crack.width_mm[:-1] + crack.width_mm[1:]) / 2, weights=steps_m))


def _plan(
    settings: FlightSettings, plan: FlightPlan, cracks: Sequence[WallCrack], conditions: Conditions, survey: int
) -> FlightPlan:
    """The same path at another distance, with other sway, past the wall with these cracks."""
    wall = replace(plan.facets[0].wall, texture=plan.facets[0].wall.texture.copy())
    draw_cracks(settings.random("drawing"), wall.texture, wall.mm_per_px, tuple(cracks))
    standoff_m = conditions.standoff_m[survey]
    route = Route([replace(leg, standoff_m=standoff_m) for leg in plan.route.legs])
    rng = settings.random(f"motion {survey}")
    trajectory = Trajectory(rng, route, standoff_m, math.radians(settings.attitude_deg), GIMBAL_LEVER_M)
    return replace(plan, facets=(Facet(wall, tuple(cracks)),), route=route, trajectory=trajectory)


def mapped(
    settings: FlightSettings, plan: FlightPlan, conditions: Conditions, survey: int, model: str = "nano"
) -> tuple[CrackMap, InspectedAreas]:
    """Render the frames of a flight, find and measure their cracks, and map them."""
    settings = replace(settings, seed=settings.seed + 1000 * survey)
    flight = Flight(settings, plan)
    loaded = load_model(model)
    detector = FrameDetector(loaded, open_backend(AUTO, loaded, 1), 0.25)
    measurement = RegionMeasurement()
    camera, surface = flight.camera, plan.facets[0].wall.surface
    planes = MapPlanes.of([*surface.normal, float(surface.normal @ surface.origin_m)], 0.01, 0.005)
    noise = NoiseModel(attitude_rad=math.radians(conditions.attitude_noise_deg), position_m=conditions.position_noise_m)
    poses = noisy_poses(
        settings.random("pose"),
        plan.trajectory.camera_poses(flight.times_s),
        1 / settings.fps,
        conditions.position_noise_m,
        noise.attitude_rad,
        settings.noise_white_share,
    )
    config = SeverityConfig(SeverityScale.of_preset("fine"), 1.0)
    crack_map, areas = CrackMap(), InspectedAreas()
    for index, pose in enumerate(poses):
        frame = flight.image(index)
        found = detector.detect(frame)
        regions = measurement.measure(frame, found.grid, found.regions)
        motion = MovingPose(pose, np.zeros(3), np.zeros(3))

        def plane_under(box: object, pose=pose):
            return planes.under(pose, camera.rays(box.centre_px)[0], None, noise)

        centre = planes.under(pose, OPTICAL_AXIS, None, noise)
        footprint_m = pose.transform(outline_on_surface(camera, centre))
        observations = [
            CrackObservation(
                line.points_m,
                line.width_mm,
                line.width_sigma_mm,
                line.normal,
                location.covariance[:3, :3],
                float(np.nanmedian(line.gsd_mm_per_px)),
                float(detection.crack.region.score * line_score(detection.lines[line.rank])),
            )
            for _, detection, location in located(analyse(regions, config, camera, plane_under, motion, noise))
            for line in detection.map_lines
        ]
        stamp_ns = stamp_of(flight.times_s[index]) + survey * YEAR_NS
        seen = FrameObservation(stamp_ns, "drone", footprint_m, tuple(observations))
        crack_map.add(seen)
        areas.add(footprint_m)
    return crack_map, areas


def write_pair(seed: int, folder: Path, conditions: Conditions) -> None:
    """``old.sqlite``, ``new.sqlite`` and ``truth.json`` of a seed in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings_of(seed, conditions)
    *plans, changes = wall_pair(seed, conditions)
    for survey, plan in enumerate(plans):
        crack_map, areas = mapped(settings, plan, conditions, survey)
        path = folder / f"{('old', 'new')[survey]}.sqlite"
        path.unlink(missing_ok=True)
        store = MapStore(path)
        store.save(crack_map.cracks(), (), crack_map.next_id, areas.polygons_m())
        store.close()
    truth = [{**vars(change), "line_m": change.line_m.tolist()} for change in changes]
    (folder / "truth.json").write_text(json.dumps(truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--standoff", type=float, default=0.6)
    arguments = parser.parse_args()
    conditions = Conditions(standoff_m=(arguments.standoff, 0.95 * arguments.standoff))
    for seed in arguments.seeds:
        write_pair(seed, arguments.out / f"{seed}", conditions)


if __name__ == "__main__":
    main()
