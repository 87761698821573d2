# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings of every flight stack and kind of image through the readers of recordings, and through the real nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("map_msgs", reason="map_msgs is not installed: run scripts/setup")
pytest.importorskip("px4_msgs", reason="px4_msgs is not installed; scripts/setup builds its messages")
pytest.importorskip("foxglove_msgs", reason="foxglove_msgs is not installed")
pytest.importorskip("av", reason="PyAV is not installed (extra 'video')")

from evaluation_bags import START_NS
from flying_node import HEIGHT_PX, WIDTH_PX
from stack_bags import recorded
from stack_publishers import BODY, CAMERAS, CRACK_M, STACKS, px4
from tiny_model import write_tiny_model

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.recordings.definitions import DEFINITIONS, VEHICLE_ODOMETRY
from crack_perception.evaluation.recordings.images import ImageReader
from crack_perception.evaluation.recordings.messages import deserialize
from crack_perception.evaluation.recordings.poses import recorded_pose
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.evaluation.replay.runner import replay
from crack_perception.inspection.observation import observation_of
from crack_perception.mapping.export.geojson import load_map_geojson
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.report.orthophoto.recorded_frames import RecordedFrames
from crack_perception.ros.detector.parameters import Settings
from crack_perception.survey.bag_recording import BagRecording
from crack_perception.survey.frames import Faults
from crack_perception.survey.settings import survey_settings
from crack_perception.survey.sources import Source, SourceKind

IMAGES = 8
INTERFACES = Path(__file__).resolve().parents[3] / "interfaces"


def px4_since_start(tape: Any) -> Any:
    """PX4 whose clock counts from a start an hour before."""
    return px4(tape, START_NS - 3600 * 10**9)


def px4_gimbal(tape: Any) -> Any:
    return px4(tape, with_gimbal=True)


@pytest.fixture(scope="module")
def px4_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PX4 over uXRCE-DDS with a camera that sends foxglove's CompressedVideo."""
    return recorded(tmp_path_factory.mktemp("px4") / "bag", px4_since_start, CAMERAS["foxglove"], IMAGES)


def planned(bag_path: Path, **options: Any) -> tuple[dict[str, str], str]:
    """Return the parameters and the notes of the plan for a bag."""
    with open_bag(bag_path) as bag:
        plan = plan_replay(bag, ReplayOptions(bag=bag_path, out=bag_path / "out", **options))
        return dict(plan.parameters), "\n".join(plan.notes)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions_have_the_fields_of_the_interfaces(name: str) -> None:
    package, _, message = name.split("/")
    text = (INTERFACES / package / "msg" / f"{message}.msg").read_text()
    fields = [line.split() for line in text.splitlines() if line.strip() and "=" not in line]
    assert [line.split() for line in DEFINITIONS[name].split("\n") if line] == fields


@pytest.mark.slow
@pytest.mark.parametrize(("stack", "camera"), [("px4", "foxglove"), ("gazebo", "ffmpeg")])
def test_replay_of_a_stack_locates_and_maps_the_crack(stack: str, camera: str, tmp_path: Path) -> None:
    driver = px4_since_start if stack == "px4" else STACKS[stack]
    bag = recorded(tmp_path / "bag", driver, CAMERAS[camera], IMAGES)
    parameters = {"model": str(write_tiny_model(tmp_path / "tiny"))}
    if stack == "px4":
        parameters["standoff_m"] = "2.0"
    out = tmp_path / "out"
    report = replay(ReplayOptions(bag, out, video=False, parameters=parameters, wait_budget_s=300.0), lambda line: None)
    assert report["frames"]["sent"] == report["frames"]["processed"] == IMAGES
    assert report["frames"]["arrays_3d_received"] >= IMAGES - 1
    (crack,) = load_map_geojson(out / "map" / "crack_map.geojson")
    assert np.median(crack.line_m, axis=0) == pytest.approx(CRACK_M, abs=0.15)
    map_frame = "odom" if stack == "gazebo" else "map"
    assert json.loads((out / "detections.json").read_text())["map_frame"] == map_frame


def test_plan_of_each_stack_and_camera_sets_the_types(tmp_path: Path, px4_video: Path) -> None:
    parameters, _ = planned(px4_video)
    assert parameters["image_transport"] == "foxglove" and parameters["pose_source"] == "odom"
    assert parameters["odom_type"] == "VehicleOdometry" and parameters["map_frame"] == "map"
    parameters, notes = planned(recorded(tmp_path / "gazebo", STACKS["gazebo"], CAMERAS["ffmpeg"], 2))
    assert parameters["image_transport"] == "ffmpeg" and parameters["map_frame"] == "odom"
    assert parameters["range_type"] == "LaserScan" and "beam straight ahead of /gazebo/laser" in notes


