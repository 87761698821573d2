# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Complete small flights: the bag, its ground truth, and the errors of the command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="flights are written by rosbags (extra: replay)")

from rosbags.highlevel import AnyReader

from crack_perception.cli import simulate
from crack_perception.errors import UsageError, UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.flight.settings import FlightSettings, settings_of
from crack_perception.simulation.flight.simulation import START_NS, Flight, write_flight
from crack_perception.simulation.flight.truth import Truth, load_truth

SMALL = FlightSettings(seed=5, duration_s=1.0, fps=5.0, width=320, height=240, standoff_m=0.4, speed_m_s=0.2, cracks=4)

Messages = dict[str, list[tuple[int, Any]]]


def ignore_progress(written: int, total: int) -> None:
    assert 1 <= written <= total


def read(bag: Path) -> Messages:
    """Messages by topic as (log time, message)."""
    messages: Messages = {}
    with AnyReader([bag]) as reader:
        for connection, time_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            messages.setdefault(connection.topic, []).append((time_ns, message))
    return messages


def stamp_of(header: Any) -> int:
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def pose_of(position: Any, orientation: Any) -> Pose:
    return Pose.of((position.x, position.y, position.z), (orientation.x, orientation.y, orientation.z, orientation.w))


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bag = tmp_path_factory.mktemp("flight") / "bag"
    write_flight(SMALL, bag, False, ignore_progress)
    return bag


@pytest.fixture(scope="module")
def messages(flown: Path) -> Messages:
    return read(flown)


@pytest.fixture(scope="module")
def truth(flown: Path) -> Truth:
    return load_truth(flown)


def test_bag_topics_have_type_rate_and_frame(messages: Messages) -> None:
    assert {topic: items[0][1].__msgtype__ for topic, items in messages.items()} == {
        "/camera/image_raw": "sensor_msgs/msg/Image",
        "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
        "/drone/pose": "geometry_msgs/msg/PoseStamped",
        "/drone/range": "sensor_msgs/msg/Range",
        "/tf": "tf2_msgs/msg/TFMessage",
        "/tf_static": "tf2_msgs/msg/TFMessage",
    }
    for topic, interval_ms, frame in [
        ("/camera/image_raw", 200, "camera_optical_frame"),
        ("/camera/camera_info", 200, "camera_optical_frame"),
        ("/drone/pose", 20, "map"),
        ("/drone/range", 50, "range_sensor"),
    ]:
        stamps = [stamp_of(message.header) for _, message in messages[topic]]
        assert stamps == [time_ns for time_ns, _ in messages[topic]]
        np.testing.assert_allclose(np.diff(stamps), interval_ms * 1e6, atol=1)
        assert {message.header.frame_id for _, message in messages[topic]} == {frame}
    assert len(messages["/tf"]) == len(messages["/drone/pose"])


def test_bag_images_and_camera_info_have_truth_stamps(messages: Messages, truth: Truth) -> None:
    stamps = [stamp_of(message.header) for _, message in messages["/camera/image_raw"]]
    assert stamps == [frame.stamp_ns for frame in truth.frames]
    assert stamps == [stamp_of(message.header) for _, message in messages["/camera/camera_info"]]
    assert stamps[0] == START_NS
    image, info = messages["/camera/image_raw"][0][1], messages["/camera/camera_info"][0][1]
    assert (image.width, image.height, image.encoding, image.step) == (320, 240, "bgr8", 960)
    assert len(image.data) == 320 * 240 * 3
    np.testing.assert_allclose(info.k, truth.camera.k)
    np.testing.assert_allclose(info.d, truth.camera.d)
    assert info.distortion_model == truth.camera.distortion_model == "plumb_bob"


