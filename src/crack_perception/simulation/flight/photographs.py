# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Write a simulated flight as photographs: JPEGs with the tags of a DJI drone with RTK and a gimbal.

The map's frame is east, north, up at a place on the earth. Positions and angles have the resolution of the tags and
the noise of the flight's settings, white, as the photographs of a survey are seconds apart.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import Flight, Progress, stamp_of
from crack_perception.simulation.flight.truth import FILE_NAME, write_truth
from crack_perception.vision.images.encodings import encode_jpeg

PLACE = GeographicOrigin(48.13743, 11.57549, 520.0)
"""Place of the map's origin."""

_QUALITY = 92
_RATIONAL = 10_000_000


@dataclass(frozen=True)
class DjiTags:
    """Tags of a photograph as DJI writes them.

    Attributes:
        latitude_deg, longitude_deg, absolute_m, relative_m: Position of the camera.
        yaw_deg, pitch_deg, roll_deg: Of the gimbal.
        sigma_m: Standard deviation of the RTK solution.
        rtk_flag: 50 with a fixed solution, 34 floating, 16 single.
        stamp_ns: Time of exposure.
        camera: Its calibration.
        orientation: EXIF orientation.
    """

    latitude_deg: float
    longitude_deg: float
    absolute_m: float
    relative_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    sigma_m: float
    rtk_flag: int
    stamp_ns: int
    camera: CameraModel
    orientation: int = 1


def with_tags(jpeg: bytes, tags: DjiTags) -> bytes:
    """Return a JPEG with EXIF and XMP tags in front of its other segments."""
    exif = b"Exif\x00\x00" + _exif(tags)
    xmp = b"http://ns.adobe.com/xap/1.0/\x00" + _xmp(tags).encode()
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in (exif, xmp))
    return jpeg[:2] + segments + jpeg[2:]


def tags_of(
    map_from_camera: Pose, place: GeographicOrigin, camera: CameraModel, stamp_ns: int, sigma_m: float
) -> DjiTags:
    """Return the tags of a photograph with this pose, its angles rounded as DJI does, to a hundredth of a degree."""
    longitude, latitude, height_m = place.positions(map_from_camera.position_m[None])[0].tolist()
    yaw, pitch, roll = gimbal_angles_deg(map_from_camera)
    return DjiTags(
        latitude_deg=round(latitude, 9),
        longitude_deg=round(longitude, 9),
        absolute_m=round(height_m, 3),
        relative_m=round(height_m - place.altitude_m, 3),
        yaw_deg=round(yaw, 2),
        pitch_deg=round(pitch, 2),
        roll_deg=round(roll, 2),
        sigma_m=sigma_m,
        rtk_flag=50,
        stamp_ns=stamp_ns,
        camera=camera,
    )


def gimbal_angles_deg(map_from_camera: Pose) -> tuple[float, float, float]:
    """Return yaw from north, pitch upwards, roll clockwise [deg] of an optical frame in east, north, up."""
    forward, down = map_from_camera.rotation[:, 2], map_from_camera.rotation[:, 1]
    right = map_from_camera.rotation[:, 0]
    pitch = math.asin(min(max(float(forward[2]), -1.0), 1.0))
    if math.cos(pitch) < 1e-6:  # straight down or up: the roll is taken as zero
        return math.degrees(math.atan2(-float(right[1]), float(right[0]))), math.degrees(pitch), 0.0
    return (
        math.degrees(math.atan2(float(forward[0]), float(forward[1]))),
        math.degrees(pitch),
        math.degrees(math.atan2(-float(right[2]), -float(down[2]))),
    )


def write_photographs(
    settings: FlightSettings, out: Path, every: int, progress: Progress, place: GeographicOrigin = PLACE
) -> Flight:
    """Render every n-th image of a flight as a JPEG with tags, with ``truth.json`` beside them.

    Args:
        settings: Settings of the flight.
        out: Folder; created where missing.
        every: Images of the flight per photograph.
        progress: Called with the number of photographs written and their total.
        place: Place of the map's origin, x to the east.

    Raises:
        UserError: The folder cannot be written, or the flight cannot be planned.
    """
    flight = Flight(settings)
    chosen = range(0, len(flight.times_s), every)
    rng = settings.random("photographs")
    try:
        out.mkdir(parents=True, exist_ok=True)
        truth = flight.truth()
        write_truth(truth, out / FILE_NAME)
        for count, index in enumerate(chosen, 1):
            frame = truth.frames[index]
            exact = Pose.of(frame.position_m, frame.quaternion_xyzw)
            turn = rotations.from_rotation_vector(rng.normal(0.0, math.radians(settings.attitude_noise_deg), 3))
            measured = Pose.of(
                exact.position_m + rng.normal(0.0, settings.pose_noise_m, 3),
                rotations.multiply(turn, exact.quaternion),
            )
            stamp_ns = stamp_of(flight.times_s[index])
            tags = tags_of(measured, place, flight.camera, stamp_ns, max(settings.pose_noise_m, 0.001))
            jpeg = encode_jpeg(flight.image(index), settings.jpeg_quality or _QUALITY).tobytes()
            (out / f"DJI_{index:04d}.JPG").write_bytes(with_tags(jpeg, tags))
            progress(count, len(chosen))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})", "Choose another folder with --out") from error
    return flight


