# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Laser scans as the rangefinder: the beam along the forward axis, or a reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from direct_inputs import START_NS, DirectNode, RecordedHealth, header
from flying_node import init_ros
from sensor_msgs.msg import LaserScan

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.surface.scan import BeamAhead
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.inputs import InputSubscriptions
from crack_perception.ros.detector.parameter_specs import SPECS, TYPE_LASER_SCAN
from crack_perception.ros.detector.parameters import settings_from
from crack_perception.ros.detector.surface_sources import SurfaceSources

SETTINGS = settings_from({spec.name: spec.default for spec in SPECS} | {"range_type": TYPE_LASER_SCAN})
CAMERA = CameraModel.of(64, 48, [600, 0, 31.5, 0, 600, 23.5, 0, 0, 1], [], "")


def scan(first_rad: float, last_rad: float, ahead: float = 3.0, count: int = 181) -> LaserScan:
    """Return a scan of 9 m everywhere but in the beam nearest to angle 0."""
    angles = np.linspace(first_rad, last_rad, count)
    ranges = np.full(count, 9.0, np.float32)
    ranges[np.argmin(np.abs(angles))] = ahead
    return LaserScan(
        header=header(START_NS, "laser"),
        angle_min=first_rad,
        angle_max=last_rad,
        angle_increment=(last_rad - first_rad) / (count - 1),
        range_min=0.1,
        range_max=30.0,
        ranges=ranges.tolist(),
    )


class Sensor:
    """Subscriptions of a node that receives scans."""

    def __init__(self) -> None:
        init_ros()
        self.node, self.health = DirectNode(), RecordedHealth()
        self.surfaces = SurfaceSources(SETTINGS, self.health)
        cameras = CameraInfos(False, "/image")
        self.inputs = InputSubscriptions(
            self.node, SETTINGS, lambda image: None, lambda reason: None, cameras, self.surfaces, self.health
        )

    def range_of(self, message: LaserScan) -> float | None:
        """Return the range that an image of the same stamp gets."""
        self.node.callbacks["range"](message)
        reading = self.surfaces.surface_at(START_NS, CAMERA, None, SETTINGS).reading
        return None if reading is None else reading.range_m

    def close(self) -> None:
        """Destroy the node."""
        self.inputs.destroy()
        self.node.destroy_node()


@pytest.fixture
def sensor() -> Iterator[Sensor]:
    """Return a new sensor."""
    made = Sensor()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("first_rad", "last_rad"), [(-math.pi, math.pi), (math.pi, -math.pi), (-1.0, 2.5), (0.0, 3.0), (1.0, -1.0)]
)
def test_node_laser_scan_gives_the_range_straight_ahead(sensor: Sensor, first_rad: float, last_rad: float) -> None:
    message = scan(first_rad, last_rad)
    assert sensor.range_of(message) == pytest.approx(3.0)
    assert sensor.health.texts == []
    assert BeamAhead.of(message).field_of_view == pytest.approx(abs(message.angle_increment))


def test_node_laser_scan_without_a_beam_ahead_is_refused_with_the_reason(sensor: Sensor) -> None:
    assert sensor.range_of(scan(1.0, 2.5)) is None
    assert sensor.health.counts()["range_rejected"] == 1
    assert "57 to 143 degrees" in sensor.health.last_texts()["range_rejected"]


@pytest.mark.parametrize("ahead", [math.inf, -math.inf, math.nan, 0.0, 40.0])
def test_node_laser_scan_without_an_echo_ahead_gives_no_range(sensor: Sensor, ahead: float) -> None:
    assert sensor.range_of(scan(-1.0, 1.0, ahead)) is None
    assert sensor.health.counts()["range_rejected"] == 1
