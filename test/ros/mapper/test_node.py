# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""crack_mapper over real DDS: what it maps, publishes, saves and refuses."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("map_msgs", reason="map_msgs is not installed: run scripts/setup")

from crack_survey import PATIENCE_S, Survey, crack, detections_message, header, points_message, wait
from diagnostic_msgs.msg import DiagnosticStatus
from flying_node import init_ros
from map_cracks import straight_crack
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker

from crack_perception.mapping.export.geojson import load_map_geojson
from crack_perception.mapping.storage.database import MapStore
from crack_perception.ros.common import qos
from crack_perception.ros.common.crack_points import rows_of
from crack_perception.ros.mapper import node as mapper_node

SetOut = Callable[..., Survey]
LEFT, RIGHT = crack(0.0), crack(1.0, z_m=0.7)


@pytest.fixture
def set_out() -> Iterator[SetOut]:
    """Makes mappers with a peer and ends them."""
    init_ros()
    surveys: list[Survey] = []

    def make(**parameters: Any) -> Survey:
        surveys.append(Survey(**parameters))
        return surveys[-1]

    yield make
    for each in surveys:
        each.stop()


def has(count: int) -> Callable[[Detection3DArray], bool]:
    return lambda array: len(array.detections) == count


def test_mapper_several_frames_make_one_map(set_out: SetOut) -> None:
    survey = set_out().start()
    for _ in range(4):
        stamp_ns = survey.send(LEFT, RIGHT)
    survey.status(cracks_confirmed="2", frames_mapped="4")
    array = survey.map_with(lambda m: len(m.detections) == 2 and m.detections[0].header.stamp == header(stamp_ns).stamp)
    assert array.header.frame_id == "map"
    assert [detection.id for detection in array.detections] == ["crack-1", "crack-2"]
    by_height = sorted(array.detections, key=lambda detection: -detection.bbox.center.position.z)
    for detection, line in zip(by_height, (LEFT, RIGHT), strict=True):
        position = detection.bbox.center.position
        np.testing.assert_allclose([position.x, position.y, position.z], line[15], atol=0.02)
        assert detection.bbox.size.x == pytest.approx(0.6, rel=0.05)
        assert detection.bbox.size.y == pytest.approx(0.0005, rel=0.05)
        assert detection.results[0].hypothesis.class_id == "obvious"
    wait(lambda: set(rows_of(survey.received["map_points"][-1])["detection"]) == {1, 2})
    _, figures = survey.status()
    assert float(figures["mapping_ms_median"]) > 0.0


def test_mapper_late_subscriber_gets_map_and_markers(set_out: SetOut) -> None:
    survey = set_out().start()
    survey.send(LEFT)
    survey.map_with(has(1))
    late = Node("late")
    received: list[Detection3DArray] = []
    late.create_subscription(Detection3DArray, "/crack_mapper/map", received.append, qos.LATCHED)
    survey._executor.add_node(late)
    markers = survey.listen_to_markers()
    wait(lambda: bool(received) and bool(markers))
    assert len(received[-1].detections) == 1
    shapes = markers[-1].markers
    assert [m.action for m in shapes] == [Marker.DELETEALL, Marker.ADD, Marker.ADD]
    survey._executor.remove_node(late)
    late.destroy_node()


def test_mapper_detections_alone_are_mapped_from_boxes(set_out: SetOut) -> None:
    survey = set_out(pairing_timeout_s=0.05).start()
    survey.send(LEFT, footprint=False, crack_points=None)
    (detection,) = survey.map_with(has(1)).detections
    assert detection.bbox.size.x == pytest.approx(0.6, rel=0.05)


