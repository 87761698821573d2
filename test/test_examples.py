# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the scripts in examples/: length and results."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from sample_files import write_sample_files

from crack_perception.simulation.flight.bag_writer import IMAGE_TOPIC, FlightBag

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MOST_LINES = 40
TESTED = {"detect_bag", "detect_image", "detect_video", "read_map", "ros_subscriber", "severity_edges"}
PATIENCE_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sample_files(tmp_path)


def run(name: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_examples_are_short_and_all_tested() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert {path.stem for path in files} == TESTED
    for path in files:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path.name


def test_detect_image_prints_and_writes(folder: Path) -> None:
    output = run("detect_image", "wall.jpg", "0.5", folder=folder)
    assert "obvious" in output
    assert cv2.imread(str(folder / "wall_cracks.jpg")).shape == cv2.imread(str(folder / "wall.jpg")).shape
    assert json.loads((folder / "wall_cracks.geojson").read_text())["features"]


def test_detect_video_counts_frames_with_cracks(folder: Path) -> None:
    assert "cracks in 2 of 3 frames" in run("detect_video", "flight.avi", "out.mp4", folder=folder)
    assert cv2.VideoCapture(str(folder / "out.mp4")).read()[0]


def test_detect_bag_prints_images_of_the_topic(folder: Path) -> None:
    wall = cv2.imread(str(folder / "wall.jpg"))
    with FlightBag(folder / "flight") as bag:
        bag.image(1_500_000_000, wall)
        bag.image(2_500_000_000, np.full_like(wall, 170))
    lines = run("detect_bag", "flight", IMAGE_TOPIC, folder=folder).splitlines()
    assert len(lines) == 2 and lines[0].startswith("1.500 s: ") and "0 cracks" not in lines[0]
    assert lines[1] == "2.500 s: 0 cracks, scores []"
    command = [sys.executable, str(EXAMPLES / "detect_bag.py"), "flight", "/nothing"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and IMAGE_TOPIC in done.stderr and "Traceback" not in done.stderr


def test_read_map_selects_and_exports(folder: Path) -> None:
    output = run("read_map", "crack_map.sqlite", folder=folder)
    assert output.startswith("3 cracks, 4.50 m")
    assert "#1: 2.00 m long, 0.50" in output and "#3" not in output
    assert len(json.loads((folder / "severe_cracks.geojson").read_text())["features"]) == 2
    assert len((folder / "severe_cracks.csv").read_text().splitlines()) == 3


def test_severity_edges_prints_classes(folder: Path) -> None:
    output = run("severity_edges", "wall.jpg", "0.5", folder=folder)
    assert "classes: <0.2mm, 0.2-0.5mm, 0.5-1mm, >=1mm" in output
    assert ">=1mm: " in output


def test_ros_subscriber_logs_detections() -> None:
    rclpy = pytest.importorskip("rclpy", reason="no ROS 2 environment: run scripts/setup")
    from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

    best = ObjectHypothesisWithPose()
    best.hypothesis.class_id, best.pose.pose.position.x = "obvious", 1.5
    detection = Detection3D(results=[best])
    detection.bbox.size.x, detection.bbox.size.y = 0.75, 0.0005
    message = Detection3DArray(detections=[detection])
    message.header.frame_id = "map"

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("crack_node", context=context)
    publisher = node.create_publisher(Detection3DArray, "/crack_node/detections_3d", 10)
    listener = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "ros_subscriber.py")], stderr=subprocess.PIPE, text=True
    )
    heard: list[str] = []
    is_heard = threading.Event()

    def listen() -> None:
        assert listener.stderr
        for line in listener.stderr:
            heard.append(line)
            if "crack at" in line:
                is_heard.set()

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    try:
        for _ in range(int(PATIENCE_S / 0.1)):
            publisher.publish(message)
            if is_heard.wait(0.1) or listener.poll() is not None:
                break
    finally:
        listener.terminate()
        listener.wait()
        reader.join()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    assert is_heard.is_set(), "".join(heard)
    assert "obvious crack at (1.50, 0.00, 0.00) m in map: 0.75 m long, 0.50 mm wide" in "".join(heard)
