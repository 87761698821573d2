"""How far a crack is open: from its centre line to the nearest edge on either side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.vision.cross_sections import CrossSections
from crack_perception.vision.width_fit import FittedWidths

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.complex128]

# Edges are looked at up to so many stations ahead and behind.
_STATIONS = 2
_TO_COMPLEX = np.array([1.0, 1.0j])


def opening_px(sections: CrossSections, fit: FittedWidths) -> Floats:
    """Widths (S,) as the sum of the distances from the centre to the edge lines through the neighbouring stations.

    A wide crack that winds more closely than its smoothed centre line is cut aslant by the normals, so that the widths
    along them are too large by some per cent; the nearest edge is where it is, as in a distance transform.
    """
    centres = centre_line_px(sections, fit) @ _TO_COMPLEX
    half = fit.width_px / 2 * (sections.normals @ _TO_COMPLEX)
    one, other = _nearest_px(centres, np.stack([centres + half, centres - half]), sections)
    return np.asarray(one + other)


def centre_line_px(sections: CrossSections, fit: FittedWidths) -> Floats:
    """Middles (S, 2) of the crack at the stations."""
    return sections.stations_px + fit.centre_px[:, None] * sections.normals


def _nearest_px(centres: Points, edges: Points, sections: CrossSections) -> Floats:
    """Distance (E, S) of every centre (S,) from the segments of every edge (E, S) near its station."""
    count = len(centres)
    first = sections.starts[sections.line]
    last = np.append(sections.starts[1:], count)[sections.line] - 1
    shifts = np.arange(-_STATIONS, _STATIONS + 1)[:, None]
    near = edges[:, np.clip(np.arange(count) + shifts, first, last)]
    along, from_start = near[:, 1:] - near[:, :-1], centres - near[:, :-1]
    squared = along.real**2 + along.imag**2
    share = (from_start.real * along.real + from_start.imag * along.imag) / np.maximum(squared, 1e-12)
    return np.asarray(np.abs(from_start - share.clip(0, 1) * along).min(axis=1))
