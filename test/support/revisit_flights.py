# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A simulated survey from afar and the revisits that are proposed for it: rendered frames, detected and mapped.

Nothing is sent over DDS; the frames pass the same parts as in the nodes. The camera arrives at every pose with an
error, its pose is estimated with another one, and it takes a few photographs there. The mapper proposes poses again
whenever the map has changed: they are flown until there is none for a crack, a few times at most.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from survey_pairs import FrameObserver

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.coverage.revisit import RevisitPlan, RevisitSettings, plan_revisit
from crack_perception.mapping.export.crack_report import width_of
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.observation import FrameObservation
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale
from crack_perception.simulation.camera.rendering import CameraRenderer
from crack_perception.simulation.camera.sensor import Sensor, SensorSettings, automatic_gain
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import START_NS
from crack_perception.simulation.wall.cracks import ImageScale, draw_cracks, plan_cracks
from crack_perception.simulation.wall.facet import Wall, concrete_wall

MM_PER_PX = 0.25
FRAME_NS = 500_000_000


@dataclass(frozen=True)
class RevisitConditions:
    """How the survey and the revisit are flown.

    Attributes:
        wall_m: Size of the wall.
        cracks: Number of cracks on it, besides their branches.
        standoff_m: Of the survey.
        least_standoff_m: Of the revisit.
        wanted_width_mm: Of the revisit.
        arrival_m, arrival_deg: Standard deviation with which a pose is reached.
        pose_noise_m, attitude_noise_deg: Of the estimated poses.
        photographs: At each pose of the revisit.
        flights: Largest number of revisits.
        edges_mm: Class edges of the severity, many of them so that many cracks are undetermined.
    """

    wall_m: tuple[float, float] = (2.4, 1.5)
    cracks: int = 16
    standoff_m: float = 1.2
    least_standoff_m: float = 0.4
    wanted_width_mm: float = 1.0
    arrival_m: float = 0.03
    arrival_deg: float = 1.5
    pose_noise_m: float = 0.01
    attitude_noise_deg: float = 0.3
    photographs: int = 3
    flights: int = 3
    edges_mm: tuple[float, ...] = (0.6, 0.9, 1.27, 1.8, 2.5)


