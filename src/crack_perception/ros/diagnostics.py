"""The node's state as diagnostic_msgs, for the operator and for replays."""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from crack_perception.recognition.scheduling import TileCoverage
from crack_perception.ros.frame_processor import CentreView
from crack_perception.ros.frame_statistics import StatisticsSnapshot


def diagnostic_array(
    stamp: Time,
    node_name: str,
    hardware_id: str,
    failure: str,
    problems: list[str],
    figures: Mapping[str, str],
    part: str = "perception",
) -> DiagnosticArray:
    """One status of a part of the node: ERROR with the failure, else WARN with present problems, else OK."""
    if failure:
        level, message = DiagnosticStatus.ERROR, failure
    elif problems:
        level, message = DiagnosticStatus.WARN, "; ".join(problems)
    else:
        level, message = DiagnosticStatus.OK, figures["state"]
    status = DiagnosticStatus(level=level, name=f"{node_name}: {part}", message=message, hardware_id=hardware_id)
    status.values = [KeyValue(key=key, value=value) for key, value in figures.items()]
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def frame_figures(snapshot: StatisticsSnapshot, dropped: int) -> dict[str, str]:
    """The counters and ages of frames by key."""
    return {
        "frames_received": str(snapshot.received),
        "frames_processed": str(snapshot.processed),
        "frames_dropped": str(dropped),
        "frames_failed": str(snapshot.failed),
        "rate_hz": f"{snapshot.rate_hz:.2f}",
        "frame_age_ms_median": f"{snapshot.age_median_ms:.1f}",
        "frame_age_ms_p95": f"{snapshot.age_p95_ms:.1f}",
        "processing_ms_median": f"{snapshot.processing_median_ms:.1f}",
        "processing_ms_p95": f"{snapshot.processing_p95_ms:.1f}",
    }


def coverage_figures(coverage: TileCoverage) -> dict[str, str]:
    """How many tiles were looked at and left out, and the share of the last frames that was looked at."""
    return {
        "tiles_processed": str(coverage.processed),
        "tiles_skipped": str(coverage.skipped),
        "tile_coverage": f"{coverage.share:.3f}",
    }


def centre_figures(centre: CentreView, resolvable_width_px: float) -> dict[str, str]:
    """How far the surface in the middle of the last frame is, and how fine a crack the camera can judge there."""
    reading = centre.plane.range if centre.plane else None
    figures = {
        "range_source": reading.source if reading else "none",
        "range_m": f"{reading.range_m:.2f}" if reading else "unknown",
        "gsd_mm_per_px": "unknown",
        "resolvable_width_mm": "unknown",
        "resolution": "unknown",
    }
    if reading is not None and centre.gsd_mm_per_px is not None:
        resolvable_mm = resolvable_width_px * centre.gsd_mm_per_px
        figures["gsd_mm_per_px"] = f"{centre.gsd_mm_per_px:.3f}"
        figures["resolvable_width_mm"] = f"{resolvable_mm:.2f}"
        figures["resolution"] = f"below {resolvable_mm:.2f} mm not resolvable at {reading.range_m:.1f} m"
    return figures
