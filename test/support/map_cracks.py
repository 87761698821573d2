# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Synthetic map cracks for tests of the database, the exports and the plan."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import cv2
import numpy as np

from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine
from crack_perception.mapping.evidence.self_describing import with_record
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack

SOUTH_WALL = (np.array([0.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0]))
EAST_WALL = (np.array([12.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0]))
SOFFIT = (np.array([0.0, 0.0, 6.0]), np.array([0.0, 0.0, -1.0]))


def straight_crack(crack_id: int = 1, **changes: Any) -> MappedCrack:
    """Return a crack of 2 m along x on the wall y = 0, 0.5 mm wide; its widths have separate vertices."""
    line_m = changes.get("line_m", np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [2.0, 0.0, 1.0]]))
    crack = MappedCrack(
        id=crack_id,
        state=CrackState.CONFIRMED,
        line_m=line_m,
        width_mm=np.linspace(0.4, 0.6, len(line_m)),
        width_sigma_mm=np.full(len(line_m), 0.05),
        normal=np.array([0.0, -1.0, 0.0]),
        covariance_m2=np.diag([1e-4, 4e-4, 1e-4]),
        score=0.97,
        gsd_mm_per_px=0.8,
        views=7,
        misses=1,
        first_seen_ns=1_700_000_000_123_456_789,
        last_seen_ns=1_700_000_060_000_000_001,
    )
    return replace(crack, **changes)


def photograph_of_crack(crack_id: int = 1, stamp_ns: int = 1_700_000_000_123_456_789, **changes: Any) -> Photograph:
    """A photograph of 640 x 480 pixels of a crack on the wall y = 0, taken from 2 m in front of it."""
    photograph = Photograph(
        file=f"{crack_id}-{stamp_ns}.jpg",
        crack_id=crack_id,
        stamp_ns=stamp_ns,
        source="/crack_node",
        camera_frame="camera_optical_frame",
        model="standard",
        model_sha256="4c9bd7de" * 8,
        size_px=(640, 480),
        offset_px=(320, 120),
        intrinsics_px=(1000.0, 1000.0, 320.0, 240.0),
        position_m=np.array([1.0, -2.0, 1.0]),
        orientation_xyzw=np.array([-np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]),
        gsd_mm_per_px=2.0,
        obliquity_deg=4.0,
        sharpness=0.6,
        completeness=1.0,
        score=0.9,
        lines=(
            PhotographedLine(
                np.array([[10.0, 240.0], [300.0, 244.5], [630.0, 250.0]]),
                np.array([0.4, np.nan, 0.6]),
                np.array([0.05, np.nan, 0.05]),
                np.array([[0.38, 0.0, 1.0], [0.96, 0.0, 0.99], [1.62, 0.0, 0.98]]),
            ),
        ),
        map_frame="map",
    )
    return replace(photograph, **changes)


def jpeg_of(photograph: Photograph, seed: int = 0) -> bytes:
    """A JPEG of a photograph's size with its record: a rough wall with its lines as dark strokes."""
    width, height = photograph.size_px
    picture = np.random.default_rng(seed).normal(150.0, 12.0, (height, width)).clip(0, 255).astype(np.uint8)
    for line in photograph.lines:
        cv2.polylines(picture, [np.rint(line.points_px).astype(np.int32)], False, 30, 2)
    done, jpeg = cv2.imencode(".jpg", picture)
    assert done
    return with_record(jpeg.tobytes(), photograph)


def random_crack(rng: np.random.Generator, crack_id: int, vertices: int | None = None) -> MappedCrack:
    """Return a crack with random values that the map allows, including unknown and unbounded ones."""
    count = vertices or int(rng.integers(2, 40))
    width_mm = rng.lognormal(-1, 1, count)
    width_mm[rng.random(count) < 0.2] = np.nan
    normal = rng.normal(size=3)
    root = rng.normal(size=(3, 3))
    covariance_m2 = root @ root.T
    if rng.random() < 0.2:
        covariance_m2[0, 0] = np.inf
    first_ns = int(rng.integers(0, 2**62))
    return MappedCrack(
        id=crack_id,
        state=list(CrackState)[rng.integers(3)],
        line_m=np.cumsum(rng.normal(size=(count, 3)), axis=0) * 10.0 ** rng.integers(-3, 4),
        width_mm=width_mm,
        width_sigma_mm=width_mm * 0.1,
        normal=normal / np.linalg.norm(normal),
        covariance_m2=covariance_m2,
        score=float(rng.random()),
        gsd_mm_per_px=float("nan") if rng.random() < 0.2 else float(rng.lognormal()),
        views=int(rng.integers(1, 1000)),
        misses=int(rng.integers(0, 10)),
        first_seen_ns=first_ns,
        last_seen_ns=first_ns + int(rng.integers(0, 10**12)),
    )


def with_fusion_state(crack: MappedCrack, rng: np.random.Generator) -> MappedCrack:
    """Return the crack with values in all fields that only the fusion needs."""
    count = len(crack.line_m)
    return replace(
        crack,
        covariance_knots_m2=rng.normal(size=(rng.integers(1, 4), 3, 3)),
        evidence=rng.normal(size=count),
        shape_weight=rng.random(count),
        width_gsd_mm_per_px=rng.random(count),
        width_views=rng.integers(0, 50, count).astype(float),
        coarsest_gsd_mm_per_px=float(rng.random()),
        apart_from=rng.integers(1, 2**62, 3),
        view_log_odds=float(rng.normal()),
        score_views=float(rng.random()),
        shown_views=float(rng.random()),
        missing_views=float(rng.random()),
    )


def assert_same(found: MappedCrack, expected: MappedCrack) -> None:
    """Assert that every field is exactly equal."""
    for field in fields(MappedCrack):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name), err_msg=field.name)
        assert type(getattr(found, field.name)) is type(getattr(expected, field.name)), field.name


def cracks_on(
    surface: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    count: int,
    size_m: tuple[float, float],
    first_id: int = 1,
) -> list[MappedCrack]:
    """Return winding cracks on a rectangle that starts at the surface's origin."""
    origin, normal = surface
    across = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < 0.5 else np.array([0.0, 1.0, 0.0])
    along = np.abs(np.cross(across, normal))
    cracks = []
    for crack_id in range(first_id, first_id + count):
        length_m = float(np.clip(rng.lognormal(-0.2, 0.7), 0.2, 0.6 * max(size_m)))
        steps = max(3, int(length_m / 0.05))
        headings = rng.uniform(0, np.pi) + np.cumsum(rng.normal(0, 0.12, steps))
        path = np.cumsum(np.column_stack([np.cos(headings), np.sin(headings)]) * length_m / steps, axis=0)
        path += rng.uniform([0, 0], size_m) - path.mean(axis=0)
        path = np.clip(path, 0.05, np.array(size_m) - 0.05)
        mean_mm = float(np.clip(rng.lognormal(-1.0, 0.8), 0.06, 3.0))
        width_mm = mean_mm * np.exp(0.2 * np.sin(np.linspace(0, 3, steps)))
        cracks.append(
            straight_crack(
                crack_id,
                state=CrackState.CONFIRMED if rng.random() < 0.8 else list(CrackState)[rng.integers(0, 3)],
                line_m=origin + path[:, :1] * along + path[:, 1:] * across + rng.normal(0, 0.004, (steps, 3)),
                width_mm=width_mm,
                width_sigma_mm=0.08 * width_mm + 0.01,
                normal=normal,
            )
        )
    return cracks
