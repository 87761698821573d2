# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Classification of a whole picture by its strongest tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale, WidthEstimate


@dataclass(frozen=True)
class TileVerdict:
    """The strongest tile of a picture.

    Attributes:
        crack_score: Probability of a crack.
        is_crack: Whether it reaches the threshold.
        severity: Verdict, ``undetermined`` without a scale or where the width straddles a class edge; empty without a
            crack.
        severity_score: Probability of the verdict's class; where undetermined, that the crack is wider than the
            model's edge in pixels; None without a crack.
        width_px, width_mm: Crack width; None without a crack, or without a scale.
    """

    crack_score: float
    is_crack: bool
    severity: str
    severity_score: float | None
    width_px: float | None
    width_mm: float | None


def strongest_tile(
    detector: FrameDetector,
    picture: npt.NDArray[np.uint8],
    scale: SeverityScale,
    gsd_mm_per_px: float | None,
    has_data: npt.NDArray[np.bool_] | None = None,
) -> TileVerdict:
    """Classify a BGR picture (H, W, 3) of any size.

    Args:
        has_data: (H, W), False where the picture shows nothing; tiles that are mostly so are skipped.

    Raises:
        InferenceFailed: The backend failed.
        UserError: Every tile is mostly without data.
    """
    detections = detector.detect(picture, has_data=has_data, gsd_mm_per_px=gsd_mm_per_px)
    scores = detections.scores
    if not detections.looked.any():
        raise UserError("every tile of it is mostly transparent or no-data", "Cut the picture to its data")
    best = int(np.nanargmax(scores.crack_score))
    crack_score = float(scores.crack_score[best])
    if crack_score < detector.threshold:
        return TileVerdict(crack_score, False, "", None, None, None)
    width_px = WidthEstimate(float(scores.log_width_px[best]), float(scores.log_width_sigma[best]))
    width_mm = width_px.scaled(gsd_mm_per_px, 0.0) if gsd_mm_per_px else None
    severity = scale.classify(width_mm)
    undetermined = severity.verdict == UNDETERMINED
    severity_score = float(scores.wide_score[best]) if undetermined else max(severity.probabilities)
    return TileVerdict(
        crack_score, True, severity.verdict, severity_score, width_px.width, width_mm.width if width_mm else None
    )