def test_bag_poses_surround_images_and_are_near_truth(messages: Messages, truth: Truth) -> None:
    poses = [(stamp, message.pose) for stamp, message in messages["/drone/pose"]]
    transforms = {item.child_frame_id: item for item in messages["/tf_static"][0][1].transforms}
    assert set(transforms) == {"camera_optical_frame", "range_sensor"}
    mount = transforms["camera_optical_frame"].transform
    base_from_camera = pose_of(mount.translation, mount.rotation)
    np.testing.assert_allclose(np.abs(base_from_camera.quaternion), 0.5)
    for frame in truth.frames:
        assert poses[0][0] < frame.stamp_ns < poses[-1][0]
        _, nearest = min(poses, key=lambda pose: abs(pose[0] - frame.stamp_ns))
        camera = pose_of(nearest.position, nearest.orientation).compose(base_from_camera)
        assert 0 < np.linalg.norm(camera.position_m - frame.position_m) < 0.08
    first = messages["/tf"][0][1].transforms[0]
    assert (first.header.frame_id, first.child_frame_id) == ("map", "base_link")
    assert first.transform.translation.x == messages["/drone/pose"][0][1].pose.position.x


def test_bag_ranges_scatter_around_truth(messages: Messages, truth: Truth) -> None:
    ranges_m = [message.range for _, message in messages["/drone/range"]]
    assert np.mean(ranges_m) == pytest.approx(np.mean([frame.range_m for frame in truth.frames]), abs=0.02)
    assert 0 < np.std(np.diff(ranges_m)) < 0.05
    message = messages["/drone/range"][0][1]
    assert message.min_range < message.range < message.max_range


def test_truth_lists_visible_cracks_per_image(truth: Truth) -> None:
    assert truth.complete and not truth.cells
    assert len(truth.cracks) >= 4
    camera = SMALL.camera
    surface = truth.surfaces[0]
    seen = 0
    for frame in truth.frames:
        view = SurfaceView(camera, surface, Pose.of(frame.position_m, frame.quaternion_xyzw))
        assert view.range_m == pytest.approx(frame.range_m, abs=1e-5)
        assert view.gsd_mm_per_px == pytest.approx(frame.gsd_mm_per_px, rel=1e-4)
        outline_m = view.seen_at(view.outline_px)
        assert (outline_m > 0).all() and (outline_m < surface.size_m).all()
        listed = {item.id: item.fraction for item in frame.visible}
        for crack in truth.cracks:
            fraction = view.visible_fraction(surface.to_surface(crack.polyline_m))
            assert listed.get(crack.id, 0.0) == pytest.approx(fraction, abs=0.01)
        seen += len(listed)
    assert seen > 0


def test_write_flight_same_seed_is_reproducible(flown: Path, tmp_path: Path) -> None:
    write_flight(SMALL, tmp_path / "again", False, ignore_progress)
    payloads = []
    for bag in (flown, tmp_path / "again"):
        with AnyReader([bag]) as reader:
            payloads.append([(c.topic, time_ns, bytes(raw)) for c, time_ns, raw in reader.messages()])
    assert payloads[0] == payloads[1]
    assert (flown / "truth.json").read_text() == (tmp_path / "again" / "truth.json").read_text()
    other = Flight(settings_of("quick", {**vars(SMALL), "seed": 6}))
    assert (other.image(0) != Flight(SMALL).image(0)).mean() > 0.3


def test_image_longer_exposure_blurs_along_flight() -> None:
    def detail(exposure_ms: float) -> tuple[float, float]:
        chosen = {"exposure_ms": exposure_ms, "image_noise": 0.0, "attitude_deg": 0.0, "speed_m_s": 0.5}
        image = Flight(settings_of("quick", {**vars(SMALL), **chosen})).image(2).astype(float)
        return float(np.abs(np.diff(image, axis=1)).mean()), float(np.abs(np.diff(image, axis=0)).mean())

    sharp_along, sharp_across = detail(0.0)
    blurred_along, blurred_across = detail(20.0)
    assert blurred_along < 0.6 * sharp_along
    assert blurred_across > blurred_along * sharp_across / sharp_along


def test_bag_compressed_images_show_the_same_wall(tmp_path: Path) -> None:
    settings = settings_of("quick", {**vars(SMALL), "duration_s": 0.2, "compressed": True, "distortion": "none"})
    write_flight(settings, tmp_path / "bag", False, ignore_progress)
    written = read(tmp_path / "bag")
    assert "/camera/image_raw" not in written
    message = written["/camera/image_raw/compressed"][0][1]
    assert message.format == "jpeg"
    decoded = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - Flight(settings).image(0)).mean() < 3
    info = written["/camera/camera_info"][0][1]
    assert info.distortion_model == "plumb_bob" and not np.any(info.d)


