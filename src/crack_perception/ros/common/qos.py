# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Quality of service profiles by role (REP 2003)."""

from __future__ import annotations

from copy import copy
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions


def _newest(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


# Best effort also matches reliable publishers. Only the newest frame is of interest, but the mailbox drops and counts
# the others: a depth of one would overwrite unread frames inside DDS, where they are not counted.
FRAMES = _newest(5, ReliabilityPolicy.BEST_EFFORT)

# A packet of a video that is lost costs all pictures up to the next keyframe, so many may queue.
VIDEO = _newest(50, ReliabilityPolicy.BEST_EFFORT)

# Poses, ranges and camera_info arrive faster than frames and wait until a frame needs them: a second of 200 Hz.
SENSOR_HISTORY = _newest(200, ReliabilityPolicy.BEST_EFFORT)

# As tf2_ros, which matches every broadcaster, but deeper, because transforms wait as well and have many publishers.
TF = _newest(500, ReliabilityPolicy.RELIABLE)
TF_STATIC = _newest(100, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)

RESULT = _newest(10, ReliabilityPolicy.RELIABLE)

# The mapper takes results some times a second; those of a second at 30 Hz wait for it.
RESULT_HISTORY = _newest(30, ReliabilityPolicy.RELIABLE)

# Pictures are large: a slow viewer must not fill the memory with them.
PICTURE = _newest(2, ReliabilityPolicy.RELIABLE)

# Photographs come one by one, each of another crack: none should be lost.
PHOTOGRAPHS = _newest(5, ReliabilityPolicy.RELIABLE)

LATCHED = _newest(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def overridable(profile: QoSProfile) -> dict[str, Any]:
    """Return arguments of a publisher or subscription whose profile ``qos_overrides.<topic>.*`` parameters may change.

    rclpy writes the overrides into the given profile, which all topics of a role share: hence the copy.
    """
    return {"qos_profile": copy(profile), "qos_overriding_options": QoSOverridingOptions.with_default_policies()}
