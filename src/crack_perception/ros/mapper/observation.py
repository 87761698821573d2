# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Conversion of the messages of one frame to an observation of the crack map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import PolygonStamped
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3D, Detection3DArray

from crack_perception.geometry.poses.checks import too_far_from_origin
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.coverage.view import InspectedView
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.recognition.severity import NO_STRUCTURE
from crack_perception.ros.common.crack_points import NO_DETECTION, lacks_lines, rows_of
from crack_perception.ros.common.footprint_points import FOOTPRINT_POINT
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.mapper.pairing import FrameMessages

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.void]
Report = Callable[[str, str], None]

# Relative standard deviation of a crack width that comes from a box alone.
_BOX_WIDTH_RELATIVE_SIGMA = 0.5
_LEAST_CORNERS = 3


class BadFrame(Exception):
    """A frame that cannot be mapped.

    Args:
        kind: Short name for the fault counters.
        text: Reason and remedy.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class _FarFromOrigin(ValueError):
    """A crack whose coordinates float32 messages cannot hold exactly enough."""


def observation_of(
    frame: FrameMessages, source: str, map_frame: str, unknown_position_sigma_m: float, report: Report
) -> FrameObservation:
    """Convert a frame. Without crack points, the box of each detection gives a straight line.

    Args:
        frame: Messages of the frame, including detections.
        source: Name of the source.
        map_frame: Frame of the map.
        unknown_position_sigma_m: Standard deviation, each axis, of a detection without usable covariance [m].
        report: Called with (kind, text) for every part that is skipped or replaced.

    Raises:
        BadFrame: The frame is not in the map frame, or its crack points cannot be read.
    """
    assert frame.detections is not None
    for message in (frame.detections, frame.footprint, frame.points):
        if message is not None and message.header.frame_id != map_frame:
            raise BadFrame(
                "wrong_frame",
                f"'{source}' sends in frame '{message.header.frame_id}', map_frame is '{map_frame}': make them agree",
            )
    covariances = [_covariance(d, source, unknown_position_sigma_m, report) for d in frame.detections.detections]
    observations: list[CrackObservation] = []
    is_complete = True
    if frame.points is not None:
        rows = _rows(frame.points, source)
        is_complete = not lacks_lines(rows)
        lines = rows[rows["detection"] != NO_DETECTION]
        observations = _measured(lines, frame.detections, covariances, source, report)
    else:
        for detection, covariance in zip(frame.detections.detections, covariances, strict=True):
            try:
                observations.append(_checked(_straight(detection, covariance)))
            except _FarFromOrigin as error:
                report("far_from_origin", f"A detection of '{source}' was skipped: {error}")
            except ValueError as error:
                report("bad_detection", f"A detection of '{source}' was skipped: {error}")
    return FrameObservation(
        stamp_ns=stamp_ns(frame.detections.header.stamp),
        source=source,
        footprint_m=_corners(frame.footprint, source, report),
        observations=tuple(observations),
        is_complete=is_complete,
    )


def view_of(points: PointCloud2, source: str, map_frame: str) -> InspectedView | None:
    """Convert the inspected surface of a frame; None where it is not known.

    Raises:
        BadFrame: It is not in the map frame, or cannot be used.
    """
    if points.header.frame_id != map_frame:
        raise BadFrame(
            "wrong_frame",
            f"'{source}' sends in frame '{points.header.frame_id}', map_frame is '{map_frame}': make them agree",
        )
    try:
        rows = rows_of(points, FOOTPRINT_POINT)
    except (ValueError, TypeError) as error:
        raise BadFrame("bad_footprint", f"Footprint points of '{source}' were refused: {error}") from error
    if not len(rows):
        return None
    outline_m, viewpoints_m = _columns(rows, "x", "y", "z"), _columns(rows, "vp_x", "vp_y", "vp_z")
    if np.isfinite(outline_m).all() and (too_far := too_far_from_origin(outline_m)):
        raise BadFrame("far_from_origin", f"A footprint of '{source}' was ignored: {too_far}")
    view = InspectedView.of(outline_m, rows["gsd_mm_per_px"], _columns(rows, "u", "v"), viewpoints_m[0])
    if view is None:
        raise BadFrame(
            "bad_footprint",
            f"Footprint points of '{source}' were refused: they need an area, finite positions before a camera and a "
            "positive gsd_mm_per_px",
        )
    return view


def _checked(observation: CrackObservation) -> CrackObservation:
    """Return an observation that is near enough to the map's origin.

    Raises:
        _FarFromOrigin: It is not.
    """
    if too_far := too_far_from_origin(observation.line_m):
        raise _FarFromOrigin(too_far)
    return observation


def _rows(points: PointCloud2, source: str) -> Rows:
    """Read the vertices of a cloud.

    Raises:
        BadFrame: The cloud cannot be read.
    """
    try:
        return rows_of(points)
    except (ValueError, TypeError) as error:
        raise BadFrame("bad_points", f"Crack points of '{source}' were refused: {error}") from error


def _measured(
    rows: Rows, detections: Detection3DArray, covariances: list[Array], source: str, report: Report
) -> list[CrackObservation]:
    """Return one observation for every line of a cloud."""
    observations = []
    for line in np.split(rows, np.flatnonzero(np.diff(rows["line"].astype(np.int64))) + 1) if len(rows) else []:
        index = int(line["detection"][0])
        try:
            if index >= len(covariances):
                raise ValueError(f"it belongs to detection {index} of {len(covariances)}")
            observations.append(_checked(_line(line, detections.detections[index], covariances[index])))
        except _FarFromOrigin as error:
            report("far_from_origin", f"A crack line of '{source}' was skipped: {error}")
        except ValueError as error:
            report("bad_line", f"A crack line of '{source}' was skipped: {error}")
    return observations


def _line(rows: Rows, detection: Detection3D, covariance: Array) -> CrackObservation:
    vertices = _columns(rows, "x", "y", "z")
    finite = np.isfinite(vertices).all(axis=1)
    if np.count_nonzero(finite) < 2:
        raise ValueError("it has fewer than two finite vertices")
    rows, vertices = rows[finite], vertices[finite]
    widths = _columns(rows, "width_mm", "width_sigma_mm")
    known = (np.isfinite(widths) & (widths >= 0.0)).all(axis=1)
    widths[~known] = np.nan
    resolutions = rows["gsd_mm_per_px"][rows["gsd_mm_per_px"] > 0.0]
    scores = rows["score"][np.isfinite(rows["score"])]
    return CrackObservation(
        line_m=vertices,
        width_mm=widths[:, 0],
        width_sigma_mm=widths[:, 1],
        normal=_normal(rows, detection),
        covariance_m2=covariance,
        gsd_mm_per_px=float(np.median(resolutions)) if len(resolutions) else float("nan"),
        score=float(np.clip(scores.mean(), 0.0, 1.0)) if len(scores) else _score(detection),
    )


def _normal(rows: Rows, detection: Detection3D) -> Array:
    """Return the mean normal of the vertices, or that of the detection if they have none."""
    normals = _columns(rows, "normal_x", "normal_y", "normal_z")
    mean = normals[np.isfinite(normals).all(axis=1)].sum(axis=0)
    length = float(np.linalg.norm(mean))
    return np.asarray(mean / length) if length > 0.5 else _pose(detection).rotation[:, 2]


def _straight(detection: Detection3D, covariance: Array) -> CrackObservation:
    """Return the centreline of a detection's box, along x.

    Raises:
        ValueError: The box has no pose, no length or no finite ends.
    """
    pose = _pose(detection)
    length_m, width_mm = detection.bbox.size.x, detection.bbox.size.y * 1000.0
    if not 0.0 < length_m < np.inf:
        raise ValueError(f"the length of its box is {length_m}")
    half = 0.5 * length_m * pose.rotation[:, 0]
    with np.errstate(over="ignore"):
        ends_m = np.stack([pose.position_m - half, pose.position_m + half])
    if not np.isfinite(ends_m).all():
        raise ValueError("its box has no finite ends")
    width_mm = width_mm if 0.0 < width_mm < np.inf else float("nan")
    return CrackObservation(
        line_m=ends_m,
        width_mm=np.full(2, width_mm),
        width_sigma_mm=np.full(2, _BOX_WIDTH_RELATIVE_SIGMA * width_mm),
        normal=pose.rotation[:, 2],
        covariance_m2=covariance,
        gsd_mm_per_px=float("nan"),
        score=_score(detection),
    )


def _pose(detection: Detection3D) -> Pose:
    position, turn = detection.bbox.center.position, detection.bbox.center.orientation
    try:
        return Pose.received([position.x, position.y, position.z], [turn.x, turn.y, turn.z, turn.w])
    except ValueError as error:
        raise ValueError(f"the pose of its box: {error}") from error


def _score(detection: Detection3D) -> float:
    """Return the probability that a detection is a crack: the score of its strongest hypothesis."""
    found = (r.hypothesis for r in detection.results if r.hypothesis.class_id != NO_STRUCTURE)
    scores = [hypothesis.score for hypothesis in found if np.isfinite(hypothesis.score)]
    return float(np.clip(max(scores, default=0.0), 0.0, 1.0))


def _covariance(detection: Detection3D, source: str, unknown_sigma_m: float, report: Report) -> Array:
    """Return the covariance (3, 3) of the position; a large default if the detection has no valid one."""
    covariance = np.full((3, 3), np.nan)
    if detection.results:
        covariance = np.asarray(detection.results[0].pose.covariance, np.float64).reshape(6, 6)[:3, :3]
    covariance = 0.5 * (covariance + covariance.T)
    if np.isfinite(covariance).all():
        variances = np.linalg.eigvalsh(covariance)
        if variances[-1] > 0.0 and variances[0] >= -1e-6 * variances[-1]:
            return covariance
    report(
        "bad_covariance",
        f"A detection of '{source}' has no usable covariance (unknown, not finite or not positive): "
        f"a standard deviation of {unknown_sigma_m:g} m is assumed",
    )
    return np.asarray(np.eye(3) * unknown_sigma_m**2)


def _corners(footprint: PolygonStamped | None, source: str, report: Report) -> Array:
    """Return the corners (M, 3) of a footprint; (0, 3) where it is unknown."""
    corners = [(point.x, point.y, point.z) for point in footprint.polygon.points] if footprint else []
    if not corners:
        return np.zeros((0, 3))
    array = np.array(corners, np.float64)
    if len(array) < _LEAST_CORNERS or not np.isfinite(array).all():
        report("bad_footprint", f"A footprint of '{source}' was ignored: it needs three or more finite corners")
        return np.zeros((0, 3))
    if too_far := too_far_from_origin(array):
        report("far_from_origin", f"A footprint of '{source}' was ignored: {too_far}")
        return np.zeros((0, 3))
    return array


def _columns(rows: Rows, *names: str) -> Array:
    return np.stack([rows[name].astype(np.float64) for name in names], axis=1)