def _xmp(tags: DjiTags) -> str:
    camera = tags.camera
    d = [*camera.d.tolist(), 0.0, 0.0, 0.0, 0.0, 0.0]
    k1, k2, p1, p2, k3 = d[:5]
    numbers = [
        camera.k[0, 0],
        camera.k[1, 1],
        camera.k[0, 2] - (camera.width_px - 1) / 2,
        camera.k[1, 2] - (camera.height_px - 1) / 2,
        *(k1, k2, p1, p2, k3),
    ]
    dewarp = "2026-01-01;" + ",".join(f"{number:.12f}" for number in numbers)
    utc = _moment(tags.stamp_ns)
    values = {
        "AltitudeType": "RtkAlt" if tags.rtk_flag else "GpsFusionAlt",
        "GpsStatus": "RTK" if tags.rtk_flag else "GPS",
        "GpsLatitude": f"{tags.latitude_deg:+.9f}",
        "GpsLongitude": f"{tags.longitude_deg:+.9f}",
        "AbsoluteAltitude": f"{tags.absolute_m:+.3f}",
        "RelativeAltitude": f"{tags.relative_m:+.3f}",
        "GimbalRollDegree": f"{tags.roll_deg:+.2f}",
        "GimbalYawDegree": f"{tags.yaw_deg:+.2f}",
        "GimbalPitchDegree": f"{tags.pitch_deg:+.2f}",
        "RtkFlag": str(tags.rtk_flag),
        "RtkStdLon": f"{tags.sigma_m:.5f}",
        "RtkStdLat": f"{tags.sigma_m:.5f}",
        "RtkStdHgt": f"{tags.sigma_m:.5f}",
        "DewarpFlag": "0",
        "DewarpData": dewarp,
        "UTCAtExposure": f"{utc:%Y:%m:%d %H:%M:%S}.{tags.stamp_ns % 1_000_000_000:09d}",
    }
    attributes = "\n".join(f'   drone-dji:{name}="{value}"' for name, value in values.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="DJI Meta Data" xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"\n'
        f'{attributes}/>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
    )


def _moment(stamp_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=stamp_ns // 1_000_000_000)


_Entry = tuple[int, int, int, bytes]


def _exif(tags: DjiTags) -> bytes:
    """Return a TIFF with the directories 0, Exif and GPS."""
    taken = f"{_moment(tags.stamp_ns):%Y:%m:%d %H:%M:%S}"
    equivalent = round(
        tags.camera.focal_px * math.hypot(36.0, 24.0) / math.hypot(tags.camera.width_px, tags.camera.height_px)
    )
    exif = [
        _text(0x9003, taken),
        _text(0x9011, "+00:00"),
        _text(0x9291, f"{tags.stamp_ns % 1_000_000_000 // 1_000_000:03d}"),
        (0xA002, 4, 1, struct.pack("<I", tags.camera.width_px)),
        (0xA003, 4, 1, struct.pack("<I", tags.camera.height_px)),
        (0xA405, 3, 1, struct.pack("<H", equivalent)),
    ]
    gps = [
        _text(1, "N" if tags.latitude_deg >= 0 else "S"),
        (2, 5, 3, _degrees(tags.latitude_deg)),
        _text(3, "E" if tags.longitude_deg >= 0 else "W"),
        (4, 5, 3, _degrees(tags.longitude_deg)),
        (5, 1, 1, bytes([tags.absolute_m < 0])),
        (6, 5, 1, struct.pack("<II", round(abs(tags.absolute_m) * 1000), 1000)),
    ]
    first = [_text(0x10F, "DJI"), _text(0x110, "SIM-M3E"), (0x112, 3, 1, struct.pack("<H", tags.orientation))]
    at_exif = 8 + _size([*first, *[(0, 4, 1, b"")] * 2])
    at_gps = at_exif + _size(exif)
    pointers = [(0x8769, 4, 1, struct.pack("<I", at_exif)), (0x8825, 4, 1, struct.pack("<I", at_gps))]
    return (
        b"II*\x00\x08\x00\x00\x00"
        + _directory([*first, *pointers], 8)
        + _directory(exif, at_exif)
        + _directory(gps, at_gps)
    )


def _text(number: int, text: str) -> _Entry:
    data = text.encode() + b"\x00"
    return number, 2, len(data), data


def _degrees(angle: float) -> bytes:
    degrees, rest = divmod(abs(angle), 1.0)
    minutes, rest = divmod(60.0 * rest, 1.0)
    return struct.pack("<6I", int(degrees), 1, int(minutes), 1, round(60.0 * rest * _RATIONAL), _RATIONAL)


def _size(entries: Sequence[_Entry]) -> int:
    return 6 + 12 * len(entries) + sum(len(data) for *_, data in _padded(entries))


def _padded(entries: Sequence[_Entry]) -> Iterator[_Entry]:
    """Yield the entries whose values do not fit into the directory, padded to even lengths."""
    for number, kind, count, data in entries:
        if len(data) > 4:
            yield number, kind, count, data + b"\x00" * (len(data) % 2)


def _directory(entries: Sequence[_Entry], at: int) -> bytes:
    values = b""
    rows = []
    for number, kind, count, data in sorted(entries):
        field = data.ljust(4, b"\x00")
        if len(data) > 4:
            field = struct.pack("<I", at + 6 + 12 * len(entries) + len(values))
            values += data + b"\x00" * (len(data) % 2)
        rows.append(struct.pack("<HHI", number, kind, count) + field)
    return struct.pack("<H", len(rows)) + b"".join(rows) + struct.pack("<I", 0) + values
