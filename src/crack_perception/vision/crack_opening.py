"""How far a crack is open: from its centre line to the nearest edge on either side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.vision.cross_sections import CrossSections
from crack_perception.vision.width_fit import FittedWidths

Floats = npt.NDArray[np.float64]

# Edges are looked at up to so many stations ahead and behind.
_STATIONS = 2


def opening_px(sections: CrossSections, fit: FittedWidths) -> Floats:
    """Widths (S,) as the sum of the distances from the centre to the edge lines through the neighbouring stations.

    A wide crack that winds more closely than its smoothed centre line is cut aslant by the normals, so that the widths
    along them are too large by some per cent; the nearest edge is where it is, as in a distance transform.
    """
    centres = centre_line_px(sections, fit)
    half = fit.width_px[:, None] / 2 * sections.normals
    return _nearest_px(centres, centres + half, sections) + _nearest_px(centres, centres - half, sections)


def centre_line_px(sections: CrossSections, fit: FittedWidths) -> Floats:
    """Middles (S, 2) of the crack at the stations."""
    return sections.stations_px + fit.centre_px[:, None] * sections.normals


def _nearest_px(centres: Floats, edge: Floats, sections: CrossSections) -> Floats:
    """Distance (S,) of every centre from the edge's segments near its station."""
    count = len(centres)
    station = np.arange(count)
    first = sections.starts[sections.line]
    last = np.append(sections.starts[1:], count)[sections.line] - 1
    squared = np.full(count, np.inf)
    for shift in range(-_STATIONS, _STATIONS):
        a = edge[np.clip(station + shift, first, last)]
        along = edge[np.clip(station + shift + 1, first, last)] - a
        from_a = centres - a
        share = np.einsum("sd,sd->s", from_a, along) / np.maximum(np.einsum("sd,sd->s", along, along), 1e-12)
        off = from_a - share.clip(0, 1)[:, None] * along
        squared = np.minimum(squared, np.einsum("sd,sd->s", off, off))
    return np.asarray(np.sqrt(squared))