@dataclass(eq=False)
class RevisitOutcome:
    """What a revisit has settled.

    Attributes:
        plans: The proposed poses of every revisit.
        undetermined: Ids of the cracks that the survey has left undetermined.
        can_settle: Those of them that the camera can settle at all: photographs from the least standoff, straight
            ahead, along the whole crack and with exact poses do so, and not by chance: the true width lies in the class
            that they give, farther from its edges than their error.
        settled_at_once: Those that the first revisit has settled.
        settled: Those that all revisits have settled.
        widths_mm: (before, after) mean width with its standard deviation, by id.
    """

    plans: tuple[RevisitPlan, ...] = ()
    undetermined: frozenset[int] = frozenset()
    can_settle: frozenset[int] = frozenset()
    settled_at_once: frozenset[int] = frozenset()
    settled: frozenset[int] = frozenset()
    widths_mm: dict[int, tuple[tuple[float, float], tuple[float, float]]] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Settled share of those that the camera can settle; 1 where there are none."""
        return len(self.settled & self.can_settle) / len(self.can_settle) if self.can_settle else 1.0


class RevisitedWall:
    """A wall with cracks and a camera in front of it."""

    def __init__(self, seed: int, conditions: RevisitConditions) -> None:
        self.conditions = conditions
        self.settings = FlightSettings(seed=seed, width=1280, height=960, hfov_deg=50.0, exposure_ms=0.5)
        self.wall = self._cracked_wall()
        camera = self.settings.camera
        noise = NoiseModel(attitude_rad=math.radians(conditions.attitude_noise_deg), position_m=conditions.pose_noise_m)
        self._observer = FrameObserver(camera, self.wall.surface, noise)
        self._renderer = CameraRenderer(camera, self.wall.surface, self.wall.texture)
        self._sensor = Sensor(camera.width_px, camera.height_px, SensorSettings(self.settings.image_noise))
        self._frames = 0
        self._merged: dict[int, int] = {}
        self.scale = SeverityScale(conditions.edges_mm)
        self.map = GrowingMap()
        self.coverage = Coverage(0.05)

    def _cracked_wall(self) -> Wall:
        settings, conditions = self.settings, self.conditions
        wall = concrete_wall(settings.random("texture"), np.array(conditions.wall_m), MM_PER_PX)
        gsd_m = conditions.standoff_m / settings.camera.focal_px
        scale = ImageScale(1000 * gsd_m, settings.width * gsd_m, settings.height * gsd_m)
        path_m = settings.random("path").uniform(0.2, 0.8, (400, 2)) * conditions.wall_m
        cracks = plan_cracks(settings.random("cracks"), conditions.cracks, path_m, scale, wall.size_m)
        self.true_lines = [(wall.surface.to_map(crack.line_m), crack.width_mm) for crack in cracks]
        draw_cracks(settings.random("drawing"), wall.texture, wall.mm_per_px, cracks)
        return wall

    def facing(self, point_m: np.ndarray, standoff_m: float) -> Pose:
        """Pose of the optical frame straight in front of a point of the wall."""
        surface = self.wall.surface
        axes = np.column_stack([surface.u_axis, surface.v_axis, -surface.normal])
        return Pose(point_m + standoff_m * surface.normal, rotations.from_matrix(axes))

    def survey(self) -> None:
        """Fly past the whole wall in overlapping rows, twice."""
        standoff_m = self.conditions.standoff_m
        pixel_m = standoff_m / self.settings.camera.focal_px
        half_m = 0.5 * pixel_m * np.array([self.settings.width, self.settings.height])
        size_m = self.wall.size_m
        rows = np.linspace(half_m[1], size_m[1] - half_m[1], 1 + math.ceil(size_m[1] / half_m[1] / 1.2 - 1))
        columns = np.arange(half_m[0], size_m[0] - half_m[0] + 0.1, 0.25)
        for shift in (0.0, 0.12):
            places = np.array([[u + shift, v] for v in rows for u in columns])
            self.fly(self.facing(point_m, standoff_m) for point_m in self.wall.surface.to_map(places))

    def fly(self, poses: Iterable[Pose], photographs: int = 1, is_exact: bool = False) -> None:
        """Photograph the wall from poses and map what is found."""
        for pose in poses:
            for _ in range(photographs):
                rng = self.settings.random(f"photograph {self._frames}")
                arrival = self.conditions.arrival_m, self.conditions.arrival_deg
                noise = self.conditions.pose_noise_m, self.conditions.attitude_noise_deg
                real = pose if is_exact else _near(rng, pose, *arrival)
                estimated = real if is_exact else _near(rng, real, *noise)
                stamp_ns = START_NS + self._frames * FRAME_NS
                self._frames += 1
                self._merged |= self.map.add(self._photographed(real, estimated, stamp_ns, rng)).merged
                self.coverage.add(self._observer.view(estimated))

    def _photographed(self, real: Pose, estimated: Pose, stamp_ns: int, rng: np.random.Generator) -> FrameObservation:
        """What a photograph shows."""
        light = self._renderer.render(real, real, real)
        frame = self._sensor.develop(light, automatic_gain(light), rng)
        return self._observer.observation(frame, estimated, stamp_ns)

    def revisit(self) -> RevisitPlan:
        """Fly the poses that are proposed for cracks now."""
        plan = self.revisit_plan()
        self.fly((optical(each.pose) for each in plan.poses if each.cracks), self.conditions.photographs)
        return plan

    def revisit_plan(self) -> RevisitPlan:
        """The poses that are proposed now."""
        wanted = RevisitSettings(self.conditions.wanted_width_mm, self.conditions.least_standoff_m)
        return plan_revisit(self.cracks(), self.coverage.surfaces(), self.coverage.camera, self.scale, wanted)

    def present(self, ids: Iterable[int]) -> dict[int, MappedCrack]:
        """The cracks of earlier ids, which may be parts of others now; without those that do not exist any more."""
        now = {crack.id: crack for crack in self.cracks()}
        found = {}
        for each in ids:
            owner = each
            while owner in self._merged:
                owner = self._merged[owner]
            if owner in now:
                found[each] = now[owner]
        return found

    def cracks(self) -> tuple[MappedCrack, ...]:
        return tuple(crack for crack in self.map.cracks() if crack.state is not CrackState.LOST)

    def undetermined(self) -> frozenset[int]:
        """Ids of the confirmed cracks without a certain class."""
        return frozenset(
            crack.id
            for crack in self.cracks()
            if crack.state is CrackState.CONFIRMED and self.scale.classify(width_of(crack)).verdict == UNDETERMINED
        )

    def true_width_mm(self, crack: MappedCrack) -> float:
        """Mean true width along a mapped crack: at each vertex that of the nearest point of a true line."""
        lines_m = np.concatenate([line_m for line_m, _ in self.true_lines])
        widths_mm = np.concatenate([width_mm for _, width_mm in self.true_lines])
        gaps = np.linalg.norm(crack.line_m[:, None] - lines_m[None], axis=2)
        return float(widths_mm[gaps.argmin(axis=1)].mean())

    def can_settle(self, ids: Iterable[int]) -> frozenset[int]:
        """Those that have their true class now, and whose true width is as far from the edges as that takes."""
        z = NormalDist().inv_cdf(self.scale.confidence)
        possible = set()
        for each, crack in self.present(self.settled_among(ids)).items():
            width = width_of(crack)
            assert width is not None
            true_mm = self.true_width_mm(crack)
            if self.scale.index_of(true_mm) != self.scale.index_of(width.width):
                continue
            true_log = math.log(true_mm)
            if min(abs(true_log - math.log(edge)) for edge in self.scale.edges_mm) >= z * width.log_sigma:
                possible.add(each)
        return frozenset(possible)

    def settled_among(self, ids: Iterable[int]) -> frozenset[int]:
        """Those that have a certain class now."""
        return frozenset(
            each
            for each, crack in self.present(ids).items()
            if self.scale.classify(width_of(crack)).verdict != UNDETERMINED
        )

    def closest_photographs(self, ids: Iterable[int]) -> list[Pose]:
        """Poses at the least standoff along whole cracks."""
        wanted = set(ids)
        poses = []
        for crack in self.cracks():
            if crack.id in wanted:
                count = max(2, math.ceil(crack.length_m / 0.1))
                for point_m in crack.line_m[np.linspace(0, len(crack.line_m) - 1, count).astype(int)]:
                    poses.append(self.facing(point_m, self.conditions.least_standoff_m))
        return poses

    def branch(self) -> RevisitedWall:
        """The same wall with a copy of the map, to fly something else over it."""
        other = copy.copy(self)
        other.map, other.coverage = copy.deepcopy(self.map), copy.deepcopy(self.coverage)
        other._merged = dict(self._merged)
        return other


def optical(pose: Pose) -> Pose:
    """Pose of the optical frame of a proposed pose, whose x axis is the line of sight."""
    return Pose(pose.position_m, rotations.multiply(pose.quaternion, rotations.FORWARD_LOOKING_OPTICAL))


def revisit_outcome(seed: int, conditions: RevisitConditions) -> RevisitOutcome:
    """Fly a survey, its revisits, and the closest photographs that there can be."""
    wall = RevisitedWall(seed, conditions)
    wall.survey()
    undetermined = wall.undetermined()
    before = wall.present(undetermined)
    reference = wall.branch()
    reference.fly(reference.closest_photographs(undetermined), is_exact=True)
    plans = [wall.revisit()]
    settled_at_once = wall.settled_among(undetermined)
    while len(plans) < conditions.flights and any(pose.cracks for pose in wall.revisit_plan().poses):
        plans.append(wall.revisit())
    widths = {
        each: tuple((crack.mean_width_mm, crack.mean_width_sigma_mm) for crack in (before[each], after))
        for each, after in wall.present(undetermined).items()
    }
    return RevisitOutcome(
        tuple(plans),
        undetermined,
        reference.can_settle(undetermined),
        settled_at_once,
        wall.settled_among(undetermined),
        widths,
    )


def total_share(outcomes: Sequence[RevisitOutcome]) -> float:
    """Settled share over several walls."""
    possible = sum(len(outcome.can_settle) for outcome in outcomes)
    return sum(len(outcome.settled & outcome.can_settle) for outcome in outcomes) / possible if possible else 1.0


def _near(rng: np.random.Generator, pose: Pose, sigma_m: float, sigma_deg: float) -> Pose:
    turn = rotations.from_rotation_vector(np.deg2rad(sigma_deg) * rng.standard_normal(3))
    return Pose(pose.position_m + sigma_m * rng.standard_normal(3), rotations.multiply(turn, pose.quaternion))
