# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Lines of a survey about the faults of a recording."""

from __future__ import annotations

from crack_perception.survey.progress import fault_lines


def summary(posed: int, **faults: int) -> dict[str, object]:
    texts = {kind: f"text of {kind}" for kind in faults}
    return {"frames": 10, "posed_frames": posed, "faults": faults, "fault_texts": texts}


def test_fault_lines_of_an_intact_recording_are_none() -> None:
    assert fault_lines(summary(10)) == []
    assert fault_lines(summary(0)) == []  # photographs without poses are processed in pixels


def test_fault_lines_name_frames_without_a_place_and_the_most_frequent_faults() -> None:
    lines = fault_lines(summary(0, pose_rejected=70, no_pose=10))
    assert lines[0] == "none of its 10 frames has a place in the map"
    assert lines[1:] == ["70 x text of pose_rejected", "10 x text of no_pose"]


def test_fault_lines_of_many_kinds_are_counted() -> None:
    lines = fault_lines(summary(5, a=1, b=2, c=3, d=4, e=5))
    assert lines[0] == "5 x text of e"
    assert lines[-1] == "2 more kinds of faults, see its done.json"
