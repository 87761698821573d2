# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Diagnostics of crack_node: figures of tiles, poses, photographs, range and resolution."""

from __future__ import annotations

from collections.abc import Mapping

from crack_perception.recognition.scheduling import TileCoverage
from crack_perception.ros.detector.camera_poses import FirstAvailable
from crack_perception.ros.detector.photographer import PhotographFigures
from crack_perception.ros.detector.processor import CentreView


def coverage_figures(coverage: TileCoverage) -> dict[str, str]:
    """Return the numbers of tiles by what happened to them, and the processed share of the last frames."""
    return {
        "tiles_processed": str(coverage.processed),
        "tiles_skipped": str(coverage.skipped),
        "tiles_second_look": str(coverage.second_looks),
        "tiles_no_structure": str(coverage.no_structure),
        "tile_coverage": f"{coverage.share:.3f}",
    }


def pose_figures(poses: FirstAvailable | None) -> dict[str, str]:
    """Return the source of the last pose, its silence, and the number of jumps back in time since activation."""
    silence_s = poses.silence_s if poses else None
    return {
        "pose_source": poses.name if poses else "none",
        "pose_age_ms": "unknown" if silence_s is None else f"{1000.0 * silence_s:.0f}",
        "pose_time_jumps": str(poses.time_jumps if poses else 0),
    }


def photograph_figures(figures: PhotographFigures) -> dict[str, str]:
    """Return the numbers of photographs since activation, by key."""
    return {
        "photographs_sent": str(figures.sent),
        "photographs_sent_mb": f"{figures.sent_bytes / 1e6:.1f}",
        "photographs_skipped": str(figures.skipped),
        "photographs_blurred": str(figures.blurred),
    }


def listener_figures(listeners: Mapping[str, int]) -> dict[str, str]:
    """Return the number of subscriptions that receive each topic, by key."""
    return {f"listeners_{topic}": str(count) for topic, count in listeners.items()}


def centre_figures(centre: CentreView, resolvable_width_px: float) -> dict[str, str]:
    """Return the range in the middle of the last frame and the finest crack width that is resolvable there."""
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
