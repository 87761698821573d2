"""What a demonstration shows of the machine it ran on, in words, and whether its flight could be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crack_perception.evaluation.replay.model_choice import ACCURATE_MODEL, ModelChoice

# Below this the playback was not delayed in a way that anyone notices.
_REAL_TIME_STRETCH = 1.1


def machine_sentence(report: Mapping[str, Any]) -> str:
    """How much of the flight the machine could process, and what became of the map."""
    pace, frames, model = report["pace"], report["frames"], report["model"]["name"]
    kept_up = frames["processed"] == frames["sent"]
    if kept_up and pace["stretch"] <= _REAL_TIME_STRETCH:
        head = f"your machine handles this flight in real time ({pace['camera_hz']:.3g} Hz) with the model {model}"
    else:
        handled = "no frame" if pace["handled_hz"] is None else f"{pace['handled_hz']:.1f} Hz"
        head = f"your machine handles {handled} of this flight's {pace['camera_hz']:.3g} Hz with the model {model}"
    parts = [head]
    if pace["stretch"] > _REAL_TIME_STRETCH:
        parts.append(f"it was played {pace['stretch']:.1f} times slower than flown")
    if kept_up:
        parts.append("every frame was processed")
    elif frames["processed"] is not None:
        parts.append(f"{frames['processed']} of {frames['sent']} frames were processed")
    recall = None if report["map"] is None else report["map"]["recall"]
    if recall is not None:
        parts.append(f"the map {'holds' if kept_up else 'still holds'} {recall:.0%} of the cracks' length")
    return "; ".join(parts)


def choice_sentence(choice: ModelChoice) -> str:
    """Why a model was chosen."""
    expected = f"{ACCURATE_MODEL} takes {1000.0 * choice.frame_s:.0f} ms a frame here now"
    if choice.name == ACCURATE_MODEL:
        return f"{expected}: it was taken"
    return f"{expected}, {choice.stretch:.0f} times slower than the flight: the quicker model {choice.name} was taken"


def faults(report: Mapping[str, Any], strict: bool) -> list[str]:
    """Why the demonstration failed; empty when the flight was evaluated.

    Args:
        report: As in ``report.json``.
        strict: Dropped and lost frames are faults too, as every other problem of the report.
    """
    frames = report["frames"]
    if strict:
        dropped = [f"the node dropped {frames['dropped']} frames"] if frames["dropped"] else []
        return [*report["problems"], *dropped]
    found = []
    if not frames["arrays_received"]:
        found.append("no detection array was received")
    elif report["accuracy"] is None:
        found.append("the detections could not be compared with the truth of the flight")
    if frames["failed"]:
        found.append(f"the node failed on {frames['failed']} frames")
    if frames["received"] is None:
        found.append("the node published no diagnostics, so its counters are not known")
    if report["map_problem"]:
        found.append(f"there is no crack map: {report['map_problem']}")
    return found
