# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Public result of a detection: the cracks of one image as arrays."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.measurement import MeasuredRegion
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale, WidthEstimate
from crack_perception.recognition.summary import summary
from crack_perception.vision.annotate import Label, annotate
from crack_perception.vision.images.files import as_picture
from crack_perception.vision.regions import OrientedBox

if TYPE_CHECKING:
    import supervision

Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]
Index = slice | Sequence[int] | npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Crack:
    """One crack of an image; every attribute is the element of the array of the same name in ``Cracks``.

    Attributes:
        box: (5,) centre x, centre y, length, width [px], angle of the long side [rad].
        score: Probability that the region shows a crack.
        lines: Centrelines (K, 2) [px], longest first; empty where no line could be measured.
        line_widths_px: Crack width (K,) at the vertices of every line [px]; ``nan`` where it could not be measured.
        width_px, width_sigma_px: Mean crack width and its standard deviation [px].
        width_mm, width_sigma_mm: The same in millimetres; ``nan`` without a ground sampling distance.
        severity: Severity class, or ``undetermined``.
        severity_probabilities: (C,) probability of every class; ``nan`` without a ground sampling distance.
    """

    box: Floats
    score: float
    lines: tuple[Floats, ...]
    line_widths_px: tuple[Floats, ...]
    width_px: float
    width_sigma_px: float
    width_mm: float
    width_sigma_mm: float
    severity: str
    severity_probabilities: Floats


