# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Requirements on reports and comparison of variants, without a replay."""

from __future__ import annotations

from typing import Any

import pytest

from crack_perception.errors import UsageError
from crack_perception.evaluation.replay.requirements import NAMES, parse_requirements, requirement_results, result_line

REPORT: dict[str, Any] = {
    "accuracy": {"crack_recall": 0.9, "position_error_m": {"median": 0.02}, "width_mae_mm": None},
    "frames": {"dropped": 0, "failed": 3},
    "map": None,
    "rate_hz": 9.8,
    "problems": ["a", "b"],
}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("recall>=0.9", True),
        ("recall > 0.9", False),
        ("recall>=90%", True),
        ("dropped==0", True),
        ("failed<3", False),
        ("failed<=3", True),
        ("failed!=3", False),
        ("accuracy.position_error_m.median<0.03", True),
        ("position_error_m<1e-2", False),
        ("problems==0", False),
        ("problems==2", True),
        ("width_error_mm<1", False),
        ("map_recall>=0", False),
        ("accuracy.unheard_of>0", False),
    ],
)
def test_requirement_compares_a_figure(text: str, met: bool) -> None:
    (result,) = requirement_results(parse_requirements([text]), REPORT)
    assert result["met"] is met
    assert ("met" if met else "NOT MET") in result_line(result)


def test_requirements_in_one_text_or_several() -> None:
    one = parse_requirements(["recall>=0.9,dropped==0", "rate_hz>5"])
    assert [each.path for each in one] == ["accuracy.crack_recall", "frames.dropped", "rate_hz"]


def test_requirement_unknown_figure_is_not_met_and_says_so() -> None:
    (result,) = requirement_results(parse_requirements(["map_recall>=0"]), REPORT)
    assert "not known" in result_line(result)


@pytest.mark.parametrize("text", ["recall", "recall>=", "recall>=x", "recall>=nan", "recal>=0.9", ">=1", "recall=>0.9"])
def test_requirement_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--require"):
        parse_requirements([text])


def test_requirement_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="recall"):
        parse_requirements(["recal>=0.9"])


def test_requirement_names_are_single_words() -> None:
    assert all(name.replace("_", "").isalpha() for name in NAMES)
