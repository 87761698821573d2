# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The parts of the soak test: what it publishes, what it notices, and how it reports."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import psutil
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import TransformStamped
from patience import wait_for
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesis, ObjectHypothesisWithPose

from crack_perception.cli.main import main
from crack_perception.errors import UsageError
from crack_perception.evaluation.soak.feed import Sent, _restamped_tf
from crack_perception.evaluation.soak.nodes import full_disk
from crack_perception.evaluation.soak.processes import ProcessWatch, Starved, growth
from crack_perception.evaluation.soak.soak import SoakOptions
from crack_perception.evaluation.soak.watch import ERROR, OK, Watch

DETECTOR, MAPPER = "/soak/crack_node", "/soak/crack_mapper"
COUNTED = {"received": 9, "processed": 4, "dropped": 2, "failed": 1, "skipped_hovering": 1, "in_progress": 1}


class Quiet:
    """A node whose subscriptions nobody fills: the test calls the watch itself."""

    def create_subscription(self, *args: Any, **kwargs: Any) -> None:
        return None


def watch(sent: dict[int, Sent] | None = None) -> Watch:
    return Watch(Quiet(), DETECTOR, MAPPER, sent or {})  # type: ignore[arg-type]


def diagnostics(
    figures: dict[str, int], level: bytes = DiagnosticStatus.OK, message: str = "active"
) -> DiagnosticArray:
    values = [KeyValue(key=f"frames_{name}", value=str(value)) for name, value in figures.items()]
    return DiagnosticArray(
        status=[DiagnosticStatus(name=f"{DETECTOR}: perception", level=level, message=message, values=values)]
    )


def detections(stamp_ns: int, score: float) -> Detection2DArray:
    result = ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id="undetermined", score=score))
    array = Detection2DArray(detections=[Detection2D(results=[result])])
    array.header.stamp.nanosec = stamp_ns
    return array


def test_watch_consistent_counters_no_violation() -> None:
    listener = watch()
    listener._on_diagnostics(diagnostics(COUNTED))
    assert listener.violations == []


@pytest.mark.parametrize("change", [{"processed": 5}, {"received": 10}, {"in_progress": -1, "processed": 6}])
def test_watch_inconsistent_counters_violation(change: dict[str, int]) -> None:
    listener = watch()
    listener._on_diagnostics(diagnostics(COUNTED | change))
    assert len(listener.violations) == 1 and DETECTOR in listener.violations[0]


def test_watch_first_matches_level_text_and_time() -> None:
    listener = watch()
    listener._on_diagnostics(diagnostics(COUNTED, DiagnosticStatus.ERROR, "No image on '/image'"))
    since_s = time.monotonic()
    assert listener.first(DETECTOR, since_s, (ERROR,)) is None
    listener._on_diagnostics(diagnostics(COUNTED))
    listener._on_diagnostics(diagnostics(COUNTED, DiagnosticStatus.ERROR, "No image on '/image'"))
    found = listener.first(DETECTOR, since_s, (ERROR,), "No image")
    assert found is not None and found.arrived_s >= since_s
    assert listener.first(DETECTOR, since_s, (ERROR,), "pose") is None
    assert listener.first(DETECTOR, since_s, (OK,)) is not None


def test_watch_same_scores_of_same_image_no_violation() -> None:
    listener = watch({1: Sent(0.0, ("raw", 3)), 2: Sent(0.0, ("raw", 3)), 3: Sent(0.0, ("raw", 4))})
    for stamp, score in ((1, 0.9), (2, 0.9), (3, 0.4)):
        listener._on_flat(detections(stamp, score))
    assert listener.violations == [] and listener.compared == 3


@pytest.mark.parametrize(
    ("stamp", "score", "words"),
    [(2, 0.5, "scores"), (3, 0.9, "damaged"), (7, 0.9, "no image was published")],
)
def test_watch_results_of_other_or_damaged_image_violation(stamp: int, score: float, words: str) -> None:
    listener = watch({1: Sent(0.0, ("raw", 3)), 2: Sent(0.0, ("raw", 3)), 3: Sent(0.0, None)})
    listener._on_flat(detections(1, 0.9))
    listener._on_flat(detections(stamp, score))
    assert len(listener.violations) == 1 and words in listener.violations[0]