@dataclass(frozen=True, eq=False)
class Cracks:
    """The cracks of one image as arrays of the same length N, strongest first.

    ``len()`` is N. An integer index gives a ``Crack``; a slice, a mask or a sequence of indices gives ``Cracks``;
    iteration yields every ``Crack``. Coordinates are pixels of the image that was given; (0, 0) is the centre of its
    first pixel, x points right and y down.

    Attributes:
        boxes: (N, 5) float64 oriented boxes: centre x, centre y, length, width [px], and the angle from the x axis to
            the long side [rad], clockwise as seen.
        scores: (N,) float64 crack scores, 0 to 1.
        lines: (N,) objects; each a tuple of centrelines (K, 2) float64 [px], longest first.
        line_widths_px: (N,) objects; each a tuple of widths (K,) float64 [px] at the vertices of ``lines``.
        width_px, width_sigma_px: (N,) float64 mean crack width and its standard deviation [px].
        width_mm, width_sigma_mm: (N,) float64, ``nan`` without a ground sampling distance.
        severity: (N,) strings: a class of ``severity_labels``, or ``undetermined``.
        severity_probabilities: (N, C) float64 probability of each class; ``nan`` without a ground sampling distance.
        severity_labels: The C class labels, slightest first.
        gsd_mm_per_px: Ground sampling distance of the image, None if unknown.

    Examples:
        >>> from crack_perception import CrackDetector
        >>> cracks = CrackDetector("nano")("wall.jpg", gsd_mm_per_px=0.4)
        >>> len(cracks) > 0, len(cracks) == len(cracks.scores)
        (True, True)
        >>> strong = cracks[cracks.scores > 0.8]
        >>> len(strong) > 0, bool(strong.scores.min() > 0.8)
        (True, True)
    """

    boxes: Floats
    scores: Floats
    lines: Objects
    line_widths_px: Objects
    width_px: Floats
    width_sigma_px: Floats
    width_mm: Floats
    width_sigma_mm: Floats
    severity: npt.NDArray[np.str_]
    severity_probabilities: Floats
    severity_labels: tuple[str, ...]
    gsd_mm_per_px: float | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Crack: ...

    @overload
    def __getitem__(self, index: Index) -> Cracks: ...

    def __getitem__(self, index: int | np.integer[Any] | Index) -> Crack | Cracks:
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            return Crack(
                box=self.boxes[index],
                score=float(self.scores[index]),
                lines=self.lines[index],
                line_widths_px=self.line_widths_px[index],
                width_px=float(self.width_px[index]),
                width_sigma_px=float(self.width_sigma_px[index]),
                width_mm=float(self.width_mm[index]),
                width_sigma_mm=float(self.width_sigma_mm[index]),
                severity=str(self.severity[index]),
                severity_probabilities=self.severity_probabilities[index],
            )
        # numpy takes an empty list for an array of floats, which is no index.
        chosen = np.asarray(index, np.intp) if isinstance(index, list | tuple) and not len(index) else index
        return replace(self, **{name: getattr(self, name)[chosen] for name in _ARRAYS})

    def __iter__(self) -> Iterator[Crack]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"Cracks({len(self)} cracks, gsd_mm_per_px={self.gsd_mm_per_px})"

    @property
    def corners(self) -> Floats:
        """(N, 4, 2) corners of the oriented boxes, in order around each box [px]."""
        corners = [_oriented_box(box).corners() for box in self.boxes]
        return np.array(corners, np.float64).reshape(-1, 4, 2)

    @property
    def xyxy(self) -> Floats:
        """(N, 4) axis-aligned boxes around the oriented ones: left, top, right, bottom [px]."""
        corners = self.corners
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    def plot(self, image: npt.NDArray[np.uint8] | str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
        """Return a copy of the image with boxes, centrelines and a text for each crack, BGR (H, W, 3) uint8.

        Args:
            image: The image in which the cracks were detected, as an array or a path, as for ``CrackDetector``.

        Raises:
            UserError: The file cannot be read, the array is not an image, or a crack lies outside it.
        """
        picture = as_picture(image).pixels
        height_px, width_px = picture.shape[:2]
        farthest = self.boxes[:, :2].max(axis=0, initial=0.0)
        if farthest[0] > width_px or farthest[1] > height_px:
            raise UserError(
                f"the image has {width_px}x{height_px} px, but a crack lies at {farthest[0]:.0f}, {farthest[1]:.0f} px",
                "Give the image in which the cracks were detected",
            )
        highest = max(len(self.severity_labels) - 1, 1)
        labels = []
        for crack in self:
            known = crack.severity != UNDETERMINED
            width_px = _estimate(crack.width_px, crack.width_sigma_px)
            width_mm = None if self.gsd_mm_per_px is None else _estimate(crack.width_mm, crack.width_sigma_mm)
            labels.append(
                Label(
                    _oriented_box(crack.box),
                    summary(crack.severity, crack.score, width_px, width_mm),
                    self.severity_labels.index(crack.severity) / highest if known else None,
                    crack.lines,
                )
            )
        return annotate(picture, labels, f"{len(self)} cracked regions")

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON ``FeatureCollection`` in pixels of the image, y pointing down; one feature per crack.

        The geometry is a ``MultiLineString`` of the centrelines, or the ``Polygon`` of the box where no line could be
        measured. Unknown numbers are null.
        """
        corners = self.corners
        return {
            "type": "FeatureCollection",
            "crack_perception": {"units": "px", "gsd_mm_per_px": self.gsd_mm_per_px},
            "features": [
                {
                    "type": "Feature",
                    "id": index,
                    "geometry": _geometry(crack, corners[index]),
                    "properties": {
                        "score": crack.score,
                        "severity": crack.severity,
                        "severity_probabilities": {
                            label: _known(probability)
                            for label, probability in zip(
                                self.severity_labels, crack.severity_probabilities.tolist(), strict=True
                            )
                        },
                        "width_px": crack.width_px,
                        "width_sigma_px": crack.width_sigma_px,
                        "width_mm": _known(crack.width_mm),
                        "width_sigma_mm": _known(crack.width_sigma_mm),
                        "box": crack.box.tolist(),
                    },
                }
                for index, crack in enumerate(self)
            ],
        }

    def to_supervision(self) -> supervision.Detections:
        """The cracks as ``supervision.Detections``: boxes, scores and severity classes.

        ``class_id`` is the index of the severity class, or C where it is undetermined; ``data`` holds ``class_name``,
        ``width_px``, ``width_mm`` and the corners of the oriented boxes.

        Raises:
            UserError: The package supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise UserError(
                "to_supervision needs the package supervision, which is not installed",
                "Run 'pip install supervision'",
            ) from error
        labels = (*self.severity_labels, UNDETERMINED)
        return supervision.Detections(
            xyxy=self.xyxy.astype(np.float32),
            confidence=self.scores.astype(np.float32),
            class_id=np.array([labels.index(label) for label in self.severity], np.int64),
            data={
                "class_name": self.severity.copy(),
                "width_px": self.width_px.copy(),
                "width_mm": self.width_mm.copy(),
                supervision.config.ORIENTED_BOX_COORDINATES: self.corners.astype(np.float32),
            },
        )


_ARRAYS = tuple(field.name for field in fields(Cracks) if field.name not in ("severity_labels", "gsd_mm_per_px"))


def cracks_of(regions: Sequence[MeasuredRegion], scale: SeverityScale, gsd_mm_per_px: float | None) -> Cracks:
    """Convert a frame's measured regions to the public result.

    Args:
        regions: Regions with their lines, strongest first.
        scale: Severity classes.
        gsd_mm_per_px: Ground sampling distance, positive; None if unknown.
    """
    count = len(regions)
    boxes = [region.crack.region.box for region in regions]
    widths_px = [region.crack.width_px for region in regions]
    widths_mm = [width.scaled(gsd_mm_per_px, 0.0) if gsd_mm_per_px else None for width in widths_px]
    severities = [scale.classify(width) for width in widths_mm]
    unknown = (math.nan,) * len(scale.labels)
    return Cracks(
        boxes=np.array(
            [(*box.centre_px, box.length_px, box.width_px, box.angle_rad) for box in boxes], np.float64
        ).reshape(count, 5),
        scores=np.array([region.crack.region.score for region in regions], np.float64),
        lines=_objects([tuple(line.points_px for line in region.lines) for region in regions]),
        line_widths_px=_objects([tuple(line.width_px for line in region.lines) for region in regions]),
        width_px=np.array([width.width for width in widths_px], np.float64),
        width_sigma_px=np.array([width.sigma for width in widths_px], np.float64),
        width_mm=np.array([width.width if width else math.nan for width in widths_mm], np.float64),
        width_sigma_mm=np.array([width.sigma if width else math.nan for width in widths_mm], np.float64),
        severity=np.array([severity.verdict for severity in severities], dtype=np.str_),
        severity_probabilities=np.array(
            [severity.probabilities or unknown for severity in severities], np.float64
        ).reshape(count, len(scale.labels)),
        severity_labels=scale.labels,
        gsd_mm_per_px=gsd_mm_per_px,
    )


def _objects(values: Sequence[object]) -> Objects:
    """An array (N,) that holds each value as it is; numpy would stack lines of equal length."""
    array = np.empty(len(values), np.object_)
    for index, value in enumerate(values):
        array[index] = value
    return array


def _oriented_box(box: Floats) -> OrientedBox:
    x, y, length, width, angle = box.tolist()
    return OrientedBox(np.array([x, y]), length, width, angle)


def _estimate(width: float, sigma: float) -> WidthEstimate:
    return WidthEstimate(math.log(width), sigma / width)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _geometry(crack: Crack, corners: Floats) -> dict[str, Any]:
    if crack.lines:
        return {"type": "MultiLineString", "coordinates": [line.tolist() for line in crack.lines]}
    ring = corners.tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
