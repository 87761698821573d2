# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Position, attitude and camera in the tags of one photograph: EXIF, and XMP by the names of DJI.

The gimbal's angles are those of the camera against north and the horizon. With RTK the position has standard
deviations and an ellipsoidal height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.photographs.earth import check_place
from crack_perception.photographs.lenses import brown_camera
from crack_perception.photographs.table import Unusable
from crack_perception.photographs.tags import PhotographTags, Value

Array = npt.NDArray[np.float64]

RTK_FIXED = 50
# DJI's manuals: 16 is a single point, 32 to 49 are float solutions.
_RTK_FLOAT = range(32, RTK_FIXED)
ALTITUDES = ("auto", "absolute", "relative")
"""Heights that are used; auto: absolute with RTK, else those above the take-off in the same datum."""

# Standard deviations [m], horizontal and vertical, where the tags give none.
_FIXED_SIGMAS_M, _FLOAT_SIGMAS_M, _NO_RTK_SIGMAS_M = (0.02, 0.03), (0.5, 0.8), (1.5, 0.5)
_MOST_SIGMA_M = 100.0
GIMBAL_SIGMA_RAD = math.radians(0.5)
_FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
_UNITS_MM = {2: 25.4, 3: 10.0, 4: 1.0}
_THERMAL = ("infrared", "thermal", "ir")
# Largest deviation of the calibrated centre from the middle of the picture, as a share of half the picture.
_CENTRE_TOLERANCE = 0.05
_RANGES_M = (0.3, 1000.0)


@dataclass(frozen=True)
class TaggedPose:
    """Measured position and attitude in the tags of a photograph.

    Attributes:
        latitude_deg, longitude_deg: WGS 84.
        absolute_m, relative_m: Height above the ellipsoid or the sea, and above the take-off; None where missing.
        yaw_deg, pitch_deg, roll_deg: Of the camera: clockwise from north, upwards from the horizon, clockwise about the
            viewing direction.
        sigma_m: Standard deviations to the east, to the north and upwards.
        has_rtk: The position has a fixed RTK solution.
        range_m: Distance along the optical axis from the laser rangefinder; None without one.
    """

    latitude_deg: float
    longitude_deg: float
    absolute_m: float | None
    relative_m: float | None
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    sigma_m: tuple[float, float, float]
    has_rtk: bool
    range_m: float | None = None


def pose_in(tags: PhotographTags) -> TaggedPose:
    """Return the pose in the tags of a photograph.

    Raises:
        Unusable: Position or angles are missing or impossible.
    """
    dji = tags.dji
    latitude = _first(dji.get("GpsLatitude"), dji.get("Latitude"), _angle(tags, "Latitude", "S"))
    longitude = _first(
        dji.get("GpsLongitude"), dji.get("GpsLongtitude"), dji.get("Longitude"), _angle(tags, "Longitude", "W")
    )
    if latitude is None or longitude is None:
        raise Unusable("no_position", "its tags hold no position")
    absolute_m = _first(dji.get("AbsoluteAltitude"), _altitude(tags))
    relative_m = _first(dji.get("RelativeAltitude"))
    if absolute_m is None and relative_m is None:
        raise Unusable("no_position", "its tags hold no height")
    problem = check_place(latitude, longitude, absolute_m if absolute_m is not None else 0.0)
    if problem:
        raise Unusable("implausible_pose", problem)
    angles = [_first(dji.get(f"Gimbal{name}Degree")) for name in ("Yaw", "Pitch", "Roll")]
    yaw, pitch, roll = (angle if angle is not None else math.nan for angle in angles)
    if angles[0] is None or angles[1] is None:
        raise Unusable("no_direction", "its tags hold a position but no gimbal angles")
    roll = 0.0 if angles[2] is None else roll
    if not (abs(yaw) <= 360.0 and abs(pitch) <= 180.0 and abs(roll) <= 360.0):
        raise Unusable("implausible_pose", f"its gimbal angles are {yaw:g}, {pitch:g} and {roll:g} degrees")
    flag = int(_first(dji.get("RtkFlag")) or 0)
    # The status is missing, or "Normal"; else the distance is none, for example "TooFar".
    is_measured = dji.get("LRFStatus", "Normal").lower() == "normal"
    range_m = _first(dji.get("LRFTargetDistance")) if is_measured else None
    return TaggedPose(
        latitude_deg=latitude,
        longitude_deg=longitude,
        absolute_m=absolute_m,
        relative_m=relative_m,
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        sigma_m=_sigmas_m(tags, flag),
        has_rtk=flag == RTK_FIXED,
        range_m=range_m if range_m is not None and _RANGES_M[0] <= range_m <= _RANGES_M[1] else None,
    )


def check_visible(tags: PhotographTags) -> None:
    """Refuse pictures of thermal cameras, which show no cracks.

    Raises:
        Unusable: It is one.
    """
    source = tags.dji.get("ImageSource", "").lower()
    if source.startswith(_THERMAL):
        raise Unusable("thermal", f"its source is {tags.dji['ImageSource']}")


