# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Directions in which cameras and rangefinders point, from their names, mounting and readings."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.replay.topic_facts import TopicFacts

_WORDS = {
    "down": r"down\w*|ground|altim\w*|altitude|alt|bottom|floor|height|agl|terrain|nadir|belly",
    "up": r"up|upwards?|ceiling|zenith",
    "rear": r"rear\w*|back|backwards?|aft",
    "left": r"left",
    "right": r"right",
    "side": r"sides?|sidewards?|sideways|lateral",
}
_SIDES = frozenset({"left", "right", "side"})
# A camera whose axis is within this angle of an axis of the vehicle points that way.
_LEAST_ALONG = math.cos(math.radians(45.0))

# Readings are compared over such steps, in which a drone moves by more than a rangefinder's noise.
_STEP_NS = 2_000_000_000
_LEAST_CLIMB_M = 2.0
_MOST_UNEXPLAINED = 0.1


def named_directions(name: str) -> frozenset[str]:
    """Return the directions that the words of a topic's or frame's name indicate; empty without any."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    words = [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]
    return frozenset(
        direction for direction, pattern in _WORDS.items() if any(re.fullmatch(pattern, word) for word in words)
    )


def direction_of(axis: npt.NDArray[np.float64]) -> str:
    """Return the direction of an optical axis (3,) in the axes of the vehicle (x forward, z up): ``front``, ``down``...

    An axis between two directions is ``oblique``.
    """
    for direction, along in (
        ("front", axis[0]),
        ("rear", -axis[0]),
        ("left", axis[1]),
        ("right", -axis[1]),
        ("up", axis[2]),
        ("down", -axis[2]),
    ):
        if along >= _LEAST_ALONG:
            return direction
    return "oblique"


def agree(named: frozenset[str], camera: frozenset[str]) -> bool:
    """Return whether a sensor with these directions in its name may look where the camera looks.

    Args:
        named: From ``named_directions``; a name without a direction agrees with every camera.
        camera: Directions of the camera.
    """
    if not named or "oblique" in camera or named & camera:
        return True
    return bool("side" in named | camera and named & _SIDES and camera & _SIDES)


def follows_height(readings: TopicFacts, poses: TopicFacts) -> bool:
    """Return whether the readings of a rangefinder change like the height of the vehicle, as those of an altimeter do.

    Args:
        readings: Rangefinder, surveyed.
        poses: Topic with the vehicle's pose, surveyed; z is up or down.
    """
    if not poses.positions_m or not readings.ranges_m or readings.first is None:
        return False
    limits = readings.limits_m
    valid = [
        (stamp, reading)
        for stamp, reading in zip(readings.stamps_ns, readings.ranges_m, strict=True)
        if limits[0] < reading < limits[1]
    ]
    if len(valid) < 2:
        return False
    stamps, ranges_m = np.array(valid, float).T
    pose_stamps = np.array(poses.stamps_ns, float)
    begin, end = max(stamps[0], pose_stamps[0]), min(stamps[-1], pose_stamps[-1])
    at = np.arange(begin, end, _STEP_NS)
    if len(at) < 3:
        return False
    climbs_m = np.diff(np.interp(at, pose_stamps, np.array(poses.positions_m)[:, 2]))
    changes_m = np.diff(np.interp(at, stamps, ranges_m))
    if np.sum(np.abs(climbs_m)) < _LEAST_CLIMB_M:
        return False
    unexplained = min(np.sum((changes_m - climbs_m) ** 2), np.sum((changes_m + climbs_m) ** 2))
    return bool(unexplained < _MOST_UNEXPLAINED * np.sum(climbs_m**2))
