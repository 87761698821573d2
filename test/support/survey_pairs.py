# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Two surveys of one simulated wall, between which some cracks have grown: rendered frames, detected and mapped.

Nothing is sent over DDS; the frames pass the same parts as in the nodes: detector, line measurement, projection onto a
known plane from noisy poses, crack map. With ``--drawn``, no image is rendered: the measured lines are the true ones
with errors like those of rendered flights (``line_errors.py``), which makes a pair in seconds.

python test/support/survey_pairs.py OUT --seeds 1 2 3 [--drawn]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from line_errors import LineErrors, region_of, seen_crack

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.line_lifting import largest_gsd_mm_per_px, outline_on_surface
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.map_planes import MapPlanes
from crack_perception.geometry.surface.plane import OPTICAL_AXIS, SurfacePlane
from crack_perception.inspection.analysis import SeverityConfig, analyse, located
from crack_perception.mapping.coverage.view import InspectedView
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.inspected_areas import InspectedAreas
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.mapping.storage.database import MapStore
from crack_perception.recognition.backends.selection import AUTO, open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import MeasuredRegion, RegionMeasurement, line_score
from crack_perception.recognition.models import load_model
from crack_perception.recognition.severity import SeverityScale
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.flight.measurements import noisy_poses
from crack_perception.simulation.flight.place import FRONT, Place
from crack_perception.simulation.flight.plan import GIMBAL_LEVER_M, Facet, FlightPlan, plan_flight
from crack_perception.simulation.flight.route import Route
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import Flight, stamp_of
from crack_perception.simulation.flight.trajectory import Trajectory
from crack_perception.simulation.flight.truth import TruthSurface
from crack_perception.simulation.wall.cracks import ImageScale, WallCrack, draw_cracks, plan_cracks
from crack_perception.simulation.wall.facet import Wall, concrete_wall

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


def survey_settings(settings: FlightSettings, survey: int) -> FlightSettings:
    """The settings of the old survey (0) or of the new one (1), which has another noise of images and poses."""
    return replace(settings, seed=settings.seed + 1000 * survey)


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


def blank_wall(rng: np.random.Generator, size_m: np.ndarray, mm_per_px: float, place: Place = FRONT) -> Wall:
    """A wall of that size without a picture, for flights of which no image is rendered."""
    width, height = np.ceil(size_m * 1000 / mm_per_px).astype(int).tolist()
    return Wall(np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3)), mm_per_px, None, None, place)


def wall_pair(
    seed: int, conditions: Conditions, count: int = 60, is_drawn: bool = False
) -> tuple[FlightPlan, FlightPlan, list[TrueChange]]:
    """Plans of two flights along one wall with the cracks of either, and what has changed.

    Args:
        seed: Of the wall and the flights.
        conditions: How they are flown.
        count: Number of cracks before those too close to another one are left out.
        is_drawn: The walls have no pictures.
    """
    settings = settings_of(seed, conditions)
    plan = plan_flight(settings, blank_wall if is_drawn else concrete_wall)
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
    plans = (_plan(settings, plan, cracks, conditions, survey, is_drawn) for survey, cracks in enumerate((old, new)))
    return next(plans), next(plans), changes


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
    settings: FlightSettings,
    plan: FlightPlan,
    cracks: Sequence[WallCrack],
    conditions: Conditions,
    survey: int,
    is_drawn: bool,
) -> FlightPlan:
    """The same path at another distance, with other sway, past the wall with these cracks."""
    wall = plan.facets[0].wall
    if not is_drawn:
        wall = replace(wall, texture=wall.texture.copy())
        draw_cracks(settings.random("drawing"), wall.texture, wall.mm_per_px, tuple(cracks))
    standoff_m = conditions.standoff_m[survey]
    route = Route([replace(leg, standoff_m=standoff_m) for leg in plan.route.legs])
    rng = settings.random(f"motion {survey}")
    trajectory = Trajectory(rng, route, standoff_m, math.radians(settings.attitude_deg), GIMBAL_LEVER_M)
    return replace(plan, facets=(Facet(wall, tuple(cracks)),), route=route, trajectory=trajectory)


