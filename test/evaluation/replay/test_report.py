# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Report of a hand-made recording as JSON, and settings of a replay."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_reports import (
    SECOND_NS,
    accuracy_of,
    changed,
    flight,
    map_accuracy_of,
    options,
    plan_of,
    recording,
)

from crack_perception.evaluation.page.summary import summary_lines
from crack_perception.evaluation.recordings.bag import BagTopic, Losses
from crack_perception.evaluation.replay.files import readdressed
from crack_perception.evaluation.replay.input_topics import InputTopics
from crack_perception.evaluation.replay.messages import NodeProblem
from crack_perception.evaluation.replay.pictures import PictureSpool, write_video
from crack_perception.evaluation.replay.plan import ReplayOptions
from crack_perception.evaluation.replay.player import Playback
from crack_perception.evaluation.replay.report import build_report, detections_document, find_problems
from crack_perception.evaluation.replay.runner import severity_scale
from crack_perception.evaluation.replay.session import Recording, ros_arguments
from crack_perception.evaluation.replay.timing import SentImage
from crack_perception.parameter_files import ineffective_settings

# Stable keys that external scripts use.
REPORT_KEYS = {
    "frames": {"sent", "received", "processed", "dropped", "failed"},
    "age_ms": {"median", "p95", "max"},
    "jitter_ms": {"mean", "max", "sigma"},
    "model": {"name", "sha256"},
    "accuracy": {
        *("crack_recall", "false_regions_per_frame", "false_regions_per_m2", "position_error_m", "length_error"),
        *("width_mae_px", "width_mae_mm", "severity_accuracy", "undetermined_rate"),
    },
    "map": {"recall", "duplicates", "false_objects_per_100m2", "position_error_m"},
}
PLAIN_KEYS = {"rate_hz", "cpu_percent", "rss_mb", "backend", "map", "input_sha256", "config"}


def test_build_report_has_stable_keys_and_figures(tmp_path: Path) -> None:
    report = build_report(
        options(tmp_path),
        plan_of(tmp_path),
        recording(),
        accuracy_of(flight()),
        map_accuracy_of(flight()),
        ["one more"],
    )
    for key, inner in REPORT_KEYS.items():
        assert inner <= set(report[key]), key
    assert set(report) >= PLAIN_KEYS
    assert report["frames"]["sent"] == 3
    assert report["age_ms"] == {"median": 50.0, "p95": pytest.approx(68.0), "max": 70.0}
    assert report["rate_hz"] == 1.0
    # One frame shows each crack.
    assert report["accuracy"]["cracks_found"] == {"n": 2, "found": 1}
    assert report["accuracy"]["false_regions_per_frame"] == pytest.approx(1 / 3, rel=1e-5)
    assert report["notes"] == ["a note & more", "one more"]
    assert report["problems"] == []
    assert report["map"]["objects"] == {"new": 0, "confirmed": 2, "lost": 0}
    # The map has one of the two cracks, and a false object.
    assert report["map"]["recall"] == pytest.approx(0.5)
    assert report["map"]["false_objects"] == 1
    assert report["map"]["position_error_before_m"]["median"] == pytest.approx(0.01)
    assert report["map"]["mapping_ms"] == {"median": 1.25, "p95": 2.5}
    assert any(line.startswith("map ") and "50.0% of the length" in line for line in summary_lines(report))
    assert json.loads(json.dumps(report)) == report


def test_build_report_without_truth_has_no_accuracy(tmp_path: Path) -> None:
    report = build_report(options(tmp_path), plan_of(tmp_path), recording(), None, None, [])
    assert report["accuracy"] is None and report["map"] is None
    assert not any("recall" in line for line in summary_lines(report))


@pytest.mark.parametrize(
    ("altered", "expected"),
    [
        (changed(frames_received="2"), "3 images sent"),
        (changed(frames_failed="1"), "failed on 1"),
        (changed(arrays=2), "3 frames were processed but 2"),
        (changed(arrays=0, frames_processed="0"), "no detection array"),
        (changed(status={}), "no diagnostics"),
        (changed(map_problem="the disk is full"), "no crack map: the disk is full"),
        (changed(mapper_status={"frames_received": "1"}), "3 frames located in the map, crack_mapper received 1"),
    ],
)
def test_find_problems_lost_frames_and_results_are_problems(altered: Recording, expected: str) -> None:
    assert any(expected in problem for problem in find_problems(altered))


def test_find_problems_dropped_frames_are_no_problem() -> None:
    assert find_problems(changed(frames_dropped="1", frames_processed="2", arrays=2)) == []


def inputs_of(*names: str) -> InputTopics:
    """Return inputs of these names."""
    return InputTopics({name: BagTopic(f"/drone/{name}".replace("//", "/"), "", 3) for name in names}, ())


