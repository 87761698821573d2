# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The node's transitions and parameters over real DDS: their order, their reasons to fail, changes in flight."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from flying_node import TakeOff, wall
from patience import allowed_s
from rclpy.parameter import Parameter
from tiny_model import write_tiny_model

from crack_perception.evaluation.replay.node_process import NodeProcess


def test_lifecycle_full_cycle_keeps_counting(take_off: TakeOff) -> None:
    flight = take_off().start()
    flight.fly_one_frame()
    assert flight.in_node(flight.node.trigger_deactivate).name == "SUCCESS"
    flight.wait(lambda: flight.images.get_subscription_count() == 0)
    assert flight.figures()["state"] == "inactive"
    assert flight.in_node(flight.node.trigger_activate).name == "SUCCESS"
    flight.wait(lambda: flight.images.get_subscription_count() == 1 and flight.poses.get_subscription_count() == 1)
    flight.wait(lambda: flight.camera_infos.get_subscription_count() == 1)
    flight.fly_one_frame()
    assert flight.figures()["frames_processed"] == "2"
    assert flight.in_node(flight.node.trigger_deactivate).name == "SUCCESS"
    assert flight.in_node(flight.node.trigger_cleanup).name == "SUCCESS"
    flight.wait(lambda: flight.figures()["state"] == "unconfigured")
    figures = flight.figures()
    assert figures["pose_source"] == figures["range_source"] == "none"
    assert flight.in_node(flight.node.trigger_configure).name == "SUCCESS"


