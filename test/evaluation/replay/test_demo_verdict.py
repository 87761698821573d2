"""Summary sentence and faults of the demo on fast, slow and failing machines."""

from __future__ import annotations

from typing import Any

import pytest

from crack_perception.evaluation.replay.demo import (
    MAX_STRETCH,
    choice_of,
    choice_sentence,
    faults,
    machine_sentence,
)


def report(
    processed: int = 220, stretch: float = 1.0, handled_hz: float | None = 9.9, **changes: Any
) -> dict[str, Any]:
    """Return the evaluated part of a report of 220 images at 10 Hz."""
    figures = {
        "frames": {
            "sent": 220,
            "received": 220,
            "processed": processed,
            "dropped": 220 - processed,
            "failed": 0,
            "arrays_received": processed,
        },
        "pace": {"mode": "", "camera_hz": 10.0, "handled_hz": handled_hz, "stretch": stretch},
        "model": {"name": "standard"},
        "map": {"recall": 0.984},
        "accuracy": {"crack_recall": 0.99},
        "problems": [],
        "map_problem": None,
    }
    frames = figures["frames"] | changes.pop("frames", {})
    return {**figures, **changes, "frames": frames}


def test_machine_sentence_real_time_names_the_rate() -> None:
    sentence = machine_sentence(report())
    assert sentence.startswith("your machine handles this flight in real time (10 Hz) with the model standard")
    assert "every frame was processed" in sentence and "the map holds 98% of the cracks' length" in sentence


def test_machine_sentence_slowed_down_names_rate_and_stretch() -> None:
    sentence = machine_sentence(report(stretch=3.2, handled_hz=3.04))
    assert sentence.startswith("your machine handles 3.0 Hz of this flight's 10 Hz with the model standard")
    assert "played 3.2 times slower than flown; every frame was processed" in sentence


def test_machine_sentence_dropped_frames_are_counted() -> None:
    sentence = machine_sentence(report(processed=81, handled_hz=3.0))
    assert "81 of 220 frames were processed; the map still holds 98%" in sentence
    assert "nan" not in machine_sentence(report(map=None)) and "map" not in machine_sentence(report(map=None))


def test_faults_dropped_and_lost_frames_only_when_strict() -> None:
    slow = report(processed=81, problems=["of 220 images sent the node received 219"], frames={"received": 219})
    assert faults(slow, strict=False) == []
    assert faults(slow, strict=True) == [
        "of 220 images sent the node received 219",
        "the node dropped 139 frames",
    ]
    assert faults(report(), strict=True) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"frames": {"arrays_received": 0}}, "no detection array"),
        ({"accuracy": None}, "could not be compared"),
        ({"frames": {"failed": 2}}, "failed on 2 frames"),
        ({"frames": {"received": None}}, "no diagnostics"),
        ({"map_problem": "the disk is full"}, "no crack map: the disk is full"),
    ],
)
def test_faults_unevaluated_flight_names_the_cause(changes: dict[str, Any], expected: str) -> None:
    assert any(expected in fault for fault in faults(report(**changes), strict=False))


def test_choice_of_slow_standard_selects_nano() -> None:
    quick, slow = choice_of(0.05, 10.0), choice_of(0.6, 10.0)
    assert (quick.name, quick.stretch, slow.name) == ("standard", 1.0, "nano")
    assert slow.stretch > MAX_STRETCH
    assert choice_of(0.18, 10.0).name == "standard"
    assert choice_sentence(slow) == (
        "standard currently takes 600 ms per frame on this machine, 9 times slower than the flight: "
        "the faster model nano is used"
    )
    assert choice_sentence(quick).startswith("standard currently takes 50 ms per frame on this machine")