def test_restamped_tf_message_changes_only_stamp() -> None:
    transform = TransformStamped(header=Header(frame_id="map"), child_frame_id="base_link")
    transform.transform.translation.x = 3.5
    before = TFMessage(transforms=[transform])
    after: Any = deserialize_message(_restamped_tf(bytes(serialize_message(before)), 5_000_000_007), TFMessage)
    stamp = after.transforms[0].header.stamp
    assert (stamp.sec, stamp.nanosec) == (5, 7)
    stamp.sec = stamp.nanosec = 0
    assert after == before


def test_growth_steady_series_zero_leak_positive() -> None:
    steady, leak = [100.0, 101.0] * 60, [100.0 + 0.5 * second for second in range(120)]
    found = growth(steady, 0.3)
    assert found is not None and abs(found.share) < 0.02 and abs(found.per_hour) < 10.0
    found = growth(leak, 0.3)
    assert found is not None and found.share > 0.2 and found.per_hour == pytest.approx(1800.0)
    assert growth([1.0] * 85, 0.3) is None, "59 s"


def test_starved_process_runs_for_share_of_time() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            watched = psutil.Process(process.pid)
            wait_for(lambda: watched.cpu_times().user > 0.1)
            with Starved(process.pid, 0.25):
                began_s, began_cpu_s = time.monotonic(), watched.cpu_times().user
                time.sleep(1.5)
                share = (watched.cpu_times().user - began_cpu_s) / (time.monotonic() - began_s)
            assert share < 0.5
            assert watched.status() != psutil.STATUS_STOPPED
        finally:
            process.kill()


def test_full_disk_fails_writes_only_inside_block(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for line in sys.stdin:\n"
        "    try:\n"
        f"        with open({str(tmp_path / 'file')!r}, 'wb') as file: file.write(b'x' * 10)\n"
        "        print('written', flush=True)\n"
        "    except OSError as error: print(error.errno, flush=True)\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:  # type: ignore[call-overload]

        def answer() -> str:
            process.stdin.write("go\n")
            process.stdin.flush()
            return str(process.stdout.readline()).strip()

        assert answer() == "written"
        with full_disk(process.pid):
            assert answer() != "written"
        assert answer() == "written"
        process.stdin.close()


def test_process_watch_samples_memory_threads_and_files() -> None:
    processes = ProcessWatch()
    try:
        processes.watch("node", psutil.Process().pid)
        wait_for(lambda: len(processes.series[0].threads) >= 2)
    finally:
        processes.stop()
    series = processes.series[0]
    assert min(series.private_mb) > 1.0 and min(series.threads) >= 2 and min(series.descriptors) >= 3


@pytest.mark.parametrize("wrong", [{"minutes": 0.0}, {"rate_hz": 1000.0}, {"size": "4:3"}])
def test_soak_options_out_of_range_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SoakOptions(**wrong)


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "options": {"rate_hz": 30.0, "size": "720p", "model": "nano", "seed": 0},
        "machine": {"processor": "a processor", "usable_cores": 2, "load_before": 0.1},
        "seconds": 1800.0,
        "images_sent": 54000,
        "frames_answered": 50000,
        "diagnostics": 7200,
        "rows": rows,
    }


def test_soak_markdown_one_row_per_fault_with_failed_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = {"fault": "range NaN", "expected": "WARN"}
    rows = [
        {**common, "seen": "WARN after 0.2 s", "passed": True, "reported_s": 0.2},
        {**common, "seen": "WARN | late", "passed": False, "reported_s": 2.5},
    ]
    file = tmp_path / "soak.json"
    file.write_text(json.dumps(report(rows)), encoding="utf-8")
    assert main(["soak", "--markdown", str(file)]) == 0
    text = capsys.readouterr().out
    assert "| range NaN | WARN | WARN \\| late; slowest report 2.50 s | FAIL (1 of 2) |" in text
    assert "Incomplete" not in text
    file.write_text(json.dumps({**report(rows), "incomplete": "interrupted"}), encoding="utf-8")
    assert main(["soak", "--markdown", str(file)]) == 0
    assert "**Incomplete**: interrupted." in capsys.readouterr().out


def test_soak_markdown_other_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}", encoding="utf-8")
    assert main(["soak", "--markdown", str(file)]) == 1
    assert "no report of a soak test" in capsys.readouterr().err
