# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames of a bag: the same results as from the messages that a node receives, part by part, from any storage."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from survey_inputs import PART_S

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.recordings.messages import restamped
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.inspection.observation import observation_of
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.ros.common.health import Health
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.image_conversion import FrameConverter
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.pose_messages import PoseMessages
from crack_perception.ros.detector.processor import FrameProcessor
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.ros.detector.timing import UnlimitedTiming
from crack_perception.survey.bag_recording import BagRecording
from crack_perception.survey.frames import Faults, InspectedFrame
from crack_perception.survey.settings import SurveySettings, survey_settings
from crack_perception.survey.sources import Source, SourceKind


def new_detector(settings: Settings) -> FrameDetector:
    model = load_model("nano")
    return FrameDetector(model, open_backend("onnxruntime", model, 1), settings.tile_overlap, settings.threshold)


def recording(path: Path, settings: SurveySettings | None = None) -> BagRecording:
    settings = settings or survey_settings(None, {"model": "nano"}, {}, PART_S)
    return BagRecording(Source(path, SourceKind.BAG, path.name, "wall", path), settings, new_detector)


def frames_of(bag: BagRecording) -> tuple[list[InspectedFrame], Faults]:
    faults = Faults()
    return [frame for part in bag.plan().parts for frame in bag.frames(part, faults)], faults


def lines_of(frame: InspectedFrame) -> list[np.ndarray]:
    observation = observation_of(frame.detections, frame.stamp_ns, "drone", frame.footprint_m)
    return [line.line_m for line in observation.observations]


