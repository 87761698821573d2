# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Diagnostics of crack_mapper: figures of cracks, frames and photographs."""

from __future__ import annotations

from collections.abc import Sequence

from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.ros.common.frame_statistics import StatisticsSnapshot
from crack_perception.ros.mapper.evidence import EvidenceFigures


def evidence_figures(figures: EvidenceFigures) -> dict[str, str]:
    """Return the numbers of photographs, by key."""
    return {
        "photographs_kept": str(figures.kept),
        "photographs_kept_mb": f"{figures.kept_bytes / 1e6:.1f}",
        "photographs_received": str(figures.received),
        "photographs_refused": str(figures.refused),
        "photographs_without_crack": str(figures.without_crack),
        "photographs_damaged": str(figures.damaged),
    }


def map_figures(cracks: Sequence[MappedCrack], snapshot: StatisticsSnapshot, incomplete: int) -> dict[str, str]:
    """Return the numbers of cracks by state, counters of frames and times of mapping, by key.

    Args:
        cracks: All cracks of the map.
        snapshot: Frame statistics.
        incomplete: Number of frames whose detections did not arrive.
    """
    states = [crack.state for crack in cracks]
    return {
        **{f"cracks_{state.value}": str(states.count(state)) for state in CrackState},
        "frames_received": str(snapshot.received),
        "frames_mapped": str(snapshot.processed),
        "frames_refused": str(snapshot.failed),
        "frames_incomplete": str(incomplete),
        "rate_hz": f"{snapshot.rate_hz:.2f}",
        "frame_age_ms_median": f"{snapshot.age_median_ms:.1f}",
        "frame_age_ms_p95": f"{snapshot.age_p95_ms:.1f}",
        "mapping_ms_median": f"{snapshot.processing_median_ms:.2f}",
        "mapping_ms_p95": f"{snapshot.processing_p95_ms:.2f}",
    }
