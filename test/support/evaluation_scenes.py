# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scenes with hand-calculated figures for the metrics tests.

The camera (640x480, focal length 500 px, no distortion) is at the map's origin and faces a wall 2 m away along z:
one pixel is 4 mm, and the wall point (x, y, 2) projects to pixel (319.5 + 250 x, 239.5 + 250 y).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crack_perception.evaluation.metrics.detections import FrameDetections, PublishedRegion
from crack_perception.evaluation.metrics.frame_view import FrameView, camera_model
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.simulation.flight.truth import (
    Truth,
    TruthCamera,
    TruthCell,
    TruthCrack,
    TruthFrame,
    TruthSurface,
)
from crack_perception.vision.regions import OrientedBox

MAPPED_SIGMA_M = 0.01

K = np.array([500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0])


def pixel(x_m: float, y_m: float) -> tuple[float, float]:
    """Return the pixel of the wall point (x, y, 2)."""
    return 319.5 + 250 * x_m, 239.5 + 250 * y_m


def crack(
    start_m: tuple[float, float], end_m: tuple[float, float], width_mm: float | Sequence[float], crack_id: int = 0
) -> TruthCrack:
    """Return a straight crack on the wall."""
    widths = np.broadcast_to(np.asarray(width_mm, dtype=float), (2,)).copy()
    return TruthCrack(crack_id, np.array([[*start_m, 2.0], [*end_m, 2.0]]), widths, float(widths.mean()))


def square(centre_m: tuple[float, float], side_m: float, cracked: bool) -> TruthCell:
    """Return a labelled square on the wall."""
    half = side_m / 2
    offsets = [(-half, -half), (half, -half), (half, half), (-half, half)]
    return TruthCell(np.array([[centre_m[0] + x, centre_m[1] + y, 2.0] for x, y in offsets]), cracked)


def truth_of(
    cracks: Sequence[TruthCrack] = (),
    cells: Sequence[TruthCell] = (),
    complete: bool = True,
    camera_x_m: Sequence[float] = (0.0,),
    distortion: Sequence[float] = (0.0, 0.0, 0.0, 0.0, 0.0),
) -> Truth:
    """Return a truth with one frame for every camera position along x; stamps are 1 s, 2 s, ..."""
    frames = tuple(
        TruthFrame(
            stamp_ns=(index + 1) * 1_000_000_000,
            position_m=np.array([x, 0.0, 0.0]),
            quaternion_xyzw=np.array([0.0, 0.0, 0.0, 1.0]),
            gsd_mm_per_px=4.0,
            range_m=2.0,
            visible=(),
        )
        for index, x in enumerate(camera_x_m)
    )
    return Truth(
        map_frame="map",
        camera_frame="camera_optical_frame",
        base_frame="base_link",
        camera=TruthCamera(640, 480, K, np.array(distortion), "plumb_bob"),
        surfaces=(
            TruthSurface(
                origin_m=np.array([-4.0, -0.5, 2.0]),
                u_axis=np.array([1.0, 0.0, 0.0]),
                v_axis=np.array([0.0, 1.0, 0.0]),
                size_m=np.array([8.0, 1.0]),
                normal=np.array([0.0, 0.0, -1.0]),
                texture=None,
                texture_mm_per_px=0.5,
            ),
        ),
        cracks=tuple(cracks),
        cells=tuple(cells),
        complete=complete,
        frames=frames,
    )


def view_of(truth: Truth, index: int = 0) -> FrameView:
    """Return the exact view of one frame of a truth."""
    return FrameView(truth, camera_model(truth), truth.frames[index])


def region(
    centre_m: tuple[float, float], size_m: tuple[float, float], angle_rad: float = 0.0, **published: object
) -> PublishedRegion:
    """Return a region whose box covers a rectangle of the wall, given in metres."""
    box = OrientedBox(np.array(pixel(*centre_m)), 250 * size_m[0], 250 * size_m[1], angle_rad)
    fields: dict[str, object] = {"score": 0.9, "severity": "undetermined", **published}
    return PublishedRegion(box=box, **fields)  # type: ignore[arg-type]


def detections(*regions: PublishedRegion, index: int = 0) -> FrameDetections:
    """Return the detections of the frame with this index."""
    return FrameDetections((index + 1) * 1_000_000_000, regions)


def mapped(
    *points_m: tuple[float, float],
    crack_id: int = 1,
    z_m: float = 2.0,
    width_mm: float = 8.0,
    state: CrackState = CrackState.CONFIRMED,
) -> MappedCrack:
    """Return a mapped crack through wall points (x, y), by default at z = 2 m, with a standard deviation of 1 cm."""
    line_m = np.array([[*point, z_m] for point in points_m])
    return MappedCrack(
        id=crack_id,
        state=state,
        line_m=line_m,
        width_mm=np.full(len(line_m), width_mm),
        width_sigma_mm=np.full(len(line_m), 0.5),
        normal=np.array([0.0, 0.0, -1.0]),
        covariance_m2=np.eye(3) * MAPPED_SIGMA_M**2,
        score=0.9,
        gsd_mm_per_px=4.0,
        views=5,
        misses=0,
        first_seen_ns=1,
        last_seen_ns=2,
    )