def in_sqlite3(source: Path, target: Path, first_stamp_ns: int | None = None) -> Path:
    """Write a recording in another storage format, with one more camera_info at a time of its own where it is given."""
    types = get_typestore(Stores.LATEST)
    with open_bag(source) as bag, Writer(target, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections = {
            topic.name: writer.add_connection(topic.name, topic.type_name, typestore=types)
            for topic in bag.topics
            if topic.type_name in types.fielddefs
        }
        for record in bag.messages(connections):
            writer.write(connections[record.topic], record.stamp_ns, record.data)
            if first_stamp_ns is not None and connections[record.topic].msgtype == "sensor_msgs/msg/CameraInfo":
                writer.write(connections[record.topic], first_stamp_ns, record.data)
                first_stamp_ns = None
    return target


def message_class(type_name: str) -> type:
    """Return the class of ``package/msg/Name`` in ROS."""
    package, _, name = type_name.split("/")
    found: type = getattr(importlib.import_module(f"{package}.msg"), name)
    return found


def from_received_messages(path: Path) -> list[InspectedFrame]:
    """Process messages of rclpy, as crack_node receives them, in the order of recording."""
    serialization = pytest.importorskip("rclpy.serialization")
    with open_bag(path) as bag:
        plan = plan_replay(bag, ReplayOptions(bag=path, out=Path()))
        survey = survey_settings(None, {"model": "nano"}, {}, 3600.0)
        settings = survey.node_settings({name: yaml.safe_load(text) for name, text in plan.parameters.items()})
        health = Health(lambda line: None)
        poses, surfaces, cameras = PoseMessages(settings, health), SurfaceSources(settings, health), CameraInfos()
        processor = FrameProcessor(new_detector(settings), FrameConverter(), cameras, poses.poses, surfaces, health)
        inputs = {topic.name: (name, topic.type_name) for name, topic in plan.inputs.by_input.items()}
        images: list[tuple[int, Any]] = []
        found = []
        takers = {"camera_info": cameras.push, "range": surfaces.push_range, **poses.handlers}
        for record in bag.messages(inputs):
            while images and record.stamp_ns > images[0][0]:
                scored = processor.score(images.pop(0)[1], settings, UnlimitedTiming())
                found.append(processor.classify(scored))
            name, type_name = inputs[record.topic]
            message = serialization.deserialize_message(record.data, message_class(type_name))
            if name == "image":
                images.append((record.stamp_ns + 300_000_000, message))
            elif name in takers:
                takers[name](message)
        found += [processor.classify(processor.score(image, settings, UnlimitedTiming())) for _, image in images]
    return [InspectedFrame("", 0, (0, 0), 0, 0, frame.detections, frame.has_pose, frame.footprint_m) for frame in found]


def test_bag_frames_equal_those_from_received_messages(recordings: Path) -> None:
    path = recordings / "dam" / "left"
    settings = survey_settings(None, {"model": "nano"}, {}, 3600.0)
    recorded, faults = frames_of(recording(path, settings))
    received = from_received_messages(path)
    assert len(recorded) == len(received) == 10
    assert not faults.counts.get("damaged_message")
    assert any(frame.detections for frame in recorded)
    for one, other in zip(recorded, received, strict=True):
        assert one.has_pose == other.has_pose
        np.testing.assert_array_equal(one.footprint_m, other.footprint_m)
        assert [d.severity for d in one.detections] == [d.severity for d in other.detections]
        for line, expected in zip(lines_of(one), lines_of(other), strict=True):
            np.testing.assert_array_equal(line, expected)


def test_bag_parts_hold_every_frame_once_and_agree_with_the_whole(recordings: Path) -> None:
    path = recordings / "dam" / "left"
    bag = recording(path)
    plan = bag.plan()
    assert len(plan.parts) > 1
    assert plan.frames == 10
    parts, _ = frames_of(bag)
    whole, _ = frames_of(recording(path, survey_settings(None, {"model": "nano"}, {}, 3600.0)))
    assert [frame.stamp_ns for frame in parts] == [frame.stamp_ns for frame in whole]
    # The flight is shorter than the time that is read before each part, so that the surface is the same.
    for one, other in zip(parts, whole, strict=True):
        for line, expected in zip(lines_of(one), lines_of(other), strict=True):
            np.testing.assert_allclose(line, expected, atol=1e-6)


def test_bag_in_sqlite3_gives_the_same_frames(recordings: Path, tmp_path: Path) -> None:
    source = recordings / "dam" / "left"
    expected, _ = frames_of(recording(source))
    found, faults = frames_of(recording(in_sqlite3(source, tmp_path / "sqlite3")))
    assert not faults.counts.get("damaged_message")
    assert [frame.stamp_ns for frame in found] == [frame.stamp_ns for frame in expected]
    for one, other in zip(found, expected, strict=True):
        for line, known in zip(lines_of(one), lines_of(other), strict=True):
            np.testing.assert_array_equal(line, known)


def test_bag_images_that_repeat_a_stamp_are_counted_and_not_placed(recordings: Path, tmp_path: Path) -> None:
    source, target, types = recordings / "dam" / "left", tmp_path / "repeated", get_typestore(Stores.LATEST)
    with open_bag(source) as bag, Writer(target, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = [topic for topic in bag.topics if topic.type_name in types.fielddefs]
        images = next(topic.name for topic in topics if topic.type_name == "sensor_msgs/msg/Image")
        connections = {
            topic.name: writer.add_connection(topic.name, topic.type_name, typestore=types) for topic in topics
        }
        for record in bag.messages(connections):
            data = restamped(record.data, bag.start_ns + 10**9) if record.topic == images else record.data
            writer.write(connections[record.topic], record.stamp_ns, data)
    settings = survey_settings(None, {"model": "nano"}, {}, 3600.0)
    frames, faults = frames_of(recording(target, settings))
    assert len(frames) == 1
    assert faults.counts["repeated_stamp"] == 9
    assert "Configure the driver to stamp its images" in faults.texts["repeated_stamp"]


def test_bag_with_a_first_message_of_1970_has_parts_where_its_images_are(recordings: Path, tmp_path: Path) -> None:
    source = recordings / "dam" / "left"
    jumped = in_sqlite3(source, tmp_path / "jumped", first_stamp_ns=5)
    bag = recording(jumped)
    plan = bag.plan()
    assert 1 < len(plan.parts) <= 10
    found, _ = frames_of(bag)
    expected, _ = frames_of(recording(source))
    assert [frame.stamp_ns for frame in found] == [frame.stamp_ns for frame in expected]
    assert [frame.has_pose for frame in found] == [frame.has_pose for frame in expected]


def test_bag_content_digest_ignores_the_path_and_sees_a_changed_byte(recordings: Path, tmp_path: Path) -> None:
    source = Source(recordings / "dam" / "left", SourceKind.BAG, "a", "a", recordings)
    moved = Source(Path(shutil.copytree(source.path, tmp_path / "other")), SourceKind.BAG, "b", "b", tmp_path)
    assert moved.content_digest() == source.content_digest()
    (file,) = moved.path.glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert moved.content_digest() != source.content_digest()


def test_bag_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.mcap").write_bytes(b"no recording")
    with pytest.raises(UserError, match=r"noise\.mcap"):
        recording(tmp_path / "noise.mcap").plan()
