# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of facets: assignment of cracks to planes, and their orientation on the plan."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from map_cracks import EAST_WALL, SOFFIT, SOUTH_WALL, cracks_on, straight_crack

from crack_perception.mapping.export.plan.facets import Facet, find_facets
from crack_perception.mapping.mapped_crack import MappedCrack


def rectangle_on(origin: tuple, right: tuple, up: tuple) -> np.ndarray:
    """Return corners (4, 3), clockwise in a view with these ``right`` and ``up`` directions."""
    o, r, u = (np.array(vector, dtype=float) for vector in (origin, right, up))
    return np.array([o + u, o + r + u, o + r, o])


def on_three_facets(seed: int) -> list[MappedCrack]:
    rng = np.random.default_rng(seed)
    return [
        *cracks_on(SOUTH_WALL, rng, 10, (12, 6), 1),
        *cracks_on(EAST_WALL, rng, 7, (7, 6), 11),
        *cracks_on(SOFFIT, rng, 5, (12, 7), 18),
    ]


def ids(facet: Facet) -> set[int]:
    return {crack.id for crack in facet.cracks}


@pytest.mark.parametrize("seed", range(5))
def test_facets_two_walls_and_soffit_give_three(seed: int) -> None:
    facets = find_facets(on_three_facets(seed), [])
    assert [ids(facet) for facet in facets] == [set(range(1, 11)), set(range(11, 18)), set(range(18, 23))]
    np.testing.assert_allclose([facet.normal for facet in facets], [[0, -1, 0], [1, 0, 0], [0, 0, -1]], atol=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_facets_noisy_wall_not_split(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cracks = []
    for crack in cracks_on(SOUTH_WALL, rng, 25, (30, 8)):
        normal = crack.normal + rng.normal(0, 0.09, 3)
        cracks.append(
            replace(crack, normal=normal / np.linalg.norm(normal), line_m=crack.line_m + rng.normal(0, 0.06, 3))
        )
    (facet,) = find_facets(cracks, [])
    assert len(facet.cracks) == 25
    assert math.degrees(math.acos(facet.normal @ [0, -1, 0])) < 2


def test_facets_parallel_wall_behind_separate() -> None:
    front = straight_crack(1)
    behind = straight_crack(2, line_m=front.line_m + [0, 3.0, 0])
    other_side = straight_crack(3, line_m=front.line_m + [0, 0.3, 0], normal=np.array([0.0, 1.0, 0.0]))
    assert sorted(len(facet.cracks) for facet in find_facets([front, behind, other_side], [])) == [1, 1, 1]


def test_facet_keeps_lengths_and_angles() -> None:
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for crack in on_three_facets(0)[::4]:
        turned = replace(crack, line_m=crack.line_m @ turn.T + [5, -3, 2], normal=turn @ crack.normal)
        (facet,) = find_facets([turned], [])
        flat = facet.flat(turned.line_m)
        inside_plane = turned.line_m - np.outer((turned.line_m - turned.line_m[0]) @ facet.normal, facet.normal)
        np.testing.assert_allclose(
            np.linalg.norm(flat[:, None] - flat, axis=2),
            np.linalg.norm(inside_plane[:, None] - inside_plane, axis=2),
            atol=1e-9,
        )


@pytest.mark.parametrize(
    ("normal", "right", "up"),
    [
        ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
        ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
        ((0, 0, -1), (-1, 0, 0), (0, 1, 0)),
    ],
)
def test_facet_has_orientation_of_camera_view(normal: tuple, right: tuple, up: tuple) -> None:
    line_m = np.array([np.zeros(3), np.array(right), np.array(right) + up], dtype=float)
    (facet,) = find_facets([straight_crack(line_m=line_m, normal=np.array(normal, dtype=float))], [])
    start, to_the_right, above = facet.flat(line_m)
    np.testing.assert_allclose(to_the_right - start, [1, 0], atol=1e-12)
    np.testing.assert_allclose(above - to_the_right, [0, 1], atol=1e-12)
    np.testing.assert_allclose(np.cross(facet.u_axis, facet.v_axis), facet.normal, atol=1e-12)


def test_facet_leaning_wall_keeps_map_heights() -> None:
    upright = find_facets([straight_crack(line_m=np.array([[40.0, 0, 3], [41.0, 0, 5]]))], [])[0]
    np.testing.assert_allclose(upright.flat(np.array([[40.0, 0, 3], [41.0, 0, 5]])), [[40, 3], [41, 5]], atol=1e-12)
    lean = np.array([0.0, -math.cos(0.4), math.sin(0.4)])
    line_m = np.array([[1.0, 50.0, 3.0], [2.0, 50.0, 3.0]])
    leaning = find_facets([straight_crack(line_m=line_m, normal=lean)], [])[0]
    assert leaning.flat(line_m)[:, 1] == pytest.approx([3.0, 3.0])


def test_facet_long_soffit_along_sheet() -> None:
    line_m = np.array([[0.0, 0, 6], [1.0, 20.0, 6]])
    (facet,) = find_facets([straight_crack(line_m=line_m, normal=np.array([0.0, 0, -1.0]))], [])
    low, high = facet.bounds_m()
    assert high[0] - low[0] == pytest.approx(20)


def test_facets_ordered_along_walls() -> None:
    """Walls of a box are ordered anticlockwise as seen from above, so that the next wall is to the right."""
    walls = []
    for index, azimuth in enumerate([0, 90, -90]):
        angle = math.radians(azimuth)
        normal = np.array([math.cos(angle), math.sin(angle), 0.0])
        along = np.array([-normal[1], normal[0], 0.0])
        walls.append(straight_crack(index + 1, line_m=5 * normal + np.outer([-1.0, 1.0], along), normal=normal))
    deck = straight_crack(4, normal=np.array([0.0, 0, 1.0]), line_m=np.array([[0.0, 0, 9], [1.0, 0, 9]]))
    assert [ids(facet) for facet in find_facets([deck, *walls], [])] == [{3}, {1}, {2}, {4}]


@pytest.mark.parametrize("mirrored", [False, True])
def test_facets_inspected_areas_join_or_create_facets(mirrored: bool) -> None:
    areas = [
        rectangle_on((-1, 0.05, 0), (2, 0, 0), (0, 0, 2)),
        rectangle_on((1, -0.05, 0), (2, 0, 0), (0, 0, 2)),
        rectangle_on((12, 0, 0), (0, 3, 0), (0, 0, 2)),
    ]
    if mirrored:
        areas = [area[::-1] for area in areas]
    facets = find_facets([straight_crack()], areas)
    assert [(len(facet.cracks), len(facet.seen_m)) for facet in facets] == [(1, 2), (0, 1)]
    np.testing.assert_allclose(facets[1].normal, [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(np.ptp(facets[1].seen_m[0], axis=0), [3, 2])


@pytest.mark.parametrize(
    "area", [np.zeros((0, 3)), np.zeros((4, 3)), np.full((4, 3), np.nan), np.array([[0.0, 0, 0], [1, 0, 0]])]
)
def test_facets_degenerate_areas_ignored(area: np.ndarray) -> None:
    assert find_facets([], [area]) == []


@pytest.mark.parametrize(
    "changes",
    [{"normal": np.zeros(3)}, {"normal": np.full(3, np.nan)}, {"line_m": np.array([[0.0, 0, 0], [1e300, 0, 0]])}],
)
def test_facets_crack_without_position_on_none(changes: dict) -> None:
    assert find_facets([straight_crack(**changes)], []) == []
