# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One-line summary of a cracked region, for pictures, markers and logs."""

from __future__ import annotations

import math

from crack_perception.recognition.severity import WidthEstimate


def summary(
    verdict: str,
    crack_score: float,
    width_px: WidthEstimate,
    width_mm: WidthEstimate | None,
    length_m: float = math.nan,
) -> str:
    """Return verdict, score, width with standard deviation, and the length unless it is ``nan``; px without a scale.

    ASCII only, since OpenCV renders nothing else.
    """
    if width_mm is None:
        return f"crack {crack_score:.2f}, {width_px.width:.1f} +- {width_px.sigma:.1f} px"
    length = "" if math.isnan(length_m) else f" x {length_m:.2f} m"
    return f"{verdict} {crack_score:.2f}, {width_mm.width:.2f} +- {width_mm.sigma:.2f} mm{length}"