Measured = Callable[[int, Pose], Sequence[MeasuredRegion]]
"""Returns the measured regions of an image of that index, which was taken from that exact pose."""


def mapped(
    settings: FlightSettings, plan: FlightPlan, conditions: Conditions, survey: int, errors: LineErrors | None = None
) -> tuple[GrowingMap, InspectedAreas]:
    """Map the cracks of a flight.

    Args:
        settings: Of both flights.
        plan: Of this one.
        conditions: How it is flown.
        survey: 0 or 1.
        errors: With which the measured lines are drawn; without them images are rendered and their cracks measured.
    """
    settings = survey_settings(settings, survey)
    attitude_rad = math.radians(conditions.attitude_noise_deg)
    noise = NoiseModel(attitude_rad=attitude_rad, position_m=conditions.position_noise_m)
    surface = plan.facets[0].wall.surface
    observer = WallObserver(settings.camera, surface, noise)
    measured = _rendered(settings, plan) if errors is None else _drawn(settings, plan, survey, errors)
    exact = plan.trajectory.camera_poses(plan.image_times_s)
    poses = noisy_poses(
        settings.random("pose"),
        exact,
        1 / settings.fps,
        conditions.position_noise_m,
        attitude_rad,
        settings.noise_white_share,
    )
    crack_map, areas = GrowingMap(), InspectedAreas()
    for index, pose in enumerate(poses):
        stamp_ns = stamp_of(plan.image_times_s[index]) + survey * YEAR_NS
        seen = observer.placed(measured(index, exact[index]), pose, stamp_ns)
        crack_map.add(seen)
        areas.add(seen.footprint_m)
    return crack_map, areas


def _rendered(settings: FlightSettings, plan: FlightPlan) -> Measured:
    """What is measured in the rendered images."""
    flight = Flight(settings, plan)
    observer = FrameObserver(flight.camera, plan.facets[0].wall.surface, NoiseModel())
    return lambda index, pose: observer.regions(flight.image(index))


def _drawn(settings: FlightSettings, plan: FlightPlan, survey: int, errors: LineErrors) -> Measured:
    """Lines of the true cracks with errors; the errors that both surveys share follow from the seed of the old one."""
    facet = plan.facets[0]
    first_seed = settings.seed - 1000 * survey
    own = {
        crack.id: errors.of_crack(
            settings.random(f"line {crack.id}"), replace(settings, seed=first_seed).random(f"shared {crack.id}")
        )
        for crack in facet.cracks
    }

    def lines(index: int, pose: Pose) -> Iterator[MeasuredRegion]:
        view, rng = SurfaceView(settings.camera, facet.wall.surface, pose), settings.random(f"lines {index}")
        for crack in facet.cracks:
            seen = seen_crack(crack, view)
            found = [] if seen is None else errors.lines(rng, seen, own[crack.id])
            if found:
                yield region_of(found)

    return lambda index, pose: list(lines(index, pose))


