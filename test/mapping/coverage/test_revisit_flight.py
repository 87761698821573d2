# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flying the proposed revisit of a small simulated wall settles cracks that its survey has left undetermined."""

from __future__ import annotations

import pytest
from revisit_flights import RevisitConditions, RevisitedWall

CONDITIONS = RevisitConditions(wall_m=(1.2, 0.9), cracks=5, photographs=2)


@pytest.mark.slow
def test_revisit_flown_settles_undetermined_cracks() -> None:
    wall = RevisitedWall(2, CONDITIONS)
    wall.survey()
    undetermined = wall.undetermined()
    plan = wall.revisit_plan()
    assert undetermined <= {crack for pose in plan.poses for crack in pose.cracks}
    # Without the revisit nothing is settled.
    assert undetermined and not wall.settled_among(undetermined)
    wall.revisit()
    assert wall.settled_among(undetermined)
