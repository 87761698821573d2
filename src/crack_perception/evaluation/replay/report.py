# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The machine-readable results of a replay: report.json and detections.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crack_perception.evaluation.machine import processor_figures
from crack_perception.evaluation.metrics.accuracy import Accuracy
from crack_perception.evaluation.metrics.detections import FrameDetections, PublishedRegion
from crack_perception.evaluation.metrics.map_accuracy import MapAccuracy
from crack_perception.evaluation.replay.input_topics import InputTopics
from crack_perception.evaluation.replay.plan import ReplayOptions, ReplayPlan
from crack_perception.evaluation.replay.session import Recording
from crack_perception.evaluation.replay.timing import age_figures, ages_ms, jitter_figures, rate_hz, rounded

DETECTIONS_FORMAT = "crack_perception/detections"

_MAX_DAMAGE_SHOWN = 3
_MAX_JUMPS_SHOWN = 3
# Kinds of faults that mean failed frames, and those that are expected after the last image of a bag.
_FAILURES = {"bad_image", "inference", "internal"}
_EXPECTED_AT_END = {"no_image"}


def build_report(
    options: ReplayOptions,
    plan: ReplayPlan,
    recording: Recording,
    accuracy: Accuracy | None,
    map_accuracy: MapAccuracy | None,
    notes: Sequence[str],
) -> dict[str, Any]:
    """Build the content of ``report.json``; unknown figures are None."""
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
        "machine": processor_figures(),
        "accuracy": accuracy.figures if accuracy is not None else None,
        "map": None if map_accuracy is None else map_accuracy.figures | _mapper_figures(recording.mapper_status),
        "input_sha256": recording.input_sha256,
        "interrupted": recording.interrupted,
        "input_sha256_of": "topic, stamp, length and payload of every message played, in order",
        "config": _config(options, plan, recording),
        "sources": {
            "pose": recording.active_status.get("pose_source"),
            "range": recording.active_status.get("range_source"),
        },
        "playback": {
            "messages": recording.playback.messages,
            "worst_lateness_ms": 1000.0 * recording.playback.worst_lateness_s,
            "duration_s": recording.playback.duration_s,
            "held_s": recording.playback.held_s,
            "time_jumps": [
                {"images_before": images, "seconds": seconds} for images, seconds in recording.playback.jumps
            ],
        },
        "pace": pace(recording),
        "diagnostics": status,
        "unreadable": {
            "messages": dict(sorted(recording.losses.messages.items())),
            "damage": list(recording.losses.texts),
        },
        "node_problems": {
            problem.kind: {"count": problem.count, "text": problem.text} for problem in recording.node_problems
        },
        "problems": find_problems(recording, plan.inputs),
        "map_problem": recording.map_problem or None,
        "notes": [*plan.notes, *_jump_note(recording), *_hovering_note(recording), *_node_notes(recording), *notes],
    }
    return dict(rounded(report))


def frame_counts(recording: Recording) -> dict[str, int | None]:
    """Count the images: sent, reported by the node, and recorded results."""
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


def pace(recording: Recording) -> dict[str, Any]:
    """Return the rates at which images were taken, played and processed.

    Returns:
        ``mode`` ("real time", "slowed down" if images were delayed, or "frames dropped"), ``camera_hz`` from the
        stamps, ``handled_hz`` from the results (each None for fewer than two), and ``stretch``, the playing time as a
        multiple of the planned time.
    """
    playback = recording.playback
    stamps = [image.key_ns for image in playback.images if image.key_ns is not None]
    interval_s = float(np.median(np.diff(stamps))) / 1e9 if len(stamps) > 1 else 0.0
    planned_s = playback.duration_s - playback.held_s
    dropped = bool(_count(recording.status, "frames_dropped"))
    slowed = "slowed down" if playback.held_s > 0 else "real time"
    return {
        "mode": "frames dropped" if dropped else slowed,
        "camera_hz": 1.0 / interval_s if interval_s > 0 else None,
        "handled_hz": rate_hz(list(recording.arrived_s.values())),
        "stretch": playback.duration_s / planned_s if planned_s > 0 else 1.0,
    }


def _jump_note(recording: Recording) -> list[str]:
    jumps = recording.playback.jumps
    if not jumps:
        return []
    shown = ", ".join(f"by {seconds:.3g} s after image {images}" for images, seconds in jumps[:_MAX_JUMPS_SHOWN])
    more = f" and {len(jumps) - _MAX_JUMPS_SHOWN} times more" if len(jumps) > _MAX_JUMPS_SHOWN else ""
    return [
        f"time jumps back inside the recording ({shown}{more}): it was recorded over a loop or a reset. Every lap is "
        "evaluated by itself; equal stamps of different laps are different frames"
    ]


def _hovering_note(recording: Recording) -> list[str]:
    skipped = _count(recording.status, "frames_skipped_hovering")
    if not skipped:
        return []
    return [f"{skipped} frames were skipped because of hover_rate_hz while the camera's view did not change"]


def _node_notes(recording: Recording) -> list[str]:
    """Return a note for each kind of fault that the node reported."""
    return [
        f"the node reported {problem.count} x {problem.kind}: {problem.text}"
        for problem in recording.node_problems
        if problem.text and problem.kind not in _EXPECTED_AT_END
    ]


