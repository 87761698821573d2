"""The lines of one frame made fit for the map: evenly spaced, with usable covariances, or refused with a reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.observation import CrackObservation
from crack_perception.mapping.polylines import arc_lengths, even_positions, interpolated, tangents
from crack_perception.mapping.settings import MapSettings

Array = npt.NDArray[np.float64]

_MAX_SIGMA_M = 3.0
"""With a larger standard deviation nothing is known of where the line is."""
_MAX_VERTICES = 2000
"""Of all lines of a frame, 40 m by default: more would cost more time and memory than a frame is worth."""
_MAX_COORDINATE_M = 1e7
_REPEATED_M = 1e-6


class Refused(Exception):
    """An observation cannot be mapped; the text is the reason, the same for all of a kind."""


@dataclass(frozen=True, eq=False)
class ViewLine:
    """One crack line of one frame, N evenly spaced vertices.

    Attributes:
        point_m, tangent: (N, 3) each.
        normal: (3,) unit vector.
        covariance_m2: (3, 3) positive definite, of its centre.
        width_mm, width_sigma_mm: (N,) ``nan`` where unknown.
        gsd_mm: Ground sampling distance, ``nan`` where unknown.
        score: Probability that it is a crack.
    """

    point_m: Array
    tangent: Array
    normal: Array
    covariance_m2: Array
    width_mm: Array
    width_sigma_mm: Array
    gsd_mm: float
    score: float

    def __len__(self) -> int:
        return len(self.point_m)


def view_lines(
    observations: tuple[CrackObservation, ...], settings: MapSettings, refused: Counter[str]
) -> list[ViewLine]:
    """The usable lines in an order that does not depend on the one they come in; the others are counted by reason."""
    lines = []
    for observation in observations:
        try:
            lines.append(_view_line(observation, settings))
        except Refused as reason:
            refused[str(reason)] += 1
    lines.sort(key=lambda line: (-len(line), -line.score, *line.point_m[0].tolist()))
    within = np.cumsum([len(line) for line in lines]) <= _MAX_VERTICES
    if not np.all(within):
        refused["a frame shows more lines than can be mapped in time"] += int(np.sum(~within))
    return lines[: int(np.sum(within))]


def _view_line(observation: CrackObservation, settings: MapSettings) -> ViewLine:
    line = np.asarray(observation.line_m, dtype=np.float64)
    if line.ndim != 2 or line.shape[1] != 3:
        raise Refused("a line is not made of points in space")
    widths = [np.asarray(values, np.float64) for values in (observation.width_mm, observation.width_sigma_mm)]
    if any(values.shape != (len(line),) for values in widths):
        raise Refused("a line has not one width a vertex")
    if not np.abs(line).max(initial=0) < _MAX_COORDINATE_M:
        usable = np.all(np.abs(line) < _MAX_COORDINATE_M, axis=1)
        line, widths = line[usable], [values[usable] for values in widths]
    along = arc_lengths(line) if len(line) > 1 else np.zeros(0)
    if np.any(np.diff(along) <= _REPEATED_M):
        fresh = np.append(True, np.diff(along) > _REPEATED_M)
        line, widths, along = line[fresh], [values[fresh] for values in widths], along[fresh]
    if len(line) < 2:
        raise Refused("a line has fewer than two usable points")
    if along[-1] < settings.min_length_m:
        raise Refused("a line is too short to be mapped")
    if along[-1] > (_MAX_VERTICES - 2) * settings.step_m:
        raise Refused("a line is longer than any view")
    if not 0 <= observation.score <= 1:
        raise Refused("a score is no probability")
    places = even_positions(along, settings.step_m)
    points = interpolated(line, places)
    nearest = (places + 0.5).astype(int)
    width, sigma = (values[nearest] for values in widths)
    known = (width > 0) & np.isfinite(width) & (sigma > 0) & np.isfinite(sigma)
    gsd_mm = float(observation.gsd_mm_per_px)
    return ViewLine(
        points,
        tangents(points),
        _unit(observation.normal),
        usable_covariance(observation.covariance_m2, settings.position_floor_m),
        np.where(known, width, np.nan),
        np.where(known, sigma, np.nan),
        gsd_mm if 0 < gsd_mm < np.inf else float("nan"),
        float(observation.score),
    )


def usable_covariance(covariance_m2: Array, floor_m: float) -> Array:
    """The nearest symmetric matrix whose standard deviations are all at least ``floor_m``.

    Raises:
        Refused: There is no meaning in it, or so large a one that nothing is known.
    """
    matrix = np.asarray(covariance_m2, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.all(np.isfinite(matrix)):
        raise Refused("a covariance is not finite")
    values, axes = np.linalg.eigh(0.5 * (matrix + matrix.T))
    if values[2] > _MAX_SIGMA_M**2:
        raise Refused("a position is as good as unknown")
    if values[0] < -0.1 * max(values[2], floor_m**2):
        raise Refused("a covariance has a negative variance")
    return np.asarray((axes * np.maximum(values, floor_m**2)) @ axes.T)


def _unit(normal: Array) -> Array:
    vector = np.asarray(normal, dtype=np.float64)
    length = np.linalg.norm(vector) if vector.shape == (3,) else np.nan
    if not 1e-6 < length < np.inf:
        raise Refused("a normal is no direction")
    return np.asarray(vector / length)
