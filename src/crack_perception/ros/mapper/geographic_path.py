# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Revisit poses on the earth as a GeoPath of geographic_msgs, an optional package."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import Quaternion
from std_msgs.msg import Header

from crack_perception.geometry import rotations
from crack_perception.mapping.coverage.revisit import RevisitPlan
from crack_perception.mapping.export.geographic import GeographicOrigin

try:
    from geographic_msgs.msg import GeoPath, GeoPoint, GeoPose, GeoPoseStamped
except ImportError:
    GeoPath = None


def geographic_path(header: Header, plan: RevisitPlan, origin: GeographicOrigin) -> GeoPath:
    """Return the poses in the order in which to fly them, x along the line of sight, in east, north and up.

    Args:
        header: Stamp, and the frame of the map that the poses are of.
        plan: The poses.
        origin: Place of the map.
    """
    places = origin.positions(np.array([each.position_m for each in plan.poses]).reshape(-1, 3))
    # From the map's axes to east, north, up.
    turn = rotations.from_rotation_vector(np.array([0.0, 0.0, math.radians(90.0 - origin.x_heading_deg)]))
    path = GeoPath(header=header)
    for each, (longitude, latitude, altitude_m) in zip(plan.poses, places.tolist(), strict=True):
        x, y, z, w = rotations.multiply(turn, each.pose.quaternion).tolist()
        pose = GeoPose(
            position=GeoPoint(latitude=latitude, longitude=longitude, altitude=altitude_m),
            orientation=Quaternion(x=x, y=y, z=z, w=w),
        )
        path.poses.append(GeoPoseStamped(header=header, pose=pose))
    return path