def find_problems(recording: Recording, inputs: InputTopics | None = None) -> list[str]:
    """Describe the problems of a replay; dropped frames under load are not a problem by themselves.

    Args:
        recording: Recording of the replay.
        inputs: Topics that were played; None accepts missing positions.
    """
    counts = frame_counts(recording)
    problems = [*_interruption(recording), *_losses(recording), *_stamp_problems(recording)]
    if counts["received"] is None:
        problems.append("the node published no diagnostics, so its counters are unknown")
    elif counts["received"] != counts["sent"]:
        problems.append(f"of {counts['sent']} images sent the node received {counts['received']}")
    if counts["failed"]:
        reasons = "; ".join(problem.text for problem in recording.node_problems if problem.kind in _FAILURES)
        problems.append(f"the node failed on {counts['failed']} frames" + (f": {reasons}" if reasons else ""))
    if counts["processed"] is not None and counts["processed"] != counts["arrays_received"]:
        problems.append(
            f"{counts['processed']} frames were processed but {counts['arrays_received']} detection arrays received"
        )
    if not counts["arrays_received"]:
        problems.append("no detection array was received")
    elif not counts["arrays_3d_received"] and inputs is not None and _expects_positions(inputs, recording):
        problems.append(f"no frame was located in the map, although {_played(inputs)} were played{_why(recording)}")
    return problems + _map_problems(recording)


def _map_problems(recording: Recording) -> list[str]:
    """Return why the map is missing, or that it lacks frames; the mapper's counters are unknown without diagnostics."""
    if recording.map_problem:
        return [f"there is no crack map: {recording.map_problem}"]
    mapped = _count(recording.mapper_status, "frames_received")
    if mapped is None or mapped >= recording.located_arrays:
        return []
    return [f"of {recording.located_arrays} frames located in the map, crack_mapper received {mapped}"]


def _interruption(recording: Recording) -> list[str]:
    if not recording.interrupted:
        return []
    played_s = recording.playback.duration_s
    return [f"the replay was interrupted after {played_s:.1f} s: the report covers what was played"]


def _losses(recording: Recording) -> list[str]:
    losses = recording.losses
    if not losses:
        return []
    lost = {topic: count for topic, count in losses.messages.items() if count}
    counted = f"{sum(lost.values())} messages on {len(lost)} topics are unreadable"
    by_topic = f" ({', '.join(f'{count} of {topic}' for topic, count in sorted(lost.items()))})" if lost else ""
    shown = losses.texts[:_MAX_DAMAGE_SHOWN]
    more = f"; {len(losses.texts) - len(shown)} more in report.json" if len(losses.texts) > len(shown) else ""
    details = f": {'; '.join(shown)}{more}" if shown else ""
    return [f"the bag is damaged, {counted}{by_topic}{details}"]


def _stamp_problems(recording: Recording) -> list[str]:
    stamps = [image.key_ns for image in recording.playback.images]
    distinct = len(set(stamps))
    if len(stamps) < 2 or distinct == len(stamps):
        return []
    if distinct == 1:
        return [
            f"all {len(stamps)} images have the same stamp ({stamps[0]} ns): configure the driver to stamp its images"
        ]
    return [f"{len(stamps)} images have only {distinct} different stamps: the node treats equal stamps as one frame"]


_POSES = {"pose": "poses", "odom": "odometry", "/tf": "tf"}
_DISTANCES = {"range": "ranges", "depth": "depth images"}
# Fault of the node that explains missing positions.
_NO_POSE = "no_pose"


def _played(inputs: InputTopics) -> str:
    """Describe the inputs that a position in the map needs."""
    words = [word for name, word in {**_POSES, **_DISTANCES}.items() if name in inputs.by_input]
    return ", ".join(["camera_info", *words[:-1]]) + f" and {words[-1]}"


def _why(recording: Recording) -> str:
    """Return the node's last explanation of a missing pose, after a colon; empty without one."""
    found = next((problem.text for problem in recording.node_problems if problem.kind == _NO_POSE), "")
    return f": {found}" if found else ""


def _expects_positions(inputs: InputTopics, recording: Recording) -> bool:
    """Return whether all inputs that a position in the map needs were played to a node that uses them."""
    played = inputs.by_input.keys()
    is_wanted = recording.parameters.get("pose_source") != "none"
    return bool(is_wanted and "camera_info" in played and played & _POSES.keys() and played & _DISTANCES.keys())


def _mapper_figures(status: Mapping[str, str]) -> dict[str, Any]:
    """Return the mapper's time per frame and its counters of photographs from its diagnostics."""
    times = {name: status.get(f"mapping_ms_{name}") for name in ("median", "p95")}
    prefix = "photographs_"
    return {
        "mapping_ms": {name: None if value is None else float(value) for name, value in times.items()},
        "photographs": {
            name.removeprefix(prefix): float(value) for name, value in status.items() if name.startswith(prefix)
        },
    }


def detections_document(recording: Recording, map_frame: str, stamps_of_truth: Sequence[int] | None) -> dict[str, Any]:
    """Build the content of ``detections.json``; with a truth, ``in_truth`` is whether it contains the frame."""
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
        "topic_choice": list(plan.inputs.notes),
        "start_s": options.window.start_s,
        "duration_s": None if math.isinf(options.window.duration_s) else options.window.duration_s,
        "video": options.video,
        "min_width_px": options.min_width_px,
        "truth": plan.has_truth,
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
