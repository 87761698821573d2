"""What each stage of the pipeline takes on one frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Header

from crack_perception.evaluation.benchmark.interleaved import spread, times_in_turns
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import MeasuredRegion, RegionMeasurement
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import Flight
from crack_perception.vision.annotate import Label, annotate
from crack_perception.vision.images.encodings import decode_raw, encode_jpeg
from crack_perception.vision.regions import build_regions
from crack_perception.vision.tiling import Image, cut_tiles, in_channels

_JPEG_QUALITY = 80


@dataclass(frozen=True)
class Scene:
    """A frame and what is known of where it was taken.

    Attributes:
        frame: BGR (H, W, 3).
        camera: That took it.
        camera_in_map: T_map_camera.
        range_m: Along the optical axis to the surface.
    """

    frame: Image
    camera: CameraModel
    camera_in_map: Pose
    range_m: float


class NodeParts(Protocol):
    """The stages that live in the ROS shell, which this room may not import."""

    def place(self, scene: Scene, regions: Sequence[MeasuredRegion]) -> Any:
        """Findings of a frame's regions: severity, size and place."""
        ...

    def messages(self, header: Any, findings: Any) -> list[Any]:
        """The messages that tell of them."""
        ...

    def labels(self, findings: Any) -> list[Label]:
        """What an annotated picture shows of them."""
        ...


def scene_of(settings: FlightSettings) -> Scene:
    """The middle frame of a flight."""
    flight = Flight(settings)
    truth = flight.truth().frames
    index = len(truth) // 2
    pose = Pose.of(truth[index].position_m, truth[index].quaternion_xyzw)
    return Scene(flight.image(index), flight.camera, pose, truth[index].range_m)


def measure_stages(detector: FrameDetector, scene: Scene, parts: NodeParts, node: Node, rounds: int) -> dict[str, Any]:
    """Milliseconds of every stage, all in turns.

    Lines are measured in every region, however long that takes. ``publish`` makes, serializes and hands over the
    messages with nobody listening.

    Args:
        detector: With the model.
        scene: What is looked at.
        parts: The stages of the node.
        node: Publishes.
        rounds: How often the stages take turns.

    Returns:
        Stage -> spread, in the order of the pipeline; and ``regions``, their number.
    """
    frame = scene.frame
    pixels = np.ascontiguousarray(frame).reshape(-1)
    height, width = frame.shape[:2]
    detections = detector.detect(frame)
    grid, channels = detections.grid, detector.model.channels
    tiles = cut_tiles(in_channels(frame, channels), grid)
    scores = detections.scores.crack_score
    measured = RegionMeasurement().measure(frame, grid, detections.regions)
    findings = parts.place(scene, measured)
    labels = parts.labels(findings)
    picture = annotate(frame, labels, "")
    header = Header(frame_id="camera_optical_frame")
    publishers = {
        type(message): node.create_publisher(type(message), f"~/{type(message).__name__}", 1)
        for message in parts.messages(header, findings)
    }

    batch = detector.backend.batch

    def infer() -> None:
        for start in range(0, len(tiles), batch):
            detector.backend.run(tiles[start : start + batch])

    def publish() -> None:
        for message in parts.messages(header, findings):
            publishers[type(message)].publish(message)

    calls: dict[str, Callable[[], object]] = {
        "convert": lambda: decode_raw(pixels, width, height, 3 * width, "bgr8", False),
        "tile": lambda: cut_tiles(in_channels(frame, channels), grid, tiles),
        "infer": infer,
        "regions": lambda: build_regions(grid, scores, detector.threshold),
        "measure": lambda: RegionMeasurement().measure(frame, grid, detections.regions),
        "geometry": lambda: parts.place(scene, measured),
        "publish": publish,
        "draw": lambda: annotate(frame, labels, ""),
        "encode": lambda: encode_jpeg(picture, _JPEG_QUALITY),
    }
    times = times_in_turns(calls, rounds)
    for publisher in publishers.values():
        node.destroy_publisher(publisher)
    return {**{name: spread(taken) for name, taken in times.items()}, "regions_found": len(detections.regions)}
