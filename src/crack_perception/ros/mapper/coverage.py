# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Coverage and revisit poses of crack_mapper as latched messages: grids on the surfaces, markers, poses and a path."""

from __future__ import annotations

import array
import math
import time
from collections.abc import Iterable
from concurrent.futures import Future
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point, PoseArray, PoseStamped
from nav_msgs.msg import OccupancyGrid, Path
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.coverage.resolution import CellState, cell_states
from crack_perception.mapping.coverage.revisit import RevisitPlan, RevisitPose, RevisitSettings, plan_revisit
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage
from crack_perception.ros.common import qos
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.messages import pose_message
from crack_perception.ros.mapper.geographic_path import GeoPath, geographic_path
from crack_perception.ros.mapper.keeper import MapKeeper
from crack_perception.ros.mapper.parameters import MapperSettings
from crack_perception.ros.mapper.saver import settle

# The coverage changes with nearly every frame and its messages are large.
_PERIOD_S = 2.0
# Publishing and planning take at most these shares of the time, however large the map is.
_PUBLISHING_SHARE = 0.05
_PLANNING_SHARE = 0.05
MOST_GRIDS = 20
"""Surfaces, by id, whose grids are published; markers, poses and the map file hold all (config/sros2/policy.xml)."""

# Squares that RViz draws of one surface; those of larger surfaces stand for several cells.
_MOST_SQUARES = 4000
_SQUARE_ALPHA = 0.4
_TEXT_HEIGHT_M = 0.08
# Colours that colour-blind persons distinguish (Okabe and Ito): bluish green and orange.
_COLOURS = {CellState.DONE: (0.0, 0.62, 0.45), CellState.TOO_COARSE: (0.9, 0.6, 0.0)}


def occupancy_grid(header: Header, surface: SurfaceCoverage, wanted_width_mm: float) -> OccupancyGrid:
    """Return the coverage of a surface as a grid whose x and y axes lie on it: -1 not seen, 0 done, 100 too coarse."""
    message = OccupancyGrid(header=header)
    message.info.map_load_time = header.stamp
    message.info.resolution = surface.cell_m
    message.info.height, message.info.width = surface.gsd_mm_per_px.shape
    axes = np.column_stack([surface.u_axis, surface.v_axis, surface.normal])
    message.info.origin = pose_message(Pose(surface.corner_m, rotations.from_matrix(axes)))
    # The generated setter checks every element of anything but an array.
    data = array.array("b")
    data.frombytes(cell_states(surface.gsd_mm_per_px, wanted_width_mm).tobytes())
    message.data = data
    return message


