# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The record of a photograph: to JSON and back, refused where it is wrong, and how good photographs are."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from map_cracks import photograph_of_crack

from crack_perception.mapping.evidence.photograph import photograph_folder, photograph_of, plain_photograph


def test_record_of_photograph_comes_back_exactly() -> None:
    photograph = photograph_of_crack(gsd_mm_per_px=math.nan)
    plain = json.loads(json.dumps(plain_photograph(photograph), allow_nan=False))
    found = photograph_of(plain | {"joined_later": 1})
    assert plain_photograph(found) == plain
    assert math.isnan(found.gsd_mm_per_px) and found.size_px == (640, 480)
    np.testing.assert_array_equal(found.lines[0].width_mm, photograph.lines[0].width_mm)


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../other.jpg"},
        {"file": "/etc/passwd"},
        {"file": ".hidden"},
        {"file": ""},
        {"file": "a\\b.jpg"},
        {"position_m": [1.0, 2.0]},
        {"lines": [{"points_px": [[1, 2], [3, 4]], "width_mm": [1.0], "width_sigma_mm": [1.0, 2.0]}]},
        {"size_px": None},
        {"stamp_ns": "today"},
    ],
)
def test_wrong_record_of_photograph_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="photograph"):
        photograph_of(plain_photograph(photograph_of_crack()) | change)


def test_quality_prefers_fine_sharp_frontal_whole_views() -> None:
    best = photograph_of_crack(gsd_mm_per_px=0.5, sharpness=0.8, obliquity_deg=0.0, completeness=1.0)
    for worse in (
        {"gsd_mm_per_px": 1.0},
        {"sharpness": 0.2},
        {"obliquity_deg": 60.0},
        {"completeness": 0.5},
    ):
        assert replace(best, **worse).quality < best.quality  # type: ignore[arg-type]
    assert math.isfinite(replace(best, gsd_mm_per_px=math.nan).quality)


def test_photograph_folder_lies_beside_the_map() -> None:
    assert photograph_folder(Path("maps/bridge.sqlite")) == Path("maps/bridge.photographs")
