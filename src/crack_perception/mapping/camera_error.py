# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Error model of each camera, learnt from its frames: position error over time, resolution, image size."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.matching import ShiftPrior
from crack_perception.mapping.association.view_lines import ViewLines
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.polylines import largest_eigenvalue
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.drift_filter import NoiseProcess
from crack_perception.mapping.tracks.fusion import FrameError

Array = npt.NDArray[np.float64]

# White share of a position error before the first frame, and the number of frames that this prior counts for.
_USUAL_WHITE_SHARE, _USUAL_FRAMES = 0.2, 10.0
_LEAST_WHITE_SHARE = 0.02
# Frames further apart than this share of the correlation time contain little information on the white share.
_NEXT_FRAME = 0.5
_FRAME_SIGMA_M = 0.01
_UNKNOWN_SIGMA_M = 0.1
_MEMORY = 0.2


@dataclass(eq=False)
class CameraErrorModel:
    """Error model of one camera.

    Attributes:
        seen_s: Time of its last frame that was aligned with the map, ``-inf`` if there was none.
        error_m: (3,) position error of that frame.
        view_m2: (3, 3) typical covariance of its lines.
        pixels: Pixels of its frames, from footprints and ground sampling distances; ``nan`` while unknown.
    """

    settings: MapSettings
    seen_s: float = -np.inf
    error_m: Array = field(default_factory=lambda: np.zeros(3))
    view_m2: Array = field(default_factory=lambda: _UNKNOWN_SIGMA_M**2 * np.eye(3))
    pixels: float = float("nan")
    _white: float = _USUAL_WHITE_SHARE * _USUAL_FRAMES
    _frames: float = _USUAL_FRAMES
    _sigma_m: float = _UNKNOWN_SIGMA_M

    @property
    def noise(self) -> NoiseProcess:
        """Process of its position error: as set, or estimated from the differences between frames."""
        white = self.settings.white_share
        if white is None:
            white = min(max(self._white / self._frames, _LEAST_WHITE_SHARE), 1.0)
        return NoiseProcess(self.settings.error_correlation_s, white)

    @property
    def sigma_m(self) -> float:
        """Standard deviation of its positions in the worst direction."""
        return self._sigma_m

    def prior(self, lines: ViewLines, now_s: float) -> ShiftPrior:
        """Predict a frame's error: that of the frame before, decayed by the time since then."""
        view_m2 = lines.covariance_m2.sum(axis=0) / len(lines)
        self.view_m2 = view_m2
        self._sigma_m = math.sqrt(largest_eigenvalue(view_m2))
        memory, white = self._memory(now_s), self.noise.white_share
        if memory == 0:
            return ShiftPrior(np.zeros(3), view_m2 + _FRAME_SIGMA_M**2 * np.eye(3), view_m2)
        share = white + (1 - white) * (1 - memory**2)
        return ShiftPrior(memory * self.error_m, share * view_m2 + _FRAME_SIGMA_M**2 * np.eye(3), view_m2)

    def learn_error(self, error: FrameError, view_m2: Array, now_s: float) -> None:
        """Update with the measured error of a frame."""
        memory = self._memory(now_s)
        if memory > math.exp(-_NEXT_FRAME):
            # The difference of two frames has the covariance 2 (white + (1 - white) (1 - memory)) R, in the
            # directions in which it can be seen.
            directions = error.information / np.trace(error.information)
            jump = error.before_m - self.error_m
            expected = 2 * float(np.trace(directions @ view_m2))
            white = (float(jump @ directions @ jump) / expected - (1 - memory)) / memory
            self._white += white
            self._frames += 1
        self.seen_s, self.error_m = now_s, error.offset_m

    def learn_pixels(self, footprint: Footprint | None, lines: ViewLines) -> None:
        """Update the size of its frames with one whose ground sampling distance is known."""
        known = [gsd_mm for gsd_mm in lines.gsd_mm.tolist() if math.isfinite(gsd_mm)]
        if footprint is None or not known:
            return
        pixels = footprint.area_m2 * 1e6 / statistics.median(known) ** 2
        self.pixels = pixels if not math.isfinite(self.pixels) else (1 - _MEMORY) * self.pixels + _MEMORY * pixels

    def gsd_mm(self, footprint: Footprint) -> float:
        """Ground sampling distance of a frame with this footprint; ``nan`` while nothing is known of the camera."""
        return 1000 * math.sqrt(footprint.area_m2 / self.pixels)

    def _memory(self, now_s: float) -> float:
        age = abs(now_s - self.seen_s) / self.settings.error_correlation_s
        return math.exp(-age) if age < 5 else 0.0