def write_texture(folder: Path, width: int = 1024, height: int = 768) -> Path:
    noise = np.random.default_rng(0).integers(60, 200, (height // 8, width // 8, 3), dtype=np.uint8)
    path = folder / "wall.png"
    assert cv2.imwrite(str(path), cv2.resize(noise, (width, height)))
    return path


def test_plan_photograph_is_covered_without_leaving_it(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("0,1,0,0\n0,1,1,0\n0,0,0,0\n")
    settings = FlightSettings(
        texture=write_texture(tmp_path),
        texture_mm_per_px=0.4,
        texture_labels=labels,
        width=320,
        height=240,
        duration_s=4.0,
        fps=5.0,
    )
    flight = Flight(settings)
    truth = flight.truth()
    assert truth.complete and not truth.cracks and sum(cell.cracked for cell in truth.cells) == 3
    assert truth.frames[0].gsd_mm_per_px == pytest.approx(0.44, rel=0.1)
    outlines_m = []
    for frame in truth.frames:
        view = SurfaceView(settings.camera, truth.surfaces[0], Pose.of(frame.position_m, frame.quaternion_xyzw))
        outlines_m.append(view.seen_at(view.outline_px))
    seen_m = np.concatenate(outlines_m)
    assert (seen_m > 0).all() and (seen_m < truth.surfaces[0].size_m).all()
    assert (np.ptp(seen_m, axis=0) > 0.85 * truth.surfaces[0].size_m).all()
    with_cracks = Flight(settings_of("demo", {**vars(settings), "cracks": 2, "texture_labels": None}))
    assert len(with_cracks.plan.facets[0].cracks) >= 2 and not with_cracks.truth().complete


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    return simulate.run(parser.parse_args(words))


def test_simulate_writes_bag_and_prints_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "flights" / "bag"
    words = ["--preset", "quick", "--duration", "0.4", "--width", "160", "--height", "120", "--seed", "3"]
    assert command("--out", str(out), *words) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n"
    assert "2 images" in captured.err
    assert [path.name for path in sorted(out.iterdir())] == ["bag.mcap", "metadata.yaml", "truth.json"]
    assert [path.name for path in out.parent.iterdir()] == ["bag"]
    with pytest.raises(UserError, match="already exists"):
        command("--out", str(out), *words)
    assert command("--out", str(out), "--force", *words) == 0


def test_simulate_force_replaces_only_bags(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="only replaces bags"):
        command("--out", str(tmp_path), "--force")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--duration", "-1"], "duration_s is -1"),
        (["--fps", "nan"], "fps is nan"),
        (["--hfov", "200"], "hfov_deg is 200"),
        (["--width", "0"], "width is 0"),
        (["--jpeg-quality", "0"], "jpeg_quality is 0"),
        (["--texture-mm-per-px", "0.3"], "without a texture"),
        (["--texture", "wall.png"], "the scale of the texture wall.png is missing"),
    ],
)
def test_simulate_invalid_numbers_are_usage_errors(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        command("--out", str(tmp_path / "bag"), *words)
    assert not list(tmp_path.iterdir())


def test_simulate_view_larger_than_texture_is_refused(tmp_path: Path) -> None:
    texture = write_texture(tmp_path)
    scale = ["--texture", str(texture), "--texture-mm-per-px", "0.4", "--standoff", "2"]
    with pytest.raises(UserError, match=r"the texture is 0\.41 x 0\.31 m, the camera") as caught:
        command("--out", str(tmp_path / "bag"), *scale)
    assert "Fly closer" in caught.value.remedy


def test_simulate_failure_leaves_no_files(tmp_path: Path) -> None:
    def fail(written: int, total: int) -> None:
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_flight(SMALL, tmp_path / "bag", False, fail)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two passes over three facets, with drop-outs."""
    chosen = {"width": 320, "height": 240, "duration_s": 6.0, "cracks": 2, "pose_dropout": 0.2, "image_dropout": 0.2}
    bag = tmp_path_factory.mktemp("survey") / "bag"
    write_flight(settings_of("survey", chosen | {"hfov_deg": 20.0, "seed": 2}), bag, False, ignore_progress)
    return bag


def test_survey_covers_every_facet_in_every_pass(survey: Path) -> None:
    truth = load_truth(survey)
    order = [frame.surface for frame in truth.frames]
    assert [facet for index, facet in enumerate(order) if index == 0 or facet != order[index - 1]] == [0, 1, 2, 0, 1, 2]
    assert len(truth.surfaces) == 3 and {crack.surface for crack in truth.cracks} == {0, 1, 2}
    assert len({crack.id for crack in truth.cracks}) == len(truth.cracks)
    camera = settings_of("survey", {"width": 320, "height": 240, "hfov_deg": 20.0}).camera
    for frame in truth.frames:
        surface = truth.surfaces[frame.surface]
        view = SurfaceView(camera, surface, Pose.of(frame.position_m, frame.quaternion_xyzw))
        assert view.range_m == pytest.approx(frame.range_m, abs=1e-5)
        assert 2.6 < frame.range_m < 3.4
        outline_m = view.seen_at(view.outline_px)
        assert (outline_m > 0).all() and (outline_m < surface.size_m).all()
    for crack in truth.cracks:
        surface = truth.surfaces[crack.surface]
        np.testing.assert_allclose((crack.polyline_m - surface.origin_m) @ surface.normal, 0.0, atol=2e-6)


def test_survey_moving_gimbal_pose_is_published(survey: Path) -> None:
    truth, messages = load_truth(survey), read(survey)
    assert truth.base_frame == "gimbal_link"
    mounts = {item.child_frame_id: item.header.frame_id for item in messages["/tf_static"][0][1].transforms}
    assert mounts == {"camera_optical_frame": "gimbal_link", "range_sensor": "gimbal_link"}
    joints = [{item.child_frame_id: item.transform for item in message.transforms} for _, message in messages["/tf"]]
    poses = [message.pose for _, message in messages["/drone/pose"]]
    for joint, pose in zip(joints[::50], poses[::50], strict=True):
        base = pose_of(joint["base_link"].translation, joint["base_link"].rotation)
        gimbal = base.compose(pose_of(joint["gimbal_link"].translation, joint["gimbal_link"].rotation))
        np.testing.assert_allclose(pose_of(pose.position, pose.orientation).position_m, gimbal.position_m, atol=1e-9)
        np.testing.assert_allclose(pose_of(pose.position, pose.orientation).rotation, gimbal.rotation, atol=1e-9)
        # The drone stays level, except for its attitude motion and its error.
        assert base.rotation[2, 2] > np.cos(np.deg2rad(10))


def test_survey_dropouts_are_missing_from_bag(survey: Path) -> None:
    truth, messages = load_truth(survey), read(survey)
    stamps = [stamp for stamp, _ in messages["/drone/pose"]]
    gaps_s = np.diff(stamps) / 1e9
    assert 0.5 < gaps_s.max() < 2.1
    assert 0 < sum(gaps_s[gaps_s > 0.1]) < 0.5 * (stamps[-1] - stamps[0]) / 1e9
    images = messages["/camera/image_raw/compressed"]
    assert 12 <= len(images) < 24
    assert [stamp for stamp, _ in images] == [frame.stamp_ns for frame in truth.frames]
    # In transit between facets the rangefinder has no target.
    assert np.diff([stamp for stamp, _ in messages["/drone/range"]]).max() > 4e9
    ranges_m = np.array([message.range for _, message in messages["/drone/range"]])
    assert [message.variance for _, message in messages["/drone/range"]] == pytest.approx(
        (0.02 * ranges_m) ** 2, rel=0.2
    )


def test_plan_second_pass_is_offset() -> None:
    flight = Flight(settings_of("quick", {**vars(SMALL), "passes": 2, "duration_s": 2.0}))
    frames = flight.truth().frames
    assert len(frames) == 10
    first, again = frames[0], frames[5]
    assert (again.stamp_ns - first.stamp_ns) / 1e9 == pytest.approx(1.0 + 2.4)
    offset_m = np.linalg.norm(again.position_m - first.position_m)
    assert 0.002 < offset_m < 0.1