def coverage_marker(header: Header, surface: SurfaceCoverage, wanted_width_mm: float) -> Marker:
    """Return the seen cells of a surface as coloured squares.

    Of a large surface several cells make one square, in the colour of the worst of them: it is done only if all of its
    cells are, and too coarse if one of them is so or was not seen.
    """
    marker = Marker(header=header, ns="coverage", id=surface.id, type=Marker.CUBE_LIST, action=Marker.ADD)
    states = cell_states(surface.gsd_mm_per_px, wanted_width_mm)
    step = max(1, math.isqrt(np.count_nonzero(states != CellState.UNSEEN) // _MOST_SQUARES))
    squares = _squares(states, step)
    while np.count_nonzero(squares != CellState.UNSEEN) > _MOST_SQUARES:
        step += 1
        squares = _squares(states, step)
    rows, columns = np.nonzero(squares != CellState.UNSEEN)
    side_m = step * surface.cell_m
    axes = np.column_stack([surface.u_axis, surface.v_axis, surface.normal])
    marker.pose = pose_message(Pose(surface.corner_m, rotations.from_matrix(axes)))
    marker.scale.x = marker.scale.y = side_m
    marker.scale.z = 0.001
    marker.color.a = _SQUARE_ALPHA
    marker.points = [
        Point(x=(column + 0.5) * side_m, y=(row + 0.5) * side_m)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    marker.colors = [
        ColorRGBA(r=r, g=g, b=b, a=_SQUARE_ALPHA)
        for r, g, b in (_COLOURS[CellState(state)] for state in squares[rows, columns].tolist())
    ]
    return marker


def _squares(states: npt.NDArray[np.int8], step: int) -> npt.NDArray[np.int8]:
    """Return the states of squares of ``step`` x ``step`` cells (rows, columns): unseen only if all cells are."""
    padding = [(0, -size % step) for size in states.shape]
    padded = np.pad(states, padding, constant_values=CellState.UNSEEN)
    rows, columns = (size // step for size in padded.shape)
    blocks = padded.reshape(rows, step, columns, step)
    squares = np.full((rows, columns), CellState.TOO_COARSE, np.int8)
    squares[(blocks == CellState.DONE).all(axis=(1, 3))] = CellState.DONE
    squares[(blocks == CellState.UNSEEN).all(axis=(1, 3))] = CellState.UNSEEN
    return squares


def revisit_poses(header: Header, plan: RevisitPlan) -> PoseArray:
    """Return the poses in the order in which to fly them: x along the line of sight, z up."""
    return PoseArray(header=header, poses=[pose_message(each.pose) for each in plan.poses])


def revisit_path(header: Header, plan: RevisitPlan) -> Path:
    """Return the path through the poses."""
    return Path(header=header, poses=[PoseStamped(header=header, pose=pose_message(each.pose)) for each in plan.poses])


def revisit_markers(header: Header, plan: RevisitPlan) -> list[Marker]:
    """Return a line from every pose to what it shows, and a text with its number, reason and distance."""
    lines = Marker(header=header, ns="revisit", type=Marker.LINE_LIST, action=Marker.ADD)
    lines.pose.orientation.w = 1.0
    lines.scale.x = 0.01
    lines.color = ColorRGBA(r=0.8, g=0.4, b=0.7, a=0.9)
    markers = [lines] if plan.poses else []
    for number, each in enumerate(plan.poses, start=1):
        ends = each.position_m, each.position_m + each.standoff_m * each.forward
        lines.points += [Point(x=x, y=y, z=z) for x, y, z in (end.tolist() for end in ends)]
        text = Marker(header=header, ns="revisit", id=number, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        text.pose = pose_message(each.pose)
        text.scale.z = _TEXT_HEIGHT_M
        text.color = lines.color
        text.text = f"{number}: {reason(each)}, {each.standoff_m:.2f} m"
        markers.append(text)
    return markers


def reason(pose: RevisitPose) -> str:
    """Return what a pose is for."""
    return ", ".join(f"#{crack_id}" for crack_id in pose.cracks) or "area"


class CoveragePublisher:
    """Publish coverage and revisit poses when they have changed; the poses are planned in a thread."""

    def __init__(self, node: LifecycleNode, settings: MapperSettings, health: Health) -> None:
        self._node = node
        self._health = health
        create = node.create_publisher
        self._markers = create(MarkerArray, "~/coverage_markers", qos.LATCHED)
        self._poses = create(PoseArray, "~/revisit", **qos.overridable(qos.LATCHED))
        self._path = create(Path, "~/revisit_path", **qos.overridable(qos.LATCHED))
        self._geographic_path: Any = None
        if settings.geo_origin is not None and GeoPath is not None:
            self._geographic_path = create(GeoPath, "~/revisit_geo_path", **qos.overridable(qos.LATCHED))
        self._grids: dict[int, Any] = {}
        self._published: dict[int, SurfaceCoverage] = {}
        self._planning: Future[RevisitPlan] | None = None
        self._planned_for: tuple[object, ...] = (None,)
        self._plan_began_s = 0.0
        self._area_m2: dict[int, tuple[float, float]] = {}
        self._next_s = self._next_plan_s = 0.0
        self._viewers = 0
        self.plan = RevisitPlan()
        self.use(settings)

    def use(self, settings: MapperSettings) -> None:
        """Apply changed settings; everything is published again."""
        self._settings = settings
        self._published = {}
        self._planned_for = (None,)
        self._next_s = self._next_plan_s = 0.0

    def publish(self, keeper: MapKeeper) -> None:
        """Publish what has changed, as far as the rate limits allow, and plan anew in the background."""
        now_s = time.monotonic()
        has_plan = self._take_plan(now_s)
        viewers = self._markers.get_subscription_count()
        if now_s < self._next_s and not has_plan:
            return
        surfaces = keeper.coverage.surfaces()
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._settings.map_frame)
        changed = self._publish_grids(header, surfaces)
        if has_plan:
            self._poses.publish(revisit_poses(header, self.plan))
            self._path.publish(revisit_path(header, self.plan))
            if self._geographic_path is not None and self._settings.geo_origin is not None:
                self._geographic_path.publish(geographic_path(header, self.plan, self._settings.geo_origin))
        if viewers and (changed or has_plan or viewers > self._viewers):
            self._markers.publish(self._marker_array(header, surfaces))
        self._viewers = viewers
        self._begin_plan(keeper, surfaces, now_s)
        took_s = time.monotonic() - now_s
        self._next_s = now_s + max(_PERIOD_S, took_s / _PUBLISHING_SHARE)

    def figures(self) -> dict[str, str]:
        """Return inspected areas and the number of revisit poses for the diagnostics, by key."""
        done, too_coarse = np.sum(list(self._area_m2.values()) or [(0.0, 0.0)], axis=0).tolist()
        return {
            "inspected_done_m2": f"{done:.1f}",
            "inspected_too_coarse_m2": f"{too_coarse:.1f}",
            "revisit_poses": str(len(self.plan.poses)),
            "revisit_poses_for_cracks": str(sum(bool(each.cracks) for each in self.plan.poses)),
            "revisit_path_m": f"{self.plan.length_m:.1f}",
            "revisit_poses_left_out": str(self.plan.left_out),
        }

    def destroy(self) -> None:
        """Remove the topics from the graph."""
        for publisher in (self._markers, self._poses, self._path, self._geographic_path, *self._grids.values()):
            if publisher is not None:
                self._node.destroy_publisher(publisher)
        self._grids = {}

    def _publish_grids(self, header: Header, surfaces: Iterable[SurfaceCoverage]) -> bool:
        present = {surface.id: surface for surface in surfaces if surface.id <= MOST_GRIDS}
        for gone in self._grids.keys() - present.keys():  # after a reset
            self._node.destroy_publisher(self._grids.pop(gone))
            self._area_m2.pop(gone, None)
        changed = [surface for surface in present.values() if self._published.get(surface.id) is not surface]
        has_changed = bool(changed) or self._published.keys() != present.keys()
        for surface in changed:
            if surface.id not in self._grids:
                topic = f"~/coverage/surface_{surface.id}"
                self._grids[surface.id] = self._node.create_publisher(OccupancyGrid, topic, qos.LATCHED)
            grid = occupancy_grid(header, surface, self._settings.wanted_width_mm)
            self._grids[surface.id].publish(grid)
            states = np.frombuffer(grid.data, np.int8)
            counts = (np.count_nonzero(states == state) for state in (CellState.DONE, CellState.TOO_COARSE))
            done, too_coarse = (float(count * surface.cell_area_m2) for count in counts)
            self._area_m2[surface.id] = done, too_coarse
        self._published = present
        return has_changed

    def _marker_array(self, header: Header, surfaces: Iterable[SurfaceCoverage]) -> MarkerArray:
        """Return all markers, preceded by one that deletes the previous ones."""
        markers = [Marker(header=header, action=Marker.DELETEALL)]
        markers += [coverage_marker(header, surface, self._settings.wanted_width_mm) for surface in surfaces]
        return MarkerArray(markers=markers + revisit_markers(header, self.plan))

    def _begin_plan(self, keeper: MapKeeper, surfaces: tuple[SurfaceCoverage, ...], now_s: float) -> None:
        """Plan the poses in a thread if the map has changed."""
        cracks, camera = keeper.unrejected_cracks(), keeper.coverage.camera
        subject = (*cracks, *surfaces, camera)
        if self._planning is not None or now_s < self._next_plan_s or _same(subject, self._planned_for):
            return
        settings, start_m = self._settings, keeper.coverage.viewpoint_m
        wanted = RevisitSettings(settings.wanted_width_mm, settings.revisit_standoff_m)
        future: Future[RevisitPlan] = Future()

        def plan() -> RevisitPlan:
            return plan_revisit(cracks, surfaces, camera, settings.severity, wanted, start_m)

        self._planned_for, self._planning, self._plan_began_s = subject, future, now_s
        Thread(target=settle, args=(future, plan), name="revisit_planner", daemon=True).start()

    def _take_plan(self, now_s: float) -> bool:
        """Take over a finished plan; return whether there is a new one."""
        if self._planning is None or not self._planning.done():
            return False
        done, self._planning = self._planning, None
        self._next_plan_s = now_s + (now_s - self._plan_began_s) / _PLANNING_SHARE
        failure = done.exception()
        if failure is not None:  # one map must not end the mapping
            text = f"Revisit poses were not planned, please report it: {type(failure).__name__}: {failure}"
            self._health.report("internal", text)
            return False
        self.plan = done.result()
        return True


def _same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    """Return whether these are the same objects; what changes in the map becomes a new object."""
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))
