"""What an image shows of the surface, as a polygon in the map: where no crack was found, there the surface is sound."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point32, PolygonStamped
from std_msgs.msg import Header


def footprint(header: Header, map_frame: str, corners_m: npt.NDArray[np.float64]) -> PolygonStamped:
    """The polygon of corners (M, 3) in the map with an image's stamp; empty where the footprint is unknown."""
    message = PolygonStamped(header=Header(stamp=header.stamp, frame_id=map_frame))
    message.polygon.points = [Point32(x=x, y=y, z=z) for x, y, z in corners_m.tolist()]
    return message
