# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Publishers of crack_node; all messages except the detections are created only if they have subscribers."""

from __future__ import annotations

from geometry_msgs.msg import PolygonStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Float64, Header
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from crack_perception.inspection.analysis import located
from crack_perception.ros.common import qos
from crack_perception.ros.detector.image_messages import image_message, jpeg_message
from crack_perception.ros.detector.messages import (
    crack_points,
    detections_2d,
    detections_3d,
    footprint,
    footprint_points,
    label_info,
    markers,
)
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.processor import ProcessedFrame
from crack_perception.vision.annotate import Label, annotate


class ResultPublisher:
    """Publish the results of frames; silent while the node is inactive."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        create = node.create_lifecycle_publisher
        self._detections = create(Detection2DArray, "~/detections", **qos.overridable(qos.RESULT))
        self._footprint = create(PolygonStamped, "~/footprint", **qos.overridable(qos.RESULT))
        self._footprint_points = create(PointCloud2, "~/footprint_points", **qos.overridable(qos.RESULT))
        self._crack_points = create(PointCloud2, "~/crack_points", **qos.overridable(qos.RESULT))
        self._detections_3d = create(Detection3DArray, "~/detections_3d", **qos.overridable(qos.RESULT))
        self._markers = create(MarkerArray, "~/markers", qos.RESULT)
        self._annotated = create(Image, "~/annotated", **qos.overridable(qos.PICTURE))
        self._compressed = create(CompressedImage, "~/annotated/compressed", qos.PICTURE)
        self._label_info = create(LabelInfo, "~/label_info", qos.LATCHED)
        self._photographs = create(CompressedImage, "~/evidence", **qos.overridable(qos.PHOTOGRAPHS))
        self._age = create(Float64, "~/debug/frame_age_ms", qos.RESULT)
        self._processing = create(Float64, "~/debug/processing_time_ms", qos.RESULT)
        self._results = {
            "detections": self._detections,
            "footprint": self._footprint,
            "footprint_points": self._footprint_points,
            "crack_points": self._crack_points,
            "detections_3d": self._detections_3d,
            "markers": self._markers,
            "evidence": self._photographs,
        }
        self._others = (self._annotated, self._compressed, self._label_info, self._age, self._processing)

    def is_open(self) -> bool:
        """Return whether the ROS context still accepts messages; False after shutdown."""
        return bool(self._node.context.ok())

    def publish_labels(self, settings: Settings, threshold: float, has_structure_score: bool) -> None:
        """Publish the class names, also for later subscribers."""
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=settings.map_frame)
        self._label_info.publish(label_info(header, settings.severity, threshold, has_structure_score))

    def publish_detections(self, result: ProcessedFrame) -> None:
        """Publish the 2D array of every frame; if the pose is known also the footprint, crack points and 3D array.

        All have the stamp of the image, and the 3D array is published last. These three are omitted for a frame whose
        regions could not be located, and the crack points also if lines are not measured: an empty message would mean
        that there are no cracks. Footprint and crack points take longer than the detections; they are created only if
        they have subscribers.
        """
        settings = result.settings
        self._detections.publish(detections_2d(result.header, result.detections, settings.severity))
        if not result.has_pose or (result.detections and not any(located(result.detections))):
            return
        if self._footprint.get_subscription_count():
            self._footprint.publish(footprint(result.header, settings.map_frame, result.footprint_m))
        if self._footprint_points.get_subscription_count():
            self._footprint_points.publish(footprint_points(result.header, settings.map_frame, result.surface))
        if settings.measure_lines and self._crack_points.get_subscription_count():
            self._crack_points.publish(crack_points(result.header, settings.map_frame, result.detections))
        arguments = (result.header, settings.map_frame, result.detections, settings.severity)
        self._detections_3d.publish(detections_3d(*arguments))
        if self._markers.get_subscription_count():
            self._markers.publish(markers(*arguments))

    def publish_times(self, age_ms: float, processing_ms: float) -> None:
        """Publish the age of a frame at its publication, and its processing time."""
        for publisher, time_ms in ((self._age, age_ms), (self._processing, processing_ms)):
            if publisher.get_subscription_count():
                publisher.publish(Float64(data=time_ms))

    def wants_pictures(self) -> bool:
        """Return whether an annotated image has subscribers."""
        return bool(self._annotated.get_subscription_count() or self._compressed.get_subscription_count())

    def publish_pictures(self, result: ProcessedFrame, caption: str) -> None:
        """Draw the annotated image and publish it in the encodings that have subscribers."""
        scale = result.settings.severity
        labels = [
            Label(
                detection.crack.region.box,
                detection.summary(),
                scale.relative_severity(detection.severity.verdict),
                tuple(line.points_px for line in detection.lines),
            )
            for detection in result.detections
        ]
        picture = annotate(result.frame, labels, caption)
        if self._annotated.get_subscription_count():
            self._annotated.publish(image_message(picture, result.header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(jpeg_message(picture, result.header, result.settings.jpeg_quality))

    def listeners(self) -> dict[str, int]:
        """Return the number of matched subscriptions of every topic with results, by its name after ``~/``."""
        return {name: int(publisher.get_subscription_count()) for name, publisher in self._results.items()}

    def photograph_viewers(self) -> int:
        """Return the number of subscribers to photographs."""
        return int(self._photographs.get_subscription_count())

    def publish_photograph(self, message: CompressedImage) -> None:
        """Publish a photograph of a crack."""
        self._photographs.publish(message)

    def destroy(self) -> None:
        """Remove the topics from the graph."""
        for publisher in (*self._results.values(), *self._others):
            self._node.destroy_lifecycle_publisher(publisher)
