# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Surveys from map files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import reviews
from crack_perception.mapping.evidence.reviewed import reviewed_cracks
from crack_perception.mapping.export.crack_report import iso_time
from crack_perception.mapping.storage.map_file import read_snapshot
from crack_perception.report.comparison.document import SurveyFacts
from crack_perception.report.comparison.survey import Survey, survey_of

Array = npt.NDArray[np.float64]


def read_survey(path: Path) -> tuple[Survey, SurveyFacts, tuple[Array, ...]]:
    """The survey of a map file, facts about it, and its inspected areas (M, 3).

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
    return survey, facts, snapshot.inspected_areas_m
