# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Surface learnt in flight: planar facets fitted to the points where the optical axis met the surface.

A single range gives a point of the surface but not its direction, and its error affects everything projected onto the
surface. Points of several seconds give both, more accurately, as long as they lie on one facet. Each point is assigned
to the facet on which it lies within its errors, or starts a new one. The plane is refitted at every position to the
points around it, over a smaller radius where the surface bends.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.history import LEAST_STEP_BACK_NS
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import MAX_INCIDENCE_RAD, NoiseModel
from crack_perception.geometry.surface.local_plane import HIT_COLUMNS, Hits, LocalPlane, fit_local_plane
from crack_perception.geometry.surface.plane import OPTICAL_AXIS, SurfacePlane
from crack_perception.geometry.surface.range import RangeBuffer, RangeReading

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

SOURCE = "range+surface"

# Number of hits kept (about ten minutes of flight) and used per fit; more cost time without adding information.
_KEPT = 1024
_FITTED = 32
# Hits within this time and this distance (as a share of the range) are averaged.
_BIN_S = 0.5
_BIN_SHARE = 0.2
# Readings that differ by more (in standard deviations) from the one at the frame's stamp hit another object.
_ALIKE = 4.0
# Pose estimates jitter, and so does the velocity from two of them: it is averaged over this time.
_VELOCITY_S = 0.5
# Weight, in readings, of a reading that has been counted before.
_NOTHING_NEW = 1e-3
# Radius, in ranges, within which a flat facet is known around a point.
_REACH_RANGES = 1.5
_HALVINGS = 3
# Expected curvature (inverse radius, 1/m) of a nominally flat wall over the widest radius. If it does not explain the
# hits, four times the curvature is allowed over half the radius, which is the same depth.
_CURVATURE_SIGMA_PER_M = 0.01
_LEAST_HITS = 3
# Largest distance of a hit from its prediction on the same facet, in standard deviations.
_GATE = 3.5
# Largest excess of the chi-squared of a fit over its expectation, in standard deviations, for a flat surface.
_MISFIT_GATE = 2.0
# Surfaces whose assumed directions differ by more (60 degrees) are never one facet.
_SAME_SIDE = 0.5
_MOST_FACETS_TRIED = 3


