"""The machine-readable results of a replay: report.json and detections.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crack_perception.evaluation.accuracy import Accuracy
from crack_perception.evaluation.detections import FrameDetections, PublishedRegion
from crack_perception.evaluation.map_accuracy import MapAccuracy
from crack_perception.evaluation.replay_plan import ReplayOptions, ReplayPlan
from crack_perception.evaluation.replay_session import Recording
from crack_perception.evaluation.timing import age_figures, ages_ms, jitter_figures, rate_hz, rounded

DETECTIONS_FORMAT = "crack_perception/detections"


def build_report(
    options: ReplayOptions,
    plan: ReplayPlan,
    recording: Recording,
    accuracy: Accuracy | None,
    map_accuracy: MapAccuracy | None,
    notes: Sequence[str],
) -> dict[str, Any]:
    """The report; figures that are not known are None."""
    status = recording.status
    ages = [age for _, age in ages_ms(recording.playback.images, recording.arrived_s)]
    report = {
        "frames": frame_counts(recording),
        "rate_hz": rate_hz(list(recording.arrived_s.values())),
        "age_ms": age_figures(ages),
        "jitter_ms": jitter_figures(ages),
        "cpu_percent": recording.cpu_percent,
        "rss_mb": recording.rss_mb,
        "model": {"name": status.get("model_name"), "sha256": status.get("model_sha256")},
        "backend": status.get("backend"),
        "accuracy": accuracy.figures if accuracy is not None else None,
        "map": None if map_accuracy is None else map_accuracy.figures | _mapping_time(recording.mapper_status),
        "input_sha256": recording.input_sha256,
        "input_sha256_of": "topic, stamp, length and payload of every message played, in order",
        "config": _config(options, plan, recording),
        "sources": {
            "pose": recording.active_status.get("pose_source"),
            "range": recording.active_status.get("range_source"),
        },
        "playback": {
            "messages": recording.playback.messages,
            "worst_lateness_ms": 1000.0 * recording.playback.worst_lateness_s,
        },
        "diagnostics": status,
        "problems": find_problems(recording),
        "notes": [*plan.notes, *_hovering_note(recording), *notes],
    }
    return dict(rounded(report))


def frame_counts(recording: Recording) -> dict[str, int | None]:
    """What became of the images: the node's own counts beside what the recorder saw."""
    status = recording.status
    return {
        "sent": len(recording.playback.images),
        "received": _count(status, "frames_received"),
        "processed": _count(status, "frames_processed"),
        "dropped": _count(status, "frames_dropped"),
        "failed": _count(status, "frames_failed"),
        "skipped_hovering": _count(status, "frames_skipped_hovering"),
        "arrays_received": recording.arrays,
        "arrays_3d_received": recording.located_arrays,
        "marker_arrays_received": recording.markers,
    }


def _hovering_note(recording: Recording) -> list[str]:
    left_out = _count(recording.status, "frames_skipped_hovering")
    if not left_out:
        return []
    return [f"{left_out} frames were left out, as hover_rate_hz asks for, because the camera's view stood still"]


def find_problems(recording: Recording) -> list[str]:
    """What should not have happened, in words; a node that drops frames under load is no problem by itself."""
    counts = frame_counts(recording)
    problems = []
    if counts["received"] is None:
        problems.append("the node published no diagnostics, so its counters are not known")
    elif counts["received"] != counts["sent"]:
        problems.append(f"of {counts['sent']} images sent the node received {counts['received']}")
    if counts["failed"]:
        problems.append(f"the node failed on {counts['failed']} frames")
    if counts["processed"] is not None and counts["processed"] != counts["arrays_received"]:
        problems.append(
            f"{counts['processed']} frames were processed but {counts['arrays_received']} detection arrays received"
        )
    if not counts["arrays_received"]:
        problems.append("no detection array was received")
    if recording.map_problem:
        problems.append(f"there is no crack map: {recording.map_problem}")
    return problems


def _mapping_time(status: Mapping[str, str]) -> dict[str, Any]:
    """How long the mapper took a frame, by its own diagnostics."""
    times = {name: status.get(f"mapping_ms_{name}") for name in ("median", "p95")}
    return {"mapping_ms": {name: None if value is None else float(value) for name, value in times.items()}}


def detections_document(recording: Recording, map_frame: str, stamps_of_truth: Sequence[int] | None) -> dict[str, Any]:
    """All detections, frame by frame; ``in_truth`` tells whether the frame could be judged (absent without truth)."""
    known = set(stamps_of_truth) if stamps_of_truth is not None else None
    return {
        "format": DETECTIONS_FORMAT,
        "version": 1,
        "map_frame": map_frame,
        "frames": [_frame(frame, known) for frame in recording.frames],
    }


def _config(options: ReplayOptions, plan: ReplayPlan, recording: Recording) -> dict[str, Any]:
    return {
        "rate": options.rate,
        "topics": {name: topic.name for name, topic in plan.inputs.by_input.items()},
        "video": options.video,
        "min_width_px": options.min_width_px,
        "truth": plan.truth is not None,
        "node_parameters": recording.parameters,
    }


def _frame(frame: FrameDetections, known: set[int] | None) -> dict[str, Any]:
    document: dict[str, Any] = {"stamp_ns": frame.stamp_ns, "regions": [_region(region) for region in frame.regions]}
    if known is not None:
        document["in_truth"] = frame.stamp_ns in known
    return document


def _region(region: PublishedRegion) -> dict[str, Any]:
    return {
        "centre_px": rounded(region.box.centre_px.tolist()),
        "size_px": rounded([region.box.length_px, region.box.width_px]),
        "angle_rad": rounded(region.box.angle_rad),
        "score": rounded(region.score),
        "severity": region.severity,
        "width_mm": rounded(region.width_mm),
        "length_m": rounded(region.length_m),
        "position_m": None if region.position_m is None else rounded(region.position_m.tolist()),
        "covariance_m2": None if region.covariance_m2 is None else rounded(region.covariance_m2.tolist()),
    }


def _count(status: Mapping[str, str], key: str) -> int | None:
    return int(status[key]) if key in status else None
