#!/usr/bin/env python3
# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Print the figures of the crack map on simulated surveys, as Markdown for docs/crack_map.md.

Every frame is processed by the parts of crack_node, with every line measured and without the transport, and mapped by
GrowingMap. It takes about two minutes of computing time for each survey.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from rclpy.lifecycle import LifecycleNode
from rclpy.serialization import deserialize_message

from crack_perception.evaluation.metrics.best_linear import measure_fusion
from crack_perception.evaluation.metrics.map_accuracy import measure_map
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.inspection.analysis import located
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.observation import FrameObservation
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.ros.common.health import Health
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.image_conversion import FrameConverter
from crack_perception.ros.detector.inputs import InputSubscriptions
from crack_perception.ros.detector.messages import crack_points, detections_3d, footprint
from crack_perception.ros.detector.parameters import SPECS, settings_from
from crack_perception.ros.detector.processor import FrameProcessor, ProcessedFrame
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.ros.detector.timing import LoadControl
from crack_perception.ros.mapper.observation import observation_of
from crack_perception.ros.mapper.pairing import FrameMessages
from crack_perception.simulation.flight.settings import settings_of
from crack_perception.simulation.flight.simulation import write_flight
from crack_perception.simulation.flight.truth import Truth

SOURCE = "/crack_node"
# An image is processed once the poses and ranges that follow it have arrived.
WAIT_NS = 60_000_000
ROWS: Sequence[tuple[str, str, str, float]] = (
    ("mapped share of the visible length", "recall", "%", 100.0),
    ("mapped length that duplicates another object", "duplicates", "%", 100.0),
    ("false objects per 100 m²", "false_objects_per_100m2", "", 1.0),
    ("median position error in the map", "position_error_m", "mm", 1000.0),
    ("objects inside their 95 % ellipse", "covariance_inside_95", "%", 100.0),
    ("mean error of the mean width", "width_mae_mm", "mm", 1.0),
    ("overlap of the centrelines within 4 cm (IoU)", "centreline_iou", "%", 100.0),
    ("average precision of the objects (AP50)", "average_precision_50", "%", 100.0),
    ("root mean square of the position errors across the cracks", "fused_m", "mm", 1000.0),
    ("the same of the best linear estimate", "linear_m", "mm", 1000.0),
    ("ratio of the two", "fused_to_linear", "", 1.0),
    ("mapping time per frame, median", "mapping_ms", "ms", 1.0),
)
"""Text, figure, unit and factor of the rows of the table."""


