# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Settings of the crack map: assumptions on cameras, their errors and cracks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crack_perception.errors import UserError


@dataclass(frozen=True)
class MapSettings:
    """Settings of a crack map; the defaults suit a drone at 2 to 5 m from a concrete surface.

    Attributes:
        step_m: Distance of the vertices that mapped lines are made of.
        min_length_m: Shorter lines are not mapped.
        error_correlation_s: Time within which the correlation of the position errors of one source decays to 1/e;
            views within it count little more than one.
        white_share: Share of a position error's variance that is independent from frame to frame, 0 to 1; ``None``
            estimates it from the differences between the views of each source.
        rotation_sigma_rad: Standard deviation of a view's direction.
        scale_sigma: Relative standard deviation of a view's scale, as that of the range.
        shape_sigma_m: Standard deviation of a line's shape, vertex by vertex, apart from their common error.
        position_floor_m: Least standard deviation of a position.
        max_offset_m: Largest distance between a view and a mapped crack that it shows, whatever the covariances.
        max_angle_rad: Lines that differ more in direction are different cracks.
        max_normal_angle_rad: Lines on surfaces that differ more in direction are different cracks.
        branch_length_m: Least length of a branch that becomes a crack of its own.
        merge_gap_m: Fragments in line with each other are one crack when no more than this (and what their ends'
            uncertainty allows) is missing between them.
        merge_angle_rad: Largest bend between fragments that are in line.
        confirm_views: Frames that must have shown a crack before it is confirmed.
        confirm_span_s: Time that must lie between the first and the last of them.
        confirm_score: Probability that it is a crack from which on it is confirmed.
        evidence_interval_s: Least time between frames whose evidence counts in full; the errors of frames in quicker
            succession are correlated.
        detection_probability: Of a crack in a frame no coarser than its earlier views.
        false_alarm_probability: Of a line in a frame where there is no crack.
        lost_after_misses: Independent frames that must have missed a well-confirmed crack before it is lost.
        gsd_tolerance: A frame should show a crack up to this many times the coarsest resolution of its views.

    Raises:
        UserError: A value is outside its range.
    """

    step_m: float = 0.02
    min_length_m: float = 0.05
    error_correlation_s: float = 4.0
    white_share: float | None = None
    rotation_sigma_rad: float = 0.0175
    scale_sigma: float = 0.02
    shape_sigma_m: float = 0.005
    position_floor_m: float = 0.003
    max_offset_m: float = 0.5
    max_angle_rad: float = math.radians(35)
    max_normal_angle_rad: float = math.radians(40)
    branch_length_m: float = 0.1
    merge_gap_m: float = 0.15
    merge_angle_rad: float = math.radians(25)
    confirm_views: int = 3
    confirm_span_s: float = 0.3
    confirm_score: float = 0.5
    evidence_interval_s: float = 0.3
    detection_probability: float = 0.8
    false_alarm_probability: float = 0.05
    lost_after_misses: int = 4
    gsd_tolerance: float = 1.25

    def __post_init__(self) -> None:
        for name in (
            "step_m",
            "min_length_m",
            "error_correlation_s",
            "rotation_sigma_rad",
            "scale_sigma",
            "shape_sigma_m",
            "position_floor_m",
            "max_offset_m",
            "branch_length_m",
            "evidence_interval_s",
        ):
            self._require(name, 0 < getattr(self, name) < math.inf, "a positive number")
        for name in ("merge_gap_m", "confirm_span_s"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "zero or a positive number")
        for name in ("max_angle_rad", "max_normal_angle_rad", "merge_angle_rad"):
            self._require(name, 0 < getattr(self, name) < math.pi / 2, "an angle between 0 and 90 degrees")
        for name in ("confirm_views", "lost_after_misses"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("confirm_score", 0 <= self.confirm_score <= 1, "between 0 and 1")
        self._require("white_share", self.white_share is None or 0 <= self.white_share <= 1, "between 0 and 1")
        self._require("gsd_tolerance", 1 <= self.gsd_tolerance < math.inf, "at least 1")
        self._require(
            "detection_probability",
            0 < self.false_alarm_probability < self.detection_probability < 1,
            "between 0 and 1, and above false_alarm_probability",
        )
        self._require("max_offset_m", self.max_offset_m > 2 * self.step_m, "more than two steps")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise UserError(f"crack map: {name} is {getattr(self, name)}", f"It must be {what}.")

    @property
    def hit_log_odds(self) -> float:
        """Log-odds of one independent frame that shows a crack."""
        return math.log(self.detection_probability / self.false_alarm_probability)

    @property
    def miss_log_odds(self) -> float:
        """Log-odds of one independent frame that should show a crack and does not (negative)."""
        return math.log((1 - self.detection_probability) / (1 - self.false_alarm_probability))

    @property
    def max_log_odds(self) -> float:
        """Upper limit of the evidence for a crack, so that ``lost_after_misses`` frames can undo it."""
        return -self.miss_log_odds * (self.lost_after_misses - 0.5)