def camera_in(tags: PhotographTags, size_px: tuple[int, int]) -> tuple[CameraModel, bool]:
    """Return the camera in the tags of a photograph, and whether it is only estimated from the nominal focal length.

    The camera has the size that the picture had when it was taken, which is another one than the stored size if the
    picture was resized later: programs that do so keep the calibration in the tags.

    Args:
        tags: Of the photograph.
        size_px: Stored width and height.

    Raises:
        Unusable: The tags hold no focal length, or an impossible one.
    """
    size_px = _taken_px(tags, size_px)
    width, height = size_px
    middle = ((width - 1) / 2, (height - 1) / 2)
    # Date; fx, fy, cx, cy from the middle, k1, k2, p1, p2, k3.
    numbers = [_first(part) for part in tags.dji.get("DewarpData", "").rpartition(";")[2].split(",")]
    if len(numbers) == 9 and all(number is not None for number in numbers):
        fx, fy, cx, cy, k1, k2, p1, p2, k3 = (float(number or 0.0) for number in numbers)
        is_straight = tags.dji.get("DewarpFlag", "0").strip() == "1"
        centre = (middle[0] + cx, middle[1] + cy)
        radial, tangential = ([], (0.0, 0.0)) if is_straight else ([k1, k2, k3], (p1, p2))
        return brown_camera(size_px, (fx, fy), centre, radial, tangential), False
    focal_px = _first(tags.dji.get("CalibratedFocalLength"))
    if focal_px is not None and focal_px > 0:
        x, y = (_first(tags.dji.get(f"CalibratedOpticalCenter{axis}")) for axis in "XY")
        centre = (middle[0] if x is None else x - 0.5, middle[1] if y is None else y - 0.5)
        return brown_camera(size_px, (focal_px, focal_px), centre, []), False
    focal_mm, per_unit = _number(tags.exif.get("FocalLength")), _number(tags.exif.get("FocalPlaneXResolution"))
    unit_mm = _UNITS_MM.get(int(_number(tags.exif.get("FocalPlaneResolutionUnit")) or 2))
    equivalent_mm = _number(tags.exif.get("FocalLengthIn35mmFilm"))
    if equivalent_mm is not None and equivalent_mm > 0:
        focal_px = equivalent_mm / _FULL_FRAME_DIAGONAL_MM * math.hypot(width, height)
    elif focal_mm and per_unit and unit_mm and focal_mm > 0 and per_unit > 0:
        focal_px = focal_mm * per_unit / unit_mm
    else:
        raise Unusable("no_camera", "its tags hold no focal length")
    return brown_camera(size_px, (focal_px, focal_px), middle, []), True


def _taken_px(tags: PhotographTags, stored_px: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the picture when it was taken."""
    dimensions = [_number(tags.exif.get(f"Pixel{axis}Dimension")) for axis in "XY"]
    tagged_px = (int(dimensions[0] or 0), int(dimensions[1] or 0))
    if min(tagged_px) <= 0:
        tagged_px = stored_px
    # DJI's calibrated centre is within a few pixels of the middle.
    centre = [_first(tags.dji.get(f"CalibratedOpticalCenter{axis}")) for axis in "XY"]
    if centre[0] is None or centre[1] is None or min(centre[0], centre[1]) <= 0:
        return tagged_px
    calibrated_px = (round(2 * centre[0]), round(2 * centre[1]))
    for known_px in (stored_px, tagged_px):
        if all(abs(a / b - 1.0) <= _CENTRE_TOLERANCE for a, b in zip(calibrated_px, known_px, strict=True)):
            return known_px
    return calibrated_px


def _sigmas_m(tags: PhotographTags, flag: int) -> tuple[float, float, float]:
    has_rtk = flag == RTK_FIXED or flag in _RTK_FLOAT
    horizontal, vertical = _FIXED_SIGMAS_M if flag == RTK_FIXED else _FLOAT_SIGMAS_M if has_rtk else _NO_RTK_SIGMAS_M
    given = [_first(tags.dji.get(f"RtkStd{name}")) for name in ("Lon", "Lat", "Hgt")]
    if has_rtk and all(value is not None and 0 < value < _MOST_SIGMA_M for value in given):
        return float(given[0] or 0), float(given[1] or 0), float(given[2] or 0)
    return horizontal, horizontal, vertical


def _angle(tags: PhotographTags, name: str, negative: str) -> float | None:
    value = tags.exif.get(f"GPS{name}")
    parts = value if isinstance(value, tuple) else (value,)
    if not parts or len(parts) > 3 or not all(isinstance(part, float) and math.isfinite(part) for part in parts):
        return None
    degrees = sum(float(part or 0.0) / 60.0**power for power, part in enumerate(parts))
    return -degrees if str(tags.exif.get(f"GPS{name}Ref", "")).strip().upper() == negative else degrees


def _altitude(tags: PhotographTags) -> float | None:
    value = _number(tags.exif.get("GPSAltitude"))
    if value is None:
        return None
    return -value if _number(tags.exif.get("GPSAltitudeRef")) == 1.0 else value


def _number(value: Value | None) -> float | None:
    return float(value) if isinstance(value, float) and math.isfinite(value) else None


def _first(*values: str | float | None) -> float | None:
    """Return the first value that is a finite number."""
    for value in values:
        try:
            number = float(value) if value is not None else math.nan
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return None
