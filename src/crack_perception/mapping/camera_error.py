"""What the map learns of each camera: how its error goes on, how sharp it sees, how far its footprints may be off."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.matching import ShiftPrior
from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.drift_filter import NoiseProcess
from crack_perception.mapping.tracks.fusion import FrameError

Array = npt.NDArray[np.float64]

# White share of a position error before anything has been seen, and how many frames that is worth.
_USUAL_WHITE_SHARE, _USUAL_FRAMES = 0.2, 10.0
_LEAST_WHITE_SHARE = 0.02
# Frames further apart than this share of the correlation time say little of what is white.
_NEXT_FRAME = 0.5
_FRAME_SIGMA_M = 0.01
_UNKNOWN_SIGMA_M = 0.1
_MEMORY = 0.2


@dataclass(eq=False)
class CameraErrorModel:
    """One camera.

    Attributes:
        seen_s: When a frame of it was last aligned with the map, ``-inf`` if never.
        error_m: (3,) what that frame was off by.
        view_m2: (3, 3) typical covariance of its lines.
        pixels: Pixels of its frames, as footprints and ground sampling distances have it; ``nan`` while unknown.
    """

    settings: MapSettings
    seen_s: float = -np.inf
    error_m: Array = field(default_factory=lambda: np.zeros(3))
    view_m2: Array = field(default_factory=lambda: _UNKNOWN_SIGMA_M**2 * np.eye(3))
    pixels: float = float("nan")
    _white: float = _USUAL_WHITE_SHARE * _USUAL_FRAMES
    _frames: float = _USUAL_FRAMES

    @property
    def noise(self) -> NoiseProcess:
        """How its position error goes on: as set, or as the jumps from frame to frame suggest."""
        white = self.settings.white_share
        if white is None:
            white = float(np.clip(self._white / self._frames, _LEAST_WHITE_SHARE, 1.0))
        return NoiseProcess(self.settings.error_correlation_s, white)

    @property
    def sigma_m(self) -> float:
        """Standard deviation of its positions in the worst direction."""
        return float(np.sqrt(np.linalg.eigvalsh(self.view_m2)[-1]))

    def prior(self, lines: list[ViewLine], now_s: float) -> ShiftPrior:
        """What to expect of a frame's error: like that of the frame before, the less the longer ago that is."""
        view_m2 = np.mean([line.covariance_m2 for line in lines], axis=0)
        self.view_m2 = view_m2
        memory, white = self._memory(now_s), self.noise.white_share
        if memory == 0:
            return ShiftPrior(np.zeros(3), view_m2 + _FRAME_SIGMA_M**2 * np.eye(3), view_m2)
        share = white + (1 - white) * (1 - memory**2)
        return ShiftPrior(memory * self.error_m, share * view_m2 + _FRAME_SIGMA_M**2 * np.eye(3), view_m2)

    def learn_error(self, error: FrameError, view_m2: Array, now_s: float) -> None:
        """Take note of what a frame was off by."""
        memory = self._memory(now_s)
        if memory > np.exp(-_NEXT_FRAME):
            # The difference of two frames has the covariance 2 (white + (1 - white) (1 - memory)) R, in the
            # directions in which it can be seen.
            directions = error.information / np.trace(error.information)
            jump = error.before_m - self.error_m
            expected = 2 * float(np.trace(directions @ view_m2))
            white = (float(jump @ directions @ jump) / expected - (1 - memory)) / memory
            self._white += white
            self._frames += 1
        self.seen_s, self.error_m = now_s, error.offset_m

    def learn_pixels(self, footprint: Footprint | None, lines: list[ViewLine]) -> None:
        """Learn how large its frames are from one whose lines say how sharp it is."""
        known = [line.gsd_mm for line in lines if np.isfinite(line.gsd_mm)]
        if footprint is None or not known:
            return
        pixels = footprint.area_m2 * 1e6 / float(np.median(known)) ** 2
        self.pixels = pixels if not np.isfinite(self.pixels) else (1 - _MEMORY) * self.pixels + _MEMORY * pixels

    def gsd_mm(self, footprint: Footprint) -> float:
        """Ground sampling distance of a frame with this footprint; ``nan`` while nothing is known of the camera."""
        return float(1000 * np.sqrt(footprint.area_m2 / self.pixels))

    def _memory(self, now_s: float) -> float:
        age = abs(now_s - self.seen_s) / self.settings.error_correlation_s
        return float(np.exp(-age)) if age < 5 else 0.0