@pytest.mark.parametrize(
    ("parameters", "remedy"),
    [
        ({"model": "no_such_model"}, "no model"),
        ({"backend": "abacus"}, "one of"),
        ({"severity_edges_mm": [0.3, 0.1]}, "ascending"),
        ({"camera_extrinsic__rotation": [0.0, 0.0, 0.0, 0.0]}, "camera_extrinsic"),
        ({"tile_overlap": 0.95}, "tile_overlap"),
        ({"standoff_m": "far"}, "standoff_m"),
    ],
)
def test_configure_wrong_start_value_fails_with_the_reason(
    take_off: TakeOff, parameters: dict[str, Any], remedy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    flight = take_off(**parameters)
    assert flight.in_node(flight.node.trigger_configure).name == "FAILURE"
    assert remedy in capfd.readouterr().err
    flight.figures()
    status = flight.received["diagnostics"][-1].status[0]
    assert status.level == DiagnosticStatus.ERROR and remedy in status.message
    # The node lives on and flies once the value is mended.
    (name,) = parameters
    good = {"backend": "auto", "severity_edges_mm": [0.0], "tile_overlap": 0.0, "standoff_m": 0.0}
    good |= {"camera_extrinsic__rotation": [0.0, 0.0, 0.0, 1.0]}
    if name in good:
        (result,) = flight.node.set_parameters([Parameter(name.replace("__", "."), value=good[name])])
        assert result.successful, result.reason
        assert flight.in_node(flight.node.trigger_configure).name == "SUCCESS"


def test_configure_auto_takes_the_best_model_that_is_fast_enough(
    take_off: TakeOff, capfd: pytest.CaptureFixture[str]
) -> None:
    flight = take_off(model="auto", expected_rate_hz=0.1)
    assert flight.in_node(flight.node.trigger_configure).name == "SUCCESS"
    assert flight.figures()["model_name"] == "standard"
    assert "Model 'auto' is 'standard', which sustains" in capfd.readouterr().err


def test_configure_auto_without_a_model_that_is_fast_enough_warns(take_off: TakeOff) -> None:
    flight = take_off(model="auto", expected_rate_hz=240.0, expected_width_px=16384, expected_height_px=16384).start()
    assert flight.figures()["model_name"] == "nano"
    status = flight.received["diagnostics"][-1].status[0]
    assert status.level == DiagnosticStatus.WARN
    assert "No model sustains expected_rate_hz 240: the fastest, 'nano'" in status.message


def test_configure_bad_start_values_can_be_fixed_one_by_one(take_off: TakeOff) -> None:
    flight = take_off(severity_edges_mm=[0.3, 0.1], camera_extrinsic__rotation=[0.0, 0.0, 0.0, 0.0])
    assert flight.in_node(flight.node.trigger_configure).name == "FAILURE"
    for name, value in (("severity_edges_mm", [0.1, 0.3]), ("camera_extrinsic.rotation", [0.0, 0.0, 0.0, 1.0])):
        (result,) = flight.node.set_parameters([Parameter(name, value=value)])
        assert result.successful, result.reason
    assert not flight.node.set_parameters([Parameter("severity_edges_mm", value=[0.3, 0.1])])[0].successful
    assert flight.in_node(flight.node.trigger_configure).name == "SUCCESS"


def test_transition_exception_is_reported(take_off: TakeOff, capfd: pytest.CaptureFixture[str]) -> None:
    flight = take_off(**{"qos_overrides./image.subscription.reliability": "sometimes"})
    assert flight.in_node(flight.node.trigger_configure).name == "SUCCESS"
    assert flight.in_node(flight.node.trigger_activate).name == "ERROR"
    assert "Cannot activate" in (said := capfd.readouterr().err) and "sometimes" in said
    assert flight.figures()["state"] == "unconfigured"


def test_configure_changed_model_file_is_refused(
    take_off: TakeOff, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_tiny_model(tmp_path / "changed")
    data = bytearray((folder / "model.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "model.onnx").write_bytes(bytes(data))
    flight = take_off(model=str(folder))
    assert flight.in_node(flight.node.trigger_configure).name == "FAILURE"
    assert "SHA-256" in capfd.readouterr().err


def test_set_parameters_in_flight_accepts_live_ones_only(take_off: TakeOff) -> None:
    flight = take_off().start()

    def set_to(name: str, value: Any) -> Any:
        return flight.node.set_parameters([Parameter(name, value=value)])[0]

    flight.fly_one_frame()
    assert set_to("threshold", 1.0).successful
    flight.fly_one_frame()
    assert flight.received["detections"][-1].detections == []
    refused = set_to("model", "nano")
    assert not refused.successful and "clean it up" in refused.reason
    refused = set_to("severity_preset", "iso9001")
    assert not refused.successful and "gb50204" in refused.reason
    assert not set_to("jpeg_quality", 101).successful
    assert set_to("severity_preset", "ec2").successful
    flight.wait(lambda: len(flight.received["label_info"][-1].class_map) == 5)


def test_qos_override_of_one_topic_leaves_the_others(take_off: TakeOff) -> None:
    override = {"qos_overrides./crack_node/detections.publisher.reliability": "best_effort"}
    flight = take_off(**override)
    assert flight.in_node(flight.node.trigger_configure).name == "SUCCESS"

    def reliability(name: str) -> str:
        flight.wait(lambda: flight.peer.count_publishers(f"/crack_node/{name}") > 0)
        (publisher,) = flight.peer.get_publishers_info_by_topic(f"/crack_node/{name}")
        return publisher.qos_profile.reliability.name

    assert reliability("detections") == "BEST_EFFORT"
    assert reliability("detections_3d") == reliability("markers") == "RELIABLE"


def test_diagnostics_stopped_simulated_clock_are_published(take_off: TakeOff) -> None:
    flight = take_off(use_sim_time=True)
    assert flight.figures()["state"] == "unconfigured"


def test_configure_applies_the_period_of_the_diagnostics(take_off: TakeOff) -> None:
    flight = take_off(diagnostics_period_s=60.0)
    assert flight.node.set_parameters([Parameter("diagnostics_period_s", value=0.1)])[0].successful
    assert flight.in_node(flight.node.trigger_configure).name == "SUCCESS"
    flight.figures()


def test_interrupt_during_a_frame_is_not_a_fault(take_off: TakeOff, tiny_model: Path, tmp_path: Path) -> None:
    flight = take_off()
    settings = {"autostart": "true", "model": str(tiny_model), "pose_timeout_s": "2.0", "diagnostics_period_s": "0.1"}
    arguments = [word for name, value in settings.items() for word in ("-p", f"{name}:={value}")]
    log = tmp_path / "node.log"

    def received_by(name: str) -> bool:
        statuses = [message.status[0] for message in flight.received["diagnostics"]]
        return any(
            value.key == "frames_received" and value.value != "0"
            for status in statuses
            if name in status.name
            for value in status.values
        )

    with NodeProcess("crack_perception.ros.crack_node", ["-r", "__node:=interrupted", *arguments], log):
        flight.wait(lambda: all(p.get_subscription_count() for p in (flight.images, flight.camera_infos, flight.poses)))
        for _ in range(10):  # the first ones may come before the other side is ready
            stamp = flight.stamp()
            flight.send_pose(stamp)
            flight.send_camera_info(stamp)
            time.sleep(0.05)
        # No pose follows these images, so the node waits for one when it is interrupted.
        flight.wait(lambda: flight.send_image(flight.stamp(), wall()) or received_by("interrupted"))
        interrupted_s = time.monotonic()
    assert time.monotonic() - interrupted_s < allowed_s(2.0)
    assert "Detecting cracks" in log.read_text()
    assert "failed" not in log.read_text()
