# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Observations of recordings with places on the earth in the one frame of their structure's map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.photographs.earth import map_from_earth


@dataclass(frozen=True)
class MapSource:
    """Recording of a structure.

    Attributes:
        key: Of its results.
        name: Its name.
        first_stamp_ns: Time of its first frame with a pose [ns].
        origin: Place on the earth of its frame; None where it is in the structure's map frame.
    """

    key: str
    name: str
    first_stamp_ns: int
    origin: GeographicOrigin | None = None


def structure_origin(
    structure: str, given: GeographicOrigin | None, recordings: Sequence[GeographicOrigin | None]
) -> GeographicOrigin | None:
    """Place on the earth of a structure's map: the given one, else that of its first recording; None without either.

    Args:
        structure: Its name.
        given: Of the table of structures.
        recordings: Of its recordings, in order of time; None for those in the structure's map frame.

    Raises:
        UserError: Only some recordings have a place on the earth, so that nothing relates them to the others.
    """
    if given is not None or not any(recordings):
        return given
    placed = [origin for origin in recordings if origin is not None]
    if len(placed) < len(recordings):
        raise UserError(
            f"{structure}: {len(placed)} of {len(recordings)} recordings have a place on the earth, the others are in "
            "a map frame whose place is not known",
            "Give latitude, longitude, height and heading of that frame with --structures",
        )
    return placed[0]


def between(recording: GeographicOrigin | None, structure: GeographicOrigin | None) -> Pose | None:
    """Transform from a recording's frame to that of its structure; None where they are the same."""
    if recording is None or structure is None or recording == structure:
        return None
    inverse = map_from_earth(recording).inverse()
    return _turned(structure).compose(map_from_earth(structure)).compose(inverse.compose(_turned(recording).inverse()))


def _turned(origin: GeographicOrigin) -> Pose:
    """Turn from east, north, up to the axes of a map with a heading."""
    angle_rad = math.radians(origin.x_heading_deg - 90.0)
    return Pose(np.zeros(3), rotations.from_rotation_vector(np.array([0.0, 0.0, angle_rad])))


def moved(observation: FrameObservation, transform: Pose) -> FrameObservation:
    """The observation in another frame."""
    return replace(
        observation,
        footprint_m=transform.transform(observation.footprint_m),
        observations=tuple(_moved(each, transform) for each in observation.observations),
    )


def _moved(observation: CrackObservation, transform: Pose) -> CrackObservation:
    rotation = transform.rotation
    return replace(
        observation,
        line_m=transform.transform(observation.line_m),
        normal=rotation @ observation.normal,
        covariance_m2=rotation @ observation.covariance_m2 @ rotation.T,
    )