class DirectNode(LifecycleNode):
    """Node whose subscriptions are called directly.

    Attributes:
        callbacks: Callbacks by topic.
    """

    def __init__(self) -> None:
        self.callbacks: dict[str, Callable[[Any], None]] = {}
        super().__init__("map_figures")

    def create_subscription(self, msg_type: Any, topic: str, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep the callback; there is no middleware."""
        subscription = super().create_subscription(msg_type, topic, callback, *args, **kwargs)
        self.callbacks[topic] = callback
        return subscription


def record(bag_path: Path, node: DirectNode, detector: FrameDetector) -> tuple[Truth, list[FrameObservation]]:
    """Process the frames of a bag."""
    frames: list[FrameObservation] = []
    with open_bag(bag_path) as bag:
        plan = plan_replay(bag, ReplayOptions(bag=bag_path, out=bag_path))
        assert plan.truth is not None
        wanted = {name: yaml.safe_load(value) for name, value in plan.parameters.items()}
        unlimited = {"frame_budget_ms": 0.0, "measure_time_ms": 0.0, "severity_preset": "aashto"}
        settings = settings_from({spec.name: spec.default for spec in SPECS} | unlimited | wanted)
        health = Health(lambda text: None)
        cameras, surfaces = CameraInfos(), SurfaceSources(settings, health)
        waiting: list[Any] = []
        inputs = InputSubscriptions(node, settings, waiting.append, _refuse, cameras, surfaces, health)
        processor = FrameProcessor(
            detector,
            FrameConverter(settings.image_bridge, settings.image_bits),
            cameras,
            inputs.poses,
            surfaces,
            health,
        )
        names = {topic.name: name for name, topic in plan.inputs.by_input.items() if name in node.callbacks}
        types = {topic.name: _message_type(topic.type_name) for topic in bag.topics if topic.name in names}
        due: list[int] = []
        for message in bag.messages(list(names)):
            node.callbacks[names[message.topic]](deserialize_message(message.data, types[message.topic]))
            due += [message.stamp_ns + WAIT_NS] * (len(waiting) - len(due))
            while due and due[0] <= message.stamp_ns:
                due.pop(0)
                frames += _mapped_frame(_processed(processor, waiting.pop(0), settings))
        for image in waiting:
            frames += _mapped_frame(_processed(processor, image, settings))
        inputs.destroy()
        node.callbacks.clear()
        return plan.truth, frames


def _refuse(reason: str) -> None:
    raise RuntimeError(f"a frame of a simulated survey was refused: {reason}")


def _message_type(name: str) -> type:
    package, _, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)  # type: ignore[no-any-return]


def _processed(processor: FrameProcessor, image: Any, settings: Any) -> ProcessedFrame:
    timing = LoadControl().note_arrival(time.monotonic())
    timing.skips_regions = lambda: False  # type: ignore[method-assign]
    return processor.classify(processor.score(image, settings, timing))


def _mapped_frame(frame: ProcessedFrame) -> Iterator[FrameObservation]:
    """Yield the observation that crack_mapper receives; nothing for a frame that is not sent to it."""
    if not frame.has_pose or (frame.detections and not any(located(frame.detections))):
        return
    settings = frame.settings
    messages = FrameMessages(
        detections_3d(frame.header, settings.map_frame, frame.detections, settings.severity),
        footprint(frame.header, settings.map_frame, frame.footprint_m),
        crack_points(frame.header, settings.map_frame, frame.detections),
    )
    yield observation_of(messages, SOURCE, settings.map_frame, 1.0, lambda kind, text: None)


def thinned(frames: Sequence[FrameObservation], share: float) -> list[FrameObservation]:
    """Return the frames with a random share of their lines, as of a machine that has no time to measure the others."""
    rng = np.random.default_rng(0)
    return [
        replace(frame, observations=tuple(o for o in frame.observations if rng.random() < share), is_complete=False)
        for frame in frames
    ]


def figures_of(truth: Truth, frames: Sequence[FrameObservation], white_share: float) -> dict[str, float]:
    """Map the frames and evaluate the map.

    Args:
        white_share: Share of the variance of the simulated pose errors that does not drift.
    """
    crack_map, times_ms = GrowingMap(), []
    for frame in frames:
        start_s = time.thread_time()
        crack_map.add(frame)
        times_ms.append(1000.0 * (time.thread_time() - start_s))
    figures = measure_map(crack_map.cracks(), truth, [frame.stamp_ns for frame in frames], []).figures
    figures["position_error_m"] = figures["position_error_m"]["median"]
    figures["mapping_ms"] = float(np.median(times_ms))
    errors = measure_fusion(crack_map.cracks(), truth, frames, crack_map.settings, white_share)
    assert errors is not None
    figures |= {"fused_m": errors.fused_m, "linear_m": errors.linear_m}
    figures["fused_to_linear"] = errors.fused_m / errors.linear_m
    return {name: float(figures[name]) for _, name, _, _ in ROWS}


def table_of(results: Sequence[dict[str, float]]) -> str:
    """Return the figures of all surveys as a Markdown table."""
    lines = ["| | range | mean |", "|---|---|---|"]
    for text, name, unit, factor in ROWS:
        values = [factor * result[name] for result in results]
        lines.append(f"| {text} | {min(values):.3g} to {max(values):.3g} {unit} | {np.mean(values):.3g} {unit} |")
    return "\n".join(line.replace("  |", " |") for line in lines)


def main() -> None:
    """Simulate, process and map the surveys."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 9)), help="seeds of the surveys")
    parser.add_argument("--preset", default="survey", help="preset of crack_perception simulate (default: survey)")
    parser.add_argument("--bags", type=Path, help="folder where the bags are kept and found again; default: none")
    parser.add_argument("--measured-share", type=float, default=1.0, help="share of the lines that are measured")
    arguments = parser.parse_args()
    rclpy.init()
    node = DirectNode()
    model = load_model("standard")
    detector = FrameDetector(model, open_backend("onnxruntime", model, 1))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            flight = settings_of(arguments.preset, {"seed": seed})
            bag = (arguments.bags or Path(folder)) / f"{arguments.preset}{seed}"
            if not bag.is_dir():
                write_flight(flight, bag, False, lambda done, total: None)
            truth, frames = record(bag, node, detector)
            if arguments.measured_share < 1.0:
                frames = thinned(frames, arguments.measured_share)
            results.append(figures_of(truth, frames, flight.noise_white_share))
            print(f"seed {seed}: {results[-1]}", flush=True)
    print(table_of(results))
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
