# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Time of each pipeline stage for one frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Header

from crack_perception.evaluation.benchmark.interleaved import interleaved_times, quantiles
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
    """Frame with its camera, pose and range.

    Attributes:
        frame: BGR image (H, W, 3) uint8.
        camera: Camera of the frame.
        camera_in_map: Camera pose, T_map_camera.
        range_m: Distance to the surface along the optical axis [m].
    """

    frame: Image
    camera: CameraModel
    camera_in_map: Pose
    range_m: float


class NodeParts(Protocol):
    """Stages implemented in the ROS shell, which this room must not import."""

    def place(self, scene: Scene, regions: Sequence[MeasuredRegion]) -> Any:
        """Return the detections of a frame's regions, with severity, size and position."""
        ...

    def messages(self, header: Any, located: Any) -> list[Any]:
        """Return the messages of the detections."""
        ...

    def labels(self, located: Any) -> list[Label]:
        """Return the labels of the detections for an annotated image."""
        ...


def scene_of(settings: FlightSettings) -> Scene:
    """Return the middle frame of a flight."""
    flight = Flight(settings)
    truth = flight.truth().frames
    index = len(truth) // 2
    pose = Pose.of(truth[index].position_m, truth[index].quaternion_xyzw)
    return Scene(flight.image(index), flight.camera, pose, truth[index].range_m)


def measure_stages(detector: FrameDetector, scene: Scene, parts: NodeParts, node: Node, rounds: int) -> dict[str, Any]:
    """Time every stage [ms], interleaved.

    Lines are measured in every region, without a time limit. ``publish`` creates, serializes and publishes the
    messages without a subscriber.

    Args:
        detector: Detector with the model.
        scene: Frame to process.
        parts: Stages of the ROS shell.
        node: Node that publishes.
        rounds: Number of rounds.

    Returns:
        Stage -> quantiles, in the order of the pipeline; and ``regions_found``, the number of regions.
    """
    frame = scene.frame
    pixels = np.ascontiguousarray(frame).reshape(-1)
    height, width = frame.shape[:2]
    detections = detector.detect(frame)
    grid, channels = detections.grid, detector.model.channels
    tiles = cut_tiles(in_channels(frame, channels), grid)
    scores = detections.scores.crack_score
    measured = RegionMeasurement().measure(frame, grid, detections.regions)
    located = parts.place(scene, measured)
    labels = parts.labels(located)
    picture = annotate(frame, labels, "")
    header = Header(frame_id="camera_optical_frame")
    publishers = {
        type(message): node.create_publisher(type(message), f"~/{type(message).__name__}", 1)
        for message in parts.messages(header, located)
    }

    batch = detector.backend.batch

    def infer() -> None:
        for start in range(0, len(tiles), batch):
            detector.backend.run(tiles[start : start + batch])

    def publish() -> None:
        for message in parts.messages(header, located):
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
    times = interleaved_times(calls, rounds)
    for publisher in publishers.values():
        node.destroy_publisher(publisher)
    return {**{name: quantiles(taken) for name, taken in times.items()}, "regions_found": len(detections.regions)}
