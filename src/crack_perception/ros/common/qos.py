"""Quality of service by role (REP 2003)."""

from __future__ import annotations

from copy import copy
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions


def _newest(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


# Best effort also matches reliable publishers. Only the newest frame is of interest, but it is the mailbox that drops
# the others and counts them: a depth of one would overwrite unread frames inside DDS, where nobody counts.
FRAMES = _newest(5, ReliabilityPolicy.BEST_EFFORT)

# Poses, ranges and camera_info arrive faster than frames and are interpolated, so a few may queue.
SENSOR_HISTORY = _newest(50, ReliabilityPolicy.BEST_EFFORT)

# As tf2_ros subscribes, so that every broadcaster matches.
TF = _newest(100, ReliabilityPolicy.RELIABLE)
TF_STATIC = _newest(100, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)

RESULT = _newest(10, ReliabilityPolicy.RELIABLE)

# Pictures are large: a slow viewer must not make many of them wait.
PICTURE = _newest(2, ReliabilityPolicy.RELIABLE)

LATCHED = _newest(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def overridable(profile: QoSProfile) -> dict[str, Any]:
    """Arguments of a publisher or subscription whose profile ``qos_overrides.<topic>.*`` parameters may change.

    rclpy writes the overrides into the profile that it is given, which here all topics of a role share: hence the copy.
    """
    return {"qos_profile": copy(profile), "qos_overriding_options": QoSOverridingOptions.with_default_policies()}
