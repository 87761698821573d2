# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Comparison of two map files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import reviews
from crack_perception.mapping.evidence.reviewed import reviewed_cracks
from crack_perception.mapping.export.crack_report import iso_time
from crack_perception.mapping.export.plan.shapes import Drawing
from crack_perception.mapping.export.plan.surfaces import Surfaces
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.report.comparison.alignment import Prior
from crack_perception.report.comparison.changes import Comparison, compare
from crack_perception.report.comparison.document import SurveyFacts
from crack_perception.report.comparison.drawing import DrawnComparison, comparison_plan
from crack_perception.report.comparison.survey import Survey, survey_of


@dataclass(frozen=True, eq=False)
class ComparedMaps:
    """Two map files compared.

    Attributes:
        result: What has changed.
        old, new: The surveys.
        old_facts, new_facts: About them.
        new_surfaces: Facets of the new one, as its report shows them.
    """

    result: Comparison
    old: Survey
    new: Survey
    old_facts: SurveyFacts
    new_facts: SurveyFacts
    new_surfaces: Surfaces

    @property
    def drawn(self) -> DrawnComparison:
        """Contents of the plan."""
        alignment = self.result.alignment
        in_new = self.old.moved(alignment.to_new, alignment.rotation.T)
        only_old = {crack_id for change in self.result.changes if not change.new_ids for crack_id in change.old_ids}
        gone = tuple(crack for crack in in_new.cracks if crack.id in only_old)
        return DrawnComparison(self.result, self.new_surfaces, self.new.cracks, gone)

    def plan(self, title: str) -> Drawing:
        """The changes as a plan on A3."""
        subtitle = (
            f"Old survey: {self.old_facts.first_seen[:10]}, {self.old_facts.cracks} cracks\n"
            f"New survey: {self.new_facts.first_seen[:10]}, {self.new_facts.cracks} cracks"
        )
        return comparison_plan(self.drawn, title, subtitle)


def compare_maps(old_path: Path, new_path: Path, prior: Prior, confidence: float = 0.95) -> ComparedMaps:
    """Compare two map files, each as reviewed.

    Raises:
        UserError: A file cannot be read or holds no crack, or the maps cannot be aligned.
    """
    (old, old_facts, _), (new, new_facts, surfaces) = read_survey(old_path), read_survey(new_path)
    return ComparedMaps(compare(old, new, prior, confidence), old, new, old_facts, new_facts, surfaces)


def read_survey(path: Path) -> tuple[Survey, SurveyFacts, Surfaces]:
    """The survey of a map file, facts about it, and its facets with the ids of the cracks as reviewed.

    Raises:
        UserError: The file cannot be read, or holds no crack.
    """
    snapshot = read_snapshot(path)
    decided = reviews(snapshot.decisions)
    reviewed = reviewed_cracks(snapshot.cracks, decisions=snapshot.decisions)
    survey = survey_of(
        tuple(each.crack for each in reviewed),
        {each.id: each.review for each in reviewed if decided.keys() & {each.id, *each.parts}},
        snapshot.inspected_areas_m,
    )
    if not survey.cracks and not survey.rejected:
        raise UserError(f"{path}: holds no crack to compare", "Give the map of a survey that has found cracks")
    everything = (*survey.cracks, *survey.rejected)
    facts = SurveyFacts(
        file=path.name,
        cracks=len(survey.cracks),
        first_seen=iso_time(min(crack.first_seen_ns for crack in everything)),
        last_seen=iso_time(max(crack.last_seen_ns for crack in everything)),
    )
    return survey, facts, Surfaces.of(snapshot.cracks, snapshot.inspected_areas_m).of_reviewed(reviewed)
