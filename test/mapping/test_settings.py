# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the checks of map settings."""

from __future__ import annotations

import pytest

from crack_perception.errors import UserError
from crack_perception.mapping.settings import MapSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step_m", 0.0),
        ("min_length_m", float("nan")),
        ("error_correlation_s", -1.0),
        ("white_share", 1.5),
        ("max_offset_m", 0.03),
        ("merge_gap_m", -0.1),
        ("merge_angle_rad", 2.0),
        ("confirm_views", 0),
        ("lost_after_misses", 0),
        ("detection_probability", 1.0),
        ("false_alarm_probability", 0.9),
        ("gsd_tolerance", 0.5),
    ],
)
def test_map_settings_value_out_of_range_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=r"crack map: (detection_probability|" + name + ")"):
        MapSettings(**{name: value})


def test_map_settings_misses_to_undo_evidence() -> None:
    settings = MapSettings(lost_after_misses=6)
    assert settings.max_log_odds + 5 * settings.miss_log_odds > 0
    assert settings.max_log_odds + 6 * settings.miss_log_odds < 0