class WallObserver:
    """Place the measured cracks of images on a wall that is known.

    Args:
        camera: Of the images.
        surface: The wall.
        noise: Errors of the poses.
    """

    def __init__(self, camera: CameraModel, surface: TruthSurface, noise: NoiseModel) -> None:
        self._camera, self._noise = camera, noise
        self._planes = MapPlanes.of([*surface.normal, float(surface.normal @ surface.origin_m)], 0.01, 0.005)
        self._config = SeverityConfig(SeverityScale.of_preset("fine"), 1.0)

    def placed(self, regions: Sequence[MeasuredRegion], pose: Pose, stamp_ns: int) -> FrameObservation:
        """What an image shows from a pose of the optical frame, as it is estimated."""
        motion = MovingPose(pose, np.zeros(3), np.zeros(3))

        def plane_under(box: object):
            return self._planes.under(pose, self._camera.rays(box.centre_px)[0], None, self._noise)

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
            for _, detection, location in located(
                analyse(regions, self._config, self._camera, plane_under, motion, self._noise)
            )
            for line in detection.map_lines
        ]
        footprint_m = pose.transform(outline_on_surface(self._camera, self.plane(pose)).points_m)
        return FrameObservation(stamp_ns, "drone", footprint_m, tuple(observations))

    def plane(self, pose: Pose) -> SurfacePlane:
        """The wall in the middle of the image."""
        return self._planes.under(pose, OPTICAL_AXIS, None, self._noise)

    def view(self, pose: Pose) -> InspectedView:
        """The part of the wall that a frame shows, with its resolution."""
        plane = self.plane(pose)
        outline = outline_on_surface(self._camera, plane)
        gsd = largest_gsd_mm_per_px(self._camera, plane, outline.pixels)
        view = InspectedView.of(pose.transform(outline.points_m), gsd, outline.pixels, pose.position_m)
        assert view is not None
        return view


class FrameObserver(WallObserver):
    """Find and measure the cracks of frames, and place them on a wall that is known.

    Args:
        camera: Of the frames.
        surface: The wall.
        noise: Errors of the poses.
        model: That detects.
    """

    def __init__(self, camera: CameraModel, surface: TruthSurface, noise: NoiseModel, model: str = "nano") -> None:
        super().__init__(camera, surface, noise)
        loaded = load_model(model)
        self._detector = FrameDetector(loaded, open_backend(AUTO, loaded, 1), 0.25)
        self._measurement = RegionMeasurement()

    def regions(self, frame: np.ndarray) -> list[MeasuredRegion]:
        """The regions of a frame with their measured lines."""
        found = self._detector.detect(frame)
        return self._measurement.measure(frame, found.grid, found.regions)

    def observation(self, frame: np.ndarray, pose: Pose, stamp_ns: int) -> FrameObservation:
        """What a frame shows from a pose of the optical frame, as it is estimated."""
        return self.placed(self.regions(frame), pose, stamp_ns)


def write_pair(seed: int, folder: Path, conditions: Conditions, errors: LineErrors | None = None) -> None:
    """``old.sqlite``, ``new.sqlite`` and ``truth.json`` of a seed in a folder; arguments as in ``mapped``."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings_of(seed, conditions)
    *plans, changes = wall_pair(seed, conditions, is_drawn=errors is not None)
    for survey, plan in enumerate(plans):
        crack_map, areas = mapped(settings, plan, conditions, survey, errors)
        path = folder / f"{('old', 'new')[survey]}.sqlite"
        path.unlink(missing_ok=True)
        store = MapStore(path)
        store.save(crack_map.cracks(), (), crack_map.next_id, areas.polygons_m())
        store.close()
    truth = [{**vars(change), "line_m": change.line_m.tolist()} for change in changes]
    (folder / "truth.json").write_text(json.dumps(truth))


def _write(out: Path, conditions: Conditions, errors: LineErrors | None, seed: int) -> None:
    write_pair(seed, out / f"{seed}", conditions, errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--to", type=int, help="all seeds from the first one to this one")
    parser.add_argument("--standoff", type=float, default=0.6)
    parser.add_argument("--drawn", action="store_true", help="draw measured lines, render no images")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    conditions = Conditions(standoff_m=(arguments.standoff, 0.95 * arguments.standoff))
    seeds = arguments.seeds if arguments.to is None else range(arguments.seeds[0], arguments.to + 1)
    errors = LineErrors.load() if arguments.drawn else None
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for _ in pool.map(partial(_write, arguments.out, conditions, errors), seeds):
            pass


if __name__ == "__main__":
    main()
