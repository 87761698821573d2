# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The node from message to result without DDS: the test calls the callbacks of the real subscriptions."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Range
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from crack_perception.geometry.surface.range import LEAST_RANGE_M
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.ros.common.health import Health
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.image_conversion import FrameConverter
from crack_perception.ros.detector.image_messages import image_message
from crack_perception.ros.detector.inputs import InputSubscriptions
from crack_perception.ros.detector.messages import crack_points, detections_2d, detections_3d, footprint, markers
from crack_perception.ros.detector.parameters import SPECS, Settings, settings_from
from crack_perception.ros.detector.processor import FrameProcessor, ProcessedFrame
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.ros.detector.timing import LoadControl
from crack_perception.vision.images.encodings import BadImage

MS = 1_000_000
S = 1_000 * MS
START_NS = 1_700_000_000 * S
SIDE_PX, FOCAL_PX, RANGE_M = 128, 120.0, 2.0
CAMERA_FRAME = "camera"
MOST_TEXT = 500
"""Maximum length of a fault text, which is logged and published in the diagnostics."""


class DirectSubscription:
    """Subscription without waiting messages."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.handle = self

    def __enter__(self) -> None:
        """Keep the handle alive, as rclpy does."""

    def __exit__(self, *error: object) -> None:
        """Release the handle."""

    def take_message(self, kind: type, raw: bool) -> None:
        """Return None: no message waits."""


class DirectNode(LifecycleNode):
    """Node whose subscriptions receive their messages from the test.

    Attributes:
        callbacks: Callbacks of the subscriptions by topic.
    """

    def __init__(self) -> None:
        self.callbacks: dict[str, Callable[[Any], None]] = {}
        super().__init__("fault_node")

    def create_subscription(self, msg_type: Any, topic: str, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """Store the callback."""
        self.callbacks[topic] = callback
        return DirectSubscription(topic)

    def destroy_subscription(self, subscription: Any) -> bool:
        """Remove the callback."""
        return self.callbacks.pop(subscription.topic, None) is not None


class RecordedHealth(Health):
    """Fault counters that keep all texts."""

    def __init__(self) -> None:
        self.logged: list[str] = []
        self.texts: list[tuple[str, str]] = []
        super().__init__(self.logged.append)

    def report(self, kind: str, text: str) -> None:
        """Store the text that the diagnostics would contain."""
        super().report(kind, text)
        self.texts.append((kind, self._present(math.inf)[kind]))


class Inputs:
    """Inputs of the node, newly activated with these parameters, and its frame processor."""

    def __init__(self, node: DirectNode, detector: FrameDetector, **changes: Any) -> None:
        defaults = {"pose_timeout_s": 0.0, "frame_budget_ms": 0.0, "measure_time_ms": 0.0, "learn_surface": False}
        self.settings: Settings = settings_from({s.name: s.default for s in SPECS} | defaults | changes)
        self.problems = RecordedHealth()
        node.callbacks.clear()
        cameras = CameraInfos(self.settings.image_is_rectified, "/image")
        surfaces = SurfaceSources(self.settings, self.problems)
        self.inputs = InputSubscriptions(
            node, self.settings, self._keep, self._refuse, cameras, surfaces, self.problems
        )
        converter = FrameConverter(self.settings.image_bridge, self.settings.image_bits)
        self._callbacks = dict(node.callbacks)
        self.processor = FrameProcessor(detector, converter, cameras, self.inputs.poses, surfaces, self.problems)
        self._image: Image | CompressedImage | None = None

    def _refuse(self, reason: str) -> None:
        self.problems.report("bad_image", reason)

    def _keep(self, message: Image | CompressedImage) -> None:
        self._image = message

    def deliver(self, topic: str, message: Any) -> ProcessedFrame | None:
        """Pass a message to its subscription; return the processed frame, None for other or refused messages."""
        self._callbacks[topic](message)
        image, self._image = self._image, None
        if image is None:
            return None
        try:
            timing = LoadControl().note_arrival(time.monotonic())
            # A pause of a busy machine between two steps would skip measurements.
            timing.skips_regions = lambda: False
            scored = self.processor.score(image, self.settings, timing)
        except BadImage as error:
            self.problems.report("bad_image", f"A frame was refused: {error}")
            return None
        return self.processor.classify(scored)

    def close(self) -> None:
        """Deactivate."""
        self.inputs.destroy()


def wall() -> np.ndarray:
    """Return an image of a grey wall with a dark line."""
    frame = np.full((SIDE_PX, SIDE_PX, 3), 170, np.uint8)
    frame[30:33, 12:116] = 15
    return frame


def header(stamp_ns: int, frame_id: str = "") -> Header:
    return Header(stamp=Time(sec=stamp_ns // S, nanosec=stamp_ns % S), frame_id=frame_id)


def good_image(stamp_ns: int, encoding: str = "bgr8") -> Image:
    frame = wall()
    if encoding == "bgr8":
        return image_message(frame, header(stamp_ns, CAMERA_FRAME))
    samples = frame[:, :, 0] if encoding == "mono8" else frame[:, :, 0].astype(np.uint16) * 16
    message = Image(header=header(stamp_ns, CAMERA_FRAME), height=SIDE_PX, width=SIDE_PX, encoding=encoding)
    message.step = SIDE_PX * samples.itemsize
    message.data.frombytes(samples.tobytes())
    return message


def compressed_image(stamp_ns: int, data: bytes, announced: str) -> CompressedImage:
    message = CompressedImage(header=header(stamp_ns, CAMERA_FRAME), format=announced)
    message.data.frombytes(data)
    return message


def good_camera_info(stamp_ns: int) -> CameraInfo:
    c = (SIDE_PX - 1) / 2
    k = [FOCAL_PX, 0.0, c, 0.0, FOCAL_PX, c, 0.0, 0.0, 1.0]
    p = [FOCAL_PX, 0.0, c, 0.0, 0.0, FOCAL_PX, c, 0.0, 0.0, 0.0, 1.0, 0.0]
    r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    fields = {"height": SIDE_PX, "width": SIDE_PX, "distortion_model": "plumb_bob", "d": [-0.05, 0.01, 0.0, 0.0, 0.0]}
    return CameraInfo(header=header(stamp_ns, CAMERA_FRAME), k=k, r=r, p=p, **fields)


def good_range(stamp_ns: int) -> Range:
    return Range(
        header=header(stamp_ns, "rangefinder"), field_of_view=0.05, min_range=0.1, max_range=30.0, range=RANGE_M
    )


def good_depth(stamp_ns: int, encoding: str = "32FC1") -> Image:
    stored = np.full((SIDE_PX, SIDE_PX), 2.5, np.float32) if encoding == "32FC1" else np.full((64, 64), 2500, np.uint16)
    height, width = stored.shape
    message = Image(header=header(stamp_ns, CAMERA_FRAME), height=height, width=width, encoding=encoding)
    message.step = width * stored.itemsize
    message.data.frombytes(stored.tobytes())
    return message


def _place(pose: Any, stamp_ns: int) -> None:
    pose.position.x, pose.position.y, pose.position.z = 0.5 * ((stamp_ns - START_NS) / S), 1.0, 3.0
    pose.orientation.z, pose.orientation.w = math.sin(0.05), math.cos(0.05)


def good_pose(stamp_ns: int, kind: str) -> Any:
    """Return the pose of the body as a message of this kind: pose, pose_with_covariance, odom or tf."""
    if kind == "tf":
        transform = TransformStamped(header=header(stamp_ns, "map"), child_frame_id="base_link")
        _place_transform(transform, stamp_ns)
        return TFMessage(transforms=[transform])
    if kind == "pose":
        message = PoseStamped(header=header(stamp_ns, "map"))
        _place(message.pose, stamp_ns)
        return message
    if kind == "odom":
        message = Odometry(header=header(stamp_ns, "map"), child_frame_id="base_link")
    else:
        message = PoseWithCovarianceStamped(header=header(stamp_ns, "map"))
    _place(message.pose.pose, stamp_ns)
    message.pose.covariance = np.diag([1e-4, 1e-4, 4e-4, 1e-5, 1e-5, 2e-5]).ravel()
    return message


def _place_transform(transform: TransformStamped, stamp_ns: int) -> None:
    pose = PoseStamped().pose
    _place(pose, stamp_ns)
    t, q = transform.transform.translation, transform.transform.rotation
    t.x, t.y, t.z = pose.position.x, pose.position.y, pose.position.z
    q.z, q.w = pose.orientation.z, pose.orientation.w


def good_static(stamp_ns: int) -> TFMessage:
    """Return the static transforms from the body over a mount to the camera."""
    mount = TransformStamped(header=header(stamp_ns, "base_link"), child_frame_id="mount")
    mount.transform.translation.x = 0.1
    mount.transform.rotation.w = 1.0
    camera = TransformStamped(header=header(stamp_ns, "mount"), child_frame_id=CAMERA_FRAME)
    q = camera.transform.rotation
    q.x, q.y, q.z, q.w = -0.5, 0.5, -0.5, 0.5
    return TFMessage(transforms=[mount, camera])


def check_result(result: ProcessedFrame) -> None:
    """Assert that all results are finite and plausible and can be converted to messages."""
    settings = result.settings
    height, width = result.frame.shape[:2]
    assert result.frame.dtype == np.uint8 and result.frame.ndim == 3 and result.frame.shape[2] == 3
    assert result.footprint_m.shape[1:] == (3,) and np.isfinite(result.footprint_m).all(), "footprint"
    for detection in result.detections:
        box = detection.crack.region.box
        assert np.isfinite(box.corners()).all() and 0 <= detection.crack.region.score <= 1, "region"
        assert -1 <= box.centre_px[0] <= width and -1 <= box.centre_px[1] <= height, "box outside the image"
        assert 0 < detection.crack.width_px.width < math.inf, "width_px"
        assert math.isnan(detection.length_m) or 0 < detection.length_m < 1e4, f"length_m {detection.length_m}"
        if detection.width_mm is not None:
            assert 0 < detection.width_mm.width <= settings.max_crack_width_mm, f"width_mm {detection.width_mm.width}"
        if detection.plane is not None:
            reading = detection.plane.range
            assert LEAST_RANGE_M <= reading.range_m <= settings.max_range_m, f"range {reading}"
            assert 0 <= reading.sigma_m < math.inf, f"sigma {reading}"
        if detection.location is not None:
            for name, value in vars(detection.location).items():
                assert np.isfinite(_numbers(value)).all(), f"location.{name}"
        for line in (*detection.surface_lines, *detection.map_lines):
            assert np.isfinite(line.points_m).all(), "line"
    stamped = Header(stamp=result.header.stamp, frame_id=result.header.frame_id)
    detections_2d(stamped, result.detections, settings.severity)
    for detection in detections_3d(stamped, settings.map_frame, result.detections, settings.severity).detections:
        for hypothesis in detection.results:
            covariance = np.array(hypothesis.pose.covariance).reshape(6, 6)
            assert np.isfinite(covariance).all(), "covariance"
            assert np.linalg.eigvalsh((covariance + covariance.T) / 2).min() > -1e-9 * max(1.0, covariance.max())
    markers(stamped, settings.map_frame, result.detections, settings.severity)
    crack_points(stamped, settings.map_frame, result.detections)
    footprint(stamped, settings.map_frame, result.footprint_m)


def check_text(text: str) -> None:
    """Assert that a fault text is one printable line that names a value, a frame or a topic."""
    assert text.strip(), "no words"
    assert text.isprintable(), f"control characters in {text[:200]!r}"
    assert len(text) <= MOST_TEXT, f"{len(text)} characters: {text[:200]!r}"
    text.encode()


def _numbers(value: Any) -> np.ndarray:
    if dataclasses.is_dataclass(value):
        parts = [_numbers(getattr(value, field.name)) for field in dataclasses.fields(value)]
        return np.concatenate(parts) if parts else np.empty(0)
    return np.asarray(value, np.float64).ravel()


def fingerprint(value: Any) -> Any:
    """Return all numbers of a result for exact comparison."""
    if isinstance(value, ProcessedFrame):
        kept = (
            value.frame,
            value.detections,
            value.pose,
            value.footprint_m,
            value.processed_tiles,
            value.header.frame_id,
        )
        return tuple(fingerprint(part) for part in kept)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(fingerprint(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(fingerprint, value))
    return repr(value)
