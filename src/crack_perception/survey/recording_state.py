# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""State of a recording in a run, and its values in the summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crack_perception.survey.registry import Entry
from crack_perception.survey.sources import Source, SourceKind, readable
from crack_perception.survey.tasks import Planned


@dataclass(eq=False)
class RecordingState:
    """Recording of the run.

    Attributes:
        source: Where it is.
        planned: Its plan; None before it is made.
        left: Parts that are not finished.
        summary: Its figures; None before it is finished.
        problem: Why it was skipped; empty otherwise.
        is_resumed: Whether an earlier run has finished it.
    """

    source: Source
    planned: Planned | None = None
    left: set[int] = field(default_factory=set)
    summary: dict[str, Any] | None = None
    problem: str = ""
    is_resumed: bool = False

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left to do."""
        return self.summary is not None or bool(self.problem)

    @property
    def is_unplaced_bag(self) -> bool:
        """Return whether it is a bag, and finished, but none of its frames has a place in the map."""
        return self.source.kind is SourceKind.BAG and self.summary is not None and not self.summary["posed_frames"]

    @property
    def entry(self) -> Entry:
        """Return it as a recording of the archive."""
        return Entry(self.source.structure, _plain(self))


def _plain(recording: RecordingState) -> dict[str, Any]:
    """Return a recording for the summary."""
    return {
        "name": recording.source.name,
        "path": readable(str(recording.source.path)),
        "kind": recording.source.kind.value,
        "key": None if recording.planned is None else recording.planned.key,
        "is_resumed": recording.is_resumed,
        "problem": recording.problem or None,
        **({} if recording.planned is None else _planned(recording.planned)),
        **(recording.summary or {}),
    }


def _planned(planned: Planned) -> dict[str, Any]:
    return {"files": list(planned.plan.files), "plan_wall_s": planned.wall_s}
