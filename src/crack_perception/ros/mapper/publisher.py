# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Publishers of crack_mapper: the map is published when it has changed, at a limited rate, transient local."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker, MarkerArray

from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.ros.common import qos
from crack_perception.ros.common.crack_points import CRACK_POINT, cloud_of
from crack_perception.ros.mapper.messages import Rows, detection, markers, point_rows
from crack_perception.ros.mapper.parameters import MapperSettings

Made = TypeVar("Made")

# Messages of a large map take long to build: publishing takes at most this share of the executor's time.
_SHARE_OF_TIME = 0.1


class CrackCache(Generic[Made]):
    """Cache of values that are made from cracks; a value is remade only if its crack has changed.

    Args:
        make: Makes the value of a crack.
    """

    def __init__(self, make: Callable[[MappedCrack], Made]) -> None:
        self._make = make
        self._made: dict[int, tuple[MappedCrack, Made]] = {}

    def of(self, cracks: Iterable[MappedCrack]) -> list[Made]:
        """Return the values of these cracks, in their order; other values are dropped."""
        made = {}
        for crack in cracks:
            before = self._made.get(crack.id)
            made[crack.id] = before if before and before[0] is crack else (crack, self._make(crack))
        self._made = made
        return [value for _, value in made.values()]


class MapPublisher:
    """Publish the map; silent while the node is inactive."""

    def __init__(self, node: LifecycleNode, settings: MapperSettings) -> None:
        self._node = node
        create = node.create_lifecycle_publisher
        self._map = create(Detection3DArray, "~/map", **qos.overridable(qos.LATCHED))
        self._points = create(PointCloud2, "~/map_points", **qos.overridable(qos.LATCHED))
        self._markers = create(MarkerArray, "~/markers", qos.LATCHED)
        self._point_rows = CrackCache(point_rows)
        self._marker_viewers = 0
        self._published: tuple[MappedCrack, ...] | None = None
        self._next_s = 0.0
        self.use(settings)

    def use(self, settings: MapperSettings) -> None:
        """Apply changed settings; the whole map is published again."""
        frame, scale, turn_rad = settings.map_frame, settings.severity, settings.map.rotation_sigma_rad
        self._frame = frame
        self._period_s = 1.0 / settings.publish_rate_hz
        self._detections = CrackCache(lambda crack: detection(crack, frame, scale, turn_rad))
        self._shapes: CrackCache[list[Marker]] = CrackCache(lambda crack: markers(crack, frame, scale))
        self._published = None

    def publish(self, cracks: tuple[MappedCrack, ...]) -> None:
        """Publish the map if it has changed or has a new subscriber, and the rate limit allows it."""
        began_s = time.monotonic()
        viewers = self._markers.get_subscription_count()
        changed = not _same(self._published, cracks)
        if began_s < self._next_s or not (changed or viewers > self._marker_viewers):
            return
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._frame)
        if changed:
            self._map.publish(Detection3DArray(header=header, detections=self._detections.of(cracks)))
            self._points.publish(cloud_of(header, self.rows(cracks)))
        if viewers:
            self._markers.publish(self._marker_array(header, cracks))
        self._marker_viewers = viewers
        self._published = cracks
        took_s = time.monotonic() - began_s
        self._next_s = began_s + max(self._period_s, took_s / _SHARE_OF_TIME)

    def rows(self, cracks: Iterable[MappedCrack]) -> Rows:
        """Return rows (N,) of ``CRACK_POINT`` of all vertices."""
        return np.concatenate([np.zeros(0, CRACK_POINT), *self._point_rows.of(cracks)])

    def destroy(self) -> None:
        """Remove the topics from the graph."""
        for publisher in (self._map, self._points, self._markers):
            self._node.destroy_lifecycle_publisher(publisher)

    def _marker_array(self, header: Header, cracks: tuple[MappedCrack, ...]) -> MarkerArray:
        """Return all markers, preceded by one that deletes the previous ones."""
        array = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
        for shapes in self._shapes.of(cracks):
            array.markers += shapes
        return array


def _same(before: tuple[MappedCrack, ...] | None, now: tuple[MappedCrack, ...]) -> bool:
    """Return whether these are the same objects; a crack that changes becomes a new object."""
    return before is not None and len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))
