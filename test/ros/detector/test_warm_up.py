# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Warm-up: the synthetic crack passes all steps of a real frame."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.geometry.surface.plane import SURFACE_ASSUMPTIONS
from crack_perception.ros.detector.parameters import SPECS, settings_from
from crack_perception.ros.detector.warm_up import warm_up


@pytest.mark.parametrize("surface", SURFACE_ASSUMPTIONS)
def test_warm_up_any_surface_assumption_locates_the_region(surface: str) -> None:
    settings = settings_from({spec.name: spec.default for spec in SPECS} | {"surface": surface})
    assert warm_up(settings) == 1