def test_mapper_invalid_messages_are_refused_and_the_next_is_mapped(set_out: SetOut) -> None:
    survey = set_out().start()
    survey.send(LEFT, frame_id="odom")
    status, figures = survey.status(problems_wrong_frame="1")
    assert "map_frame is 'map'" in status.message and figures["frames_refused"] == "1"
    cloud = points_message(header(survey.stamp_ns), [LEFT])
    cloud.fields = cloud.fields[2:]
    cloud.header.stamp = header(survey.stamp_ns + 250_000_000).stamp
    survey.send(LEFT, crack_points=cloud)
    status, _ = survey.status(problems_bad_points="1")
    assert status.level == DiagnosticStatus.WARN and "no field 'x'" in status.message
    stamp_ns = survey.stamp_ns + 250_000_000
    survey.send(LEFT, detections_3d=detections_message(header(stamp_ns), [LEFT], sigma_m=float("nan")))
    survey.status(problems_bad_covariance="1", frames_mapped="1")
    survey.map_with(has(1))


def test_mapper_default_point_cloud_is_refused_without_harm(set_out: SetOut) -> None:
    survey = set_out().start()
    head = header(survey.stamp_ns + 250_000_000)
    survey.send(LEFT, crack_points=PointCloud2(header=head))
    survey.status(problems_bad_points="1")
    survey.send()
    survey.status(frames_mapped="1")


def test_mapper_missing_and_shared_sources_are_reported(set_out: SetOut) -> None:
    survey = set_out(sources=["/crack_node", "/drone2/crack_node"]).start()
    wait(lambda: "Nobody publishes '/drone2/crack_node/detections_3d'" in survey.status()[0].message)
    survey.publishers_of("/crack_node")
    wait(lambda: "2 nodes publish '/crack_node/" in survey.status()[0].message)


def test_mapper_second_one_of_the_same_name_is_reported(set_out: SetOut) -> None:
    survey = set_out().start()
    assert "maps are mixed up" not in survey.status(state="active")[0].message
    survey.node.create_publisher(Detection3DArray, "/crack_mapper/map", qos.LATCHED)
    wait(lambda: "2 nodes publish '/crack_mapper/map'" in survey.status()[0].message)


def test_activate_source_under_two_names_fails_with_the_reason(set_out: SetOut) -> None:
    survey = set_out(sources=["crack_node", "/crack_node"])
    assert survey.in_mapper(survey.mapper_node.trigger_configure).name == "SUCCESS"
    assert survey.in_mapper(survey.mapper_node.trigger_activate).name == "FAILURE"
    status, _ = survey.status(state="inactive")
    assert "Name each source once" in status.message


def test_mapper_two_sources_make_one_map(set_out: SetOut) -> None:
    survey = set_out(sources=["/crack_node", "/drone2/crack_node"]).start()
    first, second = survey.publishers, survey.publishers_of("/drone2/crack_node")
    wait(lambda: all(p.get_subscription_count() for p in second.values()))
    for publishers in (first, second, first, second):
        survey.publishers = publishers
        survey.send(LEFT)
    _, figures = survey.status(frames_mapped="4")
    assert figures["cracks_confirmed"] == "1" and figures["cracks_new"] == "0"


def test_query_returns_the_points_of_a_region(set_out: SetOut) -> None:
    survey = set_out().start()
    survey.send(LEFT, RIGHT)
    survey.map_with(has(2))
    everything = rows_of(survey.query(x=3.0, y=0.5, z=1.0, r=5.0))
    left = rows_of(survey.query(x=3.0, y=0.3, z=1.5, l_x=0.2, l_y=2.0, l_z=0.2))
    assert 0 < len(left) < len(everything) and len(set(left["detection"])) == 1
    assert len(rows_of(survey.query(x=float("nan"), r=1.0))) == 0
    survey.status(problems_bad_query="1")


def test_save_writes_every_file_and_returns_the_paths(set_out: SetOut, tmp_path: Path) -> None:
    survey = set_out(output_folder=str(tmp_path / "maps"), geo_origin=[48.0, 11.0, 500.0, 90.0]).start()
    survey.send(LEFT)
    survey.map_with(has(1))
    answer = survey.trigger("save")
    assert answer.success, answer.message
    expected = {f"crack_map{end}" for end in (".geojson", "_wgs84.geojson", ".csv", ".svg", ".png")}
    assert {path.name for path in (tmp_path / "maps").iterdir()} == expected
    assert all(str(tmp_path / "maps" / name) in answer.message for name in expected)
    (saved,) = load_map_geojson(tmp_path / "maps" / "crack_map.geojson")
    assert saved.id == 1 and saved.length_m == pytest.approx(0.6, rel=0.05)


