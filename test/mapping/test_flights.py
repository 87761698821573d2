# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the map on whole flights: positions, covariances and duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from map_flights import MapErrors, Noise, crack, flight, map_errors, passes, wall_cracks

from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.settings import MapSettings

WALL_M = (9.0, 1.9)
PASSES = 3
FLIGHTS = 4
HOVERS = 250

pytestmark = pytest.mark.slow


@dataclass
class Flights:
    """Results of several flights.

    Attributes:
        maps: Errors of the map of each flight.
        before_m: Distances of the vertices of single observations across the true lines [m].
        true_m: Length of all true cracks [m].
    """

    maps: list[MapErrors]
    before_m: np.ndarray
    true_m: float

    @property
    def after_m(self) -> np.ndarray:
        return np.concatenate([each.across_m for each in self.maps])

    @property
    def inside_95(self) -> float:
        return float(np.mean([inside for each in self.maps for inside in each.inside_95]))


def flown(noise: Noise, flights: int = FLIGHTS) -> Flights:
    maps, before, true_m = [], [], 0.0
    for seed in range(flights):
        rng = np.random.default_rng(seed)
        cracks = wall_cracks(rng, 8, WALL_M)
        true_m += sum(0.01 * (len(crack) - 1) for crack in cracks)
        crack_map = GrowingMap()
        for frame_observation in flight(rng, cracks, np.vstack(passes(WALL_M, PASSES, rate_hz=3.0)), noise):
            crack_map.add(frame_observation)
            if frame_observation.stamp_ns % 5_000_000_000 == 0:
                before += [map_errors([seen], cracks).across_m for seen in frame_observation.observations]
        confirmed = [crack for crack in crack_map.cracks() if crack.state is CrackState.CONFIRMED]
        maps.append(map_errors(confirmed, cracks))
    return Flights(maps, np.concatenate(before), true_m)


@pytest.fixture(scope="module", params=[0.1, 1.0], ids=["drifting", "white"])
def flights(request: pytest.FixtureRequest) -> Flights:
    """Run flights at 3 m with noise of 1 degree in attitude, 2 % in range and 2 cm in position."""
    return flown(Noise(white_share=request.param))


def test_flights_fusion_reduces_position_error(flights: Flights) -> None:
    assert 0.02 < np.median(flights.before_m) <= 0.060
    assert np.median(flights.after_m) <= 0.025
    assert np.quantile(flights.after_m, 0.95) < 0.1


def test_flights_covariances_valid_for_many_flights(flights: Flights) -> None:
    # Few cracks, and those of one flight have correlated errors: the next test has a larger sample.
    assert flights.inside_95 >= 0.85


@pytest.mark.parametrize("white_share", [0.0, 0.5, 1.0])
def test_flights_covariances_match_errors(white_share: float) -> None:
    """Each flight observes one crack in two hovers at the same position."""
    hover = np.array([[60.0 * visit + 0.5 * look, 1.7, 0.95] for visit in range(3) for look in range(3)])
    noise = Noise(white_share=white_share, missed=0.0, broken=0.0)
    inside = []
    for seed in range(HOVERS):
        rng = np.random.default_rng(seed)
        line = crack(rng, np.array([1.5, 0.9]), rng.uniform(0, 2 * np.pi), 0.5)
        crack_map = GrowingMap(MapSettings(white_share=white_share))
        for frame_observation in flight(rng, [line], hover, noise):
            crack_map.add(frame_observation)
        inside += map_errors(crack_map.cracks(), [line], near_m=0.3).inside_95
    assert len(inside) >= HOVERS
    assert 0.92 <= np.mean(inside) <= 0.98


def test_flights_all_cracks_mapped_once(flights: Flights) -> None:
    assert np.mean([each.recall for each in flights.maps]) >= 0.95
    assert np.mean([each.duplicates for each in flights.maps]) <= 0.05
    assert sum(each.false_objects for each in flights.maps) == 0
    assert sum(each.length_m for each in flights.maps) == pytest.approx(flights.true_m, rel=0.1)


def test_flights_false_alarms_removed() -> None:
    noisy = flown(Noise(false_per_frame=0.3), flights=2)
    area_m2 = 2 * WALL_M[0] * WALL_M[1]
    assert sum(each.false_objects for each in noisy.maps) <= area_m2 / 100
    assert np.mean([each.recall for each in noisy.maps]) >= 0.95


def test_flights_white_noise_averages_out_more_than_drift() -> None:
    drifting, white = (flown(Noise(white_share=share), flights=2) for share in (0.1, 1.0))
    assert np.median(white.after_m) < 0.7 * np.median(drifting.after_m)
