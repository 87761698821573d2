"""State of a node as diagnostic_msgs, for the operator and for replays."""

from __future__ import annotations

import math
from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from crack_perception.recognition.scheduling import TileCoverage
from crack_perception.ros.common.frame_statistics import StatisticsSnapshot
from crack_perception.ros.detector.camera_poses import FirstAvailable
from crack_perception.ros.detector.processor import CentreView

# A fault is to be reported within a second.
_CHECK_INTERVAL_S = 0.25


def diagnostic_array(
    stamp: Time,
    node_name: str,
    hardware_id: str,
    failure: str,
    problems: list[str],
    figures: Mapping[str, str],
    part: str = "perception",
) -> DiagnosticArray:
    """One status of a part of the node: ERROR with a failure, else WARN with present problems, else OK.

    Args:
        stamp: When.
        node_name: Full name of the node.
        hardware_id: What the figures depend on.
        failure: Why the part does not work at all; empty if it does.
        problems: What is wrong at present; in an ERROR they follow the failure.
        figures: Values by key; ``state`` is the message where all is well.
        part: Which part of the node.
    """
    if failure:
        level, message = DiagnosticStatus.ERROR, "; ".join(dict.fromkeys([failure, *problems]))
    elif problems:
        level, message = DiagnosticStatus.WARN, "; ".join(problems)
    else:
        level, message = DiagnosticStatus.OK, figures["state"]
    status = DiagnosticStatus(level=level, name=f"{node_name}: {part}", message=message, hardware_id=hardware_id)
    status.values = [KeyValue(key=key, value=value) for key, value in figures.items()]
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


class DiagnosticsPacer:
    """When to publish diagnostics: once a period, and at once when what is wrong changes.

    A fault is so reported within a check's interval, whatever the period.
    """

    def __init__(self) -> None:
        self._due_s = -math.inf
        self._last_faults: object = None

    def is_due(self, now_s: float, faults: object) -> bool:
        """Whether to publish now.

        Args:
            now_s: On a monotonic clock.
            faults: Everything that is wrong, comparable with what was wrong before.
        """
        return faults != self._last_faults or now_s >= self._due_s

    def note_published(self, now_s: float, faults: object, period_s: float) -> None:
        """Diagnostics were published; the next are due after a period, less half a check's interval."""
        self._last_faults = faults
        self._due_s = now_s + period_s - check_interval_s(period_s) / 2


def check_interval_s(period_s: float) -> float:
    """Seconds between two checks for changes, for a period of the diagnostics."""
    return min(_CHECK_INTERVAL_S, period_s)


def frame_figures(snapshot: StatisticsSnapshot) -> dict[str, str]:
    """The counters and ages of frames by key; received is the sum of the five counters that follow it."""
    return {
        "frames_received": str(snapshot.received),
        "frames_processed": str(snapshot.processed),
        "frames_dropped": str(snapshot.dropped),
        "frames_failed": str(snapshot.failed),
        "frames_skipped_hovering": str(snapshot.skipped),
        "frames_in_progress": str(snapshot.in_progress),
        "rate_hz": f"{snapshot.rate_hz:.2f}",
        "frame_age_ms_median": f"{snapshot.age_median_ms:.1f}",
        "frame_age_ms_p95": f"{snapshot.age_p95_ms:.1f}",
        "processing_ms_median": f"{snapshot.processing_median_ms:.1f}",
        "processing_ms_p95": f"{snapshot.processing_p95_ms:.1f}",
    }


def coverage_figures(coverage: TileCoverage) -> dict[str, str]:
    """Numbers of tiles that were processed and skipped, and the processed share of the last frames."""
    return {
        "tiles_processed": str(coverage.processed),
        "tiles_skipped": str(coverage.skipped),
        "tile_coverage": f"{coverage.share:.3f}",
    }


def pose_figures(poses: FirstAvailable | None) -> dict[str, str]:
    """Source of the last pose, time since that source last sent one, and jumps back in time since activation."""
    silence_s = poses.silence_s if poses else None
    return {
        "pose_source": poses.name if poses else "none",
        "pose_age_ms": "unknown" if silence_s is None else f"{1000.0 * silence_s:.0f}",
        "pose_time_jumps": str(poses.time_jumps if poses else 0),
    }


def centre_figures(centre: CentreView, resolvable_width_px: float) -> dict[str, str]:
    """Range to the surface in the middle of the last frame, and the finest crack width that is resolvable there."""
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