NO_POSE = NodeProblem("no_pose", 3, "Only 2D results, the camera's pose is unknown: tf: it ended")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("image", "camera_info", "range", "/tf"), "camera_info, tf and ranges were played"),
        (("image", "camera_info", "depth", "/tf", "/tf_static"), "camera_info, tf and depth images were played"),
        (("image", "camera_info", "range", "pose"), "camera_info, poses and ranges were played"),
        (("image", "camera_info", "range", "depth", "odom"), "camera_info, odometry, ranges and depth images were"),
        (("image", "camera_info", "/tf"), ""),
        (("image", "range", "/tf"), ""),
        (("image", "camera_info", "range"), ""),
    ],
)
def test_find_problems_no_located_frame_is_a_problem_with_any_pose_source(
    names: tuple[str, ...], expected: str
) -> None:
    lost = changed(located_arrays=0, node_problems=(NO_POSE,))
    problems = find_problems(lost, inputs_of(*names))
    assert len(problems) == bool(expected)
    assert all(expected in problem and NO_POSE.text in problem for problem in problems)
    assert find_problems(recording(), inputs_of(*names)) == []
    unwanted = changed(located_arrays=0, parameters={**recording().parameters, "pose_source": "none"})
    assert find_problems(unwanted, inputs_of(*names)) == []


def test_build_report_hovering_frames_are_noted_and_no_problem(tmp_path: Path) -> None:
    hovering = changed(frames_skipped_hovering="1", frames_processed="2", arrays=2)
    report = build_report(options(tmp_path), plan_of(tmp_path), hovering, None, None, [])
    assert report["frames"]["skipped_hovering"] == 1
    assert report["problems"] == []
    assert any("1 frames were skipped because of hover_rate_hz" in line for line in summary_lines(report))


def test_detections_document_contains_all_region_fields() -> None:
    document = detections_document(recording(), "map", [SECOND_NS])
    first, second, third = document["frames"]
    assert (first["in_truth"], second["in_truth"], third["regions"]) == (True, False, [])
    assert first["regions"][0]["centre_px"] == [319.5, 239.5]
    assert first["regions"][0]["size_px"] == [200.0, 25.0]
    assert first["regions"][0]["position_m"] == [-2.6, 0.0, 2.0]
    assert first["regions"][0]["covariance_m2"][1] == [0.0, 0.0001, 0.0]


def test_write_video_contains_every_picture(tmp_path: Path) -> None:
    with closing(PictureSpool(tmp_path / "spool")) as pictures:
        assert "no annotated picture" in write_video(pictures, tmp_path / "none.mp4")
        for index in range(5):
            _, encoded = cv2.imencode(".jpg", np.full((48, 64, 3), 40 * index, np.uint8))
            pictures.append(index * SECOND_NS // 5, encoded.tobytes())
        assert write_video(pictures, tmp_path / "video.mp4") == ""
    video = cv2.VideoCapture(str(tmp_path / "video.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(5.0)
    video.release()


def test_severity_scale_custom_edges_override_preset() -> None:
    assert severity_scale({"severity_preset": "ec2", "severity_edges_mm": [0.0]}).edges_mm == (0.2, 0.3, 0.4)
    assert severity_scale({"severity_preset": "ec2", "severity_edges_mm": [0.5, 1.0]}).edges_mm == (0.5, 1.0)


def test_ros_arguments_user_parameters_override_the_bags(tmp_path: Path) -> None:
    requested = ReplayOptions(
        bag=tmp_path, out=tmp_path, params_file=tmp_path / "p.yaml", parameters={"image_transport": "compressed"}
    )
    arguments = ros_arguments(plan_of(tmp_path), requested)
    order = [
        arguments.index(word)
        for word in ("image_transport:=raw", str(tmp_path / "p.yaml"), "image_transport:=compressed")
    ]
    assert order == sorted(order)
    assert arguments[-1] == "use_sim_time:=true"


def test_build_report_contains_losses_and_node_faults(tmp_path: Path) -> None:
    losses = Losses()
    losses.add("/pose", 2, "a.mcap: the chunk at byte 7 is damaged")
    problem = NodeProblem("bad_image", 3, "encoding 'yuv999' is not known")
    report = build_report(
        options(tmp_path),
        plan_of(tmp_path),
        changed(losses=losses, node_problems=(problem,), frames_failed="3"),
        None,
        None,
        [],
    )
    problems = " | ".join(report["problems"])
    assert "2 messages on 1 topics are unreadable (2 of /pose)" in problems and "byte 7" in problems
    assert "failed on 3 frames: encoding 'yuv999'" in problems
    assert report["unreadable"] == {"messages": {"/pose": 2}, "damage": ["a.mcap: the chunk at byte 7 is damaged"]}
    assert report["node_problems"] == {"bad_image": {"count": 3, "text": problem.text}}
    assert any("3 x bad_image" in note for note in report["notes"])


@pytest.mark.parametrize(("stamps", "expected"), [((0, 0, 0), "same stamp"), ((1, 1, 2), "only 2 different")])
def test_find_problems_equal_stamps_are_a_problem(stamps: tuple[int, ...], expected: str) -> None:
    playback = Playback([SentImage(stamp, 100.0) for stamp in stamps], 3, 0.0)
    assert any(expected in problem for problem in find_problems(changed(playback=playback)))


def test_readdressed_other_namespace_applies_to_the_replay(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("crack_node:\n  ros__parameters:\n    threshold: 0.9\nother:\n  ros__parameters:\n    a: 1\n")
    used, notes = readdressed(path, "/replay/crack_node", tmp_path / "copy.yaml")
    assert ineffective_settings(used, "/replay/crack_node", ["threshold"]) == []
    assert "threshold: 0.9" in used.read_text()
    assert "'crack_node'" in notes[0]
    path.write_text("/**:\n  ros__parameters:\n    threshold: 0.9\n")
    assert readdressed(path, "/replay/crack_node", tmp_path / "copy.yaml") == (path, [])
