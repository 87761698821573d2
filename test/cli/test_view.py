# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception view``: what is written for Rerun can be read back; wrong usage; the lines of crack clouds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from map_cracks import straight_crack

from crack_perception.cli.main import main
from crack_perception.evaluation.view.messages import crack_lines
from crack_perception.evaluation.view.scene import crack_label
from crack_perception.mapping.export.crack_report import crack_report
from crack_perception.mapping.storage.database import MapStore
from crack_perception.recognition.severity import SeverityScale

HAS_RERUN = importlib.util.find_spec("rerun") is not None
needs_rerun = pytest.mark.skipif(not HAS_RERUN, reason="rerun-sdk is not installed (extra 'view')")


def printed(path: Path) -> str:
    """Return what Rerun's own reader finds in a file."""
    done = subprocess.run(
        [sys.executable, "-m", "rerun_cli", "rrd", "print", "-v", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    path = tmp_path / "map.sqlite"
    with closing(MapStore(path)) as store:
        store.save([straight_crack(1), straight_crack(2)], [], 3)
    return path


@needs_rerun
def test_view_map_written_file_holds_the_cracks(map_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "map.rrd"
    assert main(["view", str(map_file), "--out", str(out)]) == 0
    text = printed(out)
    assert "/map/cracks" in text and "LineStrips3D" in text


@needs_rerun
@pytest.mark.slow
def test_view_bag_written_file_holds_images_and_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flight = tmp_path / "flight"
    simulate = "--preset quick --width 64 --height 48 --duration 0.4 --cracks 1"
    assert main(["simulate", "--out", str(flight), *simulate.split()]) == 0
    assert main(["view", str(flight), "--out", str(tmp_path / "flight.rrd")]) == 0
    assert "/camera/image_raw: " in capsys.readouterr().out
    text = printed(tmp_path / "flight.rrd")
    assert "/images/camera/image_raw" in text and "/map/path" in text


@pytest.mark.skipif(HAS_RERUN, reason="rerun-sdk is installed")
def test_view_without_rerun_names_the_extra(map_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(map_file), "--out", str(map_file.with_suffix(".rrd"))]) == 1
    assert "extra 'view'" in capsys.readouterr().err


@needs_rerun
def test_show_live_subscribes_to_topics_whatever_their_quality_of_service(tmp_path: Path) -> None:
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    from geometry_msgs.msg import Point32, PolygonStamped, Pose, PoseStamped
    from nav_msgs.msg import Path as PathMessage
    from patience import PATIENCE_S
    from rclpy.qos import qos_profile_sensor_data

    from crack_perception.evaluation.view.live import show_live
    from crack_perception.evaluation.view.scene import Scene
    from crack_perception.ros.common import qos

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("source", context=context)
    footprints = node.create_publisher(PolygonStamped, "/seen/footprint", qos_profile_sensor_data)
    path = PathMessage(poses=[PoseStamped(pose=Pose()) for _ in range(3)])
    node.create_publisher(PathMessage, "/seen/revisit_path", qos.LATCHED).publish(path)
    polygon = PolygonStamped()
    polygon.polygon.points = [Point32(x=float(i % 2), y=float(i // 2)) for i in range(4)]
    scene = Scene(tmp_path / "live.rrd")

    def is_ended() -> bool:
        footprints.publish(polygon)
        return {"/seen/footprint", "/seen/revisit_path"} <= view.keys()

    view: dict[str, int] = {}
    try:
        show_live(scene, PATIENCE_S, is_ended, view)
    finally:
        scene.close()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    text = printed(tmp_path / "live.rrd")
    assert "/map/seen/footprint" in text and "/map/seen/revisit_path" in text


def cloud(rows: np.ndarray, kind: np.dtype) -> SimpleNamespace:
    fields = [SimpleNamespace(name=name, offset=kind.fields[name][1]) for name in kind.names]
    return SimpleNamespace(
        fields=fields,
        is_bigendian=False,
        point_step=kind.itemsize,
        width=len(rows),
        height=1,
        data=np.frombuffer(rows.tobytes(), np.uint8),
    )


def test_crack_lines_of_a_cloud_are_its_polylines_without_the_mark_of_missing_lines() -> None:
    kind = np.dtype([("x", "<f4"), ("width_mm", "<f4"), ("y", "<f4"), ("z", "<f4"), ("line", "<u4")])
    rows = np.array([(0, 1, 0, 2, 7), (1, 1, 0, 2, 7), (0, 1, 3, 2, 9), (np.nan, 0, np.nan, np.nan, 10)], dtype=kind)
    lines = list(crack_lines(cloud(rows, kind)))
    assert [line.tolist() for line in lines] == [[[0, 0, 2], [1, 0, 2]], [[0, 3, 2]]]


def test_crack_lines_of_another_or_a_truncated_cloud_are_none() -> None:
    kind = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    assert list(crack_lines(cloud(np.zeros(3, kind), kind))) == []
    with_lines = np.dtype([*kind.descr, ("line", "<u4")])
    truncated = cloud(np.zeros(3, with_lines), with_lines)
    truncated.data = truncated.data[:-1]
    assert list(crack_lines(truncated)) == []


def test_crack_label_gives_number_width_length_and_severity() -> None:
    report = crack_report(straight_crack(4), SeverityScale.of_preset("gb50204"))
    label = crack_label(report)
    assert label.startswith("crack 4, ") and " mm, " in label and label.endswith(report.severity.verdict)