@pytest.mark.parametrize(("folder", "reason"), [("", "Set output_folder"), ("file/maps", "cannot be created")])
def test_save_missing_or_unusable_folder_fails_with_the_reason(
    set_out: SetOut, tmp_path: Path, folder: str, reason: str
) -> None:
    (tmp_path / "file").write_text("")
    survey = set_out(output_folder=folder and str(tmp_path / folder)).start()
    answer = survey.trigger("save")
    assert not answer.success and reason in answer.message


def test_services_unconfigured_fail_with_the_reason(set_out: SetOut) -> None:
    survey = set_out()
    assert "Configure the node first" in survey.trigger("save").message
    assert "Configure the node first" in survey.trigger("reset").message
    assert survey.query(r=1.0).width == 0


def test_reset_empties_the_map_and_keeps_archive_and_ids(set_out: SetOut, tmp_path: Path) -> None:
    survey = set_out(database=str(tmp_path / "map.sqlite")).start()
    survey.send(LEFT)
    survey.map_with(has(1))
    answer = survey.trigger("reset")
    assert answer.success
    survey.map_with(has(0))
    (kept,) = tmp_path.glob("map.sqlite.until-*")
    assert str(kept) in answer.message
    store = MapStore(kept)
    assert [crack.id for crack in store.load()] == [1]
    store.close()
    survey.send(RIGHT)
    assert survey.map_with(has(1)).detections[0].id == "crack-2"