@pytest.mark.parametrize(("stack", "map_frame"), [("mavros_gimbal", "map"), ("gazebo_gimbal", "default")])
def test_plan_of_a_gimbal_finds_the_frame_of_its_camera_on_tf(stack: str, map_frame: str, tmp_path: Path) -> None:
    parameters, notes = planned(recorded(tmp_path / "bag", STACKS[stack], CAMERAS["usb_cam"], 2))
    assert parameters["pose_source"] == "tf" and parameters["map_frame"] == map_frame
    assert parameters["camera_frame"] == "gimbal_camera_optical_frame"
    assert f"{map_frame} to gimbal_camera_optical_frame" in notes


def test_plan_of_a_gimbal_without_its_transforms_gives_no_wrong_positions(tmp_path: Path) -> None:
    bag = recorded(tmp_path / "bag", px4_gimbal, CAMERAS["usb_cam"], 2)
    parameters, notes = planned(bag)
    assert "odom_type" not in parameters and "no map positions" in notes and "px4_transforms" in notes
    parameters, _ = planned(bag, topics={"odom": "/fmu/out/vehicle_odometry"})
    assert parameters["odom_type"] == "VehicleOdometry"


def test_recorded_pose_of_a_vehicle_odometry_is_in_the_axes_of_ros(px4_video: Path) -> None:
    with open_bag(px4_video) as bag:
        message = next(iter(bag.messages(["/fmu/out/vehicle_odometry"])))
    _, pose = recorded_pose(deserialize(message.data, VEHICLE_ODOMETRY))
    assert pose.position_m == pytest.approx(BODY.position_m)
    assert abs(pose.quaternion @ BODY.quaternion) == pytest.approx(1.0)


def test_image_reader_of_a_video_decodes_every_picture_with_its_stamp(px4_video: Path) -> None:
    with open_bag(px4_video) as bag:
        topic = bag.topic("/camera/video")
        assert topic is not None
        reader = ImageReader(topic.type_name)
        found = [image for message in bag.messages([topic.name]) for image in reader.read(message.data)]
    assert len(found) == IMAGES and len({header.stamp_ns for header, _ in found}) == IMAGES
    assert found[0][0].frame_id == "camera" and found[-1][1]().shape == (HEIGHT_PX, WIDTH_PX, 3)


def test_recorded_frames_of_a_px4_video_have_the_poses_of_the_camera(px4_video: Path, tmp_path: Path) -> None:
    parameters = tmp_path / "crack_node.yaml"
    parameters.write_text(
        "crack_node: {ros__parameters: {camera_extrinsic: {translation: [0.0, 0.0, 0.0], "
        "rotation: [-0.5, 0.5, -0.5, 0.5]}}}\n"
    )
    with open_bag(px4_video) as bag:
        frames = RecordedFrames(bag, {}, parameters)
        posed = list(frames.posed())
        (chosen,) = frames.pictures([IMAGES - 1])
    assert len(posed) == IMAGES and frames.damaged == 0
    assert posed[-1][0].pose.position_m == pytest.approx(BODY.position_m, abs=1e-3)
    assert chosen[0] == IMAGES - 1 and np.array_equal(chosen[1], posed[-1][1])


def test_survey_of_a_px4_video_is_one_part_and_locates_the_crack(px4_video: Path, tmp_path: Path) -> None:
    tiny = str(write_tiny_model(tmp_path / "tiny"))

    def new_detector(settings: Settings) -> FrameDetector:
        model = load_model(tiny)
        return FrameDetector(model, open_backend("onnxruntime", model, 1), settings.tile_overlap, settings.threshold)

    ahead = {"camera_extrinsic.translation": [0.0, 0.0, 0.0], "camera_extrinsic.rotation": [-0.5, 0.5, -0.5, 0.5]}
    settings = survey_settings(None, {"model": tiny, "standoff_m": 2.0, **ahead}, {}, 0.3)
    recording = BagRecording(Source(px4_video, SourceKind.BAG, "bag", "wall", px4_video), settings, new_detector)
    (part,) = recording.plan().parts
    frames = list(recording.frames(part, Faults()))
    assert len(frames) == IMAGES
    seen = observation_of(frames[-2].detections, frames[-2].stamp_ns, "drone", frames[-2].footprint_m).observations
    assert np.median(seen[0].line_m, axis=0) == pytest.approx(CRACK_M, abs=0.15)


@pytest.mark.slow
def test_replay_of_a_thermal_topic_is_refused_with_the_parameter_that_allows_it(tmp_path: Path) -> None:
    def thermal(tape: Any) -> Any:
        from sensor_msgs.msg import Image
        from stack_publishers import image

        images = tape.create_publisher(Image, "/thermal/image_raw", 10)
        return lambda stamp_ns: images.publish(image(stamp_ns, "camera", "rgb8"))

    bag = recorded(tmp_path / "bag", px4, thermal, 2)
    with pytest.raises(UserError, match=r"/thermal/image_raw .* are thermal.*image_is_visible_light"):
        replay(ReplayOptions(bag, tmp_path / "out"), lambda line: None)
