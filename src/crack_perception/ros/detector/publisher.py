"""Publishes what was found; all but detections only for somebody who listens."""

from __future__ import annotations

from geometry_msgs.msg import PolygonStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Float64, Header
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from crack_perception.ros.common import qos
from crack_perception.ros.common.crack_points import crack_points
from crack_perception.ros.detector.analysis import placed
from crack_perception.ros.detector.detection_messages import detections_2d, detections_3d, label_info
from crack_perception.ros.detector.footprint import footprint
from crack_perception.ros.detector.image_conversion import image_message, jpeg_message
from crack_perception.ros.detector.markers import markers
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.processor import ProcessedFrame
from crack_perception.vision.annotate import Label, annotate


class ResultPublisher:
    """The node's outputs; silent while the node is inactive."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        create = node.create_lifecycle_publisher
        self._detections = create(Detection2DArray, "~/detections", **qos.overridable(qos.RESULT))
        self._footprint = create(PolygonStamped, "~/footprint", **qos.overridable(qos.RESULT))
        self._crack_points = create(PointCloud2, "~/crack_points", **qos.overridable(qos.RESULT))
        self._detections_3d = create(Detection3DArray, "~/detections_3d", **qos.overridable(qos.RESULT))
        self._markers = create(MarkerArray, "~/markers", qos.RESULT)
        self._annotated = create(Image, "~/annotated", **qos.overridable(qos.PICTURE))
        self._compressed = create(CompressedImage, "~/annotated/compressed", qos.PICTURE)
        self._label_info = create(LabelInfo, "~/label_info", qos.LATCHED)
        self._age = create(Float64, "~/debug/frame_age_ms", qos.RESULT)
        self._processing = create(Float64, "~/debug/processing_time_ms", qos.RESULT)
        self._all = (
            *(self._detections, self._footprint, self._crack_points, self._detections_3d, self._markers),
            *(self._annotated, self._compressed, self._label_info, self._age, self._processing),
        )

    def is_open(self) -> bool:
        """Whether ROS still takes messages; not any more once the process was told to end."""
        return bool(self._node.context.ok())

    def publish_labels(self, settings: Settings, threshold: float) -> None:
        """Tell, for whoever joins later too, what the class names are."""
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=settings.map_frame)
        self._label_info.publish(label_info(header, settings.severity, threshold))

    def publish_findings(self, result: ProcessedFrame) -> None:
        """One 2D array for every frame; for a located one also what it shows of the surface, lines and 3D array.

        The three have the image's stamp, the 3D array comes last. None of them is published of a frame whose regions
        could not be placed, and no lines where they are not measured: it would pass for a clean one. The outline
        and the lines, which take longer than the detections, are made only where somebody subscribes.
        """
        settings = result.settings
        self._detections.publish(detections_2d(result.header, result.findings, settings.severity))
        if not result.located or (result.findings and not any(placed(result.findings))):
            return
        if self._footprint.get_subscription_count():
            self._footprint.publish(footprint(result.header, settings.map_frame, result.footprint_m))
        if settings.measure_lines and self._crack_points.get_subscription_count():
            self._crack_points.publish(crack_points(result.header, settings.map_frame, result.findings))
        arguments = (result.header, settings.map_frame, result.findings, settings.severity)
        self._detections_3d.publish(detections_3d(*arguments))
        if self._markers.get_subscription_count():
            self._markers.publish(markers(*arguments))

    def publish_times(self, age_ms: float, processing_ms: float) -> None:
        """How old the frame was when its findings were published, and how long it was worked on."""
        for publisher, time_ms in ((self._age, age_ms), (self._processing, processing_ms)):
            if publisher.get_subscription_count():
                publisher.publish(Float64(data=time_ms))

    def wants_pictures(self) -> bool:
        """Whether anybody subscribes to an annotated picture."""
        return bool(self._annotated.get_subscription_count() or self._compressed.get_subscription_count())

    def publish_pictures(self, result: ProcessedFrame, caption: str) -> None:
        """Draw once; encode what is subscribed to."""
        scale = result.settings.severity
        labels = [
            Label(
                finding.crack.region.box,
                finding.summary(),
                scale.relative_severity(finding.severity.verdict),
                tuple(line.points_px for line in finding.lines),
            )
            for finding in result.findings
        ]
        picture = annotate(result.frame, labels, caption)
        if self._annotated.get_subscription_count():
            self._annotated.publish(image_message(picture, result.header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(jpeg_message(picture, result.header, result.settings.jpeg_quality))

    def destroy(self) -> None:
        """Take the topics off the graph."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)