def test_reset_blocked_disk_does_not_stop_mapping(
    set_out: SetOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = set_out(database=str(tmp_path / "map.sqlite")).start()
    store, released = survey.mapper_node._keeper._store, threading.Event()
    empty = store.clear
    monkeypatch.setattr(store, "clear", lambda: released.wait(PATIENCE_S) and empty())
    monkeypatch.setattr(mapper_node, "_RESET_S", 0.5)
    survey.send(LEFT)
    survey.map_with(has(1))
    outcome = survey.trigger("reset")
    assert not outcome.success and "has not answered for 0.5 s" in outcome.message
    monkeypatch.setattr(mapper_node, "_RESET_S", PATIENCE_S)
    client = survey.node.create_client(Trigger, "/crack_mapper/reset")
    wait(client.service_is_ready)
    pending = client.call_async(Trigger.Request())
    survey.send(LEFT, RIGHT)
    survey.map_with(has(2))
    assert not pending.done()
    released.set()
    wait(pending.done)
    assert pending.result().success
    survey.map_with(has(0))


def test_lifecycle_keeps_the_map_and_restart_keeps_ids(set_out: SetOut, tmp_path: Path) -> None:
    path = tmp_path / "map.sqlite"
    survey = set_out(database=str(path)).start()
    node = survey.mapper_node
    for _ in range(3):
        survey.send(LEFT)
    survey.status(frames_mapped="3")
    assert survey.in_mapper(node.trigger_deactivate).name == "SUCCESS"
    assert (tmp_path / "crack_map.geojson").is_file() and (tmp_path / "crack_map.csv").is_file()
    assert not (tmp_path / "crack_map.png").exists()  # left to crack_perception plan
    assert survey.in_mapper(node.trigger_cleanup).name == "SUCCESS"
    store = MapStore(path)  # the file is free again, and whole
    (stored,) = store.load()
    store.save([straight_crack(9)])
    store.close()
    survey.received["map"].clear()
    survey.start()
    assert [d.id for d in survey.map_with(has(2)).detections] == ["crack-1", "crack-9"]
    survey.send(LEFT)
    survey.status(frames_mapped="1")
    survey.map_with(lambda m: m.detections[0].header.stamp == header(survey.stamp_ns).stamp)
    assert survey.in_mapper(node.trigger_deactivate).name == "SUCCESS"
    saved = load_map_geojson(tmp_path / "crack_map.geojson")
    assert [each.id for each in saved] == [1, 9] and saved[0].views == stored.views + 1


def test_configure_database_in_use_fails_and_can_be_repeated(set_out: SetOut, tmp_path: Path) -> None:
    path = tmp_path / "map.sqlite"
    other = MapStore(path)
    survey = set_out(database=str(path))
    assert survey.in_mapper(survey.mapper_node.trigger_configure).name == "FAILURE"
    status, _ = survey.status(state="unconfigured")
    assert status.level == DiagnosticStatus.ERROR and "in use by another" in status.message
    other.close()
    assert survey.in_mapper(survey.mapper_node.trigger_configure).name == "SUCCESS"


def test_configure_database_far_from_the_origin_is_a_warning(set_out: SetOut, tmp_path: Path) -> None:
    path = tmp_path / "map.sqlite"
    near = straight_crack(1)
    with closing(MapStore(path)) as store:
        store.save([replace(near, line_m=near.line_m + [500_000.0, 5_400_000.0, 0.0])])
    survey = set_out(database=str(path)).start()
    status, _ = survey.status(problems_far_from_origin="1")
    assert status.level == DiagnosticStatus.WARN
    assert "km from the map's origin" in status.message and "rounding errors of up to 250 mm" in status.message


def test_configure_damaged_database_is_archived_with_a_warning(set_out: SetOut, tmp_path: Path) -> None:
    path = tmp_path / "map.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    survey = set_out(database=str(path)).start()
    status, _ = survey.status(problems_database_rescued="1")
    assert status.level == DiagnosticStatus.WARN
    (kept,) = (each for each in tmp_path.glob("map.sqlite.corrupt-*") if each.is_file())
    assert kept.read_bytes().startswith(b"no database") and str(kept) in status.message


def test_mapper_failing_disk_is_an_error_and_everything_is_saved_later(set_out: SetOut, tmp_path: Path) -> None:
    path, away = tmp_path / "map.sqlite", tmp_path / "away"
    survey = set_out(database=str(path)).start()
    survey.send(LEFT)
    survey.map_with(has(1))
    wait(lambda: survey.status()[1]["unsaved_s"] == "0.0")
    os.rename(path, away)
    survey.send(LEFT, RIGHT)
    survey.map_with(has(2))
    wait(lambda: survey.status()[0].level == DiagnosticStatus.ERROR)
    assert "removed or replaced" in survey.status()[0].message
    answer = survey.trigger("save")
    assert not answer.success and "The exports are written" in answer.message
    assert not survey.trigger("reset").success
    survey.send(LEFT, RIGHT)
    survey.status(frames_mapped="3")
    os.rename(away, path)
    wait(lambda: survey.status()[0].level == DiagnosticStatus.OK)
    assert survey.in_mapper(survey.mapper_node.trigger_deactivate).name == "SUCCESS"
    assert survey.in_mapper(survey.mapper_node.trigger_cleanup).name == "SUCCESS"
    store = MapStore(path)
    assert len(store.load()) == 2
    store.close()


def test_set_parameters_in_flight_accepts_live_ones_only(set_out: SetOut) -> None:
    survey = set_out().start()
    survey.send(LEFT)
    assert survey.map_with(has(1)).detections[0].results[0].hypothesis.class_id == "obvious"

    def set_to(name: str, value: Any) -> Any:
        return survey.in_mapper(lambda: survey.mapper_node.set_parameters([Parameter(name, value=value)])[0])

    assert set_to("severity_edges_mm", [0.7, 2.0]).successful
    survey.map_with(lambda m: m.detections[0].results[0].hypothesis.class_id == "<0.7mm")
    refused = set_to("map.confirm_views", 9)
    assert not refused.successful and "clean it up" in refused.reason
    assert not set_to("severity_edges_mm", [2.0, 0.7]).successful


@pytest.mark.parametrize(
    ("parameters", "remedy"),
    [
        ({"sources": ["drone 1"]}, "crack_node"),
        ({"map.confirm_views": 0}, "confirm_views"),
        ({"database": 7}, "database"),
    ],
)
def test_configure_wrong_start_value_fails_with_the_reason(
    set_out: SetOut, parameters: dict[str, Any], remedy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    survey = set_out(**parameters)
    assert survey.in_mapper(survey.mapper_node.trigger_configure).name == "FAILURE"
    assert remedy in capfd.readouterr().err
