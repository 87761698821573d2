# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Summary of a report for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crack_perception.evaluation.machine import processor_text


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """Return the main figures of a report, then its notes and problems, one per line."""
    lines = [_line("frames", _frames(report["frames"])), _line("speed", _speed(report))]
    if report["accuracy"] is not None:
        lines += [_line("detected", _found(report["accuracy"])), _line("measured", _measured(report["accuracy"]))]
    if report["map"] is not None:
        lines += [_line("map", _map(report["map"])), _line("map error", _map_errors(report["map"]))]
    sha256 = (report["model"]["sha256"] or "")[:12]
    lines.append(_line("model", f"{report['model']['name']} ({sha256}) on {report['backend']}"))
    if "machine" in report:  # earlier versions did not write it
        lines.append(_line("machine", processor_text(report["machine"])))
    lines += [_line("note", note) for note in report["notes"]]
    return lines + [_line("PROBLEM", problem) for problem in report["problems"]]


def _frames(frames: Mapping[str, int | None]) -> str:
    names = ("sent", "received", "processed", "dropped", "failed")
    counts = ", ".join(f"{name} {_text(frames[name])}" for name in names)
    return f"{counts}; arrays {frames['arrays_received']}, in the map {frames['arrays_3d_received']}"


def _speed(report: Mapping[str, Any]) -> str:
    age, jitter = report["age_ms"] or {}, report["jitter_ms"] or {}
    return (
        f"{_text(report['rate_hz'], '.2f', ' Hz')}; "
        f"age {_text(age.get('median'), '.0f', ' ms')} (p95 {_text(age.get('p95'), '.0f')}); "
        f"jitter {_text(jitter.get('mean'), '.0f', ' ms')} (max {_text(jitter.get('max'), '.0f')}); "
        f"{report['cpu_percent']:.0f} % of a core, {report['rss_mb']:.0f} MB"
    )


def _found(accuracy: Mapping[str, Any]) -> str:
    cracks = accuracy["cracks_found"]
    counted = f", {cracks['found']} of {cracks['n']} cracks found" if cracks else ""
    return (
        f"recall {_text(accuracy['crack_recall'], '.3f')} ({accuracy['kind']}){counted}; "
        f"false regions per frame {_text(accuracy['false_regions_per_frame'], '.2f')}; "
        f"intact surface flagged {_text(accuracy['sound_flagged_share'], '.1%')}"
    )


def _measured(accuracy: Mapping[str, Any]) -> str:
    position = accuracy["position_error_m"] or {}
    return (
        f"position error {_text(position.get('median'), '.3f', ' m')} (p95 {_text(position.get('p95'), '.3f')}), "
        f"width error {_text(accuracy['width_mae_mm'], '.2f', ' mm')}, "
        f"severity correct {_text(accuracy['severity_accuracy'], '.2f')}, "
        f"undetermined {_text(accuracy['undetermined_rate'], '.2f')}"
    )


def _map(figures: Mapping[str, Any]) -> str:
    objects = figures["objects"]
    return (
        f"{objects['confirmed']} cracks confirmed, {objects['new']} new, {objects['lost']} lost; "
        f"recall {_text(figures['recall'], '.1%')} of the length, duplicates {_text(figures['duplicates'], '.1%')}, "
        f"false {_text(figures['false_objects'])} ({_text(figures['false_objects_per_100m2'], '.2f')} per 100 m²)"
    )


def _map_errors(figures: Mapping[str, Any]) -> str:
    after, before = figures["position_error_m"] or {}, figures["position_error_before_m"] or {}
    return (
        f"position {_text(after.get('median'), '.3f', ' m')} (single frames {_text(before.get('median'), '.3f')}), "
        f"inside the 95 % ellipse {_text(figures['covariance_inside_95'], '.0%')}, "
        f"width {_text(figures['width_mae_mm'], '.2f', ' mm')}, length {_text(figures['length_error'], '.1%')}, "
        f"mapping {_text(figures['mapping_ms']['median'], '.2f', ' ms')} per frame"
    )


def _line(label: str, text: str) -> str:
    return f"{label:<10} {text}"


def _text(value: float | None, form: str = "", unit: str = "") -> str:
    return "unknown" if value is None else f"{value:{form}}{unit}"
