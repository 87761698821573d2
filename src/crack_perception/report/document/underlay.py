# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Orthophotos under the plan of a facet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from crack_perception.mapping.export.crack_report import iso_time
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.layout import PlacedFacet
from crack_perception.mapping.export.plan.shapes import Group, Picture
from crack_perception.report.contents import Survey
from crack_perception.report.orthophoto.index import FacetOrthophoto

_DOTS_PER_MM = 6.0
_QUALITY = 80
# Share of white, over which the coloured lines and the labels can be read.
_WASHED = 0.3


def orthophotos_of(survey: Survey, facet: Facet) -> list[FacetOrthophoto]:
    """The orthophotos of a facet; its letter may have changed since they were made."""
    return [each for each in survey.orthophotos if each.is_of(facet)]


def underlay_note(orthophoto: FacetOrthophoto) -> str:
    """Return the note of the plan about a picture under it."""
    days = [iso_time(stamp_ns)[:10] for stamp_ns in (orthophoto.first_ns, orthophoto.last_ns)]
    when = days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"
    finest, coarsest = orthophoto.gsd_mm_per_px
    return (
        f"The picture under the cracks is of {when}, taken at {finest:.2f} to {coarsest:.2f} mm/px; grey lines bound "
        "the inspected surface."
    )


def orthophoto_layer(placed: PlacedFacet, orthophotos: Sequence[FacetOrthophoto]) -> Group:
    """The pictures, as fine as the plan can show them."""
    pictures = [picture for each in orthophotos if (picture := _picture(placed, each)) is not None]
    return Group("orthophoto", tuple(pictures))


def _picture(placed: PlacedFacet, orthophoto: FacetOrthophoto) -> Picture | None:
    """The picture on the sheet; None where its file is missing."""
    pixels = cv2.imread(str(orthophoto.overview), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
        return None
    corners_mm = placed.on_paper(orthophoto.corners_m)
    sides_mm = [float(np.linalg.norm(corners_mm[end] - corners_mm[0])) for end in (1, 2)]
    size_px = tuple(max(1, round(side_mm * _DOTS_PER_MM)) for side_mm in sides_mm)
    opacity = pixels[..., 3:].astype(np.float32) * ((1.0 - _WASHED) / 255.0)
    washed = pixels[..., :3] * opacity + 255.0 * (1.0 - opacity)
    if size_px[0] < pixels.shape[1]:
        washed = cv2.resize(washed, size_px, interpolation=cv2.INTER_AREA)
    encoded, data = cv2.imencode(".jpg", np.round(washed).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return Picture(data.tobytes(), corners_mm) if encoded else None
