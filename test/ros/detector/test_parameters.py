# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The table of parameters: consistent with itself, and with the shipped YAML."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import yaml
from yaml_keys import flat

from crack_perception.errors import UserError
from crack_perception.paths import config_file
from crack_perception.ros.detector.parameters import SPECS, settings_from

DEFAULTS = {spec.name: spec.default for spec in SPECS}


def test_defaults_make_valid_settings() -> None:
    settings = settings_from(DEFAULTS)
    assert settings.threshold is None and settings.standoff_m is None
    assert settings.severity.edges_mm == (0.1,)
    assert settings.noise.attitude_rad == pytest.approx(math.radians(1.0))


def test_settings_angles_and_planes_have_core_units() -> None:
    limits = settings_from(DEFAULTS | {"pose_max_turn_rate_deg_s": 90.0, "pose_max_gap_s": 0.5}).motion_limits
    assert limits.max_turn_rate_rad_s == pytest.approx(math.pi / 2)
    assert (limits.max_gap_s, limits.max_speed_m_s) == (0.5, 50.0)
    assert settings_from(DEFAULTS).map_planes.planes == ()
    known = settings_from(DEFAULTS | {"map_planes.equations": [0.0, -2.0, 0.0, -8.0]}).map_planes
    assert known.planes[0].offset_m == pytest.approx(-4)
    assert known.normal_sigma_rad == pytest.approx(math.radians(1.0))


def test_settings_custom_edges_take_precedence_over_the_preset() -> None:
    assert settings_from(DEFAULTS | {"severity_edges_mm": [0.2, 0.5]}).severity.edges_mm == (0.2, 0.5)


def test_shipped_yaml_sets_existing_parameters_of_the_right_type() -> None:
    values = flat(yaml.safe_load(config_file("drone.yaml").read_text())["/**"]["ros__parameters"])
    assert values.keys() <= DEFAULTS.keys()
    for name, value in values.items():
        assert type(value) is type(DEFAULTS[name]), name
    settings_from(DEFAULTS | values)


@pytest.mark.parametrize("spec", [s for s in SPECS if s.lower is not None], ids=lambda s: s.name)
def test_spec_range_includes_both_ends(spec) -> None:
    assert not spec.problem_with(spec.default)
    if isinstance(spec.default, float):
        assert spec.problem_with(spec.upper + 1) and spec.problem_with(spec.lower - 1)
        assert spec.problem_with(float("nan"))
        assert spec.descriptor().floating_point_range[0].to_value == spec.upper
    else:
        assert spec.descriptor().integer_range[0].to_value == spec.upper


def test_specs_have_descriptions() -> None:
    assert [spec.name for spec in SPECS if len(spec.description) <= 10] == []


def test_shipped_yaml_has_no_extrinsic() -> None:
    values = flat(yaml.safe_load(config_file("drone.yaml").read_text())["/**"]["ros__parameters"])
    shipped, default = settings_from(DEFAULTS | values), settings_from(DEFAULTS)
    assert shipped.body_from_camera.position_m == pytest.approx(default.body_from_camera.position_m)
    assert shipped.body_from_camera.quaternion == pytest.approx(default.body_from_camera.quaternion)


def test_settings_contradictions_are_refused_with_the_reason() -> None:
    for change, reason in [
        ({"severity_edges_mm": [0.5, 0.2]}, "ascend"),
        ({"camera_extrinsic.rotation": [0.0, 0.0, 0.0, 0.0]}, "length zero"),
        ({"camera_extrinsic.translation": [0.0, 0.0]}, "takes 3 numbers"),
        ({"map_frame": ""}, "must name a frame"),
        ({"pose_source": "gps"}, "one of auto"),
        ({"pose_convention": "px4", "pose_source": "tf"}, "axes are those of ROS"),
        ({"pose_convention": "px4", "pose_of": "optical"}, "no optical frame has"),
        ({"odom_type": "VehicleOdometry", "pose_of": "camera"}, "locates the body"),
        ({"map_frame": "map_ned"}, "north-east-down frame"),
        ({"map_planes.equations": [1.0, 0.0, 0.0]}, "map_planes.equations: a plane takes four numbers"),
        ({"map_planes.equations": [0.0, 0.0, 0.0, 2.0]}, "no normal"),
    ]:
        with pytest.raises(UserError, match=reason):
            settings_from(DEFAULTS | change)
