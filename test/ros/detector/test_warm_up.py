"""The dry run takes the whole way that a real frame takes."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.geometry.surface.plane import SURFACE_ASSUMPTIONS
from crack_perception.ros.detector.parameters import SPECS, settings_from
from crack_perception.ros.detector.warm_up import rehearse


@pytest.mark.parametrize("surface", SURFACE_ASSUMPTIONS)
def test_a_region_goes_all_the_way_under_every_assumption(surface: str) -> None:
    settings = settings_from({spec.name: spec.default for spec in SPECS} | {"surface": surface})
    assert rehearse(settings) == 1
