"""What the diagnostics tell of the map."""

from __future__ import annotations

from collections.abc import Sequence

from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.ros.common.frame_statistics import StatisticsSnapshot


def map_figures(cracks: Sequence[MappedCrack], snapshot: StatisticsSnapshot, incomplete: int) -> dict[str, str]:
    """Cracks by state, frames by fate, and how long mapping takes, by key.

    Args:
        incomplete: Frames whose detections never came.
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