class LearntSurface:
    """Facets of the surface, updated frame by frame; for use by one thread."""

    def __init__(self) -> None:
        self._hits = Hits(np.zeros((_KEPT, HIT_COLUMNS)))
        self._facet = np.zeros(_KEPT, np.int64)
        self.clear()

    def clear(self) -> None:
        """Discard all facets."""
        self._count = self._facets = 0
        self._begun_s = 0.0
        self._first_ns: int | None = None
        self._newest_ns = self._read_ns = 0
        self._position_m: Array | None = None
        self._velocity_m_s: Array = np.zeros(3)

    def learn(
        self,
        stamp_ns: int,
        motion: MovingPose,
        reading: RangeReading,
        ranges: RangeBuffer,
        assumed: SurfacePlane,
        noise: NoiseModel,
    ) -> SurfacePlane | None:
        """Update with the ranges received since the last frame; return the plane through them and the earlier ones.

        A stamp at least 50 ms before the newest one means that the clock was set back: everything is discarded.

        Args:
            stamp_ns: Of the frame.
            motion: The optical frame in the map.
            reading: Range at the stamp, along the optical axis.
            ranges: Buffer with the readings around it.
            assumed: Plane from this reading alone.
            noise: Of the pose, used if it has no covariance.

        Returns:
            The plane in the optical frame; None if only these ranges are known of the surface, or they contradict the
            known surface: an opening, another facet, a surface that bends too much.
        """
        if self._first_ns is None or stamp_ns <= self._newest_ns - LEAST_STEP_BACK_NS:
            self.clear()
            self._first_ns = self._newest_ns = stamp_ns
        self._follow(motion.pose.position_m, (stamp_ns - self._newest_ns) / 1e9)
        self._newest_ns = max(self._newest_ns, stamp_ns)
        stamps_ns, ranges_m = ranges.since(self._read_ns, stamp_ns)
        if len(stamps_ns):
            self._read_ns = int(stamps_ns[-1])
        alike = np.abs(ranges_m - reading.range_m) <= _ALIKE * reading.sigma_m
        later_s, ranges_m = (stamps_ns[alike] - stamp_ns) / 1e9, ranges_m[alike]
        hit = self._hit((stamp_ns - self._first_ns) / 1e9, motion, reading, (later_s, ranges_m), assumed, noise)
        reach_m = _REACH_RANGES * reading.range_m
        for facet, around in self._facets_around(hit, reach_m):
            plane = self._fitted(around, hit, assumed.normal_sigma_rad, reach_m)
            if plane is not None:
                hit.normal[0] = plane.normal
                self._keep(hit, facet, _BIN_SHARE * reading.range_m)
                return _in_optical_frame(motion.pose, plane)
        self._facets += 1
        self._keep(hit, self._facets, 0.0)
        return None

    def _follow(self, position_m: Array, since_s: float) -> None:
        """Update the camera's velocity."""
        if self._position_m is None or since_s > 2 * _VELOCITY_S:
            self._velocity_m_s = np.zeros(3)
        elif since_s > 0:
            fresh = (position_m - self._position_m) / since_s - self._velocity_m_s
            self._velocity_m_s = self._velocity_m_s - np.expm1(-since_s / _VELOCITY_S) * fresh
        else:
            return
        self._position_m = position_m

    def _hit(
        self,
        time_s: float,
        motion: MovingPose,
        reading: RangeReading,
        read: tuple[Array, Array],
        assumed: SurfacePlane,
        noise: NoiseModel,
    ) -> Hits:
        """Return the mean of the hits of a frame; ``read`` holds their times after the frame [s] (N,) and ranges (N,).

        Without hits, the reading at the frame's stamp is used, which has been counted before.
        """
        later_s, ranges_m = read if len(read[0]) else (np.zeros(1), np.array([reading.range_m]))
        rotation = motion.pose.rotation
        lever_m = ranges_m.sum() / len(ranges_m) * (rotation @ OPTICAL_AXIS)
        if motion.covariance is None:
            root = np.diag([noise.position_m] * 3 + [noise.attitude_rad] * 3)
        else:
            values, vectors = np.linalg.eigh(motion.covariance)
            root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return Hits.of(
            motion.pose.position_m + later_s.sum() / len(later_s) * self._velocity_m_s + lever_m,
            lever_m,
            rotation @ assumed.normal,
            time_s,
            reading.sigma_m,
            len(read[0]) or _NOTHING_NEW,
            root,
        )

    def _facets_around(self, hit: Hits, reach_m: float) -> list[tuple[int, Index]]:
        """Return facets with hits near a point and of the same orientation, with their indices; best known first."""
        kept = min(self._count, _KEPT)
        apart_m = self._hits.point_m[:kept] - hit.point_m[0]
        is_near = np.einsum("ij,ij->i", apart_m, apart_m) <= reach_m * reach_m
        near = np.flatnonzero(is_near & (self._hits.facing[:kept] @ hit.facing[0] >= _SAME_SIDE))
        if len(near) and (self._facet[near] == self._facet[near[0]]).all():
            return [(int(self._facet[near[0]]), near)]
        facets, counts = np.unique(self._facet[near], return_counts=True)
        best = np.argsort(-counts, kind="stable")[:_MOST_FACETS_TRIED]
        return [(int(facets[index]), near[self._facet[near] == facets[index]]) for index in best]

    def _fitted(self, around: Index, hit: Hits, normal_sigma_rad: float, reach_m: float) -> LocalPlane | None:
        """Fit the plane through the present hit and those around, over the widest radius within which it is flat."""
        for halving in range(_HALVINGS + 1):
            near = around if halving == 0 else around[self._apart_m(around, hit) <= reach_m / 2**halving]
            if halving and len(near) < _LEAST_HITS:
                return None
            # Evenly over time: errors of consecutive hits are correlated.
            chosen = near
            if len(near) > _FITTED:
                chosen = near[np.linspace(0, len(near) - 1, _FITTED).astype(np.intp)]
            hits = Hits(np.concatenate([self._hits.rows[chosen], hit.rows]))
            plane = fit_local_plane(hits, hits.normal[-2], normal_sigma_rad, _CURVATURE_SIGMA_PER_M * 4.0**halving)
            others = len(chosen)
            is_plane = plane.misfit - plane.innovation**2 <= others + _MISFIT_GATE * np.sqrt(2 * others)
            if is_plane and plane.innovation <= _GATE:
                return plane
        return None

    def _apart_m(self, around: Index, hit: Hits) -> Array:
        return np.asarray(np.linalg.norm(self._hits.point_m[around] - hit.point_m[0], axis=1))

    def _keep(self, hit: Hits, facet: int, bin_m: float) -> None:
        """Average a hit into the last one if facet, time and position match; else append it."""
        if hit.readings[0] <= _NOTHING_NEW:
            return
        last, time_s = (self._count - 1) % _KEPT, float(hit.time_s[0])
        if (
            self._count
            and self._facet[last] == facet
            and 0 <= time_s - self._begun_s <= _BIN_S
            and np.linalg.norm(hit.point_m[0] - self._hits.point_m[last]) <= bin_m
        ):
            row, readings = self._hits.rows[last], self._hits.readings[last] + hit.readings[0]
            row += (hit.rows[0] - row) * (hit.readings[0] / readings)
            self._hits.readings[last] = readings
            return
        following = self._count % _KEPT
        self._hits.rows[following], self._facet[following] = hit.rows[0], facet
        self._count += 1
        self._begun_s = time_s


def _in_optical_frame(map_from_camera: Pose, plane: LocalPlane) -> SurfacePlane | None:
    """Transform the plane into the optical frame; None if the incidence is too flat."""
    to_camera = map_from_camera.rotation.T
    normal = to_camera @ plane.normal
    anchor_m = to_camera @ (plane.anchor_m - map_from_camera.position_m)
    distance_m = float(-normal @ anchor_m)
    if not (distance_m > 0 and -normal[2] >= np.cos(MAX_INCIDENCE_RAD)):
        return None
    range_m = distance_m / -float(normal[2])
    return SurfacePlane(
        RangeReading(range_m, range_m * plane.distance_sigma_m / distance_m, SOURCE),
        normal,
        float(np.sqrt(np.linalg.eigvalsh(plane.tilt_covariance)[-1])),
        normal_in_map=True,
        anchor_m=anchor_m,
        tilt_covariance=to_camera @ plane.tilt_covariance @ to_camera.T,
        map_offset_sigma_m=plane.offset_sigma_m,
    )
